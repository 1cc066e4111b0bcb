"""What a caller reads of his limits in the header of an answer (SPEC 7). Pure.

Two families, since clients know the one or the other: `X-RateLimit-*`, as OpenAI writes them, and
the pair of the IETF's draft (draft-ietf-httpapi-ratelimit-headers-10), a list of named policies.
"""

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
    rows = (
        (b"Requests", b"rpm", Code.RPM, figures.limit_requests, figures.remaining_requests),
        (b"Tokens", b"tpm", Code.TPM, figures.limit_tokens, figures.remaining_tokens),
    )
    fields: list[tuple[bytes, bytes]] = []
    policies, states = [], []
    for name, policy, code, limit, remaining in rows:
        if limit < 0:
            continue
        left = max(0, remaining)
        fields.append((b"X-RateLimit-Limit-" + name, b"%d" % limit))
        fields.append((b"X-RateLimit-Remaining-" + name, b"%d" % left))
        policies.append(b'"%b";q=%d;w=%d' % (policy, limit, WINDOW_S))
        reset = b";t=%d" % waits[1] if waits is not None and waits[0] is code else b""
        states.append(b'"%b";r=%d%b' % (policy, left, reset))
    if figures.period is not None:
        left = max(0, figures.remaining_budget)
        fields.append((b"X-Budget-Period", figures.period.encode("ascii")))
        fields.append((b"X-Budget-Tokens-Remaining", b"%d" % left))
    if policies:
        fields.append((b"RateLimit-Policy", b", ".join(policies)))
        fields.append((b"RateLimit", b", ".join(states)))
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
