"""How many connections the process may have open, as far as the system lets it."""

import resource
from contextlib import suppress

from twisted.logger import Logger

_log = Logger()

MOST = 1 << 20
"""Far above any use, for systems whose hard limit is none."""

STEPS = (65_536, 24_576, 10_240)
"""What is asked for where a system refuses its own hard limit (macOS: `kern.maxfilesperproc`)."""

OWN = 256
"""Descriptors for Redis, logs, the reactor, and connections that are refused in this turn."""


def raise_limit() -> None:
    """Raise the soft limit of descriptors to the hard one; the usual 1024 is for `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    for wanted in (most, *(step for step in STEPS if soft < step < most)):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def clients_within(wanted: int, others: int) -> int:
    """How many clients can be connected at once: `wanted`, or what the limit leaves for them.

    `others` are the descriptors for model hosts and the database. Says so where it is fewer.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    clients = max(1, min(wanted, soft - others - OWN))
    if clients < wanted:
        _log.warn(
            "GATEWAY_MAX_CONNECTIONS is {wanted}, but the limit of {limit} open files leaves "
            "{clients} connections; raise it (ulimit -n, LimitNOFILE)",
            wanted=wanted,
            limit=soft,
            clients=clients,
        )
    return clients
