"""Which origin gets which header lines, as a table of heads."""

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.cors import CrossOrigin, Lines
from neuronetz_twisted.edge.framing import HTTP_1_1, RequestHead, RequestLine

APP = b"https://app.example"
LOCAL = b"http://localhost:3000"
VARY = ((b"Vary", b"Origin"),)
LISTED = CrossOrigin((APP.decode(), LOCAL.decode()), "X-Trace")
ALL = CrossOrigin(("*",), "X-Request-ID")


def head(
    *origins: bytes, method: bytes = b"GET", asks: Sequence[bytes] | None = None
) -> RequestHead:
    """A head with these `Origin` fields, and those of `Access-Control-Request-Method`."""
    fields: dict[bytes, Sequence[bytes]] = {}
    if origins:
        fields[b"origin"] = origins
    if asks is not None:
        fields[b"access-control-request-method"] = asks
    line = RequestLine(method, b"/api/chat", HTTP_1_1)
    return RequestHead(line=line, fields=fields, length=0, keeps_alive=True, invited=False)


def words(lines: Lines, name: bytes) -> list[str]:
    """The items of a list header, in lower case."""
    return dict(lines)[name].decode().lower().split(", ")


class AnswerTests(SynchronousTestCase):
    def test_listed(self) -> None:
        """It is named, alone, with what its pages may read; cookies are not spoken of."""
        for origin in (APP, LOCAL):
            lines = LISTED.answer_lines(head(origin))
            self.assertEqual(lines[:2], ((b"Access-Control-Allow-Origin", origin), *VARY))
            self.assertEqual([name for name, _ in lines[2:]], [b"Access-Control-Expose-Headers"])

    def test_exposed(self) -> None:
        """All that SPEC 7 shows a caller, and the id under its configured name."""
        exposed = words(LISTED.answer_lines(head(APP)), b"Access-Control-Expose-Headers")
        for name in (
            "x-trace",
            "x-client-request-id",
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-budget-period",
            "x-budget-tokens-remaining",
            "x-gateway-ignored",
            "retry-after",
        ):
            self.assertIn(name, exposed)
        self.assertNotIn("x-request-id", exposed)

    def test_others(self) -> None:
        """Nothing but the word for caches, whatever an origin looks like."""
        for origins in (
            (),
            (b"",),
            (b"*",),
            (b"null",),
            (b"https://evil.example",),
            (b"https://app.example.evil.example",),
            (b"https://app.example:8443",),
            (b"http://app.example",),
            (b"HTTPS://APP.EXAMPLE",),
            (b"https://app.example/",),
            (b"https://app.example, https://app.example",),
            (b"http://localhost",),
            (APP, APP),
            (APP, b"https://evil.example"),
        ):
            with self.subTest(origins=origins):
                self.assertEqual(LISTED.answer_lines(head(*origins)), VARY)

    def test_all(self) -> None:
        """No origin is reflected where all may call."""
        for origin in (APP, b"null", b"x"):
            lines = ALL.answer_lines(head(origin))
            self.assertEqual(lines[:2], ((b"Access-Control-Allow-Origin", b"*"), *VARY))
        self.assertEqual(ALL.answer_lines(head()), VARY)
        self.assertEqual(ALL.answer_lines(head(APP, APP)), VARY)


class PreflightTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """All methods there are, the fields of known clients, and for how long."""
        lines = LISTED.preflight_lines(head(APP, method=b"OPTIONS", asks=[b"DELETE"]))
        assert lines is not None
        self.assertEqual(words(lines, b"Access-Control-Allow-Methods"), ["get", "head", "post"])
        self.assertEqual(words(lines, b"Access-Control-Max-Age"), ["7200"])
        fields = words(lines, b"Access-Control-Allow-Headers")
        self.assertEqual(len(fields), len(set(fields)))
        for name in (
            "authorization",
            "x-api-key",
            "content-type",
            "x-trace",
            "anthropic-version",
            "anthropic-beta",
            "x-stainless-retry-count",
        ):
            self.assertIn(name, fields)
        self.assertNotIn("*", fields)

    def test_what_is_none(self) -> None:
        """Another method, no method asked for, or an origin that may not call."""
        for case in (
            head(APP, method=b"POST", asks=[b"POST"]),
            head(APP, method=b"options", asks=[b"POST"]),
            head(APP, method=b"OPTIONS"),
            head(method=b"OPTIONS", asks=[b"POST"]),
            head(b"https://evil.example", method=b"OPTIONS", asks=[b"POST"]),
        ):
            with self.subTest(head=case):
                self.assertIsNone(LISTED.preflight_lines(case))

    def test_all(self) -> None:
        """Where all may call, all may ask."""
        self.assertIsNotNone(ALL.preflight_lines(head(b"x", method=b"OPTIONS", asks=[b"GET"])))
