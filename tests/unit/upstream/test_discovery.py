"""What is installed, how long that is believed, and what a poll costs."""

from collections.abc import Sequence
from typing import Any

import orjson
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from neuronetz_twisted.errors import ModelsUnavailable
from neuronetz_twisted.testing.admission import FakeCatalogStore
from neuronetz_twisted.testing.agent import Asked, ScriptedAgent
from neuronetz_twisted.testing.calls import made_model
from neuronetz_twisted.upstream.agent import OllamaClient
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.discovery import (
    DETAILS_S,
    POLL_TIMEOUT_S,
    Discovery,
    Poller,
)
from neuronetz_twisted.upstream.health import STALL_S
from neuronetz_twisted.upstream.listing import FIRST_RETRY_S
from neuronetz_twisted.vocabulary import ModelInfo

REFRESH_S = 60.0
TTL_S = 120.0


class Host:
    """An Ollama that answers polls as its fields say."""

    def __init__(self) -> None:
        """Two models, a good version."""
        self.version: object = "0.30.0"
        self.models: list[dict[str, Any]] = [
            {"name": "Llama3:latest", "digest": "d1"},
            {"name": "qwen3:8b", "digest": "d2"},
        ]
        self.down = False
        self.shown: list[str] = []
        self.status = 200
        self.silent_on_details = False

    def answer(self, asked: Asked) -> None:
        """Answer one request."""
        path = asked.url.rpartition(b"/api/")[2]
        if self.down:
            asked.fail(error.ConnectionRefusedError())
        elif path == b"version":
            asked.respond(self.status, orjson.dumps({"version": self.version}))
        elif path == b"tags":
            asked.respond(self.status, orjson.dumps({"models": self.models}))
        elif self.silent_on_details:
            asked.respond(500, b"-")
        else:
            self.shown.append(orjson.loads(asked.body)["model"])
            asked.respond(self.status, orjson.dumps({"capabilities": ["completion"]}))


