"""What a caller reads of his limits, and what is taken from them, through the channel."""

from twisted.internet.defer import Deferred

from neuronetz_twisted.admission.answers import Code, Figures, Refused, Used
from neuronetz_twisted.admission.headers import limit_fields, refusal_of
from neuronetz_twisted.errors import LimitsUnavailable, UpstreamFailed
from neuronetz_twisted.limits import Limits
from neuronetz_twisted.testing.admission import LEASE, FakeLimiter
from neuronetz_twisted.testing.http import Answer
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from neuronetz_twisted.vocabulary import Status
from tests.unit.edge.house import BODY_LIMIT, KEY
from tests.unit.edge.surface import CHAT, FOLDED, SurfaceTestCase, fixed

FIGURES = Figures(60, 59, 1000, 900, "day", 744, 1_700_000_000)
SHOWN = {name.decode().lower(): value.decode() for name, value in limit_fields(FIGURES)}
SHOW = b'{"model":"llama3"}'
LISTS = (
    ("GET", "/api/tags", None),
    ("POST", "/api/show", SHOW),
    ("GET", "/api/version", None),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/llama3", None),
    ("GET", "/gateway/usage", None),
    ("GET", "/gateway/limits", None),
)
REFUSED_HERE = (
    ("POST", "/api/chat", b"[]", 400),
    ("POST", "/v1/chat/completions", b"[]", 400),
    ("POST", "/api/chat", CHAT.replace(b"llama3", b"other"), 403),
    ("GET", "/api/pull", None, 403),
    ("GET", "/v1/models/other", None, 403),
    ("GET", "/api/chat", None, 405),
    ("POST", "/api/tags", b"", 405),
    ("POST", "/api/chat", b" " * (BODY_LIMIT + 1), 413),
    ("POST", "/api/show", b" " * (BODY_LIMIT + 1), 413),
)


def shown(answer: Answer) -> dict[str, str]:
    """The lines of an answer's head that speak of limits."""
    kinds = ("x-ratelimit-", "ratelimit", "x-budget-")
    return {name: answer.headers[name] for name in answer.headers if name.startswith(kinds)}


class LimitedTestCase(SurfaceTestCase):
    def setUp(self) -> None:
        """A caller with limits and a budget."""
        super().setUp()
        self.limiter = self.house.limiter
        self.limiter.figures = FIGURES

    def taken(self) -> tuple[int, int, int]:
        """How many calls and lists were counted, and how often was only looked."""
        limiter = self.limiter
        return len(limiter.admitted), len(limiter.counted), len(limiter.looked)


