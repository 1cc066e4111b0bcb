"""Processes that share a state directory: one that dies with open calls, one that adopts.

    python -m tests.adopter write ROOT            open calls, complete some, wait to be killed
    python -m tests.adopter adopt ROOT URL STEPS  adopt and flush; die at that step, 0 is never

Steps are what adoption and flushing do to files and database; the process kills itself at one.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
from attrs import define
from twisted.internet import reactor as _reactor

from neuronetz_twisted.audit.adoption import Adoption
from neuronetz_twisted.audit.batches import BatchWriter
from neuronetz_twisted.audit.dead_letters import DeadLetters
from neuronetz_twisted.audit.directory import SpoolLimits
from neuronetz_twisted.audit.flusher import Flusher
from neuronetz_twisted.audit.orphan import Orphan, adopt
from neuronetz_twisted.audit.signers import open_signer
from neuronetz_twisted.audit.spool import Spool
from neuronetz_twisted.stores import audit_rows
from neuronetz_twisted.stores.ledger_lines import lines_of_charges
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.threads import in_own_thread
from tests.unit.audit.flushing import FakeBacklog

CALLS = 40
COMPLETED = 25
RESERVED = 100
EXTENDED = 300
USED = 7

_TENANT = "aaaaaaaa-1111-1111-1111-111111111111"
_KEY = "bbbbbbbb-1111-1111-1111-111111111111"
_LIMITS = SpoolLimits(max_bytes=1 << 28, buffer_records=1000, segment_bytes=1 << 17)

reactor: Any = _reactor


def write(root: Path) -> None:
    """A process that is killed while its calls run; every second open one has a further lease."""
    spool = Spool.create(
        root, _LIMITS, clock=reactor, in_thread=partial(in_own_thread, reactor, name="spool")
    )
    for number in range(CALLS):
        call = uuid4()
        event = {
            "id": str(call),
            "at": 1_795_000_000_000_000 + number,
            "day": "2026-11-18",
            "route": "/api/chat",
            "tenant": _TENANT,
            "key": _KEY,
            "model": "tiny:1b",
        }
        slot = spool.open(str(call), orjson.dumps(event | {"reservation": RESERVED}))
        if number < COMPLETED:
            slot.complete(orjson.dumps(event | {"outcome": "ok", "charged": USED}))
        elif number % 2:
            slot.extend(EXTENDED)
    print("written", flush=True)  # noqa: T201 - it is waited for
    signal.pause()


@define
class Countdown:
    """Kills this process at its n-th step."""

    left: int

    def before(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make the call, or die."""
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)


def run(root: Path, url: str, steps: int) -> None:
    """A process that adopts what is free, until it is killed."""
    countdown = Countdown(steps)
    for owner, name in (
        (Orphan, "__init__"),
        (Orphan, "complete"),
        (Orphan, "finals"),
        (Orphan, "flushed"),
        (Orphan, "close"),
        (audit_rows, "write"),
        (audit_rows, "write_checkpoint"),
    ):
        call = getattr(owner, name)
        setattr(owner, name, _counted(countdown, call))
    state_dir = root.parent
    database = DatabaseThreads(reactor, url, pool_size=2, overflow=2)
    signer = open_signer(None, state_dir=state_dir, checkpoints=None, now=time.time)
    batches = BatchWriter(
        rows=audit_rows,
        lines=lines_of_charges,
        signer=signer,
        letters=DeadLetters(state_dir / "dead-letter"),
    )
    in_thread = partial(in_own_thread, reactor, name="audit")
    own = FakeBacklog(writer=UUID(int=os.getpid()))
    flusher = Flusher(reactor, database, batches, own, in_thread=in_thread, told=lambda _: None)
    adoption = Adoption(
        reactor, root=root, adopt=adopt, flusher=flusher, in_thread=in_thread, interval_s=0.1
    )
    for service in (database, flusher, adoption):
        service.startService()
    print("adopting", flush=True)  # noqa: T201 - it is waited for
    reactor.run()


def _counted(countdown: Countdown, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        return countdown.before(call, *args, **kwargs)

    return counted


if __name__ == "__main__":
    _role, _root, *_rest = sys.argv[1:]
    if _role == "write":
        write(Path(_root))
    else:
        run(Path(_root), _rest[0], int(_rest[1]))
