"""One backend as calls know it: its places, its health, and what fails at it alone (SPEC 6)."""

from functools import partial
from typing import Protocol

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.health import STALL_S, Health, patience
from neuronetz_twisted.upstream.pool import LOOK_S

NO_ROOM = 4
"""The rank of a backend that would turn a call away."""

KEPT_S = 300.0
"""How long Ollama keeps a model that nobody uses, unless it is told otherwise."""

_SILENT = "silent"

_log = Logger()


class Room(Protocol):
    """The places at one backend (`pool.Pool`)."""

    heard: bool
    left_by_host: bool

    @property
    def is_free(self) -> bool:
        """Whether a request has a place at once."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether a request would be turned away at once."""
        ...

    @property
    def expects(self) -> bool:
        """Whether the host owes something."""
        ...

    def turned_away(self) -> None:
        """Say in the log that a request was turned away."""
        ...


class Polled(Protocol):
    """What asks the backends for their lists (`discovery.Discovery`)."""

    def answers(self, backend: str) -> bool:
        """Whether a backend answered when it was last asked."""
        ...

    def doubted(self, backend: str) -> None:
        """Ask one again whose streams are silent."""
        ...


class Impatient(Protocol):
    """A call that waits for its first frame."""

    @property
    def patience_s(self) -> float:
        """For how long it takes the host's silence, of now on, for work on what it has asked."""
        ...

    def look(self, now: float) -> None:
        """Go elsewhere where that is better by now."""
        ...


@frozen
class Trial:
    """Whether a call is the one that tries again: the host, and the model there."""

    of_host: bool
    of_model: bool


NO_TRIAL = Trial(of_host=False, of_model=False)


@define(eq=False)
class Host:
    """One backend as calls know it, and those of them that wait for it, the first one first.

    What becomes of connections speaks of the host. What it answers, a 500 or nonsense, may be the
    model's or the request's doing: it speaks of the model there, and only where another host has
    answered the same request. So no request that nobody can answer makes a host look ill, and no
    model takes it from those who use another one.

    `look` is to be called every second while anything is under way.
    """

    backend: Backend
    room: Room
    _polled: Polled
    _clock: IReactorTime
    health: Health = field(init=False)
    waiting: dict[Impatient, None] = field(factory=dict, init=False)
    _models: dict[str, Health] = field(factory=dict, init=False)
    _loaded: dict[str, float] = field(factory=dict, init=False)

    @health.default
    def _make_health(self) -> Health:
        return Health(LOOK_S, partial(self._say, self.backend.name))

    def rank(self, model: str, now: float) -> int:
        """How good it is to ask it now, 0 being best: health goes before a place at once.

        Nobody stands in line for a trial: he would wait for those who hang there.
        """
        if self.room.is_full:
            return NO_ROOM
        if not self.room.is_free:
            return 1 if self.is_well(model) else 3
        of_model = self._models.get(model)
        is_due = self.health.is_due(now) and (of_model is None or of_model.is_due(now))
        return 0 if is_due else 2

    def is_well(self, model: str) -> bool:
        """Whether nothing speaks against asking it for a model."""
        of_model = self._models.get(model)
        return self.health.is_well and (of_model is None or of_model.is_well)

    def begin(self, model: str) -> Trial:
        """Note that a call is on its way."""
        now, of_model = self._clock.seconds(), self._models.get(model)
        return Trial(self.health.begin(now), of_model is not None and of_model.begin(now))

    def answered(self, model: str) -> None:
        """Note a first frame of a model."""
        self.health.answered()
        of_model = self._models.pop(model, None)
        if of_model is not None and not of_model.is_well:
            of_model.answered()

    def patience_s(self, model: str, tokens: int) -> float:
        """How long it may be silent before the first frame of a call, behind so many `tokens`.

        It is silent while it loads a model, but still answers when it is asked for its list.
        """
        if not self._polled.answers(self.backend.name):
            return STALL_S
        return patience(tokens, is_loaded=self.is_loaded(model))

    def loaded(self, model: str) -> None:
        """Note that a model has begun to answer. One that was loaded may have put others out."""
        if not self.is_loaded(model):
            self._loaded.clear()
        self._loaded[model] = self._clock.seconds()

    def is_loaded(self, model: str) -> bool:
        """Whether a model is there without being loaded, as far as that can be known.

        A host that closes connections may have been started again.
        """
        if self.room.left_by_host:
            self.room.left_by_host = False
            self._loaded.clear()
        since = self._loaded.get(model)
        return since is not None and self._clock.seconds() - since < KEPT_S

    def ended(self, model: str, trial: Trial) -> None:
        """Note that a call has ended and tells nothing."""
        self.health.ended(trial=trial.of_host)
        if model in self._models:
            self._models[model].ended(trial=trial.of_model)

    def lost(self, model: str, trial: Trial, why: str, *, unreachable: bool = False) -> None:
        """Note that there was no connection, or none any more before an answer."""
        self.ended(model, Trial(of_host=False, of_model=trial.of_model))
        # If it comes again, it is with nothing loaded.
        self._loaded.clear()
        now = self._clock.seconds()
        self.health.failed(now, why, trial=trial.of_host, unreachable=unreachable)

    def given_up(self, model: str, trial: Trial) -> None:
        """Note that a call left it for its silence: only a trial has failed by that."""
        now = self._clock.seconds()
        if trial.of_host:
            self.health.failed(now, _SILENT, trial=True)
        if trial.of_model and model in self._models:
            self._models[model].failed(now, _SILENT, trial=True)

    def failed(self, model: str, trial: Trial, why: str) -> None:
        """Note that a call has failed here which another host has answered."""
        if model not in self._models:
            told = partial(self._say, f"{self.backend.name}, model {model}")
            self._models[model] = Health(LOOK_S, told)
        self._models[model].failed(self._clock.seconds(), why, trial=trial.of_model)

    def trial_s(self, model: str, trial: Trial, patience_s: float) -> float:
        """How long a trial may take.

        One that could not be connected to may have been started again, and has to load: it has the
        `patience_s` that a well one has.
        """
        if trial.of_model and model in self._models:
            return self._models[model].trial_s
        return self.health.trial_s if self.health.is_stalled else patience_s

    def look(self) -> None:
        """Judge its silence, and let those who wait for it think again."""
        now = self._clock.seconds()
        heard, self.room.heard = self.room.heard, False
        allowed = max((call.patience_s for call in self.waiting), default=STALL_S)
        expects = not heard and self.room.expects
        self.health.look(now, heard=heard, expects=expects, allowed_s=allowed)
        if expects and self.health.quiet_s(now) >= STALL_S:
            self._polled.doubted(self.backend.name)
        for call in list(self.waiting):
            call.look(now)

    @staticmethod
    def _say(what: str, why: str) -> None:
        if why:
            _log.warn("backend {backend} is left out: {reason}", backend=what, reason=why)
        else:
            _log.info("backend {backend} is asked again", backend=what)