class ShownTests(LimitedTestCase):
    def test_calls(self) -> None:
        """A whole answer and a streamed one show what their admission has left; nobody looks."""
        self.upstream.frames = [chat_frame("Hello"), chat_final()]
        for body in (FOLDED, CHAT):
            client = self.house.ask("POST", "/api/chat", body)
            self.upstream.streams[-1].end()
            answer = client.answer()
            self.assertEqual((answer.status, shown(answer)), (200, SHOWN))
        self.assertEqual(self.taken(), (2, 0, 0))

    def test_lists(self) -> None:
        """Each is counted once, and shows that; only the page of limits looks."""
        for method, path, body in LISTS:
            with self.subTest(path=path):
                answer = self.answered(method, path, body)
                self.assertEqual((answer.status, shown(answer)), (200, SHOWN))
        self.assertEqual(self.taken(), (0, len(LISTS), 1))

    def test_refused_here(self) -> None:
        """A refusal shows what is left, of which it takes nothing but for a list's detail."""
        for method, path, body, status in REFUSED_HERE:
            with self.subTest(path=path, status=status):
                answer = self.answered(method, path, body)
                self.assertEqual((answer.status, shown(answer)), (status, SHOWN))
        self.assertEqual(self.taken(), (0, 1, len(REFUSED_HERE)))
        self.assertEqual(self.house.sink.outcomes.count("refused:not_allowed/path"), 1)

    def test_refused_by_others(self) -> None:
        """So do those of the model host, of the list of models and of the record."""
        self.upstream.refusal = UpstreamFailed(why="connect")
        answer = self.answered("POST", "/api/chat", CHAT)
        self.assertEqual((answer.status, shown(answer)), (502, SHOWN))
        self.upstream.full = True
        answer = self.answered("POST", "/api/chat", CHAT)
        self.assertEqual((answer.status, shown(answer)), (503, SHOWN))
        self.assertIn("retry-after", answer.headers)
        self.house.catalog.expired = True
        for method, path, body in (("POST", "/api/chat", CHAT), ("GET", "/api/tags", None)):
            answer = self.answered(method, path, body)
            self.assertEqual((answer.status, shown(answer)), (503, SHOWN))
        self.house.trail.full = True
        answer = self.answered("GET", "/api/version")
        self.assertEqual((answer.status, shown(answer)), (503, SHOWN))

    def test_shortened_by_the_budget(self) -> None:
        """Who had said how long reads by his own word that it is less; others do not."""
        self.limiter.figures = FIGURES._replace(remaining_budget=4)
        self.upstream.frames = [chat_final()]
        long = CHAT[:-1] + b',"max_tokens":60}'
        for body, ignored in ((long, "max_tokens"), (CHAT, None)):
            answer = self.answered("POST", "/v1/chat/completions", body)
            self.assertEqual(answer.headers.get("x-gateway-ignored"), ignored)
            sent = self.upstream.asked[-1].call.request.body
            self.assertEqual(sent["options"]["num_predict"], LEASE + 4)

    def test_nobody_limited(self) -> None:
        """Where nothing is set there is nothing to show."""
        self.setUp()
        self.limiter.figures = FakeLimiter().figures
        self.assertEqual(shown(self.answered("GET", "/api/tags")), {})
        self.assertEqual(shown(self.answered("GET", "/api/pull")), {})

    def test_strangers(self) -> None:
        """Who is not known sees nothing of anybody's, and nobody looks."""
        answer = self.answered("GET", "/api/tags", Authorization="-")
        self.assertEqual((answer.status, shown(answer)), (401, {}))
        self.assertEqual(self.taken(), (0, 0, 0))

    def test_key_taken_away(self) -> None:
        """A 401 is a 401, also where the key was good until a moment ago."""
        stranger = fixed(self.answered("POST", "/api/chat", CHAT, Authorization="-"))
        for method, path, body in (("POST", "/api/chat", CHAT), LISTS[0]):
            with self.subTest(path=path):
                self.house.keys.change(KEY[:12], key_status=Status.ACTIVE)
                self.assertEqual(self.answered("GET", "/api/version").status, 200)
                row = self.house.keys.change(KEY[:12], key_status=Status.REVOKED)
                self.limiter.epochs[row.tenant_id] = row.epoch
                self.assertEqual(fixed(self.answered(method, path, body)), stranger)
        self.assertEqual(self.limiter.looked, [])

    def test_redis_away(self) -> None:
        """Without Redis nothing is shown: refusals for other reasons stay what they are."""
        self.answered("GET", "/api/tags")
        self.limiter.away = True
        for method, path, body, status in REFUSED_HERE:
            if path != "/v1/models/other":
                with self.subTest(path=path, status=status):
                    answer = self.answered(method, path, body)
                    self.assertEqual((answer.status, shown(answer)), (status, {}))
        for method, path, body in (*LISTS, ("POST", "/api/chat", CHAT)):
            with self.subTest(path=path):
                answer = self.answered(method, path, body)
                self.assertEqual((answer.status, shown(answer)), (503, {}))
                self.assertIn("retry-after", answer.headers)
                self.assertIn(b'"limits_unavailable"', answer.body)

    def test_page(self) -> None:
        """The caller sees what holds for his key and his tenant, and what is left of it."""
        row = self.house.keys.change(
            KEY[:12],
            tenant_limits=Limits(tpm=500, budget_month=10_000),
            key_limits=Limits(rpm=5, max_predict=7),
        )
        self.house.identifier.epoch_changed(row.tenant_id, row.epoch)
        self.house.limiter.used = Used(0, 100, 2, 0, 9_000, 0), Used(2, 0, 0, 0, 0, 0)
        answer = self.answered("GET", "/gateway/limits")
        unset = dict.fromkeys(
            ("rpm", "tpm", "concurrent", "budget_day", "budget_month", "budget_total")
        )
        self.assertEqual(
            answer.json(),
            {
                "tenant": unset | {"tpm": 500, "concurrent": 8, "budget_month": 10_000},
                "key": unset | {"rpm": 5},
                "max_body_bytes": BODY_LIMIT,
                "max_predict": 7,
                "left": {
                    "tenant": unset | {"tpm": 400, "concurrent": 6, "budget_month": 1000},
                    "key": unset | {"rpm": 3},
                },
            },
        )
        self.assertEqual(self.house.sink.outcomes, ["ok"])


