"""One line per event, from an allow-list; nothing that a failure may quote."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel, LogPublisher, formatEvent, globalLogPublisher
from twisted.python import log as legacy
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.operations.logs import MAX_FRAMES, fields_of, log_observer


class LogTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A logger that writes to memory."""
        self.stream = io.StringIO()
        self.log = self.logger("json", "INFO")

    def logger(self, form: str, level: str, namespace: str = "tests") -> Logger:
        """Make a logger."""
        observer = log_observer(self.stream, form, level)
        return Logger(namespace=namespace, observer=LogPublisher(observer))

    def lines(self) -> list[dict[str, Any]]:
        """What was written."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def failed(self, error: Callable[[], object]) -> dict[str, Any]:
        """What is written of a failure."""
        try:
            error()
        except Exception:  # noqa: BLE001 - whatever the test raises
            self.log.failure("it failed")
        return dict(self.lines()[-1]["failure"])

    def test_line(self) -> None:
        """Time, level, namespace, message and the listed fields; no others."""
        self.log.emit(LogLevel.warn, "a {word}", word="line", request_id="the-id", key="canary")
        (line,) = self.lines()
        self.assertEqual(line["message"], "a line")
        self.assertEqual((line["level"], line["namespace"]), ("warning", "tests"))
        self.assertEqual(line["request_id"], "the-id")
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(set(line), {"time", "level", "namespace", "message", "request_id"})

    def test_line_feeds(self) -> None:
        """An event is one line, whatever is in it."""
        self.log.info("{text}", text="a\nb\r\n\x00\u2028")
        self.assertEqual(len(self.stream.getvalue().splitlines(keepends=False)[:1]), 1)
        self.assertEqual(self.stream.getvalue().count("\n"), 1)

    @settings(deadline=None)
    @given(st.integers(0, 4_000_000_000_000))
    @example(999)
    @example(1_000)
    @example(1_799_999_999_999)
    def test_time(self, milliseconds: int) -> None:
        """The time of the event in UTC, to the millisecond."""
        expected = datetime.fromtimestamp(milliseconds // 1000, UTC)
        expected += timedelta(milliseconds=milliseconds % 1000)
        fields = fields_of({"log_time": milliseconds / 1000 + 1e-5, "log_format": "x"})
        written = datetime.fromisoformat(fields["time"])
        self.assertEqual(written, expected)
        self.assertRegex(fields["time"], r"^.{19}\.\d{3}Z$")

    def test_rendered_messages(self) -> None:
        """Text that comes rendered is the message, as Twisted would have it, braces and all."""
        for text in ("plain", "{request_id} {{}} {0!r}", "a\nb"):
            with self.subTest(text=text):
                event = {"log_format": "{text}", "text": text, "request_id": "x"}
                self.assertEqual(fields_of(event)["message"], text)
                self.assertEqual(formatEvent(event), text)

    def test_level(self) -> None:
        """What is less severe is not written."""
        for level, expected in (
            ("DEBUG", 5),
            ("INFO", 4),
            ("WARN", 3),
            ("ERROR", 2),
            ("CRITICAL", 1),
        ):
            with self.subTest(level=level):
                self.setUp()
                log = self.logger("json", level)
                for name in ("debug", "info", "warn", "error", "critical"):
                    log.emit(LogLevel.levelWithName(name), "x")
                self.assertEqual(len(self.lines()), expected)

    def test_chatter(self) -> None:
        """Of Twisted's own events only warnings are for people, and fewer where they want fewer."""
        for level, expected in (("DEBUG", ["warning", "error"]), ("ERROR", ["error"])):
            for namespace in ("twisted.internet.tcp.Port", "log_legacy"):
                with self.subTest(level=level, namespace=namespace):
                    self.setUp()
                    log = self.logger("json", level, namespace)
                    for name in ("debug", "info", "warn", "error"):
                        log.emit(LogLevel.levelWithName(name), "x")
                    self.assertEqual([line["level"] for line in self.lines()], expected)

    def test_foreign_failures_are_not_quoted(self) -> None:
        """The text of a library's exception may hold what was parsed."""
        failure = self.failed(lambda: json.loads("canary"))
        self.assertEqual(failure["type"], "json.decoder.JSONDecodeError")
        failure = self.failed(lambda: dict[str, int]()["canary"])
        self.assertEqual((failure["type"], failure["text"]), ("builtins.KeyError", ""))
        self.assertNotIn("canary", self.stream.getvalue())
        self.assertIn("test_logs.py", failure["frames"][-1])

    def test_own_and_the_systems_words(self) -> None:
        """What we or the system wrote is kept."""

        def refuse() -> None:
            raise InvalidRequest("a word of ours")

        self.assertEqual(self.failed(refuse)["text"], "a word of ours")
        missing = self.failed(lambda: open("/nowhere/to/be/found"))  # noqa: PTH123, SIM115
        self.assertIn("No such file", missing["text"])

    def test_long_tracebacks(self) -> None:
        """Only the innermost frames are written."""

        def deep(depth: int) -> None:
            if depth == 0:
                raise ZeroDivisionError
            deep(depth - 1)

        self.assertEqual(len(self.failed(lambda: deep(50))["frames"]), MAX_FRAMES)

    def test_legacy_errors(self) -> None:
        """Errors of Twisted's older log are written without their traceback as text."""
        observer = log_observer(self.stream, "json", "INFO")
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        try:
            dict[str, int]()["canary"]
        except KeyError:
            legacy.err(None, "while reading a canary")
        self.flushLoggedErrors(KeyError)
        (line,) = self.lines()
        self.assertEqual(line["message"], "unhandled error")
        self.assertEqual(line["failure"]["type"], "builtins.KeyError")
        self.assertNotIn("canary", self.stream.getvalue())

    def test_console(self) -> None:
        """For people: the message first, the rest behind it."""
        self.logger("console", "INFO").info("hello", backend="default", other="x")
        self.assertRegex(
            self.stream.getvalue(), r'^\S+Z info     hello  \{"backend":"default"\}\n$'
        )

    def test_values_that_are_no_json(self) -> None:
        """A field of any type is written."""
        self.log.info("x", error=ZeroDivisionError)
        self.assertIn("ZeroDivisionError", self.lines()[0]["error"])
