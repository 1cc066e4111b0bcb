"""How many connections the process may have open, as far as the system lets it."""

import resource

MOST = 1 << 20
"""Far above any use, for systems whose hard limit is none."""

OWN = 128
"""Descriptors for all that is neither a client nor a model host: stores, logs, the reactor."""


def raise_limit() -> None:
    """Raise the soft limit of descriptors to the hard one; the usual 1024 is for `select`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def clients_within(wanted: int, upstream: int) -> int:
    """How many clients can be connected at once: `wanted`, or what the limit leaves for them.

    `upstream` is the number of connections to model hosts.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - upstream - OWN))
