"""What a server says of itself in its answers to INFO. Pure."""

import re

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import RedisReply

KEEPS_ALL = "noeviction"
"""The policy of a server that drops nothing for want of memory."""

_RUN_ID = re.compile(rb"[0-9A-Za-z]{1,64}")
_WORD = re.compile(rb"[0-9A-Za-z-]{1,64}")


def run_id_of(reply: RedisReply) -> str:
    """Which run of which server it is, from INFO server. Raises `RedisUnavailable`."""
    return _field_of(reply, b"run_id", _RUN_ID)


def role_of(reply: RedisReply) -> str:
    """Its part in replication, from INFO replication. Raises `RedisUnavailable`."""
    return _field_of(reply, b"role", _WORD)


def policy_of(reply: RedisReply) -> str:
    """What it does without memory, from INFO memory. Raises `RedisUnavailable`."""
    return _field_of(reply, b"maxmemory_policy", _WORD)


def _field_of(reply: RedisReply, name: bytes, form: re.Pattern[bytes]) -> str:
    lines = reply.splitlines() if isinstance(reply, bytes) else []
    for line in lines:
        field, _, value = line.partition(b":")
        if field == name and form.fullmatch(value):
            return value.decode("ascii")
    raise RedisUnavailable(f"its answer to INFO has no {name.decode('ascii')}")
