from typing import Any
from uuid import UUID

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.limits import LIMIT_NAMES, Limits
from neuronetz_twisted.stores.expiring import BrokenValueError
from neuronetz_twisted.stores.principals import RedisPrincipals, decode, encode
from neuronetz_twisted.vocabulary import CachedPrincipal, Principal, Scope
from tests.unit.stores.fake_redis import FakeRedis

PREFIX = "nz_AbCdEfGhI"
ENTRY = CachedPrincipal(
    digest=bytes(range(32)),
    principal=Principal(
        tenant_id=UUID(int=1),
        key_id=UUID(int=2),
        prefix=PREFIX,
        scopes=frozenset({Scope.CHAT, Scope.RAW}),
        allow_all_models=False,
        models=frozenset({"b:1", "a:2"}),
        expires_at=1800000000.5,
        epoch=3,
        prompt_logging=True,
        tenant_limits=Limits(rpm=5, budget_total=10**12),
        key_limits=Limits(max_predict=0),
    ),
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def changed(**members: Any) -> bytes:
    """The entry's JSON with other members."""
    return orjson.dumps(orjson.loads(encode(ENTRY)) | members)


class CodecTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """What was encoded is decoded."""
        self.assertEqual(decode(encode(ENTRY), PREFIX), ENTRY)

    def test_expiry_of_any_kind(self) -> None:
        """A key that never expires, and one that expires on a whole second, come back as such."""
        for expires_at in (None, 1800000000, 0.0):
            value = changed(expires_at=None if expires_at is None else float(expires_at))
            self.assertEqual(decode(value, PREFIX).principal.expires_at, expires_at)

    def test_no_key_inside(self) -> None:
        """The value holds the digest, and never more of the key than its prefix."""
        self.assertEqual(
            set(orjson.loads(encode(ENTRY))),
            {
                "digest",
                "tenant_id",
                "key_id",
                "prefix",
                "scopes",
                "allow_all_models",
                "models",
                "expires_at",
                "epoch",
                "prompt_logging",
                "tenant_limits",
                "key_limits",
            },
        )

    def test_entry_of_another_key(self) -> None:
        """An entry that was copied under another prefix is broken."""
        self.assertRaises(BrokenValueError, decode, encode(ENTRY), "nz_123456789")

    def test_wrong_members(self) -> None:
        """Each member has one type and one spelling; a wrong one breaks the entry."""
        unset = dict.fromkeys(LIMIT_NAMES)
        bad_limits: list[Any] = [unset | {"rpm": value} for value in (-1, 1.0, "1", True, [1])]
        bad_limits += [unset | {"other": None}, {"rpm": 5}]
        wrong: dict[str, list[Any]] = {
            "digest": [None, "", "00" * 31, "00" * 33, "0" * 63 + " ", "AB" * 32, "zz" * 32, 1],
            "tenant_id": [None, "", "1", "{" + str(UUID(int=1)) + "}", UUID(int=1).hex, 1],
            "key_id": [None, str(UUID(int=255)).upper()],
            "prefix": [None, 1],
            "scopes": [None, "chat", ["admin"], [1], {"chat": 1}],
            "allow_all_models": [None, 0, 1, "true"],
            "models": [None, "a:2", [None], {"a:2": 1}],
            "expires_at": [False, "never", 1, [1.0]],
            "epoch": [None, True, 1.0, "1"],
            "prompt_logging": [None, 0, 1, "true"],
            "tenant_limits": [None, {}, [], 1, *bad_limits],
            "key_limits": [None, {}, *bad_limits],
        }
        for name, values in wrong.items():
            for value in values:
                self.assertRaises(BrokenValueError, decode, changed(**{name: value}), PREFIX)

    def test_missing_members(self) -> None:
        """No member may be missing, also not that of a key that never expires."""
        for name in orjson.loads(encode(ENTRY)):
            document = orjson.loads(encode(ENTRY))
            del document[name]
            self.assertRaises(BrokenValueError, decode, orjson.dumps(document), PREFIX)

    @settings(deadline=None)
    @given(st.binary(max_size=50) | json_values.map(orjson.dumps))
    def test_anything(self, value: bytes) -> None:
        """Any other value is broken, and nothing else happens."""
        self.assertRaises(BrokenValueError, decode, value, PREFIX)


class RedisPrincipalsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have a cache in a Redis that does as it is told."""
        self.redis = FakeRedis()
        self.principals = RedisPrincipals(self.redis)

    def test_nothing(self) -> None:
        """An absent entry is None, and is looked for under its prefix."""
        self.assertIsNone(self.successResultOf(self.principals.get(PREFIX)))
        self.assertEqual(self.redis.scripts, [("read_expiring", [f"nz:key:{PREFIX}"], [])])

    def test_found(self) -> None:
        """An entry comes with the seconds it has left."""
        self.redis.reply = [encode(ENTRY), 1500]
        self.assertEqual(self.successResultOf(self.principals.get(PREFIX)), (ENTRY, 1.5))
        self.assertEqual(self.redis.commands, [])

    def test_broken(self) -> None:
        """A broken entry is absent, and is dropped."""
        self.redis.reply = [b"{}", 1500]
        self.assertIsNone(self.successResultOf(self.principals.get(PREFIX)))
        self.assertEqual(self.redis.commands, [(b"DEL", f"nz:key:{PREFIX}")])

    def test_strange_answer(self) -> None:
        """An answer that is none of the script's is no answer."""
        for reply in (b"x", 1, [], [b"x"], [b"x", b"1"], [None, 1], [b"x", 1, 2]):
            self.redis.reply = reply
            self.failureResultOf(self.principals.get(PREFIX), RedisUnavailable)

    def test_put(self) -> None:
        """An entry is kept with its time, to the millisecond."""
        self.successResultOf(self.principals.put(PREFIX, ENTRY, 59.9999))
        self.assertEqual(
            self.redis.commands,
            [(b"SET", f"nz:key:{PREFIX}", encode(ENTRY), b"PX", 59999)],
        )

    def test_put_without_time(self) -> None:
        """An entry whose time is over is kept for the shortest time that Redis knows."""
        for ttl_s in (0, -1, 0.0001):
            self.successResultOf(self.principals.put(PREFIX, ENTRY, ttl_s))
            self.assertEqual(self.redis.commands[-1][-1], 1)

    def test_drop(self) -> None:
        """A dropped entry is deleted."""
        self.successResultOf(self.principals.drop(PREFIX))
        self.assertEqual(self.redis.commands, [(b"DEL", f"nz:key:{PREFIX}")])

    def test_away(self) -> None:
        """Without Redis each call fails as such."""
        self.redis.away = True
        self.failureResultOf(self.principals.get(PREFIX), RedisUnavailable)
        self.failureResultOf(self.principals.put(PREFIX, ENTRY, 1), RedisUnavailable)
        self.failureResultOf(self.principals.drop(PREFIX), RedisUnavailable)
