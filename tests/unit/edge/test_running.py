"""Calls that run, and clients that go, from the first byte to the last."""

import orjson

from neuronetz_twisted.edge.answers import HttpAnswer
from neuronetz_twisted.edge.connections import TICK_S
from neuronetz_twisted.edge.deadlines import CUT_1_0_S, CUT_S
from neuronetz_twisted.edge.framing import MAX_HEAD_BYTES
from neuronetz_twisted.edge.intake import MAX_BEHIND_BYTES
from neuronetz_twisted.testing.admission import FakeLimiter
from neuronetz_twisted.testing.calls import made_model
from neuronetz_twisted.testing.http import MemoryConnection
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from neuronetz_twisted.vocabulary import Status
from tests.unit.edge.house import KEY, MAX_PREDICT
from tests.unit.edge.surface import CHAT, FOLDED, SurfaceTestCase


class RunningTests(SurfaceTestCase):
    def stream(self, body: bytes = CHAT, path: str = "/api/chat") -> MemoryConnection:
        """A client whose answer is streaming, one frame in."""
        client = self.house.ask("POST", path, body)
        self.upstream.streams[-1].send(chat_frame("Hello"))
        return client

    def test_streamed(self) -> None:
        """Frames as they come, with the headers that keep proxies from holding them."""
        client = self.stream()
        part = client.answer()
        self.assertEqual((part.status, part.whole), (200, False))
        self.assertEqual(part.headers["content-type"], "application/x-ndjson")
        self.assertEqual(part.headers["cache-control"], "no-store")
        self.assertEqual(part.headers["x-accel-buffering"], "no")
        self.assertEqual(part.body, chat_frame("Hello") + b"\n")
        self.upstream.streams[0].send(chat_final())
        self.upstream.streams[0].end()
        self.assertTrue(client.value().endswith(b"0\r\n\r\n"))
        self.assertFalse(client.disconnecting)
        self.assertEqual(self.house.sink.outcomes, ["ok"])

    def test_next_request_on_the_same_connection(self) -> None:
        """A connection serves one request after the other."""
        self.upstream.frames = [chat_final()]
        client = self.house.ask("POST", "/api/chat", FOLDED)
        self.assertEqual(client.answer().status, 200)
        client.request("POST", "/api/chat", FOLDED, x_api_key=KEY)
        self.assertEqual(client.answer().status, 200)

    def test_each_surface(self) -> None:
        """Whole answers of the three routes."""
        self.upstream.frames = [chat_frame("Hello"), chat_final()]
        chat = self.answered("POST", "/api/chat", FOLDED)
        self.assertEqual(chat.json()["message"]["content"], "Hello")
        openai = self.answered("POST", "/v1/chat/completions", CHAT)
        self.assertEqual(openai.json()["choices"][0]["message"]["content"], "Hello")
        self.assertEqual(openai.json()["id"], f"chatcmpl-{openai.headers['x-request-id']}")
        self.upstream.frames = [b'{"response":"Hi","done":true}']
        generate = b'{"model":"llama3","prompt":"x","stream":false}'
        self.assertEqual(self.answered("POST", "/api/generate", generate).json()["response"], "Hi")

    def test_the_model_is_called_as_it_is_listed(self) -> None:
        """A chat completion names the model as the list does, however the client has."""
        listing = {"name": "Llama3:latest", "model": "Llama3:latest"}
        self.house.catalog.installed = [made_model(listing=listing)]
        self.upstream.frames = [chat_frame("Hello"), chat_final()]
        asked = CHAT.replace(b"llama3", b"LLAMA3")
        whole = self.answered("POST", "/v1/chat/completions", asked).json()
        self.assertEqual(whole["model"], "Llama3:latest")
        body = asked[:-1] + b',"stream":true}'
        client = self.house.ask("POST", "/v1/chat/completions", body)
        self.upstream.streams[-1].end()
        events = client.answer().body.split(b"\n\n")
        chunks = [orjson.loads(event.removeprefix(b"data: ")) for event in events[:-2]]
        self.assertEqual({chunk["model"] for chunk in chunks}, {"Llama3:latest"})

    def test_cut_while_it_waits(self) -> None:
        """A call without a first frame is refused by its status: revoked, or at the end."""
        for name in ("slots", "gate"):
            for stop, status in ((False, 401), (True, 503)):
                with self.subTest(name=name, status=status):
                    self.setUp()
                    gate = getattr(self.upstream, name)
                    gate.held = True
                    client = self.house.ask("POST", "/api/chat", CHAT)
                    self.assertEqual((client.value(), len(self.house.live)), (b"", 1))
                    self.cut(stop=stop)
                    answer = client.answer()
                    self.assertEqual((answer.status, answer.whole), (status, True))
                    self.assertEqual(len(self.house.live), 0)
                    gate.release_all()
                    client.leave()
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def cut(self, *, stop: bool) -> None:
        """Stop the gateway, or take the key away and give it back."""
        if stop:
            self.house.live.cut_all()
            return
        row = self.house.keys.change(KEY[:12], key_status=Status.REVOKED)
        self.successResultOf(self.house.live.epoch_changed(row.tenant_id, row.epoch))
        self.house.keys.change(KEY[:12], key_status=Status.ACTIVE)

    def test_ignored_fields_are_named(self) -> None:
        """What was dropped or lowered, in a header."""
        self.upstream.frames = [chat_final()]
        body = FOLDED[:-1] + b',"keep_alive":1,"options":{"num_ctx":9,"num_predict":-1}}'
        answer = self.answered("POST", "/api/chat", body)
        self.assertEqual(answer.headers["x-gateway-ignored"], "keep_alive, num_ctx, num_predict")
        sent = self.upstream.asked[0].call.request.body
        self.assertEqual(sent["options"], {"num_predict": MAX_PREDICT})

    def test_broken_stream(self) -> None:
        """A stream that dies ends in an error line, then a close without a last chunk."""
        client = self.stream()
        self.upstream.streams[0].end(clean=False)
        answer = client.answer()
        self.assertFalse(answer.whole)
        lines = [orjson.loads(line) for line in answer.body.splitlines()]
        self.assertEqual(lines[-1]["code"], "upstream_failed")
        self.assertTrue(client.disconnecting)
        self.assertFalse(client.reset)
        self.house.clock.advance(CUT_S - TICK_S)
        self.assertFalse(client.reset)
        self.house.clock.advance(2 * TICK_S)
        self.assertTrue(client.reset)
        client.settle()
        self.assertEqual(self.house.sink.outcomes, ["upstream_error/lost"])

    def test_broken_stream_that_was_read(self) -> None:
        """A client that closes after the error line leaves no timer behind."""
        client = self.stream()
        self.upstream.streams[0].end(clean=False)
        client.settle()
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_broken_stream_over_http_1_0(self) -> None:
        """A close would look like an end there, so a reset follows the error line."""
        client = self.house.connect()
        head = b"POST /api/chat HTTP/1.0\r\nx-api-key: %b\r\nContent-Length: %d\r\n\r\n"
        client.send(head % (KEY.encode(), len(CHAT)) + CHAT)
        self.upstream.streams[0].send(chat_frame("Hello"))
        self.upstream.streams[0].end(clean=False)
        self.assertIn(b"upstream_failed", client.value())
        self.assertFalse(client.disconnecting)
        self.house.clock.advance(CUT_1_0_S + TICK_S)
        self.assertTrue(client.reset)
        client.settle()

    def test_slow_client(self) -> None:
        """A full socket holds the host; a client that never reads is reset, without an error."""
        client = self.stream()
        client.fill()
        self.assertTrue(self.upstream.streams[0].paused)
        client.drain()
        self.assertFalse(self.upstream.streams[0].paused)
        client.fill()
        self.house.clock.advance(120)
        self.assertTrue(client.reset)
        self.assertNotIn(b"error", client.value())
        client.settle()
        self.assertEqual(self.house.sink.outcomes, ["client_abort/stalled"])

    def test_refused_before_the_first_byte(self) -> None:
        """Scope, model, limits: a plain answer, one record, nothing upstream."""
        other = CHAT.replace(b"llama3", b"other")
        self.assertEqual(self.answered("POST", "/api/chat", other).status, 403)
        row = self.house.keys.change(KEY[:12], scopes=frozenset())
        self.house.limiter.epochs[row.tenant_id] = row.epoch
        self.assertEqual(self.answered("POST", "/api/chat", CHAT).status, 403)
        outcomes = ["refused:not_allowed/model", "refused:not_allowed/scope"]
        self.assertEqual(self.house.sink.outcomes, outcomes)
        self.assertEqual(self.upstream.asked, [])

    def test_bug(self) -> None:
        """A fault of ours is a plain 500 that says nothing, logged and recorded once."""
        self.upstream.refusal = ZeroDivisionError("canary")  # type: ignore[assignment]
        answer = self.answered("POST", "/api/chat", CHAT)
        self.assertEqual((answer.status, answer.json()["code"]), (500, "internal_error"))
        self.assertNotIn(b"canary", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.house.sink.outcomes, ["unknown"])
        self.assertEqual(len(self.house.trail.records), 1)

    def test_bug_before_a_ticket(self) -> None:
        """It is on record as what it was answered; a list that was recorded is not again."""
        for place, name, path, outcome in (
            (FakeLimiter, "admit", "/api/chat", "refused:internal_error"),
            (HttpAnswer, "answer", "/api/tags", "ok"),
        ):
            with self.subTest(path=path):
                patch = self.patch(place, name, None)
                method, body = ("POST", CHAT) if path == "/api/chat" else ("GET", None)
                self.assertEqual(self.answered(method, path, body).status, 500)
                patch.restore()
                self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
                self.assertEqual(self.house.sink.outcomes[-1], outcome)
                self.assertEqual(self.house.trail.notes[-1]["outcome"], outcome)
        self.assertEqual(len(self.house.trail.records), 2)

    def test_no_room(self) -> None:
        """While a call would be turned away at once, only some of them cost a record."""
        self.upstream.full = True
        for _ in range(30):
            answer = self.answered("POST", "/api/chat", CHAT)
            self.assertEqual((answer.status, answer.json()["code"]), (503, "upstream_busy"))
        self.assertEqual((self.house.trail.slots, len(self.house.trail.notes)), ([], 10))


