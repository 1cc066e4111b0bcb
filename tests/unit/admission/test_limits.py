from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.limits import RedisLimiter
from neuronetz_twisted.admission.scripts import CHECK_EPOCH, RAISE_EPOCH
from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import RedisReply, Verdict
from neuronetz_twisted.vocabulary import Principal, Scope
from tests.unit.stores.fake_redis import FakeRedis

TENANT = UUID(int=1)
WHO = Principal(
    tenant_id=TENANT,
    key_id=UUID(int=2),
    prefix="nz_AbCdEfGhI",
    scopes=frozenset({Scope.CHAT}),
    allow_all_models=True,
    models=frozenset(),
    expires_at=None,
    epoch=7,
)
KEY = "nz:{00000000-0000-0000-0000-000000000001}:bud"


class RedisLimiterTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have a limiter on a Redis that does as it is told."""
        self.redis = FakeRedis()
        self.limiter = RedisLimiter(self.redis)

    def test_admitted(self) -> None:
        """The script is asked about the tenant's key with the snapshot's epoch."""
        self.redis.reply = [1]
        self.assertIs(self.successResultOf(self.limiter.admit("id", WHO)), Verdict.ADMITTED)
        self.assertEqual(self.redis.scripts, [("check_epoch", [KEY], [7])])

    def test_stale(self) -> None:
        """A stale snapshot is said to be stale."""
        self.redis.reply = [0, 8]
        self.assertIs(self.successResultOf(self.limiter.admit("id", WHO)), Verdict.STALE)

    def test_strange_answer(self) -> None:
        """An answer that is none of the script's is no pass."""
        strange: list[RedisReply] = [
            None,
            1,
            b"1",
            b"OK",
            [],
            [b"1"],
            [0],
            [2],
            [1, 1],
            [[1]],
            [-1],
        ]
        for reply in strange:
            self.redis.reply = reply
            self.failureResultOf(self.limiter.admit("id", WHO), RedisUnavailable)

    def test_away(self) -> None:
        """Without Redis nobody is admitted."""
        self.redis.away = True
        self.failureResultOf(self.limiter.admit("id", WHO), RedisUnavailable)
        self.failureResultOf(self.limiter.raise_epoch(TENANT, 8), RedisUnavailable)

    def test_raise_epoch(self) -> None:
        """A new epoch is told under the tenant's key."""
        self.redis.reply = [8]
        self.assertIsNone(self.successResultOf(self.limiter.raise_epoch(TENANT, 8)))
        self.assertEqual(self.redis.scripts, [("raise_epoch", [KEY], [8])])

    def test_scripts_declare_their_keys(self) -> None:
        """No script names a key of its own: Redis Cluster has to know them all."""
        for script in (CHECK_EPOCH, RAISE_EPOCH):
            code = b"\n".join(
                line for line in script.source.splitlines() if not line.startswith(b"--")
            )
            self.assertIn(b"KEYS[1]", code)
            self.assertNotIn(b"nz:", code)