@implementer(ILogObserver)
class BackendLines:
    """Keeps the level of what is said of backends."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        """Keep one line."""
        if "backend" in event:
            self.lines.append(f"{event['log_level'].name} {event['backend']}")


class DiscoveryTestCase(SynchronousTestCase):
    """One discovery over the hosts `a` and `b`, not started."""

    def setUp(self) -> None:
        """Nothing was asked yet."""
        self.clock = Clock()
        self.agent = ScriptedAgent()
        self.hosts = {"a": Host(), "b": Host()}
        self.hosts["b"].models = [{"name": "qwen3:8b", "digest": "d2"}]
        self.store = FakeCatalogStore()
        self.discovery = self.made("a", "b")
        self.log = BackendLines()
        globalLogPublisher.addObserver(self.log)
        self.addCleanup(globalLogPublisher.removeObserver, self.log)

    def made(self, *names: str) -> Discovery:
        """Make a discovery over hosts."""
        client = OllamaClient(self.agent)
        discovery = Discovery(
            clock=self.clock,
            poller=Poller(clock=self.clock, client=client, min_version=(0, 17, 1)),
            backends=[Backend(name=name, url=f"http://{name}") for name in names],
            store=self.store,
            refresh_s=REFRESH_S,
            ttl_s=TTL_S,
        )
        self.addCleanup(discovery.stopService)
        return discovery

    def answer_all(self) -> None:
        """Let the hosts answer until nothing is asked."""
        while self.agent.asked:
            asked = self.agent.asked.pop(0)
            self.hosts[asked.url.decode()[7]].answer(asked)

    def poll(self) -> None:
        """One whole poll."""
        if not self.discovery.running:
            self.discovery.startService()
        else:
            self.clock.advance(FIRST_RETRY_S)
            self.look_again()
        self.answer_all()

    def look_again(self) -> None:
        """Ask all hosts before their time."""
        for name in self.hosts:
            self.discovery.missing(name)

    def waits(self) -> list[float]:
        """The seconds until each call that is due."""
        now = self.clock.seconds()
        return [call.getTime() - now for call in self.clock.getDelayedCalls()]

    def names(self) -> dict[str, tuple[str, ...]]:
        """The models with their backends."""
        return {name: model.backends for name, model in self.discovery.models().items()}


class ListTests(DiscoveryTestCase):
    def test_union(self) -> None:
        """Models by canonical name, with all hosts that have them in order."""
        self.poll()
        self.assertEqual(self.names(), {"llama3:latest": ("a",), "qwen3:8b": ("a", "b")})
        model = self.discovery.models()["llama3:latest"]
        self.assertEqual(model.listing["name"], "Llama3:latest")
        self.assertEqual(model.details["capabilities"], ["completion"])

    def test_nothing_before_the_first_poll(self) -> None:
        """Without a list nobody is served."""
        self.assertFalse(self.discovery.fresh)
        with self.assertRaises(ModelsUnavailable):
            self.discovery.models()

    def test_fresh_but_empty(self) -> None:
        """A host without models is an answer."""
        for host in self.hosts.values():
            host.models = []
        self.poll()
        self.assertEqual(self.names(), {})

    def test_expiry(self) -> None:
        """A list dies with its time to live, whatever failed polls say meanwhile."""
        self.poll()
        for host in self.hosts.values():
            host.down = True
        self.clock.advance(TTL_S - 1)
        self.answer_all()
        self.assertEqual(len(self.names()), 2)
        self.clock.advance(1)
        with self.assertRaises(ModelsUnavailable):
            self.discovery.models()

    def test_one_host_down(self) -> None:
        """What the others have is served."""
        self.hosts["a"].down = True
        self.poll()
        self.assertEqual(self.names(), {"qwen3:8b": ("b",)})

    def test_a_host_that_is_away_for_a_while(self) -> None:
        """What it had is kept for its time to live from its last answer, beside the others."""
        self.poll()
        self.hosts["a"].down = True
        self.clock.advance(REFRESH_S)
        self.answer_all()
        self.assertEqual(self.names()["llama3:latest"], ("a",))
        self.clock.advance(TTL_S - REFRESH_S - 0.5)
        self.answer_all()
        self.assertEqual(self.names()["qwen3:8b"], ("a", "b"))
        self.clock.advance(0.5)
        self.assertEqual(self.names(), {"qwen3:8b": ("b",)})

    def test_a_host_that_is_too_old_by_now(self) -> None:
        """That is an answer, and what it had is not used any more."""
        self.poll()
        self.hosts["a"].version = "0.17.0"
        self.poll()
        self.assertEqual(self.names(), {"qwen3:8b": ("b",)})

    def test_a_model_that_is_gone(self) -> None:
        """The next poll forgets it."""
        self.poll()
        self.hosts["a"].models = []
        self.poll()
        self.assertEqual(self.names(), {"qwen3:8b": ("b",)})


class HostTests(DiscoveryTestCase):
    def test_unusable_hosts(self) -> None:
        """A host that is too old, answers nonsense or an error is not used."""
        changes: tuple[tuple[str, object], ...] = (
            ("version", "0.17.0"),
            ("version", 7),
            ("status", 500),
            ("models", [{}] * 10_001),
        )
        for name, value in changes:
            with self.subTest(name=name):
                self.setUp()
                setattr(self.hosts["a"], name, value)
                self.poll()
                self.assertEqual(self.names(), {"qwen3:8b": ("b",)})

    def test_minimum_version(self) -> None:
        """The least version is good enough."""
        self.hosts["a"].version = "0.17.1"
        self.poll()
        self.assertIn("llama3:latest", self.names())

    def test_silent_host(self) -> None:
        """A host that does not answer is given up; no other waits for that."""
        self.discovery.startService()
        self.agent.asked.pop(0)
        self.answer_all()
        self.assertEqual(self.names(), {"qwen3:8b": ("b",)})
        self.assertEqual(self.waits(), [POLL_TIMEOUT_S, REFRESH_S])
        self.clock.advance(POLL_TIMEOUT_S)
        self.assertEqual(self.waits(), [FIRST_RETRY_S, REFRESH_S - POLL_TIMEOUT_S])

    def test_details_once_per_digest(self) -> None:
        """A model's details are asked again only where its digest has changed."""
        self.poll()
        self.poll()
        self.assertEqual(self.hosts["a"].shown, ["Llama3:latest", "qwen3:8b"])
        self.hosts["a"].models[0]["digest"] = "d3"
        self.poll()
        self.assertEqual(self.hosts["a"].shown[2:], ["Llama3:latest"])

    def test_details_of_gone_models_are_forgotten(self) -> None:
        """What is kept is bounded by what is installed."""
        self.poll()
        first = self.hosts["a"].models.pop(0)
        self.poll()
        self.hosts["a"].models.insert(0, first)
        self.poll()
        self.assertEqual(self.hosts["a"].shown.count("Llama3:latest"), 2)

    def test_one_line_per_change(self) -> None:
        """A host's failure is logged when it begins and when it ends, not at each poll."""
        self.hosts["a"].down = True
        self.poll()
        self.poll()
        self.assertEqual(self.log.lines, ["error a"])
        self.hosts["a"].down = False
        self.poll()
        self.poll()
        self.assertEqual(self.log.lines, ["error a", "info a"])


