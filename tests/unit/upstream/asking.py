"""Calls to three backends that do what a test says."""

from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.testing.agent import Asked, ScriptedAgent
from neuronetz_twisted.testing.calls import made_model, made_request, made_ticket
from neuronetz_twisted.testing.upstream import (
    RecordingOpening,
    ScriptedPolls,
    ScriptedRoom,
    chat_frame,
)
from neuronetz_twisted.upstream.agent import OllamaClient
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.hosts import Host
from neuronetz_twisted.upstream.open import Backends

if TYPE_CHECKING:
    from neuronetz_twisted.upstream.stream import LineStream

READ_S = 10.0
MAX_WHOLE_BYTES = 1 << 20
FRAME = chat_frame("Hello") + b"\n"


class BackendsTestCase(SynchronousTestCase):
    """Three backends, `a`, `b` and `c`."""

    def setUp(self) -> None:
        """Nothing is asked yet."""
        self.clock = Clock()
        self.agent = ScriptedAgent()
        self.missing: list[str] = []
        self.asking = RecordingOpening()
        self.rooms = {name: ScriptedRoom() for name in "abc"}
        self.polls = ScriptedPolls()
        self.hosts = {
            name: Host(Backend(name=name, url=f"http://{name}"), room, self.polls, self.clock)
            for name, room in self.rooms.items()
        }
        self.backends = self.made()

    def made(self, **changes: Any) -> Backends:
        """Make the upstream."""
        parts: dict[str, Any] = {
            "clock": self.clock,
            "client": OllamaClient(self.agent),
            "hosts": self.hosts,
            "read_timeout_s": READ_S,
            "max_whole_bytes": MAX_WHOLE_BYTES,
            "model_missing": self.model_missing,
        }
        return Backends(**{**parts, **changes})

    def model_missing(self, backend: str) -> None:
        """Keep the name."""
        self.missing.append(backend)

    def open(
        self, *names: str, installed: str = "Llama3:latest", prompt: int = 1, **request: Any
    ) -> "Deferred[LineStream]":
        """Begin to open a stream on backends."""
        made = made_model(installed, backends=names or ("a",))
        ticket = made_ticket(request=made_request(**request))
        ticket = evolve(ticket, model=made, grant=evolve(ticket.grant, prompt=prompt))
        return Deferred.fromCoroutine(self.backends.open(ticket, self.asking))

    @property
    def last(self) -> Asked:
        """The newest request."""
        return self.agent.asked[-1]

    def refused(self, opening: "Deferred[LineStream]", kind: type[Refusal], why: str) -> Refusal:
        """The refusal, at rest: no timer runs."""
        failure = self.failureResultOf(opening, kind)
        refusal = failure.value
        assert isinstance(refusal, Refusal)
        self.assertEqual(refusal.why, why)
        self.at_rest()
        return refusal

    def at_rest(self) -> None:
        """No timer runs."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
