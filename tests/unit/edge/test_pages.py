"""Answers that need no model host, through the channel."""

from typing import Any

import orjson
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.answers import Used
from neuronetz_twisted.edge.pages import Pages
from neuronetz_twisted.errors import LimitsUnavailable
from neuronetz_twisted.limits import Limits
from neuronetz_twisted.testing.admission import DEFAULTS, FakeCatalog, FakeLimiter
from neuronetz_twisted.testing.audit import FakeUsage
from neuronetz_twisted.testing.calls import made_model, made_principal
from tests.unit.edge.house import KEY
from tests.unit.edge.surface import SurfaceTestCase, fixed


class PublicTests(SurfaceTestCase):
    def test_without_a_key(self) -> None:
        """The pages that need no key, and what they say."""
        for path, status, body in (
            ("/", 200, b"Ollama is running"),
            ("/healthz", 200, b'{"alive":true}'),
            ("/readyz", 200, b'{"ready":true}'),
        ):
            with self.subTest(path=path):
                answer = self.house.connect().request("GET", path).answer()
                self.assertEqual((answer.status, answer.body), (status, body))

    def test_not_ready(self) -> None:
        """A gateway that is not ready says so by its status."""
        self.house.ready = False
        answer = self.house.connect().request("GET", "/readyz").answer()
        self.assertEqual((answer.status, answer.body), (503, b'{"ready":false}'))

    def test_name_for_those_who_ask_for_json(self) -> None:
        """The root has a name and version for programs."""
        answer = self.house.connect().request("GET", "/", Accept="application/json").answer()
        self.assertEqual(answer.json()["name"], "neuronetz-gateway")

    def test_head(self) -> None:
        """HEAD is answered as GET, without its body."""
        for path in ("/", "/healthz", "/readyz", "/api/version", "/api/tags"):
            with self.subTest(path=path):
                client = self.house.ask("HEAD", path)
                answer = client.answer(head=True)
                self.assertEqual(answer.status, 200)
                self.assertGreater(int(answer.headers["content-length"]), 0)
                self.assertEqual(client.value(), b"")

    def test_method(self) -> None:
        """Another method is 405 without a key here."""
        answer = self.house.connect().request("POST", "/healthz", b"").answer()
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))


class ListTests(SurfaceTestCase):
    def setUp(self) -> None:
        """A caller who may use one of two models."""
        super().setUp()
        self.house.catalog.installed = [
            made_model(
                "org/a:7b",
                listing={
                    "name": "org/A:7b",
                    "model": "org/A:7b",
                    "modified_at": "2026-01-01T00:00:00.123456789Z",
                },
                details={"capabilities": ["completion"]},
            ),
            made_model("b:latest"),
        ]
        self.house.keys.change(
            KEY[:12], tenant_allow_all_models=False, tenant_models=frozenset({"org/a:7b"})
        )

    def test_native(self) -> None:
        """Tags, details and version."""
        models = self.answered("GET", "/api/tags").json()["models"]
        self.assertEqual([model["name"] for model in models], ["org/A:7b"])
        shown = self.answered("POST", "/api/show", b'{"name":"ORG/a:7b"}').json()
        self.assertEqual(shown, {"capabilities": ["completion"]})
        self.assertEqual(set(self.answered("GET", "/api/version").json()), {"version", "gateway"})
        self.assertEqual(self.house.sink.outcomes, ["ok"] * 3)

    def test_openai(self) -> None:
        """The list, and one model by an id that may be percent-encoded."""
        expected = {
            "id": "org/A:7b",
            "object": "model",
            "created": 1767225600,
            "owned_by": "org",
        }
        self.assertEqual(self.answered("GET", "/v1/models").json()["data"], [expected])
        for name in ("org/a:7b", "org%2Fa%3A7b", "ORG/A:7B"):
            with self.subTest(name=name):
                self.assertEqual(self.answered("GET", f"/v1/models/{name}").json(), expected)

    def test_not_yours_is_like_not_there(self) -> None:
        """Not allowed, not installed, misspelt: the same answer in all but the id."""
        for path in (
            "/v1/models/b",
            "/v1/models/nobody",
            "/v1/models/b%20c",
            "/v1/models/a//b",
            "/v1/models/a/",
            "/v1/models/%E2%84%AA",
        ):
            with self.subTest(path=path):
                expected = fixed(self.answered("GET", "/v1/models/b:latest"))
                self.assertEqual(fixed(self.answered("GET", path)), expected)
                self.assertEqual(expected[0], 403)
        hidden = fixed(self.answered("POST", "/api/show", b'{"model":"b"}'))
        missing = fixed(self.answered("POST", "/api/show", b'{"model":"c"}'))
        self.assertEqual(hidden, missing)

    def test_list_expired(self) -> None:
        """Without a fresh list nobody gets one."""
        self.house.catalog.expired = True
        answer = self.answered("GET", "/api/tags")
        self.assertEqual((answer.status, answer.json()["code"]), (503, "models_unavailable"))
        self.assertEqual(answer.headers["retry-after"], "5")

    def test_redis_away(self) -> None:
        """Lists too need the epoch check."""
        self.answered("GET", "/api/tags")
        self.house.limiter.away = True
        self.assertEqual(self.answered("GET", "/api/tags").json()["code"], "limits_unavailable")


