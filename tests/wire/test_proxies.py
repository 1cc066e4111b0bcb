"""The corpus through Debian's nginx and HAProxy: they and the gateway count the same requests."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import marker, shared_stack
from tests.processes import eventually
from tests.wire.corpus import entries
from tests.wire.entry import NO_REQUEST, Entry
from tests.wire.proxy_servers import Forwarded, Proxy, haproxy, nginx
from tests.wire.record import Record
from tests.wire.wires import LAST, Wire

PUBLIC = {"/", "/healthz", "/readyz"}
RUNNING = {"POST /api/chat", "POST /api/generate", "POST /v1/chat/completions"}

_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_PATIENCE_S = 10.0
_SHORT_S = 0.5
"""How long a client waits for more where a request is unfinished, or is none."""

NGINX = {
    "no Host in HTTP/1.0": "it asks in HTTP/1.1, and sends no Host where it has none",
    "HEAD in 1.0": "it asks in HTTP/1.1, and sends no Host where it has none",
    "no key in 1.0": "it asks in HTTP/1.1, and sends no Host where it has none",
    "a hundred fields": "it adds its own",
}
"""What nginx makes of requests that are well framed, and the gateway is right to refuse."""

_AUTHORITY = re.compile(r"[A-Za-z]+://[^/?]*")


@define
class Comparison:
    """What a proxy and the gateway behind it say of the same requests.

    `exceptions` are entries that the proxy makes malformed, with the reason. An entry that is
    malformed as it stands needs none: to refuse it is right wherever it comes from.
    """

    proxy: Proxy
    record: Record
    exceptions: Mapping[str, str]
    sent: dict[str, Entry] = field(factory=dict, init=False)

    def send(self, entry: Entry) -> None:
        """Send an entry, and the last request of its connection behind it."""
        behind = b"" if entry.unfinished else LAST
        doubtful = entry.unfinished or _is_malformed(entry)
        wire = Wire(self.proxy.socket, _SHORT_S if doubtful else _PATIENCE_S)
        with contextlib.suppress(TimeoutError):
            wire.send(entry.raw + (b"" if entry.invited else behind))
            if entry.invited:
                wire.receive()
                wire.send(entry.invited + behind)
            while not wire.ended:
                wire.receive()
        wire.close()
        self.sent.update((found.decode(), entry) for found in _ID.findall(wire.received))

    def faults(self) -> list[str]:
        """All disagreements."""
        events = {event["id"]: event for event in self.record.events()}
        forwarded = self.proxy.forwarded()
        times = Counter(request.request_id for request in forwarded if request.request_id)
        faults = [
            f"sent on once, answered {count} times: {name}"
            for name, count in times.items()
            if count > 1
        ]
        faults += _unpaired(
            [request for request in forwarded if not request.request_id],
            [event for name, event in events.items() if name not in times],
        )
        for request in forwarded:
            if request.request_id:
                faults += self._compared(request, events.get(request.request_id))
        return faults

    def _compared(self, request: Forwarded, event: Mapping[str, object] | None) -> Iterator[str]:
        entry = self.sent.get(request.request_id)
        name = entry.name if entry is not None else "-"
        if event is None:
            path = _AUTHORITY.sub("", request.target).partition("?")[0] or "/"
            if path not in PUBLIC:
                yield f"{name}: sent and not seen: {request}"
        elif _method(event) == NO_REQUEST:
            if entry is None or not (_is_malformed(entry) or name in self.exceptions):
                yield f"{name}: malformed to the gateway alone: {request}"
        elif (_method(event), event["status"]) != (request.method[:16], request.status):
            yield f"{name}: {request}, to the gateway {event['route']} {event['status']}"


def _unpaired(
    taken_back: Sequence[Forwarded], unheard: Sequence[Mapping[str, object]]
) -> Iterator[str]:
    """Requests without an answer to the proxy, and those whose answer it never had, are the same.

    They are the ones that broke off in the middle: in a bad chunk, or because the client went.
    """
    sent = Counter(request.method for request in taken_back)
    seen = Counter(_method(event) for event in unheard)
    if sent.total() != seen.total() or seen - sent - Counter({NO_REQUEST: seen[NO_REQUEST]}):
        yield f"sent and taken back: {taken_back}, seen without that it was sent: {unheard}"


def _method(event: Mapping[str, object]) -> str:
    return str(event["route"]).partition(" ")[0]


def _is_malformed(entry: Entry) -> bool:
    """Whether an entry has a request that is none."""
    return any(want.route == NO_REQUEST for want in entry.wants)


class ProxyTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway and a key."""
        self.stack = shared_stack()
        self.key = self.stack.new_key().encode()

    def agree(self, proxy: Proxy, exceptions: Mapping[str, str]) -> None:
        """Nothing is seen that was not sent, nor sent that is not seen."""
        comparison = Comparison(proxy, Record(self.stack), exceptions)
        for entry in entries():
            if not entry.waits_s:
                comparison.send(entry.with_secrets(self.key, marker().encode()))
        with contextlib.suppress(AssertionError):
            eventually(lambda: not comparison.faults())
        faults = comparison.faults()
        self.assertEqual(faults, [], "\n" + "\n".join(faults))
        events = comparison.record.events()
        ran = sum(event["route"] in RUNNING and event["status"] == 200 for event in events)
        self.assertEqual(len(comparison.record.calls()), ran)
        self.assertGreater(ran, 50)

    def test_nginx(self) -> None:
        """An nginx that sends bodies on as they come."""
        self.agree(nginx(self, self.stack.port, buffering=False), NGINX)

    def test_nginx_with_whole_bodies(self) -> None:
        """An nginx that reads a body before it asks."""
        self.agree(nginx(self, self.stack.port, buffering=True), NGINX)

    def test_haproxy(self) -> None:
        """An HAProxy."""
        self.agree(haproxy(self, self.stack.port), {})
