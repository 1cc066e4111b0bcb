"""The prompt log: read one text, erase a tenant's, change the master key (SPEC 9, 11)."""

from collections.abc import Callable, Sequence
from uuid import UUID

import click
import orjson
from attrs import evolve
from sqlalchemy import Connection

from neuronetz_twisted.audit.sealing import CannotOpen, MasterKey, key_version, master_keys_in
from neuronetz_twisted.cli.options import confirm, existing, json_option, yes_option
from neuronetz_twisted.cli.output import Fault, Record, moment, note, printable, show_json, show_one
from neuronetz_twisted.cli.records import find_tenant
from neuronetz_twisted.cli.session import OperatorDatabase, database, loaded
from neuronetz_twisted.config import Settings
from neuronetz_twisted.stores import prompt_queries
from neuronetz_twisted.stores.prompt_queries import DataKey, SealedText

_BATCH = 1000


@click.group()
def prompts() -> None:
    """What was said in the calls of keys with --log-prompts."""


def master_keys_of(settings: Settings) -> Sequence[MasterKey]:
    """The operator's master keys, that in force first. Raises `Fault` where there is none."""
    if settings.prompt_log_master_key is None:
        raise Fault(
            "PROMPT_LOG_MASTER_KEY is not set, and without it no prompt is kept or read; "
            "make one with: openssl rand -base64 32"
        )
    return master_keys_in(settings.prompt_log_master_key)


@prompts.command()
@click.argument("request_id", metavar="ID", type=click.UUID)
@json_option
def show(*, request_id: UUID, as_json: bool) -> None:
    """Show what was said in one call, by its request id."""
    settings = loaded().settings
    masters = master_keys_of(settings)
    with database(settings) as operator:
        record = operator.run(lambda connection: _opened(connection, request_id, masters))
    if as_json:
        show_json(record)
        return
    text = record["text"]
    show_one({name: value for name, value in record.items() if name != "text"}, as_json=False)
    _show_text("request", text["request"], cut=text["request_cut"])
    answer = text["answer"]
    if answer is None:
        click.echo("no answer was begun")
        return
    if answer["thinking"]:
        _show_text("thinking", answer["thinking"], cut=False)
    _show_text("answer", answer["content"], cut=answer["cut"])
    if "tool_calls" in answer:
        _show_text("tool calls", answer["tool_calls"], cut=answer["cut"])


@prompts.command()
@click.option("--tenant", callback=existing, required=True, help="The tenant's name.")
@yes_option
@json_option
def erase(*, tenant: str, yes: bool, as_json: bool) -> None:
    """Destroy a tenant's data key, so that no text of its calls opens any more.

    The rows are deleted too. A backup of the database from before holds the data key still, wrapped
    by the master key: `rotate-master` makes those useless as well, once the old key is destroyed.
    """
    confirm(f"Erase all that was said in the calls of tenant {tenant!r} so far?", yes=yes)
    with database(loaded().settings) as operator:
        owner = operator.run(lambda connection: find_tenant(connection, tenant))
        keys = operator.run(
            lambda connection: prompt_queries.destroy_data_keys(connection, owner.id)
        )
        texts = _repeat(
            operator, lambda connection: prompt_queries.delete_texts(connection, owner.id, _BATCH)
        )
    show_one({"tenant": tenant, "data_keys": keys, "texts": texts}, as_json=as_json)


@prompts.command()
@json_option
def rotate_master(*, as_json: bool) -> None:
    """Wrap all data keys by the first key of PROMPT_LOG_MASTER_KEY.

    To change the master key: write the new one before the old one there, with a comma between them,
    and restart the gateways; run this; take the old one out again, and destroy it. The texts
    themselves stay as they are.
    """
    settings = loaded().settings
    masters = master_keys_of(settings)
    with database(settings) as operator:
        record = operator.run(lambda connection: _rewrapped(connection, masters))
    if record["of_other_keys"]:
        note(
            "warning: some data keys are wrapped by a master key that is not in "
            "PROMPT_LOG_MASTER_KEY; what they have sealed opens with that one alone"
        )
    show_one(record, as_json=as_json)


def _opened(connection: Connection, request_id: UUID, masters: Sequence[MasterKey]) -> Record:
    found = prompt_queries.find_text(connection, request_id)
    if found is None:
        raise Fault(f"nothing is kept of a call {request_id}")
    try:
        return _opened_text(connection, found, masters)
    except CannotOpen as error:
        raise Fault(f"the text of {request_id} cannot be read: {error}") from None


def _opened_text(connection: Connection, found: SealedText, masters: Sequence[MasterKey]) -> Record:
    key = prompt_queries.find_data_key(connection, found.tenant_id, key_version(found.sealed))
    if key is None:
        raise CannotOpen("its data key was destroyed")
    master = next((master for master in masters if master.id == key.master_id), None)
    if master is None:
        raise CannotOpen("its data key is wrapped by another master key")
    text = master.open(found.sealed, key.wrapped, tenant_id=found.tenant_id, request_id=found.id)
    return {
        "id": str(found.id),
        "tenant": found.tenant,
        "key_id": str(found.key_id),
        "started_at": moment(found.started_at),
        "expires_at": moment(found.expires_at),
        "text": orjson.loads(text),
    }


def _rewrapped(connection: Connection, masters: Sequence[MasterKey]) -> Record:
    """Wrap anew what former keys have wrapped; a key that does not open stops all of it."""
    current, former = masters[0], {master.id: master for master in masters[1:]}
    keys = prompt_queries.data_keys(connection)
    old = [key for key in keys if key.master_id in former and key.master_id != current.id]
    already = sum(key.master_id == current.id for key in keys)
    try:
        renewed = [_wrapped_by(current, former[key.master_id], key) for key in old]
    except CannotOpen as error:
        raise Fault(f"nothing was changed: {error}") from None
    prompt_queries.replace_wrapped(connection, renewed)
    return {
        "rewrapped": len(old),
        "wrapped_already": already,
        "of_other_keys": len(keys) - len(old) - already,
    }


def _wrapped_by(current: MasterKey, former: MasterKey, key: DataKey) -> DataKey:
    wrapped = current.rewrap(key.wrapped, former, key.tenant_id, key.version)
    return evolve(key, wrapped=wrapped, master_id=current.id)


def _repeat(operator: OperatorDatabase, delete: Callable[[Connection], int]) -> int:
    """Delete in transactions that are short enough for anybody; how many it were in all."""
    total = 0
    while count := operator.run(delete):
        total += count
    return total


def _show_text(what: str, text: str, *, cut: bool) -> None:
    click.echo(f"{what}, the first 64 KiB of it:" if cut else f"{what}:")
    for line in text.split("\n"):
        click.echo(f"  {printable(line)}")
