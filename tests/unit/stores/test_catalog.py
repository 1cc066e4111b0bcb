from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.stores.catalog import RedisCatalog, decode, encode
from neuronetz_twisted.stores.expiring import BrokenValueError
from neuronetz_twisted.vocabulary import ModelInfo
from tests.unit.stores.fake_redis import FakeRedis

MODELS = tuple(
    ModelInfo(
        name=name,
        listing={"size": 2019393189, "details": {"families": ["llama"]}},
        details={"capabilities": ["completion"], "parameters": None},
        backends=("main", "spare"),
    )
    for name in ("b:1", "a:2")
)


class CodecTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """The models come back, in their order."""
        self.assertEqual(decode(encode(MODELS)), MODELS)
        self.assertEqual(decode(encode([])), ())

    def test_broken(self) -> None:
        """A list with one wrong member is broken as a whole: half a catalogue is none."""
        good = orjson.loads(encode(MODELS))
        wrong_members: list[dict[str, Any]] = [
            {"name": 1},
            {"backends": None},
            {"backends": "main"},
            {"backends": [1]},
            {"listing": None},
            {"listing": []},
            {"details": "x"},
        ]
        wrong: list[Any] = [None, {}, "x", [None], [{}]]
        wrong += [[*good, good[0] | member] for member in wrong_members]
        for document in wrong:
            self.assertRaises(BrokenValueError, decode, orjson.dumps(document))
        self.assertRaises(BrokenValueError, decode, b"not JSON")


class RedisCatalogTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have a store in a Redis that does as it is told."""
        self.redis = FakeRedis()
        self.catalog = RedisCatalog(self.redis)

    def test_nothing(self) -> None:
        """Without a list there is None."""
        self.assertIsNone(self.successResultOf(self.catalog.load()))
        self.assertEqual(self.redis.scripts, [("read_expiring", ["nz:catalog"], [])])

    def test_found(self) -> None:
        """The list comes with the seconds it has left."""
        self.redis.reply = [encode(MODELS), 90_000]
        self.assertEqual(self.successResultOf(self.catalog.load()), (MODELS, 90.0))

    def test_broken(self) -> None:
        """A broken list is absent, and is dropped."""
        self.redis.reply = [b"[1]", 90_000]
        self.assertIsNone(self.successResultOf(self.catalog.load()))
        self.assertEqual(self.redis.commands, [(b"DEL", "nz:catalog")])

    def test_save(self) -> None:
        """The list is kept with its time."""
        self.successResultOf(self.catalog.save(MODELS, 120))
        self.assertEqual(
            self.redis.commands, [(b"SET", "nz:catalog", encode(MODELS), b"PX", 120_000)]
        )

    def test_away(self) -> None:
        """Without Redis each call fails as such."""
        self.redis.away = True
        self.failureResultOf(self.catalog.load(), RedisUnavailable)
        self.failureResultOf(self.catalog.save(MODELS, 1), RedisUnavailable)