class LimitsTests(SynchronousTestCase):
    """`GET /gateway/limits`, of which the way through the doors is in `test_doors`."""

    def setUp(self) -> None:
        """A limiter."""
        self.limiter = FakeLimiter()

    def asked(self, **changes: Any) -> "Deferred[bytes]":
        """What the page says to a caller."""
        pages = Pages(FakeCatalog(), FakeUsage(), lambda: True, DEFAULTS, self.limiter)
        return Deferred.fromCoroutine(pages.limits(made_principal(**changes)))

    def test_what_is_left(self) -> None:
        """Of each limit that is set, at its own level; never less than nothing."""
        self.limiter.used = Used(40, 700, 3, 10, 20, 30), Used(4, 500, 2, 1000, 2, 3)
        asked = self.asked(
            tenant_limits=Limits(rpm=60, tpm=600, concurrent=8, budget_total=100),
            key_limits=Limits(tpm=500, budget_day=999, budget_month=9),
        )
        page = orjson.loads(self.successResultOf(asked))
        nothing_set = dict.fromkeys(page["tenant"])
        self.assertEqual(
            page["left"],
            {
                "tenant": nothing_set | {"rpm": 20, "tpm": 0, "concurrent": 5, "budget_total": 70},
                "key": nothing_set | {"tpm": 0, "budget_day": 0, "budget_month": 7},
            },
        )
        self.assertEqual(page["tenant"]["budget_total"], 100)
        self.assertEqual(page["key"]["budget_day"], 999)

    def test_defaults(self) -> None:
        """What holds for everybody is the tenant's, and there is no budget."""
        page = orjson.loads(self.successResultOf(self.asked()))
        nothing_set = dict.fromkeys(page["key"])
        holds = nothing_set | {
            "rpm": DEFAULTS.rpm,
            "tpm": DEFAULTS.tpm,
            "concurrent": DEFAULTS.concurrent,
        }
        self.assertEqual((page["tenant"], page["key"]), (holds, nothing_set))
        self.assertEqual(page["left"], {"tenant": holds, "key": nothing_set})
        self.assertEqual(
            (page["max_body_bytes"], page["max_predict"]),
            (DEFAULTS.max_body_bytes, DEFAULTS.max_predict),
        )

    def test_redis_is_away(self) -> None:
        """Nothing is made up."""
        self.limiter.away = True
        failure = self.failureResultOf(self.asked(), LimitsUnavailable)
        self.assertEqual(failure.value.outcome, "refused:limits_unavailable/redis")
