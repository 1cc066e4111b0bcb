"""The state directory's `embedded/` folder: who owns it, what lies where, who may read it.

embedded/            0700
  lock               flock held by the owning gateway, holds its pid
  servers.lock       flock that every server inherits: free means that all are gone
  ready              which servers answer, written by the owner
  pg/  pg.new/       the cluster; initdb works in pg.new, which is renamed when whole
  run/               0700, the sockets (or `run_dir` names a short directory elsewhere)
  *.password  *.pid  *.log  valkey.conf      0600
"""

import fcntl
import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from attrs import frozen

from neuronetz_twisted.stores.embedded.errors import EmbeddedError

_PRIVATE = 0o700

# 104 bytes with the closing NUL on macOS, 108 on Linux (sys/un.h), less the longest socket's name.
LONGEST_RUN_DIR = 103 - len("/.s.PGSQL.5432")

# A comma separates hosts for libpq and directories for PostgreSQL; the rest needs no quoting
# in any URL or configuration file.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


@frozen
class Layout:
    """Paths below one state directory."""

    home: Path

    @classmethod
    def of(cls, state_dir: Path) -> "Layout":
        """The layout below a state directory, which need not exist yet."""
        return cls(state_dir.absolute() / "embedded")

    def create(self) -> None:
        """Make the folder, or make sure that an existing one is private.

        Made by root, it belongs to the state directory's owner, so that an accidental `sudo`
        locks nobody out. Raises EmbeddedError where the folder belongs to another user.
        """
        try:
            self.home.parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            if not self.home.exists():
                self.home.mkdir(mode=_PRIVATE)
                if os.geteuid() == 0:
                    owner = self.home.parent.stat()
                    os.chown(self.home, owner.st_uid, owner.st_gid)
            self.home.chmod(_PRIVATE)
        except OSError as error:
            raise EmbeddedError(
                f"cannot use {self.home} below GATEWAY_STATE_DIR: {error.strerror}"
            ) from error

    def log(self, server: str) -> Path:
        """Where a server's output goes."""
        return self.home / f"{server}.log"

    def pid_file(self, server: str) -> Path:
        """Where a server's pid stands for a later gateway that must stop what was left."""
        return self.home / f"{server}.pid"

    def password(self, role: str) -> str:
        """The generated password of a role, made at the first call."""
        path = self.home / f"{role}.password"
        if not path.exists():
            self.write(path, secrets.token_hex(32))
        return path.read_text(encoding="ascii")

    def has_password(self, role: str) -> bool:
        """Whether a role's password was made already."""
        return (self.home / f"{role}.password").exists()

    def password_file(self, role: str) -> Path:
        """The 0600 file that holds a role's password, made if it is not there."""
        self.password(role)
        return self.home / f"{role}.password"

    def write(self, path: Path, text: str) -> None:
        """Replace a private file, whole or not at all; it belongs to whoever owns the folder."""
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            self._share_owner(descriptor)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)

    def open_private(self, path: Path, flags: int) -> int:
        """A descriptor of a 0600 file, made if it is not there; not inherited by programs."""
        descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._share_owner(descriptor)
        return descriptor

    def run_dir(self) -> Path:
        """The private directory of the sockets, made if it is not there.

        `embedded/run`, unless its path is too long for a socket or holds characters that a
        connection string would take apart; then a short one whose name is remembered.
        """
        run = self.home / "run"
        if len(os.fsencode(run)) <= LONGEST_RUN_DIR and _PLAIN_PATH.fullmatch(str(run)):
            run.mkdir(mode=_PRIVATE, exist_ok=True)
            self._share_owner(run)
            return run
        return self._short_run_dir(self.home / "run_dir")

    def _short_run_dir(self, memory: Path) -> Path:
        if memory.exists():
            run = Path(memory.read_text(encoding="utf-8"))
            if self._is_private(run):
                return run
        # Below /tmp and not TMPDIR, which may be long itself.
        run = Path(tempfile.mkdtemp(prefix="neuronetz-", dir="/tmp"))
        self._share_owner(run)
        self.write(memory, str(run))
        return run

    def _is_private(self, run: Path) -> bool:
        """Whether a directory in a public place is still ours alone."""
        try:
            found = run.lstat()
        except OSError:
            return False
        mine = found.st_uid == self.home.stat().st_uid
        return mine and stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == _PRIVATE

    def _share_owner(self, target: Path | int) -> None:
        """As root, let a file belong to the folder's owner, as whom the servers run."""
        if os.geteuid() == 0:
            owner = self.home.stat()
            os.chown(target, owner.st_uid, owner.st_gid)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take a flock without waiting; whether it was free."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
