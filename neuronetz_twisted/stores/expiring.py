"""Values in Redis with the time that they have left, and how they are read with suspicion.

Value and time are read in one indivisible step: two calls could pair the value of one entry with
the life of the next. What somebody else wrote under our names is no value: it is dropped.
"""

from typing import Any, Protocol, TypeVar

import orjson
from twisted.internet.defer import Deferred

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import RedisArgument, RedisReply, Script, ScriptRunner

T = TypeVar("T")

_MS_PER_S = 1000
_READ = Script(
    "read_expiring",
    b"""
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return false end
local left_ms = redis.call('PTTL', KEYS[1])
if kind ~= 'string' or left_ms < 0 then  -- ours always expire
  redis.call('DEL', KEYS[1])
  return false
end
return {redis.call('GET', KEYS[1]), left_ms}
""",
)


class Redis(ScriptRunner, Protocol):
    """What the stores ask of the gate. Every method may fail with `RedisUnavailable`."""

    def call(self, command: bytes, *args: RedisArgument) -> Deferred[RedisReply]:
        """Send one command."""
        ...


class BrokenValueError(ValueError):
    """A stored value is not what we write."""


async def read(redis: Redis, key: str) -> tuple[bytes, float] | None:
    """The value under `key` and the seconds it has left. Raises RedisUnavailable."""
    reply = await redis.script(_READ, [key], [])
    match reply:
        case None:
            return None
        case [bytes(value), int(left_ms)]:
            return value, left_ms / _MS_PER_S
        case _:
            raise RedisUnavailable("Redis answered something else than a value and its time")


async def write(redis: Redis, key: str, value: bytes, ttl_s: float) -> None:
    """Keep `value` for `ttl_s` seconds, a millisecond at least. Raises RedisUnavailable."""
    await redis.call(b"SET", key, value, b"PX", max(1, int(ttl_s * _MS_PER_S)))


async def forget(redis: Redis, key: str) -> None:
    """Remove the value. Raises RedisUnavailable."""
    await redis.call(b"DEL", key)


def parse(value: bytes) -> Any:
    """The JSON document in a stored value. Raises BrokenValueError."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise BrokenValueError("not JSON") from None


def typed(value: object, kind: type[T]) -> T:
    """`value` if it is exactly of this type: True is no number. Raises BrokenValueError."""
    if type(value) is not kind:
        raise BrokenValueError(f"no {kind.__name__}")
    return value


def member(document: object, name: str, kind: type[T]) -> T:
    """A member of a JSON object, of exactly this type. Raises BrokenValueError."""
    return typed(typed(document, dict).get(name), kind)


def strings(document: object, name: str) -> list[str]:
    """A member of a JSON object that is a list of strings. Raises BrokenValueError."""
    return [typed(text, str) for text in member(document, name, list)]
