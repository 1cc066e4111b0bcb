"""Who signs: the key of this gateway, and every key that ever did.

    audit-signing.key        the seeds, the newest first; only where AUDIT_SIGNING_KEY is unset
    audit-signers.jsonl      every key that ever signed, each vouched for by a former one

A new key is put in front of the former one, which is needed for one start. The calls block; the
gateway makes them at its start (SPEC 9).
"""

import base64
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from neuronetz_twisted.audit.append_only import (
    OURS_ALONE,
    append,
    appending,
    items,
    line_of,
    sync_directory,
)
from neuronetz_twisted.audit.checkpoints import CHECKPOINT_FILE, CheckpointFile, Signer
from neuronetz_twisted.audit.signing import (
    Introduction,
    SigningFault,
    SigningKey,
    introduce,
    keys_in,
    trusted_signers,
)
from neuronetz_twisted.variables import KEY_BYTES

KEY_FILE = "audit-signing.key"
SIGNERS_FILE = "audit-signers.jsonl"

_MICROSECONDS = 1_000_000


@frozen
class SignerFile:
    """The keys that have signed so far, of which the first is trusted because it was the first."""

    path: Path

    def introductions(self) -> list[Introduction]:
        """All lines; empty where there is no file. Raises `SigningFault`."""
        try:
            lines = list(items(self.path, _introduction_of))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SigningFault(f"cannot read {self.path}: {error.strerror}") from None
        whole = [line for line in lines if isinstance(line, Introduction)]
        if len(whole) != len(lines):
            raise SigningFault(f"{self.path} is damaged")
        return whole

    def trusted(self) -> frozenset[bytes]:
        """The public keys whose statements count. Raises `SigningFault`."""
        try:
            return trusted_signers(self.introductions())
        except ValueError as error:
            raise SigningFault(f"{self.path}: {error}") from None

    def admit(self, keys: tuple[SigningKey, ...], at: int) -> None:
        """Make sure that the first of `keys` is trusted; a former one among them vouches for it.

        `at` is in microseconds since 1970. Raises `SigningFault`.
        """
        new = keys[0]
        with appending(self.path) as descriptor:
            trusted = self.trusted()
            if new.public in trusted:
                return
            known = [key for key in keys if key.public in trusted]
            if trusted and not known:
                raise SigningFault(
                    "AUDIT_SIGNING_KEY is not the key that has signed so far: add the former one "
                    f"behind it, after a comma, or begin anew without {self.path}"
                )
            made = introduce(new, by=known[0] if known else new, at=at)
            append(
                descriptor,
                line_of(
                    statement=made.statement.decode("ascii"),
                    signature=base64.b64encode(made.signature).decode("ascii"),
                    signer=made.signer.hex(),
                ),
            )


def signing_keys(setting: str | None, state_dir: Path) -> tuple[SigningKey, ...]:
    """The key that signs now, and behind it those that can vouch for it.

    `setting` is AUDIT_SIGNING_KEY. Without it the key of the state directory signs, which is made
    where there is none. Raises `SigningFault`.
    """
    path = state_dir / KEY_FILE
    named = () if setting is None else keys_in(setting)
    try:
        return named + _file_keys(path) or _make_key(path)
    except ValueError as error:
        raise SigningFault(f"{path}: {error}") from None
    except OSError as error:
        raise SigningFault(f"cannot use {path}: {error.strerror}") from None


def open_signer(
    setting: str | None, *, state_dir: Path, checkpoints: Path | None, now: Callable[[], float]
) -> Signer:
    """A signer with its files in place, at the start of a gateway. Raises `SigningFault`.

    `setting` is AUDIT_SIGNING_KEY and `checkpoints` AUDIT_CHECKPOINT_FILE; `now` gives the time in
    seconds since 1970.
    """
    keys = signing_keys(setting, state_dir)
    try:
        SignerFile(state_dir / SIGNERS_FILE).admit(keys, int(now() * _MICROSECONDS))
        file = checkpoint_file(checkpoints, state_dir)
        file.create()
        return Signer(keys[0], file, now)
    except OSError as error:
        raise SigningFault(f"cannot use {error.filename}: {error.strerror}") from None


def checkpoint_file(setting: Path | None, state_dir: Path) -> CheckpointFile:
    """Where statements are kept; `setting` is AUDIT_CHECKPOINT_FILE."""
    return CheckpointFile(setting or state_dir / CHECKPOINT_FILE)


def _file_keys(path: Path) -> tuple[SigningKey, ...]:
    try:
        return keys_in(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return ()


def _make_key(path: Path) -> tuple[SigningKey, ...]:
    """A new key, whole or not at all; of two processes that begin at once both get the same."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    seed = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OURS_ALONE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(seed)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
        sync_directory(path.parent)
    finally:
        draft.unlink()
    return _file_keys(path)


def _introduction_of(fields: Any) -> Introduction:
    made = Introduction(
        fields["statement"].encode("ascii"),
        base64.b64decode(fields["signature"], validate=True),
        bytes.fromhex(fields["signer"]),
    )
    if made.introduced:
        return made
    raise ValueError
