"""The HTTP side that Klein does not cover: bounds, records, and refusals before any route."""

from collections.abc import Callable
from io import BytesIO
from ipaddress import ip_address
from typing import Any

import orjson
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from mock_ollama.gojson import go_json
from mock_ollama.recorder import MAX_BODY_BYTES_KEPT, Entry, Recorder, State

_JSON = b"application/json; charset=utf-8"
_SHOWN_DEPTH = 200
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")


def error_body(text: str, signin_url: str | None = None) -> bytes:
    """Give Ollama's error object, with the page to sign in on where it is about a cloud model."""
    fields = {"error": text}
    return go_json(fields if signin_url is None else fields | {"signin_url": signin_url})


class MockRequest(Request):
    """A request that counts what is sent and bounds what is received."""

    content: BytesIO
    transport: ITCPTransport
    entry: Entry | None = None
    body: bytes = b""
    _received = 0

    def getRequestHostname(self) -> bytes:
        """Give a constant: Klein's router must not trip over an odd Host header."""
        return b"localhost"

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body, and hang up on a peer that sends too much of it."""
        self._received += len(data)
        if self._received > MAX_BODY_BYTES_KEPT:
            self.abort()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Act on a whole request, unless its body was cut for being too large."""
        if self._received <= MAX_BODY_BYTES_KEPT:
            super().requestReceived(command, path, version)

    def render(self, resrc: IResource) -> None:
        """Render the resource without Twisted's name in the answer, which Go does not send."""
        self.responseHeaders.removeHeader(b"Server")
        super().render(resrc)

    def write(self, data: bytes) -> None:
        """Send a piece of the answer, and note how much that was."""
        if self.entry is not None and self.method != b"HEAD":
            self.entry.bytes_sent += len(data)
        super().write(data)

    def answer(self, status: int, body: bytes, kind: bytes = _JSON) -> None:
        """Write a whole answer of the given media type; whoever owns the request finishes it."""
        self.setResponseCode(status)
        self.setHeader(b"Content-Type", kind)
        self.setHeader(b"Content-Length", b"%d" % len(body))
        self.write(body)

    def abort(self) -> None:
        """Reset the connection."""
        self.transport.abortConnection()


class MockSite(Site):
    """A site that keeps bodies in memory and writes no access log."""

    def __init__(self, resource: IResource, clock: IReactorTime) -> None:
        super().__init__(resource, MockRequest, parsePOSTFormSubmission=False, reactor=clock)

    def getContentFile(self, _length: int | None) -> BytesIO:
        """Give the place for a request's body; prompts do not belong into temporary files."""
        return BytesIO()

    def log(self, request: object) -> None:
        """Write nothing: what was asked is in the recorder."""


class Front(Resource):
    """Sees every request first: records it, refuses foreign hosts, and fails if told to.

    `failure` says how every answer under `/api/` has to fail: None, `refuse`, `hang`, `stall` or a
    status (`control.py`).
    """

    isLeaf = True

    def __init__(
        self,
        app: IResource,
        recorder: Recorder,
        clock: IReactorTime,
        failure: Callable[[], str | int | None],
    ) -> None:
        super().__init__()
        self._app = app
        self._recorder = recorder
        self._clock = clock
        self._failure = failure

    def render(self, request: MockRequest) -> int:
        """Pass the request on to the routes unless it ends here."""
        request.body = request.content.read()
        path = request.path.decode("latin-1")
        if path.startswith("/mock/"):
            self._app.render(request)
            return NOT_DONE_YET
        entry = self._record(request, path)
        failure = self._failure() if path.startswith("/api/") else None
        if failure == "refuse":
            entry.close(State.FAULT, self._clock.seconds())
            request.abort()
        elif isinstance(failure, int):
            entry.close(State.FAULT, self._clock.seconds())
            request.answer(failure, error_body("the mock was told to fail"))
            request.finish()
        elif not _is_local(request):
            request.answer(403, b"", b"text/plain")
            request.finish()
        elif path.startswith("//"):
            # The router below would drop the slashes, and find what Ollama does not.
            request.answer(404, b"404 page not found", b"text/plain")
            request.finish()
        elif failure != "hang" and not (failure == "stall" and request.method == b"POST"):
            self._app.render(request)
        return NOT_DONE_YET

    def _record(self, request: MockRequest, path: str) -> Entry:
        entry = self._recorder.open(
            method=request.method.decode("latin-1"),
            path=path,
            headers=_headers(request),
            body=_decoded(request.body),
            body_size=len(request.body),
            now=self._clock.seconds(),
        )
        request.entry = entry
        request.notifyFinish().addCallbacks(
            lambda _: entry.close(State.COMPLETE, self._clock.seconds()),
            lambda _: entry.close(State.PEER_CLOSED, self._clock.seconds()),
        )
        return entry


def _headers(request: MockRequest) -> dict[str, str]:
    """Give the request's headers by lower-case name; repeated ones are joined by commas."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


def _decoded(body: bytes) -> Any:
    """Give the JSON of a body; None for what is no JSON, or nested too deeply to be shown."""
    try:
        decoded = orjson.loads(body)
        if body.count(b"[") + body.count(b"{") > _SHOWN_DEPTH:
            orjson.dumps(decoded)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return decoded


def _is_local(request: MockRequest) -> bool:
    """Say whether Ollama on a loopback address would accept the request's Host header."""
    listening = request.getHost()
    is_address = isinstance(listening, IPv4Address | IPv6Address)
    if not is_address or not ip_address(listening.host).is_loopback:
        return True
    host = (request.getHeader(b"host") or b"").decode("latin-1").lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        address = ip_address(name)
    except ValueError:
        return name in {"", "localhost"} or name.endswith(_LOCAL_SUFFIXES)
    return address.is_loopback or address.is_private or address.is_unspecified
