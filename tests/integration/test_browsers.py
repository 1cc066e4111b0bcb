"""A page of another origin calls, in the order in which a browser does it (SPEC 3)."""

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import marker, shared_stack
from tests.http_client import Answer, ask, chat
from tests.processes import eventually

APP = "http://localhost:3000"
OTHER = "https://evil.example"
ALLOWED = "access-control-allow-origin"
FLUSHED_S = 20.0


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway that pages of two origins may call; the operator wrote one as people do."""
        self.stack = shared_stack(
            GATEWAY_CORS_ORIGINS="https://App.Example:443, http://localhost:3000"
        )
        self.key = self.stack.new_key()
        self.browser = marker()

    def preflight(self, path: str, origin: str) -> Answer:
        """The question of a browser before it sends a request with a key."""
        headers = {
            "Origin": origin,
            "User-Agent": self.browser,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        return ask(self.stack.port, "OPTIONS", path, headers=headers)

    def call(self, origin: str, key: str) -> Answer:
        """A streamed chat."""
        headers = {"Origin": origin, "User-Agent": self.browser}
        return ask(self.stack.port, "POST", "/api/chat", chat("hi"), key=key, headers=headers)

    def test_a_page_that_may_call(self) -> None:
        """It may ask, then call, and reads the answer with our header fields; or why there is none.

        The record has the calls and not the questions.
        """
        asked = self.preflight("/api/chat", APP)
        self.assertEqual((asked.status, asked.body, asked.headers[ALLOWED]), (204, b"", APP))
        self.assertEqual(asked.headers["access-control-allow-methods"], "GET, HEAD, POST")
        self.assertIn("Authorization", asked.headers["access-control-allow-headers"])
        for key, status in ((self.key, 200), ("nz_none", 401)):
            answer = self.call(APP, key)
            self.assertEqual((answer.status, answer.headers[ALLOWED]), (status, APP))
            exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
            ours = {name for name in answer.headers if name.startswith(("x-r", "x-b", "ratelimit"))}
            self.assertEqual(ours - set(exposed), set())
        eventually(lambda: len(self.rows()) == 2, FLUSHED_S)
        self.assertEqual(self.rows(), ["POST /api/chat", "POST /api/chat"])

    def rows(self) -> list[str]:
        """The routes in the records of this test's browser."""
        statement = "SELECT route FROM gateway.audit_log WHERE user_agent = %s"
        return [route for (route,) in self.stack.administer(statement, self.browser)]

    def test_the_other_spelling(self) -> None:
        """The origin is compared as browsers write it."""
        asked = self.preflight("/api/chat", "https://app.example")
        self.assertEqual((asked.status, asked.headers[ALLOWED]), (204, "https://app.example"))

    def test_paths_are_alike(self) -> None:
        """A question without a key does not tell what there is."""
        answers = [self.preflight(path, APP) for path in ("/api/chat", "/api/pull", "/none")]
        for answer in answers:
            headers = {name: answer.headers[name] for name in answer.headers if name != "date"}
            self.assertEqual(answer.status, 204)
            self.assertEqual(
                headers, {name: answers[0].headers[name] for name in headers}, answer.headers
            )

    def test_a_page_that_may_not(self) -> None:
        """Its browser gets no word that would let it read on."""
        asked = self.preflight("/api/chat", OTHER)
        self.assertEqual(asked.status, 401)
        for answer in (asked, self.call(OTHER, self.key)):
            self.assertNotIn(ALLOWED, answer.headers)
