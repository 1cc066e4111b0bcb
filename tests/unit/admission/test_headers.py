from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.answers import Code, Figures, Refused
from neuronetz_twisted.admission.headers import Fields, limit_fields, refusal_of
from neuronetz_twisted.errors import BudgetExhausted, RateLimited

ALL = Figures(60, 12, 100_000, 99_000, "month", 744, 1_795_000_000)
NONE = Figures(-1, -1, -1, -1, None, 0, 1_795_000_000)


def as_text(fields: Fields) -> dict[str, str]:
    """The lines by name."""
    return {name.decode(): value.decode() for name, value in fields}


class LimitFieldsTests(SynchronousTestCase):
    def test_all(self) -> None:
        """Both families and the budget."""
        self.assertEqual(
            as_text(limit_fields(ALL)),
            {
                "X-RateLimit-Limit-Requests": "60",
                "X-RateLimit-Remaining-Requests": "12",
                "X-RateLimit-Limit-Tokens": "100000",
                "X-RateLimit-Remaining-Tokens": "99000",
                "X-Budget-Period": "month",
                "X-Budget-Tokens-Remaining": "744",
                "RateLimit-Policy": '"rpm";q=60;w=60, "tpm";q=100000;w=60',
                "RateLimit": '"rpm";r=12, "tpm";r=99000',
            },
        )

    def test_nothing_set(self) -> None:
        """Without limits nothing is said."""
        self.assertEqual(limit_fields(NONE), ())

    def test_overdrawn(self) -> None:
        """What was booked beyond a limit is not shown as less than nothing."""
        figures = Figures(-1, -1, 100, -5, "day", -7, 1)
        self.assertEqual(
            as_text(limit_fields(figures)),
            {
                "X-RateLimit-Limit-Tokens": "100",
                "X-RateLimit-Remaining-Tokens": "0",
                "X-Budget-Period": "day",
                "X-Budget-Tokens-Remaining": "0",
                "RateLimit-Policy": '"tpm";q=100;w=60',
                "RateLimit": '"tpm";r=0',
            },
        )


class RefusalOfTests(SynchronousTestCase):
    def test_rates(self) -> None:
        """A full window says when it has room; the draft's family says it of that window only."""
        cases = (
            (Code.RPM, "requests", '"rpm";r=12;t=7, "tpm";r=99000'),
            (Code.TPM, "tokens", '"rpm";r=12, "tpm";r=99000;t=7'),
            (Code.SLOTS, "concurrency", '"rpm";r=12, "tpm";r=99000'),
        )
        for code, limit, states in cases:
            refusal = refusal_of(Refused(code, "key", 7, ALL))
            self.assertIsInstance(refusal, RateLimited)
            self.assertEqual((refusal.status, refusal.code), (429, "rate_limited"))
            self.assertEqual((refusal.limit, refusal.retry_after), (limit, 7))
            self.assertEqual(refusal.outcome, f"refused:rate_limited/key/{limit}")
            self.assertEqual(refusal.message, f"the limit of {limit} is reached")
            fields = as_text(tuple(refusal.fields))
            self.assertEqual(fields["RateLimit"], states)
            self.assertNotIn("X-Should-Retry", fields)

    def test_at_least_a_second(self) -> None:
        """Nobody is told to come back at once."""
        self.assertEqual(refusal_of(Refused(Code.RPM, "tenant", 0, NONE)).retry_after, 1)

    def test_budgets(self) -> None:
        """Who has to wait for over a minute is told not to try again by himself."""
        cases = (
            (Code.DAY, "day", 60, None),
            (Code.DAY, "day", 61, "false"),
            (Code.MONTH, "month", 86_400, "false"),
            (Code.TOTAL, "total", 5, "false"),
        )
        for code, limit, wait, retry in cases:
            refusal = refusal_of(Refused(code, "tenant", wait, ALL))
            self.assertIsInstance(refusal, BudgetExhausted)
            self.assertEqual((refusal.status, refusal.code), (429, "budget_exhausted"))
            self.assertEqual((refusal.limit, refusal.retry_after), (limit, wait))
            self.assertIn(limit, refusal.message)
            fields = as_text(tuple(refusal.fields))
            self.assertEqual(fields.get("X-Should-Retry"), retry)
            self.assertEqual(fields["X-Budget-Tokens-Remaining"], "744")
