"""The parsers of variables, by their tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import variables

GOOD: tuple[tuple[Callable[[str], Any], str, object], ...] = (
    (variables.text, "x y", "x y"),
    (variables.whole(1, 10), "10", 10),
    (variables.whole(0, 10), "00", 0),
    (variables.seconds(0.1, 10), "0.1", 0.1),
    (variables.seconds(0.1, 10), "10", 10.0),
    (variables.choice("INFO", "WARN"), "warn", "WARN"),
    (variables.http_url, "http://ollama:11434/", "http://ollama:11434"),
    (variables.http_url, "https://[::1]:1", "https://[::1]:1"),
    (variables.postgresql_url, "embedded:", "embedded:"),
    (variables.postgresql_url, "postgres://u@h/d", "postgresql+psycopg://u@h/d"),
    (variables.postgresql_url, "postgresql://h/d", "postgresql+psycopg://h/d"),
    (variables.redis_server_url, "rediss://h", "rediss://h"),
    (variables.redis_server_url, "unix:///run/r", "unix:///run/r"),
    (variables.redis_server_url, "embedded:", "embedded:"),
    (variables.proxies, " 10.0.0.1/8, ::1 ,caddy,", ("10.0.0.1/8", "::1", "caddy")),
    (variables.proxies, "", ()),
    (variables.header_name, "X-Request-ID", "X-Request-ID"),
    (variables.header_value, "Bearer", "Bearer"),
    (variables.version, "0.17.1", (0, 17, 1)),
    (variables.absolute_path, "/var/lib", Path("/var/lib")),
)

BAD: tuple[tuple[Callable[[str], Any], str], ...] = (
    *((variables.whole(1, 10), text) for text in ("0", "11", "-1", "1.0", "", "x", "1e1")),
    *((variables.whole(1, 10**30), text) for text in ("9" * 19, "1_0")),
    *((variables.seconds(0.1, 10), text) for text in ("0", "11", "-1", "inf", "nan", "1e1", ".5")),
    (variables.choice("INFO"), "LOUD"),
    *(
        (variables.http_url, text)
        for text in (
            "ollama:11434",
            "ftp://x",
            "http://",
            "http://x:0",
            "http://x:99999",
            "http://x/api",
            "http://x?y",
            "http://x#y",
            "http://u:p@x",
        )
    ),
    *((variables.postgresql_url, text) for text in ("", "sqlite://x", "mysql://x", "embedded")),
    *((variables.redis_server_url, text) for text in ("", "redis", "http://x", "embedded")),
    *((variables.proxies, text) for text in ("a b", "10.0.0.1/33", "http://x", "-")),
    *((variables.header_name, text) for text in ("", "a b", "a:", "a\r\nb", "x" * 65, "é")),
    *((variables.header_value, text) for text in ("a\r\nb", "é", "a\x00")),
    *((variables.version, text) for text in ("1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x")),
    *((variables.absolute_path, text) for text in ("", "var", "./x", "~/x")),
)


class ParserTests(SynchronousTestCase):
    def test_accepted(self) -> None:
        """Values as they go on."""
        for parse, text, expected in GOOD:
            with self.subTest(parse=parse, text=text):
                self.assertEqual(parse(text), expected)

    def test_refused(self) -> None:
        """Everything else is a `ValueError` whose words do not quote it."""
        for parse, text in BAD:
            with self.subTest(parse=parse, text=text), self.assertRaises(ValueError):
                parse(text)

    def test_secrets_are_not_quoted(self) -> None:
        """A URL that cannot be read may hold a password."""
        for parse in (variables.postgresql_url, variables.redis_server_url, variables.http_url):
            for text in ("x://u:canary@h", "http://u:canary@h:port", "http://[canary"):
                try:
                    parse(text)
                except ValueError as error:
                    self.assertNotIn("canary", str(error))
