"""What a caller reads of his limits in the header of an answer (SPEC 7). Pure.

Two families, since clients know the one or the other: `X-RateLimit-*`, as OpenAI writes them, and
the pair of the IETF's draft (draft-ietf-httpapi-ratelimit-headers-10), a list of named policies.
"""

from functools import lru_cache

from neuronetz_twisted.admission.answers import LIMITS, Code, Figures, Refused
from neuronetz_twisted.errors import BudgetExhausted, RateLimited

Fields = tuple[tuple[bytes, bytes], ...]

WINDOW_S = 60
WORTH_WAITING_S = 60
"""A client may be left to its own retries for a period that ends within this time."""

_RATES = (Code.RPM, Code.TPM, Code.SLOTS)


def limit_fields(figures: Figures, waits: tuple[Code, int] | None = None) -> Fields:
    """The header lines of an answer.

    `waits` names the window that is full, and in how many seconds it has room again.
    """
    requests, tokens = figures.limit_requests, figures.limit_tokens
    fields = list(_limits(requests, tokens))
    states = []
    for name, policy, code, limit, remaining in (
        (b"X-RateLimit-Remaining-Requests", b"rpm", Code.RPM, requests, figures.remaining_requests),
        (b"X-RateLimit-Remaining-Tokens", b"tpm", Code.TPM, tokens, figures.remaining_tokens),
    ):
        if limit >= 0:
            left = b"%d" % max(0, remaining)
            fields.append((name, left))
            reset = b";t=%d" % waits[1] if waits is not None and waits[0] is code else b""
            states.append(b'"%b";r=%b%b' % (policy, left, reset))
    if states:
        fields.append((b"RateLimit", b", ".join(states)))
    if figures.period is not None:
        left = b"%d" % max(0, figures.remaining_budget)
        fields += (
            (b"X-Budget-Period", figures.period.encode("ascii")),
            (b"X-Budget-Tokens-Remaining", left),
        )
    return tuple(fields)


# Most answers are to callers with the same few limits.
@lru_cache(maxsize=1024)
def _limits(requests: int, tokens: int) -> Fields:
    """The lines that say what the limits are."""
    fields: list[tuple[bytes, bytes]] = []
    policies = []
    for name, policy, limit in ((b"Requests", b"rpm", requests), (b"Tokens", b"tpm", tokens)):
        if limit >= 0:
            fields.append((b"X-RateLimit-Limit-" + name, b"%d" % limit))
            policies.append(b'"%b";q=%d;w=%d' % (policy, limit, WINDOW_S))
    if policies:
        fields.append((b"RateLimit-Policy", b", ".join(policies)))
    return tuple(fields)


def refusal_of(refused: Refused) -> RateLimited | BudgetExhausted:
    """The refusal that a reached limit means. A total has no end, so a human has to raise it."""
    limit = LIMITS[refused.code]
    why = f"{refused.level}/{limit}"
    wait = max(1, refused.retry_after_s)
    if refused.code in _RATES:
        fields = limit_fields(refused.figures, (refused.code, wait))
        return RateLimited(limit=limit, retry_after=wait, why=why, fields=fields)
    fields = limit_fields(refused.figures)
    if limit == "total" or wait > WORTH_WAITING_S:
        fields += ((b"X-Should-Retry", b"false"),)
    return BudgetExhausted(limit=limit, retry_after=wait, why=why, fields=fields)
