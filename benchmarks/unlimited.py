"""The gateway without its limits: what admission and settlement cost is the difference.

Run as `python -m benchmarks.unlimited` with the words of twistd. A gateway that asks nobody cannot
be had otherwise: what cannot be counted is not admitted.
"""

import sys
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.scripts.twistd import run

from neuronetz_twisted import service
from neuronetz_twisted.admission.answers import Figures, Granted
from neuronetz_twisted.admission.script_calls import Demand
from neuronetz_twisted.limiting import Limiting, limiting

_NO_LIMITS = Figures(-1, -1, -1, -1, None, 0, 0)


_TODAY = datetime.now(UTC).date().isoformat()


def _granted(demand: Demand) -> Deferred[Granted]:
    return succeed(Granted(demand.lease, _TODAY, _NO_LIMITS))


def _forgotten(request_id: str, cost: int) -> None:
    del request_id, cost


def _unlimited(*parts: Any) -> Limiting:
    limits = limiting(*parts)
    vars(limits.limiter).update(admit=_granted, settle=_forgotten)
    return limits


if __name__ == "__main__":
    # `wire` finds what it calls in its own module.
    vars(service)["limiting"] = _unlimited
    sys.argv[0] = "twistd"
    run()  # type: ignore[no-untyped-call]