class DetailsTests(DiscoveryTestCase):
    """Details are for those who look at a model; nobody waits for them."""

    def answer_list(self) -> None:
        """Answer as far as the first question for details."""
        while not self.agent.asked[0].url.endswith(b"/api/show"):
            asked = self.agent.asked.pop(0)
            self.hosts[asked.url.decode()[7]].answer(asked)

    def test_models_are_served_before_their_details(self) -> None:
        """The list is there as soon as it is known."""
        self.discovery.startService()
        self.answer_list()
        self.assertEqual(set(self.names()), {"llama3:latest", "qwen3:8b"})
        self.assertEqual(self.discovery.models()["llama3:latest"].details, {})
        self.answer_all()
        self.assertIn("capabilities", self.discovery.models()["llama3:latest"].details)

    def test_known_details_are_kept_by_a_poll(self) -> None:
        """A model that was seen has its details in the new list at once."""
        self.poll()
        self.hosts["a"].models.insert(0, {"name": "new", "digest": "d9"})
        self.clock.advance(FIRST_RETRY_S)
        self.look_again()
        self.answer_list()
        self.assertIn("capabilities", self.discovery.models()["llama3:latest"].details)
        self.answer_all()

    def test_a_host_that_is_slow_with_details(self) -> None:
        """It is asked for a while only; what is missing is asked for at a later poll."""
        self.hosts["a"].models = [{"name": f"m{n}", "digest": f"e{n}"} for n in range(9)]
        del self.hosts["b"]
        self.discovery = self.made("a")
        self.discovery.startService()
        for _ in range(3):
            self.answer_list()
            self.clock.advance(DETAILS_S / 2 - 1)
            asked = self.agent.asked.pop(0)
            self.hosts["a"].answer(asked)
        self.assertEqual(self.hosts["a"].shown, ["m0", "m1", "m2"])
        self.assertEqual(self.agent.asked, [])
        self.assertEqual(len(self.names()), 9)
        self.assertEqual(self.waits(), [REFRESH_S - 3 * (DETAILS_S / 2 - 1)])
        self.poll()
        self.assertEqual(self.hosts["a"].shown.count("m0"), 1)
        self.assertTrue(all(model.details for model in self.discovery.models().values()))

    def test_one_line_per_model_without_details(self) -> None:
        """A host that cannot say is complained of once, and asked at each poll."""
        show = self.hosts["a"]
        show.silent_on_details = True
        self.poll()
        self.poll()
        lines = ["error details of llama3:latest", "error details of qwen3:8b"]
        self.assertEqual(self.log.lines, lines)
        show.silent_on_details = False
        self.poll()
        self.assertEqual(self.log.lines[2:], [line.replace("error", "info") for line in lines])


class RedisTests(DiscoveryTestCase):
    def test_kept(self) -> None:
        """A good list is kept for other processes, for its time to live."""
        self.poll()
        assert self.store.kept is not None
        models, ttl_s = self.store.kept
        self.assertEqual([model.name for model in models], ["llama3:latest", "qwen3:8b"])
        self.assertEqual(ttl_s, TTL_S)

    def test_away(self) -> None:
        """Without Redis the list is good all the same."""
        self.store.away = True
        self.poll()
        self.assertEqual(len(self.names()), 2)

    def start_without_hosts(self) -> None:
        """Poll while no host answers."""
        for host in self.hosts.values():
            host.down = True
        self.poll()

    def test_start_while_hosts_are_away(self) -> None:
        """A process without a list takes the kept one, for the time that it has left."""
        self.store.kept = ([made_model("kept:latest", backends=("b",))], 5.0)
        self.start_without_hosts()
        self.assertEqual(self.names(), {"kept:latest": ("b",)})
        self.clock.advance(5)
        self.assertFalse(self.discovery.fresh)

    def test_nothing_usable_is_kept(self) -> None:
        """No list, no Redis, or a list of other backends: nobody is served."""
        for store in (
            FakeCatalogStore(),
            FakeCatalogStore(away=True),
            FakeCatalogStore(kept=([made_model(backends=("c",))], 5.0)),
        ):
            with self.subTest(store=store):
                self.store = store
                self.discovery = self.made("a", "b")
                self.start_without_hosts()
                self.assertFalse(self.discovery.fresh)

    def test_an_own_list_is_not_replaced(self) -> None:
        """While its own list is fresh a process does not take an older one."""
        self.poll()
        self.store.kept = ([made_model("kept:latest", backends=("b",))], 500.0)
        self.start_without_hosts()
        self.assertNotIn("kept:latest", self.names())


