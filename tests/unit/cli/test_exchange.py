import contextlib
import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.exchange import NoAnswer, exchange
from tests.http_peer import peer


class ExchangeTests(SynchronousTestCase):
    def test_status_body_and_headers(self) -> None:
        """The answer comes back whole, and our headers went out."""
        here = peer(self, {"/a": (201, b"body")})
        answer = exchange("POST", f"{here.url}/a", headers={"X-Api-Key": "k"}, body=b"{}")
        self.assertEqual((answer.status, answer.body), (201, b"body"))
        self.assertEqual(here.seen[0][1]["X-Api-Key"], "k")

    def test_no_redirect_is_followed(self) -> None:
        """A token goes to the host that it is meant for and to no other."""
        here = peer(self, {"/a": (302, b"")})
        self.assertEqual(exchange("GET", f"{here.url}/a", headers={}).status, 302)
        self.assertEqual([path for path, _ in here.seen], ["/a"])

    def test_a_long_answer_is_given_up(self) -> None:
        """No host can fill our memory."""
        here = peer(self, {"/a": (200, b"x" * 1001)})
        self.assertEqual(
            len(exchange("GET", f"{here.url}/a", headers={}, most_bytes=1001).body), 1001
        )
        self.assertRaises(NoAnswer, exchange, "GET", f"{here.url}/a", headers={}, most_bytes=1000)

    def test_nobody_there(self) -> None:
        """A closed port is told in the system's words."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        error = self.assertRaises(
            NoAnswer, exchange, "GET", f"http://127.0.0.1:{port}/", headers={}
        )
        self.assertIn("refused", str(error))

    def test_silence_and_no_host(self) -> None:
        """A host that says nothing, or that cannot be, is no answer."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            error = self.assertRaises(NoAnswer, exchange, "GET", url, headers={}, timeout_s=0.05)
        self.assertIn("timed out", str(error))
        error = self.assertRaises(NoAnswer, exchange, "GET", f"http://{'a' * 64}.x/", headers={})
        self.assertIn("no name of a host", str(error))

    def answered_by(self, words: bytes) -> str:
        """The URL of a server that sends this to its one client, and then an x for ever."""
        server = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            client, _ = server.accept()
            with client, contextlib.suppress(ConnectionError):
                client.sendall(words)
                client.settimeout(0.005)
                there = True
                while there:
                    try:
                        there = bool(client.recv(65536))
                    except TimeoutError:
                        client.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(server.close)
        self.addCleanup(thread.join)
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    def test_no_http(self) -> None:
        """Another protocol is told as such."""
        url = self.answered_by(b"SSH-2.0\r\n")
        error = self.assertRaises(NoAnswer, exchange, "GET", url, headers={})
        self.assertIn("no HTTP", str(error))

    def test_an_answer_without_end(self) -> None:
        """What has begun must also end in time, however often something comes."""
        url = self.answered_by(b"HTTP/1.0 200 OK\r\n\r\nx")
        error = self.assertRaises(NoAnswer, exchange, "GET", url, headers={}, timeout_s=0.1)
        self.assertIn("longer than 0.1 s", str(error))
