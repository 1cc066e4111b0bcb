"""Ready-made nouns, and the two ends of a call: who asks for it and who remembers it."""

from typing import Any
from uuid import UUID

from attrs import define, evolve, field
from twisted.internet.interfaces import IPushProducer

from neuronetz_twisted.audit.event import intent_event
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.limits import Grant
from neuronetz_twisted.testing.audit import FakeSlot
from neuronetz_twisted.vocabulary import (
    Arrival,
    Call,
    ModelInfo,
    NativeRequest,
    Principal,
    Scope,
    Ticket,
)

TENANT = UUID(int=1)
KEY_ID = UUID(int=2)
REQUEST_ID = "018bcfe5-6800-7000-8000-000000000003"
GRANT = Grant(
    prompt=3, lease=256, num_predict=4096, asked_predict=4096, has_budget=False, day="2023-11-14"
)


def made_principal(**changes: Any) -> Principal:
    """Make a caller who may use every model for chat, as of epoch 1."""
    principal = Principal(
        tenant_id=TENANT,
        key_id=KEY_ID,
        prefix="nz_000000000",
        scopes=frozenset({Scope.CHAT}),
        allow_all_models=True,
        models=frozenset(),
        expires_at=None,
        epoch=1,
    )
    return evolve(principal, **changes)


def made_model(name: str = "llama3:latest", **changes: Any) -> ModelInfo:
    """Make an installed model of one backend, `default`."""
    listing = {"name": name, "model": name, "digest": f"digest of {name}"}
    model = ModelInfo(name=name, listing=listing, details={}, backends=("default",))
    return evolve(model, **changes)


def made_request(**changes: Any) -> NativeRequest:
    """Make a streamed chat of nine bytes of prompt."""
    request = NativeRequest(
        path="/api/chat",
        model="llama3",
        body={"messages": [{"role": "user", "content": "Say hello"}]},
        stream=True,
        prompt_bytes=9,
    )
    return evolve(request, **changes)


def made_arrival(**changes: Any) -> Arrival:
    """Make the arrival of a request at second zero, on 14 November 2023."""
    arrival = Arrival(
        id=REQUEST_ID,
        client_id=None,
        address="192.0.2.1",
        user_agent="a client",
        route="POST /api/chat",
        received=0.0,
        at=1_700_000_000_000_000,
    )
    return evolve(arrival, **changes)


def made_call(**changes: Any) -> Call:
    """Make a call that came at second zero."""
    call = Call(
        arrival=made_arrival(),
        dialect="native",
        principal=made_principal(),
        scope=Scope.CHAT,
        request=made_request(),
    )
    return evolve(call, **changes)


def made_ticket(**changes: Any) -> Ticket:
    """Make the permission to run `made_call(**changes)` on `made_model()`."""
    call = made_call(**changes)
    model = made_model()
    return Ticket(
        call=call,
        principal=call.principal,
        model=model,
        grant=GRANT,
        slot=FakeSlot(),
        intent=intent_event(call, call.principal, model, GRANT),
    )


@define
class RecordingClient:
    """A `Client` that keeps what it was told, and objects to what the protocol forbids.

    `ends` holds the name of each call that ended the answer; more than one is an error at once.
    """

    content_type: bytes | None = None
    sent: bytes = b""
    producer: IPushProducer | None = None
    refusal: Refusal | None = None
    ends: list[str] = field(factory=list)

    def begin(self, content_type: bytes) -> None:
        """Note the head of a streamed answer."""
        self._expect(self.content_type is None, "begin twice")
        self.content_type = content_type

    def write(self, data: bytes) -> None:
        """Keep bytes."""
        self._expect(self.content_type is not None, "write before begin")
        self._expect(not self.ends, "write after the end")
        self.sent += data

    def register(self, producer: IPushProducer) -> None:
        """Keep the producer."""
        self._expect(self.producer is None, "two producers")
        self.producer = producer

    def unregister(self) -> None:
        """Let go of the producer."""
        self.producer = None

    def answer(self, content_type: bytes, body: bytes) -> None:
        """Keep a whole answer."""
        self.begin(content_type)
        self.write(body)
        self._end("answer")

    def refuse(self, refusal: Refusal) -> None:
        """Keep a refusal."""
        self._expect(self.content_type is None, "refuse after begin")
        self.refusal = refusal
        self._end("refuse")

    def complete(self, last: bytes) -> None:
        """Keep the last bytes, and note a truthful end."""
        self.write(last)
        self._end("complete")

    def break_off(self) -> None:
        """Note a broken end."""
        self._end("break_off")

    def abort(self) -> None:
        """Note a reset."""
        self._end("abort")

    def _end(self, how: str) -> None:
        self._expect(self.producer is None, f"{how} with a producer registered")
        self._expect(not self.ends, f"{how} after {self.ends}")
        self.ends.append(how)

    def _expect(self, condition: bool, otherwise: str) -> None:  # noqa: FBT001 - an assertion
        if not condition:
            raise AssertionError(otherwise)


@define
class RecordingSink:
    """An `AuditSink` that keeps the events."""

    events: list[dict[str, str | int | float | bool | None]] = field(factory=list)

    def record(self, event: dict[str, str | int | float | bool | None]) -> None:
        """Keep one event."""
        self.events.append(event)

    @property
    def outcomes(self) -> list[object]:
        """The outcome of each event, in order."""
        return [event["outcome"] for event in self.events]
