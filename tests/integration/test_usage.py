"""Use as operators and callers see it, from the ledger of a real PostgreSQL."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.engine import service_engine
from neuronetz_twisted.stores.tables import usage_by_day
from neuronetz_twisted.stores.usage_queries import By, Use, own_usage, usage
from tests.command_line import command, json_of
from tests.servers import admin_connection, new_database
from tests.tenants import KEY, OTHER, PREFIX, ROWS, TENANT

GONE = "44444444-4444-4444-4444-444444444444"
STRANGER = "55555555-5555-5555-5555-555555555555"
FIRST = date(2031, 5, 1)

# (day of May, tenant, key, model, requests)
USED = (
    (1, TENANT, KEY, "a", 1),
    (1, TENANT, KEY, "b", 2),
    (2, TENANT, KEY, "a", 4),
    (2, TENANT, GONE, "a", 8),
    (2, OTHER, STRANGER, "c", 16),
)


class UsageCase(SynchronousTestCase):
    """A database with two tenants that have used three models with three keys."""

    def setUp(self) -> None:
        """Fill it."""
        self.urls = new_database(self)
        admin_connection(self, self.urls.admin_url).execute(ROWS)
        self.engine = service_engine(self.urls.url, application_name="test")
        self.addCleanup(self.engine.dispose)

    def fill(self, first: date) -> None:
        """Let the use begin on that day."""
        rows = [
            {
                "day": first + timedelta(days=day - 1),
                "tenant_id": UUID(tenant),
                "key_id": UUID(key),
                "model": model,
                "requests": requests,
                "prompt_tokens": 10 * requests,
                "completion_tokens": 100 * requests,
                "charged": 110 * requests,
            }
            for day, tenant, key, model, requests in USED
        ]
        with self.engine.begin() as connection:
            connection.execute(insert(usage_by_day), rows)

    def used(self, by: By, since: date = FIRST, **whose: UUID) -> dict[str, int]:
        """Requests by name."""
        with self.engine.connect() as connection:
            found = usage(connection, by=by, since=since, **whose)
        return {use.name: use.requests for use in found}


class Queries(UsageCase):
    """Sums of the ledger."""

    def setUp(self) -> None:
        """In May 2031."""
        super().setUp()
        self.fill(FIRST)

    def test_sums(self) -> None:
        """Every figure is added up, and is a whole number."""
        with self.engine.connect() as connection:
            (first, _) = usage(connection, by=By.DAY, since=FIRST)
        self.assertEqual(
            first,
            Use(
                name="2031-05-01",
                requests=3,
                prompt_tokens=30,
                completion_tokens=300,
                charged=330,
            ),
        )
        self.assertIs(type(first.charged), int)

    def test_by(self) -> None:
        """By day, by model, and by key, of which one that is gone has only its id left."""
        self.assertEqual(self.used(By.DAY), {"2031-05-01": 3, "2031-05-02": 28})
        self.assertEqual(self.used(By.MODEL), {"a": 13, "b": 2, "c": 16})
        self.assertEqual(self.used(By.KEY), {"acme/laptop": 7, GONE: 8, STRANGER: 16})

    def test_whose(self) -> None:
        """Of one tenant, of one key, and of a key that is another tenant's."""
        self.assertEqual(self.used(By.MODEL, tenant_id=UUID(TENANT)), {"a": 13, "b": 2})
        self.assertEqual(self.used(By.MODEL, key_id=UUID(KEY)), {"a": 5, "b": 2})
        self.assertEqual(self.used(By.DAY, tenant_id=UUID(OTHER), key_id=UUID(KEY)), {})

    def test_since(self) -> None:
        """From a day on, that day included."""
        self.assertEqual(self.used(By.DAY, FIRST + timedelta(days=1)), {"2031-05-02": 28})
        self.assertEqual(self.used(By.DAY, FIRST + timedelta(days=2)), {})


