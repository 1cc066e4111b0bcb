"""How streams end on the wire: a broken one is never dressed up as a whole one (SPEC 2, R9; 8)."""

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import shared_stack
from tests.http_client import Caller, chat, request_bytes

FAULTS = ("reset@5", "nofinal", "error@5", "garbage@5")
LAST_CHUNK = b"\r\n0\r\n\r\n"


class StreamEndTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A key."""
        self.stack = shared_stack()
        self.key = self.stack.new_key()

    def request(self, path: str, prompt: str, version: str = "1.1") -> bytes:
        """A request for a stream in a version of HTTP."""
        request = request_bytes("POST", path, chat(prompt, stream=True), key=self.key)
        return request.replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1)

    def received(self, path: str, prompt: str) -> bytes:
        """All that came until the connection was closed."""
        with Caller(self.stack.port, self.request(path, prompt)) as caller:
            return bytes(caller.read_to_end())

    def test_whole_streams(self) -> None:
        """They have their final frame and their last chunk, and must not be kept by a proxy."""
        native = self.received("/api/chat", "hi [[n=9]]")
        openai = self.received("/v1/chat/completions", "hi [[n=9]]")
        self.assertEqual(native.count(b'"done":true'), 1)
        self.assertIn(b"data: [DONE]\n\n", openai)
        for stream in (native, openai):
            self.assertTrue(stream.endswith(LAST_CHUNK))
            head = stream.partition(b"\r\n\r\n")[0].lower()
            self.assertIn(b"cache-control: no-store", head)
            self.assertIn(b"x-accel-buffering: no", head)

    def test_broken_native_streams(self) -> None:
        """The frames that came, an error line of ours, no final frame, no last chunk."""
        for fault in FAULTS:
            stream = self.received("/api/chat", f"hi [[n=5 fault={fault}]]")
            self.assertEqual(stream.count(b'"done":false'), 5)
            self.assertNotIn(b'"done":true', stream)
            last = json.loads(stream.rstrip().rpartition(b"\n")[2])
            self.assertEqual(last["code"], "upstream_failed")
            self.assertIn(f"X-Request-ID: {last['request_id']}".lower(), stream.decode().lower())
            self.assertFalse(stream.endswith(LAST_CHUNK))

    def test_broken_openai_streams(self) -> None:
        """The same as events, without `[DONE]`."""
        for fault in FAULTS:
            stream = self.received("/v1/chat/completions", f"hi [[n=5 fault={fault}]]")
            last = json.loads(stream.rstrip().rpartition(b"data: ")[2])
            self.assertEqual(last["error"]["code"], "upstream_failed")
            self.assertNotIn(b"[DONE]", stream)
            self.assertNotIn(b'"finish_reason":"stop"', stream)
            self.assertFalse(stream.endswith(LAST_CHUNK))

    def test_http_1_0(self) -> None:
        """Its streams end with the connection, so a broken one ends in a reset."""
        request = self.request("/api/chat", "hi [[n=5]]", "1.0")
        with Caller(self.stack.port, request) as caller:
            stream = bytes(caller.read_to_end())
        self.assertNotIn(b"chunked", stream.lower())
        self.assertIn(b'"done":true', stream)
        for fault in FAULTS:
            request = self.request("/api/chat", f"hi [[n=5 fault={fault}]]", "1.0")
            with Caller(self.stack.port, request) as caller:
                self.assertRaises(ConnectionResetError, caller.read_to_end)
                self.assertIn(b'"code":"upstream_failed"', caller.received)
                self.assertNotIn(b'"done":true', caller.received)