class ServiceTests(DiscoveryTestCase):
    def test_interval(self) -> None:
        """Polls come at once and at each interval; a slow one is not doubled."""
        self.discovery.startService()
        self.assertEqual(len(self.agent.asked), 2)
        self.clock.advance(2 * FIRST_RETRY_S)
        self.look_again()
        self.assertEqual(len(self.agent.asked), 2)
        self.answer_all()
        self.clock.advance(REFRESH_S - 1)
        self.assertEqual(self.agent.asked, [])
        self.clock.advance(1)
        self.assertEqual(len(self.agent.asked), 2)
        self.answer_all()

    def test_sooner_while_a_host_does_not_answer(self) -> None:
        """After 1, 2, 4 … seconds, up to the interval; from the beginning at the next failure."""
        self.hosts["a"].down = True
        del self.hosts["b"]
        self.discovery = self.made("a")
        self.discovery.startService()
        for _ in range(2):
            self.answer_all()
            for wait in (1, 2, 4, 8, 16, 32, REFRESH_S, REFRESH_S):
                self.assertEqual(self.waits(), [wait])
                self.clock.advance(wait)
                self.answer_all()
            self.hosts["a"].down = False
            self.clock.advance(REFRESH_S)
            self.answer_all()
            self.assertEqual(self.waits(), [REFRESH_S])
            self.hosts["a"].down = True
            self.clock.advance(REFRESH_S)

    def test_a_poll_between_takes_the_place_of_the_next(self) -> None:
        """A model that is missing is looked for at once, there; the interval begins anew."""
        self.discovery.startService()
        self.answer_all()
        self.clock.advance(FIRST_RETRY_S)
        self.discovery.missing("a")
        self.assertEqual([asked.url for asked in self.agent.asked], [b"http://a/api/version"])
        self.answer_all()
        self.assertEqual(self.waits(), [REFRESH_S - FIRST_RETRY_S, REFRESH_S])

    def test_doubted(self) -> None:
        """One whose streams are silent is asked, not more often than it may be silent."""
        self.discovery.startService()
        self.answer_all()
        self.assertTrue(self.discovery.answers("a"))
        self.clock.advance(STALL_S - 1)
        self.discovery.doubted("a")
        self.assertEqual(self.agent.asked, [])
        self.clock.advance(1)
        self.discovery.doubted("a")
        self.discovery.doubted("a")
        (asked,) = self.agent.asked
        self.assertEqual(asked.url, b"http://a/api/version")
        asked.fail(error.ConnectionRefusedError())
        self.assertFalse(self.discovery.answers("a"))
        self.assertTrue(self.discovery.answers("b"))

    def test_not_again_and_again(self) -> None:
        """However many calls miss a model, a host is asked once a second."""
        self.discovery.startService()
        self.answer_all()
        for _ in range(3):
            self.look_again()
        self.assertEqual(self.agent.asked, [])
        self.clock.advance(FIRST_RETRY_S)
        for _ in range(3):
            self.look_again()
        self.assertEqual(len(self.agent.asked), 2)

    def test_not_while_it_is_stopped(self) -> None:
        """Neither before the start nor after the end."""
        self.look_again()
        self.discovery.startService()
        self.answer_all()
        self.discovery.stopService()
        self.clock.advance(FIRST_RETRY_S)
        self.look_again()
        self.assertEqual((self.agent.asked, self.waits()), ([], []))

    def test_stop_while_polling(self) -> None:
        """A poll under way is cancelled; nothing is left behind."""
        self.discovery.startService()
        asked = list(self.agent.asked)
        self.successResultOf(self.discovery.stopService())
        self.assertEqual([each.cancelled for each in asked], [True, True])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_between_polls(self) -> None:
        """So is the wait for the next one."""
        self.discovery.startService()
        self.answer_all()
        self.successResultOf(self.discovery.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_while_details_are_asked(self) -> None:
        """So is the question for details."""
        self.discovery.startService()
        while not self.agent.asked[0].url.endswith(b"/api/show"):
            asked = self.agent.asked.pop(0)
            self.hosts[asked.url.decode()[7]].answer(asked)
        show = self.agent.asked[0]
        self.successResultOf(self.discovery.stopService())
        self.assertTrue(show.cancelled)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_bug_does_not_end_the_polls(self) -> None:
        """Whatever a poll raises is logged, and the next one comes."""

        class BrokenStore(FakeCatalogStore):
            def save(self, models: Sequence[ModelInfo], ttl_s: float) -> Deferred[None]:
                raise ZeroDivisionError(models, ttl_s)

        self.store = BrokenStore()
        self.discovery = self.made("a", "b")
        self.discovery.startService()
        self.answer_all()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(REFRESH_S)
        self.answer_all()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_nor_does_one_in_a_list(self) -> None:
        """The same holds for what comes before."""
        self.patch(Poller, "listings", lambda *_: 1 // 0)
        self.discovery = self.made("a", "b")
        self.discovery.startService()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(self.waits(), [FIRST_RETRY_S] * 2)
