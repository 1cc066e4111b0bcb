"""Options that several commands share, and how the text of an option becomes a value.

A value that cannot be meant is a usage error, told before anything is touched (SPEC 11). The
functions with a context and a parameter are click's callbacks; None is an option not given.
"""

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

import click

from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.limits import LARGEST_BUDGET, LARGEST_LIMIT
from neuronetz_twisted.model_names import canonical_name
from neuronetz_twisted.vocabulary import Scope

NONE: Literal["none"] = "none"
INHERIT: Literal["inherit"] = "inherit"

_LONGEST_NAME = 100
PREFIX_LENGTH = 12
_SPAN = re.compile(r"([0-9]{1,5})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}

Amount = int | Literal["none", "inherit"] | None
"""A limit as an option gives it: a number, a word that unsets it, or None where it is not given."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def json_option(command: _Command) -> _Command:
    """Adds `--json`, given to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def yes_option(command: _Command) -> _Command:
    """Adds `--yes`, which answers the question of a destructive command."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def limit_options(command: _Command) -> _Command:
    """Adds an option for each limit that is no budget, given under the limit's own name."""
    return _amount_options(
        command,
        LARGEST_LIMIT,
        ("--rpm", "rpm", "Requests per minute."),
        ("--tpm", "tpm", "Tokens per minute."),
        ("--concurrent", "concurrent", "Requests at once."),
        ("--max-body", "max_body_bytes", "Bytes of a request's body."),
        ("--max-predict", "max_predict", "Tokens of an answer."),
    )


def budget_options(command: _Command) -> _Command:
    """Adds an option for each budget, given under the budget's own name."""
    return _amount_options(
        command,
        LARGEST_BUDGET,
        ("--day", "budget_day", "Tokens per day (UTC)."),
        ("--month", "budget_month", "Tokens per month (UTC)."),
        ("--total", "budget_total", "Tokens in all."),
    )


def _amount_options(command: _Command, largest: int, *options: tuple[str, str, str]) -> _Command:
    for flag, name, text in reversed(options):
        add = click.option(
            flag, name, callback=amount(largest), metavar="N|none|inherit", help=text
        )
        command = add(command)
    return command


def log_prompts_option(*, default: bool | None) -> Callable[[_Command], _Command]:
    """Adds `--log-prompts` and its opposite."""
    return click.option(
        "--log-prompts/--no-log-prompts",
        default=default,
        help="Keep what is said in the key's calls, sealed (needs PROMPT_LOG_MASTER_KEY).",
    )


def confirm(question: str, *, yes: bool) -> None:
    """Let a person decide; returns if it may be done.

    Raises `Fault` where nobody can be asked, and `click.Abort` for a no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Fault("nobody is at a terminal to confirm this: say --yes")
    click.confirm(question, abort=True, err=True)


def existing(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """The name of something that should exist."""
    if value is not None and not value.isprintable():
        raise click.BadParameter("holds characters that cannot be printed")
    return value


def new_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """A name to be given; without `/`, which separates tenant and key in `tenant/name`."""
    existing(context, parameter, value)
    if not 1 <= len(value) <= _LONGEST_NAME or value != value.strip() or "/" in value:
        raise click.BadParameter(
            f"a name has 1 to {_LONGEST_NAME} characters, no / and no space at its ends"
        )
    return value


def key_reference(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """A key's prefix, or `tenant/name`; of a whole key only the prefix is kept.

    Someone pastes the key itself sooner or later, and no error may repeat it (SPEC 2, R6).
    """
    text = existing(context, parameter, value)
    return text[:PREFIX_LENGTH] if text is not None and text.startswith("nz_") else text


def amount(largest: int) -> Callable[[click.Context, click.Parameter, str | None], Amount]:
    """A limit from 1 to `largest`, or a word that leaves it to another level."""

    def parse(_: click.Context, __: click.Parameter, value: str | None) -> Amount:
        if value is None:
            return None
        if value == NONE:
            return NONE
        if value == INHERIT:
            return INHERIT
        if not re.fullmatch(r"[0-9]{1,13}", value) or not 1 <= int(value) <= largest:
            raise click.BadParameter(f"must be a whole number from 1 to {largest}, none or inherit")
        return int(value)

    return parse


def scopes(_: click.Context, __: click.Parameter, value: str) -> tuple[Scope, ...]:
    """Scopes, separated by commas, without repetitions and in the order of `Scope`."""
    words = {word.strip() for word in value.split(",")}
    known = [scope.value for scope in Scope]
    if not words <= set(known):
        raise click.BadParameter(f"must be some of {', '.join(known)}, separated by commas")
    return tuple(scope for scope in Scope if scope.value in words)


def model_names(
    _: click.Context, __: click.Parameter, value: str | None
) -> tuple[str, ...] | Literal["inherit"] | None:
    """Names of models by commas, as canonical ones; no name for `none`; or `inherit`."""
    if value is None or value == INHERIT:
        return value
    if value == NONE:
        return ()
    names = set()
    for word in value.split(","):
        canonical = canonical_name(word)
        if canonical is None:
            raise click.BadParameter(f"{word.strip()!r} is no name of a local model")
        names.add(canonical)
    return tuple(sorted(names))


def expiry(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """When a key ends, in UTC; None for `none`."""
    if value is None or value == NONE:
        return None
    now = datetime.now(UTC)
    try:
        moment = moment_of(value.strip(), now)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            "must be a span such as 30d, a date, an ISO time, or none"
        ) from None
    if moment <= now:
        raise click.BadParameter("lies in the past")
    return moment


def moment_of(text: str, now: datetime) -> datetime:
    """A span from now (`12h`, `30d`, `4w`), a date (its first second), or an ISO time, as UTC.

    A time without a zone is UTC. Raises ValueError, and OverflowError beyond the year 9999.
    """
    span = _SPAN.fullmatch(text)
    if span is not None:
        return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)