class DisconnectTests(SurfaceTestCase):
    """A client that goes: recorded once, upstream let go, nothing logged, nothing left."""

    def gone(self, client: MemoryConnection, outcome: str = "client_abort") -> None:
        """Leave, and look what stays."""
        client.leave()
        self.assertEqual(self.house.sink.outcomes, [outcome])
        self.assertEqual(len(self.house.live), 0)
        self.assertEqual(self.house.clock.getDelayedCalls(), [])
        self.assertEqual(self.house.site.channels, [])

    def test_while_it_is_identified(self) -> None:
        """Before anybody knows who it was."""
        self.house.keys.gate.held = True
        self.gone(self.house.ask("POST", "/api/chat", CHAT))
        self.house.keys.gate.release_all()

    def test_while_it_is_admitted(self) -> None:
        """Before it was admitted."""
        self.house.limiter.gate.held = True
        self.gone(self.house.ask("POST", "/api/chat", CHAT))
        self.house.limiter.gate.release_all()
        self.assertEqual(self.upstream.asked, [])

    def test_before_the_first_frame(self) -> None:
        """While the model host thinks."""
        self.upstream.gate.held = True
        self.gone(self.house.ask("POST", "/api/chat", CHAT))

    def test_in_the_middle_of_a_stream(self) -> None:
        """While frames come."""
        client = self.house.ask("POST", "/api/chat", CHAT)
        self.upstream.streams[0].send(chat_frame("Hello"))
        self.gone(client)
        self.assertTrue(self.upstream.streams[0].stopped)

    def test_while_an_answer_is_folded(self) -> None:
        """While nothing was sent yet."""
        client = self.house.ask("POST", "/api/chat", FOLDED)
        self.upstream.streams[0].send(chat_frame("Hello"))
        self.gone(client)
        self.assertTrue(self.upstream.streams[0].stopped)

    def test_while_it_reads_nothing(self) -> None:
        """While the host is held back."""
        client = self.house.ask("POST", "/api/chat", CHAT)
        client.fill()
        self.gone(client)
        self.assertTrue(self.upstream.streams[0].stopped)

    def test_behind_much_that_it_sent_ahead(self) -> None:
        """Who sends much behind a request that runs is not read on, so it is let go of."""
        request = (
            b"POST /api/chat HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\nContent-Length: %d\r\n\r\n"
        )
        whole = request % (KEY.encode(), len(CHAT)) + CHAT
        much = b"x" * (MAX_BEHIND_BYTES + 1)
        for reads in ([whole, much], [whole + much], [whole, much[:9], much[9:]]):
            with self.subTest(sizes=list(map(len, reads))):
                self.setUp()
                client = self.house.connect()
                for data in reads:
                    client.send(data)
                self.assertTrue(client.reset)
                client.settle()
                self.assertEqual(self.house.sink.outcomes, ["client_abort"])
                self.assertTrue(self.upstream.streams[0].stopped)
                self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_behind_a_little_that_it_sent_ahead(self) -> None:
        """A request behind the one that runs waits, and the client is still watched."""
        self.upstream.gate.held = True
        client = self.house.ask("POST", "/api/chat", CHAT)
        client.request("GET", "/api/tags", x_api_key=KEY)
        client.send(b"x" * (MAX_BEHIND_BYTES // 2))
        self.assertFalse(client.reset)
        self.assertEqual(client.producerState, "producing")
        self.gone(client)

    def test_many_requests_ahead(self) -> None:
        """What is behind counts, not what has been behind."""
        self.upstream.frames = [chat_final()]
        client = self.house.connect()
        for _ in range(9):
            self.upstream.gate.held = True
            client.request("POST", "/api/chat", FOLDED, x_api_key=KEY)
            client.request("GET", "/healthz", pad="x" * (MAX_HEAD_BYTES // 2))
            self.upstream.gate.release_all()
            self.assertEqual([client.answer().status for _ in range(2)], [200, 200])
        self.assertFalse(client.reset)

    def test_in_the_middle_of_its_own_body(self) -> None:
        """A request whose body never came is recorded as one whose client has gone."""
        client = self.house.connect()
        head = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\nContent-Length: 10\r\n\r\n"
        client.send(head % KEY.encode() + b"123")
        self.gone(client)

    def test_in_the_middle_of_its_head(self) -> None:
        """A request whose head never came whole is none."""
        client = self.house.connect()
        client.send(b"POST /api/chat HTTP/1.1\r\nHost: x\r\n")
        client.leave()
        self.assertEqual(self.house.sink.events, [])
        self.assertEqual(self.house.clock.getDelayedCalls(), [])