class LimitReachedTests(LimitedTestCase):
    def refuse(self, code: Code, wait_s: int) -> None:
        """Have a limit be reached."""
        self.limiter.refusal = refusal_of(Refused(code, "key", wait_s, FIGURES))

    def test_window(self) -> None:
        """429 with the seconds until there is room, for calls and for lists; nobody looks."""
        self.refuse(Code.RPM, 17)
        for method, path, body in (("POST", "/api/chat", CHAT), *LISTS):
            with self.subTest(path=path):
                answer = self.answered(method, path, body)
                self.assertEqual((answer.status, answer.headers["retry-after"]), (429, "17"))
                waits = '"rpm";r=59;t=17, "tpm";r=900'
                self.assertEqual(shown(answer), SHOWN | {"ratelimit": waits})
                self.assertIn(b'"rate_limited"', answer.body)
        self.assertEqual(self.taken(), (0, 0, 0))
        self.assertEqual(set(self.house.sink.outcomes), {"refused:rate_limited/key/requests"})
        self.assertEqual((self.upstream.asked, self.house.trail.slots), ([], []))

    def test_budget(self) -> None:
        """A budget that is used up says when its period ends; nobody needs to try before."""
        for code, wait_s, retry in ((Code.DAY, 3600, "false"), (Code.MONTH, 60, None)):
            self.refuse(code, wait_s)
            answer = self.answered("POST", "/v1/chat/completions", CHAT)
            self.assertEqual((answer.status, answer.headers["retry-after"]), (429, str(wait_s)))
            self.assertEqual(answer.headers.get("x-should-retry"), retry)
            self.assertEqual(shown(answer), SHOWN)
            self.assertEqual(answer.json()["error"]["code"], "budget_exhausted")

    def test_prompt_of_more_than_a_minute(self) -> None:
        """It is 400, since no wait would help; the limits are shown all the same."""
        row = self.house.keys.change(KEY[:12], key_limits=Limits(tpm=5))
        self.house.identifier.epoch_changed(row.tenant_id, row.epoch)
        answer = self.answered("POST", "/api/chat", CHAT.replace(b"Hi", b"Hi" * 20))
        self.assertEqual((answer.status, shown(answer)), (400, SHOWN))
        self.assertIn("more than the 5 per minute", answer.json()["error"])
        self.assertEqual(self.house.sink.outcomes, ["refused:invalid_request/tpm"])


class LookTests(LimitedTestCase):
    """A refusal is on record once and goes out, whatever becomes of the look at the limits."""

    def looking(self) -> "Deferred[object]":
        """Have the look wait; gives what it waits for."""
        looked: Deferred[object] = Deferred()
        self.patch(FakeLimiter, "look", lambda *_: looked)
        self.client = self.house.ask("GET", "/api/pull")
        self.assertEqual(self.client.value(), b"")
        self.assertEqual(self.house.sink.outcomes, ["refused:not_allowed/path"])
        return looked

    def refused(self) -> None:
        """The refusal has come, without limits, and is on record once."""
        answer = self.client.answer()
        self.assertEqual((answer.status, shown(answer), answer.whole), (403, {}, True))
        self.assertEqual(len(self.house.trail.records), 1)

    def test_redis_hangs(self) -> None:
        """The deadline of the look is that of every call to Redis."""
        self.looking().errback(LimitsUnavailable(why="redis"))
        self.refused()

    def test_gateway_stops(self) -> None:
        """A look that is given up."""
        looked = self.looking()
        running = self.house.running(self.client).running
        assert running is not None
        running.cancel()
        self.assertTrue(looked.called)
        self.refused()

    def test_client_goes(self) -> None:
        """He is on record as refused, and not as one who went as well."""
        looked = self.looking()
        self.client.leave()
        self.assertTrue(looked.called)
        self.assertEqual(self.house.sink.outcomes, ["refused:not_allowed/path"])
        self.assertEqual(len(self.house.trail.records), 1)
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_fault(self) -> None:
        """A fault of ours is logged and answered as one; the refusal stays the only record."""
        self.looking().errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.client.answer().status, 500)
        self.assertEqual(len(self.house.trail.records), 1)
