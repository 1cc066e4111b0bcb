"""Pages of other origins, through the channel and the real doors."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.cors import CrossOrigin
from neuronetz_twisted.edge.request import ROUTES
from neuronetz_twisted.testing.http import Answer
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from tests.unit.edge.house import KEY, House
from tests.unit.edge.surface import CHAT, fixed

APP = "https://app.example"
OTHER = "https://evil.example"
UNKNOWN = ("/api/pull", "/none", "*", "/v1/models/llama3")


def preflight(house: House, path: str, origin: str = APP, method: str = "POST") -> Answer:
    """What a browser is told that asks before it sends a request."""
    fields = {"Access_Control_Request_Method": method, "Origin": origin}
    headers = "authorization, content-type, x-stainless-os"
    client = house.connect()
    client.request("OPTIONS", path, None, Access_Control_Request_Headers=headers, **fields)
    return client.answer()


class CorsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway that pages of one origin may call."""
        self.house = House(cross_origin=CrossOrigin((APP,), "X-Request-ID"))

    def assert_shared(self, answer: Answer) -> None:
        """The origin may read it, and the header fields that are ours."""
        self.assertEqual(answer.headers["access-control-allow-origin"], APP)
        self.assertEqual(answer.headers["vary"], "Origin")
        self.assertIn("X-Request-ID", answer.headers["access-control-expose-headers"])
        self.assertNotIn("access-control-allow-credentials", answer.headers)


class PreflightTests(CorsTestCase):
    def test_every_path_alike(self) -> None:
        """Nobody learns without a key which paths there are, or what may be done there."""
        answers = [
            preflight(self.house, path, method=method)
            for path in (*(path.decode() for path in sorted(ROUTES)), *UNKNOWN)
            for method in ("GET", "POST", "DELETE", "x")
        ]
        for answer in answers:
            self.assertEqual(answer, answers[0])
        self.assertEqual((answers[0].status, answers[0].body), (204, b""))
        self.assertEqual(
            answers[0].headers["access-control-allow-methods"].split(", "), ["GET", "HEAD", "POST"]
        )
        self.assert_shared(answers[0])
        self.assertNotIn("content-length", answers[0].headers)
        self.assertNotIn("transfer-encoding", answers[0].headers)

    def test_nothing_is_asked_or_kept(self) -> None:
        """No record, no call of a store, and no failure on the address's account."""
        for _ in range(50):
            preflight(self.house, "/api/chat")
        self.assertEqual((self.house.sink.events, self.house.trail.records), ([], []))
        self.assertEqual(self.house.keys.found, [])
        self.assertEqual(self.house.connect().request("GET", "/api/tags").answer().status, 401)

    def test_while_no_record_can_be_kept(self) -> None:
        """It is answered, so that the page can read why its request is not."""
        self.house.trail.denies = "full"
        self.assertEqual(preflight(self.house, "/api/chat").status, 204)
        refused = self.house.ask("POST", "/api/chat", CHAT, Origin=APP).answer()
        self.assertEqual(refused.status, 503)
        self.assert_shared(refused)

    def test_the_connection_goes_on(self) -> None:
        """A request follows on the same connection, and a body of the preflight is dropped."""
        client = self.house.connect()
        fields = {"Access_Control_Request_Method": "POST", "Origin": APP}
        client.request("OPTIONS", "/api/tags", b"body", **fields)
        self.assertEqual(client.answer().status, 204)
        client.request("GET", "/api/tags", x_api_key=KEY, Origin=APP)
        self.assertEqual(client.answer().status, 200)

    def test_what_is_none(self) -> None:
        """Another origin's, or an `OPTIONS` that asks for nothing, needs a key as ever."""
        plain = House().connect().request("OPTIONS", "/api/chat").answer()
        other = preflight(self.house, "/api/chat", OTHER)
        self.assertEqual((plain.status, other.status), (401, 401))
        self.assertNotIn("access-control-allow-methods", other.headers)
        self.assertNotIn("access-control-allow-origin", other.headers)
        bare = self.house.connect().request("OPTIONS", "/api/chat", Origin=APP).answer()
        self.assertEqual(bare.status, 401)
        self.assert_shared(bare)
        self.assertEqual(len(self.house.sink.events), 2)


class AnswerTests(CorsTestCase):
    def test_every_kind_of_answer(self) -> None:
        """Pages, lists, refusals of each layer: all can be read by the page."""
        for method, path, body, status in (
            ("GET", "/", None, 200),
            ("PUT", "/", None, 405),
            ("GET", "/api/tags", None, 200),
            ("GET", "/gateway/usage", None, 200),
            ("POST", "/api/chat", b"[]", 400),
            ("POST", "/v1/chat/completions", b"[]", 400),
            ("GET", "/api/pull", None, 403),
            ("GET", "/api/chat", None, 405),
        ):
            with self.subTest(method=method, path=path):
                answer = self.house.ask(method, path, body, Origin=APP).answer()
                self.assertEqual(answer.status, status)
                self.assert_shared(answer)

    def test_without_a_key(self) -> None:
        """A page learns that its key is not good."""
        answer = self.house.connect().request("POST", "/api/chat", CHAT, Origin=APP).answer()
        self.assertEqual(answer.status, 401)
        self.assert_shared(answer)

    def test_stream(self) -> None:
        """The lines are in the head, once."""
        client = self.house.ask("POST", "/api/chat", CHAT, Origin=APP)
        self.house.upstream.streams[0].send(chat_frame("Hi"), chat_final())
        self.assertEqual(client.value().count(b"Access-Control-Allow-Origin"), 1)
        answer = client.answer()
        self.assertTrue(answer.whole)
        self.assert_shared(answer)

    def test_other_origins(self) -> None:
        """Their requests are answered as those of no origin, whatever the answer."""
        for path in ("/", "/api/tags", "/api/pull"):
            answers = [
                fixed(self.house.ask("GET", path, None, **origin).answer())
                for origin in ({}, {"Origin": OTHER}, {"Origin": "null"})
            ]
            self.assertEqual(answers[1:], answers[:1] * 2)
            self.assertNotIn("access-control-allow-origin", answers[0][1])

    def test_no_setting(self) -> None:
        """No answer speaks of origins."""
        house = House()
        for method in ("GET", "OPTIONS"):
            fields = {"Origin": APP, "Access_Control_Request_Method": "POST"}
            answer = house.ask(method, "/api/tags", None, **fields).answer()
            self.assertEqual(answer.status, 200 if method == "GET" else 405)
            self.assertNotIn("vary", answer.headers)
            self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_bad_framing(self) -> None:
        """Of a head that cannot be read nothing is believed, its origin neither."""
        client = self.house.connect()
        client.send(f"GET / HTTP/1.1\r\nOrigin: {APP}\r\nBad : x\r\n\r\n".encode())
        answer = client.answer()
        self.assertEqual((answer.status, answer.headers["vary"]), (400, "Origin"))
        self.assertNotIn("access-control-allow-origin", answer.headers)
