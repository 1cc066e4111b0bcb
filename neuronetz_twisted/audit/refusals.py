"""Which refusals get a record of their own, and which are only counted (SPEC 9). Pure.

Whoever is refused costs us a record, and he decides how often. So the first few of each caller and
minute are recorded one by one, and the others in one record that says how many they were. Lists
are counted the same way, by a counter of their own. What a minute can cost is bounded, however many
callers there are: `singles` + `callers` + 1 records.
"""

from attrs import define, field

from neuronetz_twisted.audit.event import Event

SEVERAL = "refused:several"
"""The outcome of a record that counts refusals of more than one kind."""

_IF_DIFFERENT: Event = {
    "client_id": None,
    "route": "-",
    "address": None,
    "user_agent": None,
    "tenant": None,
    "key": None,
    "prefix": None,
    "status": None,
    "outcome": SEVERAL,
    "duration_ms": None,
}
"""What a field of a counting record says where the refusals that it counts differ."""


@define(kw_only=True)
class Refusals:
    """The refusals of one minute, which lasts until `over` is called.

    A caller's first `per_caller` are recorded one by one, as long as those of all callers are at
    most `singles`. What is beyond is counted: for `callers` of them apart, for the others in one
    record for all.
    """

    per_caller: int = 10
    singles: int = 300
    callers: int = 1000
    _alone: int = field(default=0, init=False)
    _firsts: dict[str, int] = field(factory=dict, init=False)
    _counted: dict[str | None, Event] = field(factory=dict, init=False)

    def is_single(self, caller: str, event: Event) -> bool:
        """Whether this refusal is to be recorded by itself; if not, it is counted here."""
        firsts = self._firsts.get(caller, 0)
        if firsts < self.per_caller and self._alone < self.singles:
            self._firsts[caller] = firsts + 1
            self._alone += 1
            return True
        self._count(caller, event)
        return False

    def over(self) -> list[Event]:
        """End the minute; gives a record for each caller whose refusals were counted."""
        counted = list(self._counted.values())
        self._alone = 0
        self._firsts.clear()
        self._counted.clear()
        return counted

    def _count(self, caller: str, event: Event) -> None:
        place = caller if caller in self._counted or len(self._counted) < self.callers else None
        counted = self._counted.get(place)
        if counted is None:
            # Its id is in no other record, so it names this one.
            self._counted[place] = dict(event)
            return
        for name in ("count", "bytes_sent"):
            counted[name] = int(counted[name] or 0) + int(event[name] or 0)
        for name, otherwise in _IF_DIFFERENT.items():
            if counted[name] != event[name]:
                counted[name] = otherwise
