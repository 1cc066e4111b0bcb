"""One variable of the `.env` beside the process, changed without touching anything else in it."""

import os
import stat
import tempfile
from contextlib import suppress
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from neuronetz_twisted.cli.output import Fault

DOTENV = Path(".env")
"""Where the settings are read from, beside the environment (SPEC 10)."""

_OWNER_ONLY = 0o600
_OTHERS = 0o077


def with_variable(text: str, name: str, value: str) -> str:
    """The text of a `.env` in which a variable has a value; every other line is as it was.

    `value` holds no apostrophe and no backslash that its readers would take for one of theirs. Of
    several lines for one variable the last one counts, as it does for who reads them.
    """
    pieces = list(parse_stream(StringIO(text)))
    written = [piece.original.string for piece in pieces]
    line = f"{name}='{value}'"
    places = [at for at, piece in enumerate(pieces) if piece.key == name]
    if not places:
        end = "\r\n" if "\r\n" in text else "\n"
        gap = end if text and not text.endswith("\n") else ""
        return f"{text}{gap}{line}{end}"
    old = written[places[-1]]
    bare = old.lstrip()
    before = old[: len(old) - len(bare)]
    after = bare[len(bare.rstrip("\r\n")) :]
    export = "export " if bare.startswith("export") else ""
    written[places[-1]] = f"{before}{export}{line}{after}"
    return "".join(written)


def set_variable(name: str, value: str) -> bool:
    """Write a variable into the `.env`; whether others than its owner may read that.

    It is there whole or not at all, with its mode and its owner; a new one is its owner's alone.
    Raises `Fault`.
    """
    path = DOTENV.resolve()
    try:
        before = path.stat() if path.exists() else None
        text = path.read_bytes().decode() if before is not None else ""
        _replace(path, with_variable(text, name, value).encode(), before)
    except (OSError, UnicodeDecodeError) as error:
        raise Fault(f"{path} cannot be written: {_words_of(error)}") from None
    return before is not None and bool(before.st_mode & _OTHERS)


def _replace(path: Path, content: bytes, before: os.stat_result | None) -> None:
    descriptor, name = tempfile.mkstemp(prefix=".env.", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if before is not None:
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, _OWNER_ONLY if before is None else stat.S_IMODE(before.st_mode))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            unfinished.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """See to it that the new name survives a crash as well."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _words_of(error: OSError | UnicodeDecodeError) -> str:
    words = error.strerror if isinstance(error, OSError) else None
    return words or type(error).__name__
