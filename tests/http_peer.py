"""A small HTTP server in a thread, for code that asks with blocking calls."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import field, frozen
from twisted.trial.unittest import SynchronousTestCase


@frozen
class Peer:
    """Where it listens, and the heads of the requests that it got."""

    url: str
    seen: list[tuple[str, Mapping[str, str]]] = field(factory=list)


def peer(case: SynchronousTestCase, answers: Mapping[str, tuple[int, bytes]]) -> Peer:
    """A server that answers each path with its status and body, and 404 to any other."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        here.seen.append((handler.path, dict(handler.headers.items())))
        status, body = answers.get(handler.path, (404, b""))
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        if status == 302:
            handler.send_header("Location", "/elsewhere")
        handler.end_headers()
        handler.wfile.write(body)

    here = Peer(_serve(case, answer))
    return here


def _serve(case: SynchronousTestCase, answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
    class Handler(BaseHTTPRequestHandler):
        do_GET = answer
        do_POST = answer

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Tests read what was seen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    case.addCleanup(thread.join)
    case.addCleanup(server.server_close)
    case.addCleanup(server.shutdown)
    return f"http://127.0.0.1:{server.server_address[1]}"