class OwnUsage(UsageCase):
    """What a caller is told."""

    def page(self, key: str, tenant: str, today: date) -> dict[str, Any]:
        """The page of one key."""
        self.fill(FIRST)
        with self.engine.connect() as connection:
            return own_usage(connection, tenant_id=UUID(tenant), key_id=UUID(key), today=today)

    def test_own_key_and_tenant(self) -> None:
        """He sees his key by day and model, and his tenant's sums, and nobody else's."""
        page = self.page(KEY, TENANT, date(2031, 5, 31))
        self.assertEqual(page["since"], "2031-05-01")
        found = {
            (whose, by): {row[by]: row["requests"] for row in page[whose][f"by_{by}"]}
            for whose in ("key", "tenant")
            for by in ("day", "model")
        }
        self.assertEqual(
            found,
            {
                ("key", "day"): {"2031-05-01": 3, "2031-05-02": 4},
                ("key", "model"): {"a": 5, "b": 2},
                ("tenant", "day"): {"2031-05-01": 3, "2031-05-02": 12},
                ("tenant", "model"): {"a": 13, "b": 2},
            },
        )

    def test_last_days_only(self) -> None:
        """Older days are not told."""
        page = self.page(KEY, TENANT, date(2031, 6, 1))
        self.assertEqual([row["day"] for row in page["key"]["by_day"]], ["2031-05-02"])

    def test_key_of_another_tenant(self) -> None:
        """A key that has used nothing under that tenant is told nothing of its own."""
        page = self.page(KEY, OTHER, date(2031, 5, 31))
        self.assertEqual(page["key"], {"by_day": [], "by_model": []})


class Command(UsageCase):
    """`show-usage`."""

    def setUp(self) -> None:
        """Yesterday and today."""
        super().setUp()
        self.yesterday = datetime.now(UTC).date() - timedelta(days=1)
        self.fill(self.yesterday)

    def json(self, *arguments: str) -> Any:
        """What it prints."""
        return json_of(command("show-usage", *arguments, "--json", DATABASE_URL=self.urls.url))

    def fault(self, *arguments: str) -> tuple[int, str]:
        """How it fails."""
        result = command("show-usage", *arguments, DATABASE_URL=self.urls.url)
        return result.exit_code, result.stderr

    def test_by_day(self) -> None:
        """By default the last thirty days, of everybody."""
        self.assertEqual(
            self.json()[0],
            {
                "day": self.yesterday.isoformat(),
                "requests": 3,
                "prompt_tokens": 30,
                "completion_tokens": 300,
                "charged": 330,
            },
        )

    def test_options(self) -> None:
        """Of one tenant or key, by model or key, from a day on."""
        by_key = self.json("--by", "key", "--tenant", "acme")
        self.assertEqual([row["key"] for row in by_key], [GONE, "acme/laptop"])
        by_model = self.json("--by", "model", "--key", PREFIX)
        self.assertEqual([row["model"] for row in by_model], ["a", "b"])
        self.assertEqual(len(self.json("--since", "0d")), 1)
        self.assertEqual(len(self.json("--since", self.yesterday.isoformat())), 2)

    def test_table(self) -> None:
        """A person gets a table."""
        result = command("show-usage", "--by", "model", DATABASE_URL=self.urls.url)
        self.assertRegex(result.stdout, r"model +requests +prompt tokens")
        self.assertRegex(result.stdout, r"c +16 +160 +1600 +1760")

    def test_unknown(self) -> None:
        """Names that do not exist, and days that are none."""
        self.assertEqual(self.fault("--tenant", "x")[0], 1)
        self.assertIn("there is no key 'x'", self.fault("--key", "x")[1])
        for since in ("soon", "-1d", "999999d", "2031-13-01"):
            status, said = self.fault("--since", since)
            self.assertEqual(status, 2, since)
            self.assertIn("must be a span such as 30d, or a date", said)
