"""Whether the record is as it was written, and how what was refused comes back (SPEC 9, 11)."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import click
from attrs import asdict
from sqlalchemy import Connection

from neuronetz_twisted.audit.anchors import Anchors
from neuronetz_twisted.audit.batches import REFUSALS, is_of_values
from neuronetz_twisted.audit.dead_letters import DEAD_LETTERS, read_letters
from neuronetz_twisted.audit.findings import Finding
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.audit.signers import SIGNERS_FILE, SignerFile, checkpoint_file
from neuronetz_twisted.audit.signing import PUBLIC_BYTES, SigningFault, keys_in
from neuronetz_twisted.audit.verify import Tally
from neuronetz_twisted.audit.verify import verify as verified
from neuronetz_twisted.cli.options import json_option
from neuronetz_twisted.cli.output import Fault, note, printable, show_json, show_one
from neuronetz_twisted.cli.session import database, loaded
from neuronetz_twisted.config import Settings
from neuronetz_twisted.stores import audit_reading, audit_rows, ledger_reading

T = TypeVar("T")


def _public_key(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> list[bytes]:
    try:
        keys = [bytes.fromhex(text) for text in value]
    except ValueError:
        keys = [b""]
    if any(len(key) != PUBLIC_BYTES for key in keys):
        raise click.BadParameter(f"must be {PUBLIC_BYTES} bytes in hex")
    return keys


@click.command()
@click.option(
    "--signer",
    "signers",
    multiple=True,
    callback=_public_key,
    metavar="HEX",
    help="A public key that signed, besides those that the state directory knows.",
)
@json_option
def verify(*, signers: Collection[bytes], as_json: bool) -> None:
    """Compare the record with its chains and with what was signed; exit status 1 for findings.

    It reads the state directory of a gateway: who signs, and the checkpoint file.
    """
    settings = loaded().settings
    check = _Check(settings, Anchors(_trusted(settings, signers)), as_json=as_json)
    with database(settings) as operator:
        operator.run(check)
    check.conclude()
    if check.findings:
        click.get_current_context().exit(1)


def _trusted(settings: Settings, signers: Collection[bytes]) -> set[bytes]:
    """The public keys whose signatures count. Raises `Fault` where there is none."""
    own = settings.audit_signing_key
    try:
        known = SignerFile(settings.state_dir / SIGNERS_FILE).trusted()
    except SigningFault as error:
        raise Fault(str(error)) from None
    trusted = {*signers, *known, *(key.public for key in (keys_in(own) if own else ()))}
    if not trusted:
        raise Fault(
            f"nothing can be verified: there is no {SIGNERS_FILE} in {settings.state_dir}, "
            "neither AUDIT_SIGNING_KEY nor --signer is given"
        )
    return trusted


class _Check:
    """One verification, called with a connection in a transaction of its own."""

    def __init__(self, settings: Settings, anchors: Anchors, *, as_json: bool) -> None:
        self._has_signers = (settings.state_dir / SIGNERS_FILE).exists()
        self._file = checkpoint_file(settings.audit_checkpoint_file, settings.state_dir)
        self._anchors = anchors
        self._as_json = as_json
        self._tally = Tally()
        self._letters = settings.state_dir / DEAD_LETTERS
        self.findings: list[Finding] = []

    def __call__(self, connection: Connection) -> None:
        """Read everything, and tell what is found when it is."""
        # Before the database is looked at: what is signed meanwhile is not in what is read there.
        size = self._size()
        audit_reading.begin_reading(connection)
        published = iter(()) if size is None else _read(self._file.read(size))
        self._tell(self._anchors.gather(audit_reading.statements(connection), published))
        if size is None:
            self._tell(self._without_file())
        # Behind the statement that fixes what is seen: a letter is there before its tombstone.
        letters = {letter.final for letter in _read(read_letters(self._letters))}
        rows = audit_reading.chains(connection)
        columns = audit_reading.VERIFIED
        self._tell(verified(rows, columns, self._anchors, self._tally, letters))
        self._tell(ledger_reading.differences(connection))

    def conclude(self) -> None:
        """Say what was read, and what it cannot prove."""
        tally = self._tally
        if self._as_json:
            show_json(
                {
                    "ok": not self.findings,
                    "checkpoints": self._anchors.statements,
                    **asdict(tally),
                    "findings": [finding.as_json() for finding in self.findings],
                }
            )
            return
        if not self.findings:
            click.echo(
                f"all well: {tally.records} records of {tally.writers} writers, "
                f"{self._anchors.statements} checkpoints"
            )
        if tally.unsigned:
            note(f"note: {tally.unsigned} records are newer than the last checkpoint")
        if tally.foreign:
            note(f"note: {tally.foreign} records were not compared: who signs them is not known")
        if tally.dead_letters:
            note(f"note: {tally.dead_letters} records are dead letters: see audit replay")

    def _size(self) -> int | None:
        with _plain_file_faults():
            return self._file.size()

    def _without_file(self) -> Iterator[Finding]:
        """There is no checkpoint file, which is as it should be only away from the gateway."""
        if self._has_signers:
            yield Finding(what="checkpoint", text=f"the file {self._file.path} is missing")
        else:
            note(f"note: without {self._file.path} a tail cut with its checkpoints is not seen")

    def _tell(self, findings: Iterator[Finding]) -> None:
        for finding in findings:
            self.findings.append(finding)
            if not self._as_json:
                click.echo(printable(finding.line))


@click.command()
@json_option
def replay(*, as_json: bool) -> None:
    """Put records back that the database refused once; exit status 1 if it still does.

    It reads the state directory of a gateway, where they are kept.
    """
    settings = loaded().settings
    told = {"replaced": 0, "refused": 0, "not_waiting": 0}
    with database(settings) as operator:
        for letter in _read(read_letters(settings.state_dir / DEAD_LETTERS)):
            told[operator.run(partial(_put_back, letter.final))] += 1
    show_one(told, as_json=as_json)
    if told["refused"]:
        click.get_current_context().exit(1)


def _read(things: Iterator[T]) -> Iterator[T]:
    """What is read of a file of the state directory. Raises `Fault` where it cannot be."""
    with _plain_file_faults():
        yield from things


@contextmanager
def _plain_file_faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Fault(f"cannot read {error.filename}: {error.strerror}") from None


def _put_back(final: Final, connection: Connection) -> str:
    try:
        with connection.begin_nested():
            replaced = audit_rows.replace_tombstone(connection, final)
    except REFUSALS as error:
        if not is_of_values(error):
            raise
        return "refused"
    return "replaced" if replaced else "not_waiting"
