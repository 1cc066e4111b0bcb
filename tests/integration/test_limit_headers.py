"""What answers say of limits and budgets, and how soon what an operator sets holds (SPEC 7, 11)."""

import time
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.scripts import SCRIPTS
from tests.figures import within
from tests.gateway import MODEL, Stack
from tests.http_client import Answer, ask, chat
from tests.limit_scenarios import many, warm
from tests.limits_house import new_word, shared_house, tenant_of
from tests.processes import eventually

HOLDS_S = within(1.0)
RATES = {
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "ratelimit-policy",
    "ratelimit",
}
BUDGET = {"x-budget-period", "x-budget-tokens-remaining"}
MODELS = "/v1/models"
HELLO = "hello [[n=2]]"


class HeaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A key with limits of every kind."""
        self.house = shared_house()
        self.port = self.house.stacks[0].port
        self.key = self.house.new_key(
            many(rpm=1000, tpm=100_000, budget_day=50_000, max_body_bytes=4000)
        )

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request with the key."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.port, method, path, body, key=self.key, headers=named)

    def shows(self, answer: Answer, status: int, rpm: int = 1000) -> None:
        """An answer of this status that says all of what is left; lists have ten times the rpm."""
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual((RATES | BUDGET) - set(answer.headers), set(), f"{status}")
        self.assertEqual(answer.headers["x-ratelimit-limit-requests"], str(rpm))
        self.assertEqual(answer.headers["x-ratelimit-limit-tokens"], "100000")
        self.assertEqual(answer.headers["x-budget-period"], "day")
        self.assertTrue(0 < int(answer.headers["x-budget-tokens-remaining"]) <= 50_000)
        policy = f'"rpm";q={rpm};w=60, "tpm";q=100000;w=60'
        self.assertEqual(answer.headers["ratelimit-policy"], policy)

    def test_answers(self) -> None:
        """Each answer of a model host shows what is left behind it, streamed or not."""
        for place, (path, stream) in enumerate(
            (path, stream)
            for path in ("/api/chat", "/v1/chat/completions")
            for stream in (True, False)
        ):
            answer = self.ask("POST", path, chat(HELLO, stream=stream))
            self.shows(answer, 200)
            self.assertEqual(answer.headers["x-ratelimit-remaining-requests"], str(999 - place))
        prompt = {"model": MODEL, "prompt": HELLO}
        self.shows(self.ask("POST", "/api/generate", prompt), 200)

    def test_lists(self) -> None:
        """Lists and pages show their own window, and take nothing of that of calls."""
        paths = ("/api/tags", "/api/version", MODELS, "/gateway/usage", "/gateway/limits")
        for place, path in enumerate(paths):
            answer = self.ask("GET", path)
            self.shows(answer, 200, 10_000)
            self.assertEqual(answer.headers["x-ratelimit-remaining-requests"], str(9999 - place))
        self.shows(self.ask("POST", "/api/show", {"model": MODEL}), 200, 10_000)
        self.assertEqual(self.house.limits(self.key)["left"]["tenant"]["rpm"], 1000)

    def test_refusals(self) -> None:
        """Every refusal of a call whose key is known shows them too, and takes nothing."""
        for path in ("/api/chat", "/v1/chat/completions"):
            self.shows(self.ask("POST", path, {"model": 1}), 400)
            self.shows(self.ask("POST", path, chat("hi", model="no-such-model")), 403)
            self.shows(self.ask("GET", path), 405)
            self.shows(self.ask("POST", path, chat("x" * 5000)), 413)
            self.shows(self.ask("POST", path, chat("hi"), Content_Encoding="gzip"), 415)
        self.shows(self.ask("POST", "/api/pull", {"model": MODEL}), 403)
        self.shows(self.ask("GET", f"{MODELS}/no-such-model"), 403)
        left = self.house.limits(self.key)["left"]["tenant"]
        self.assertEqual((left["rpm"], left["budget_day"]), (1000, 50_000))

    def test_strangers(self) -> None:
        """Who has no key learns nothing of limits."""
        for answer in (ask(self.port, "GET", "/api/tags"), ask(self.port, "GET", "/healthz")):
            self.assertEqual((RATES | BUDGET) & set(answer.headers), set())

    def test_limited(self) -> None:
        """A limit that is reached says which, and when to come again, in all families."""
        key = self.house.new_key(many(rpm=1))
        self.assertEqual(self.house.greet(key).status, 200)
        answer = self.house.greet(key, self.house.stacks[1])
        self.assertEqual((answer.status, answer.json()["limit"]), (429, "requests"))
        wait = int(answer.headers["retry-after"])
        self.assertTrue(50 < wait <= 61, str(wait))
        self.assertIn(f'"rpm";r=0;t={wait}', answer.headers["ratelimit"])
        self.assertEqual(answer.headers["x-ratelimit-remaining-requests"], "0")
        self.assertNotIn("x-should-retry", answer.headers)

    def test_exhausted(self) -> None:
        """A budget that is used up says until when, by Redis' clock, and not to try before."""
        key = self.house.new_key(many(budget_day=3))
        answer = self.house.greet(key, prompt="a prompt that is longer than three tokens are")
        self.assertEqual((answer.status, answer.json()["code"]), (429, "budget_exhausted"))
        self.assertEqual(answer.json()["limit"], "day")
        with self.house.redis() as redis:
            now = int(redis.call("TIME")[0])
        wait = int(answer.headers["retry-after"])
        midnight = 86400 - now % 86400
        self.assertTrue(abs(wait - midnight) <= 3, f"{wait} s, and midnight is in {midnight} s")
        if wait > 60:
            self.assertEqual(answer.headers["x-should-retry"], "false")


class PredictTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A key whose budget is small."""
        self.house = shared_house()
        self.key = self.house.new_key(many(budget_total=200))

    def told(self, path: str, **fields: Any) -> tuple[int, str]:
        """The `num_predict` that the mock was told, and what the client is told was ignored."""
        word = new_word()
        answer = ask(
            self.house.stacks[0].port, "POST", path, chat(f"{word} [[n=1]]", **fields), key=self.key
        )
        self.assertEqual(answer.status, 200, answer.body)
        predict: int = self.house.mock.entry(word)["body"]["options"]["num_predict"]
        return predict, answer.headers.get("x-gateway-ignored", "")

    def test_clamped(self) -> None:
        """No more is written than the budget has left; who had asked for more is told."""
        predict, ignored = self.told("/api/chat", options={"num_predict": 1000})
        self.assertTrue(0 < predict < 200, str(predict))
        self.assertIn("num_predict", ignored)
        predict, ignored = self.told("/v1/chat/completions", max_tokens=1000)
        self.assertTrue(0 < predict < 200, str(predict))
        self.assertIn("max_tokens", ignored)

    def test_unasked(self) -> None:
        """Who had not asked for more is told of nothing."""
        predict, ignored = self.told("/api/chat")
        self.assertTrue(0 < predict < 200, str(predict))
        self.assertNotIn("num_predict", ignored)
        self.assertEqual(self.told("/api/chat", options={"num_predict": 7}), (7, ""))
        self.assertEqual(self.told("/v1/chat/completions", max_tokens=7), (7, ""))


class ChangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A key in use on two gateways, as an operator finds it."""
        self.house = shared_house()
        self.key = self.house.new_key(many())
        self.named = ("--tenant", tenant_of(self.key))
        for stack in self.house.stacks:
            for _ in range(2):
                self.assertEqual(self.house.greet(self.key, stack).status, 200)

    def holds(self, code: str, *command: str) -> None:
        """Within a second of the command, each gateway answers so."""
        self.house.stacks[0].command(*command)
        changed = time.monotonic()
        for stack in self.house.stacks:
            eventually(partial(self.answers, code, stack), 2 * HOLDS_S)
        seconds = time.monotonic() - changed
        self.assertTrue(seconds < HOLDS_S, f"{command}: after {seconds} s")

    def answers(self, code: str, stack: Stack) -> bool:
        """Whether a gateway refuses with this code now, or answers where that is empty."""
        answer = self.house.greet(self.key, stack)
        return code == ("" if answer.status == 200 else answer.json()["code"])

    def test_limits(self) -> None:
        """`set-limits` holds within a second, and so does its end."""
        self.holds("rate_limited", "set-limits", *self.named, "--rpm", "2")
        self.holds("", "set-limits", *self.named, "--rpm", "1000")
        self.holds("rate_limited", "set-limits", "--key", self.key[:12], "--rpm", "2")
        self.holds("", "set-limits", "--key", self.key[:12], "--rpm", "inherit")

    def test_budgets(self) -> None:
        """`set-budget` holds within a second, and so does its end."""
        self.holds("budget_exhausted", "set-budget", *self.named, "--day", "1")
        self.holds("", "set-budget", *self.named, "--day", "none")
        self.holds("budget_exhausted", "set-budget", "--key", self.key[:12], "--total", "1")
        self.holds("", "set-budget", "--key", self.key[:12], "--total", "none")

    def test_window_of_lists(self) -> None:
        """Lists have ten times the requests per minute, in a window of their own."""
        key = self.house.new_key(many(rpm=3))
        ports = [stack.port for stack in self.house.stacks]
        statuses = [
            ask(ports[number % 2], "GET", "/api/tags", key=key).status for number in range(31)
        ]
        self.assertEqual(statuses, [200] * 30 + [429])
        self.assertEqual([self.house.greet(key).status for _ in range(4)], [200] * 3 + [429])


TELLING = (SCRIPTS.raise_epoch, SCRIPTS.settle, SCRIPTS.flushed, SCRIPTS.heartbeat)


class TripTests(SynchronousTestCase):
    def test_one_round_trip(self) -> None:
        """Between a request with a warm key and its call upstream Redis is asked once."""
        house = shared_house()
        key = house.new_key(many(budget_total=10**6))
        warm(house, key)
        self.assertEqual(house.greet(key).status, 200)
        for _ in range(10):
            commands, asked_at = self.watched(key, house.tenant_id(key))
            before = [command for at, command in commands if at < asked_at]
            admit = f'"EVALSHA" "{SCRIPTS.admit.digest}"'
            self.assertEqual([command[: len(admit)] for command in before], [admit])

    def watched(self, key: str, tenant: str) -> tuple[list[tuple[float, str]], float]:
        """The commands about one call, with their times, and when the mock got it.

        Without those that only tell: of the tenant's changes, which goes on for a minute, and of
        calls that have ended, which goes on until the ledger has them.
        """
        house, word, last = shared_house(), new_word(), new_word()
        with house.redis() as monitor, house.redis() as other:
            monitor.call("MONITOR")
            self.assertEqual(house.greet(key, prompt=f"{word} [[n=1]]").status, 200)
            asked_at = house.mock.entry(word)["received_at"]
            other.call("ECHO", last)
            commands = []
            while last not in (line := monitor.reply().decode("latin-1")):
                at, _, rest = line.partition(" [")
                source, _, command = rest.partition("] ")
                is_about_it = (tenant in command or key[:12] in command) and " lua" not in source
                if is_about_it and not any(script.digest in command for script in TELLING):
                    commands.append((float(at), command))
        return commands, asked_at
