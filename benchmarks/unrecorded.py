"""The gateway without its record: what that costs is the difference.

Run as `python -m benchmarks.unrecorded` with the words of twistd. A gateway that keeps no record
cannot be had otherwise: where nothing is recorded, nothing is admitted.
"""

import sys
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.scripts.twistd import run

from neuronetz_twisted import service
from neuronetz_twisted.recording import Recording, recording
from neuronetz_twisted.vocabulary import AuditSlot


class _Slot:
    tokens: int | None = None

    def extend(self, tokens: int) -> None:
        """Forget it."""

    def complete(self, record: bytes) -> None:
        """Forget it."""


_SLOT = _Slot()


class _Unrecorded:
    """An `AuditTrail` that keeps nothing and admits everything."""

    denies: str | None = None

    def check(self) -> None:
        """All is well."""

    def open(self, request_id: str, intent: bytes) -> AuditSlot:
        """Keep nothing of an intent."""
        del request_id, intent
        return _SLOT

    def committed(self) -> Deferred[None] | None:
        """There is nothing to wait for."""
        return None

    def note(self, record: bytes) -> bool:
        """Keep nothing of a record."""
        del record
        return True


def _unrecorded(*parts: Any) -> Recording:
    return evolve(recording(*parts), trail=_Unrecorded())


if __name__ == "__main__":
    # `wire` finds what it calls in its own module.
    vars(service)["recording"] = _unrecorded
    sys.argv[0] = "twistd"
    run()  # type: ignore[no-untyped-call]
