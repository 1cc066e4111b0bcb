"""The few steps between fork and server, run as `python -I -S stub.py PLAN`.

PostgreSQL refuses to run as root, and a server must not outlive the gateway. Both can only be
arranged inside the child: it gives up its identity first, because a change of credentials clears
the death signal, then asks for that signal, then becomes the server. Standard library only: the
interpreter starts isolated and without site-packages. What it has to say goes to standard error,
which is the server's log.
"""

import ctypes
import json
import os
import pwd
import shutil
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, TypedDict

CLONE_NEWUSER = 0x10000000  # linux/sched.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Preparation(TypedDict):
    """A command that makes a directory once: `made` is cleared, filled, and renamed `becomes`."""

    argv: list[str]
    made: str
    becomes: str


class Plan(TypedDict):
    """What the gateway asks of its child; it holds no secret, since a command line is public."""

    parent: int  # the pid whose death ends the server
    death_signal: int
    home: str  # the directory whose owner the server runs as
    owned: list[str]  # trees that must belong to that owner
    refuses_root: bool
    prepare: Preparation | None
    argv: list[str]


def run(plan: Plan) -> NoReturn:
    """Become the server that the plan describes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        # A gateway started in the background of a shell may ignore these, and hand that down.
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)
    take_identity(plan)
    die_with(plan["parent"], plan["death_signal"])
    preparation = plan["prepare"]
    if preparation is not None and not os.path.exists(preparation["becomes"]):  # noqa: PTH110
        prepare(preparation)
    os.execv(plan["argv"][0], plan["argv"])  # noqa: S606 - the whole point


def take_identity(plan: Plan) -> None:
    """Leave root, or a uid without a name, where the server would refuse it."""
    owner = os.stat(plan["home"])  # noqa: PTH116
    if os.geteuid() == 0 and owner.st_uid != 0:
        become(owner.st_uid, owner.st_gid)
    if plan["refuses_root"] and (os.geteuid() == 0 or not has_name(os.geteuid())):
        if in_child(enter_user_namespace) == 0:
            enter_user_namespace()
        elif os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for tree in plan["owned"]:
                give(tree, nobody.pw_uid, nobody.pw_gid)
            become(nobody.pw_uid, nobody.pw_gid)
    if not (os.access(plan["argv"][0], os.X_OK) and os.access(plan["home"], os.W_OK | os.X_OK)):
        sys.exit(
            f"uid {os.getuid()} cannot reach {plan['argv'][0]} or {plan['home']}: "
            "run the gateway as an ordinary user who owns both"
        )


def has_name(uid: int) -> bool:
    """Whether the uid stands in the password database, which initdb insists on."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def become(uid: int, gid: int) -> None:
    """Turn root into another user for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def give(tree: str, uid: int, gid: int) -> None:
    """Hand a tree to another user."""
    for folder, _, files in os.walk(tree):
        for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118
            os.lchown(path, uid, gid)


def enter_user_namespace() -> None:
    """Look like `nobody` from inside, while every file stays with its owner outside.

    `nobody`, because the name of the mapped uid must be found in the password database.
    """
    nobody = pwd.getpwnam("nobody")
    maps = (
        ("setgroups", "deny"),
        ("uid_map", f"{nobody.pw_uid} {os.geteuid()} 1"),
        ("gid_map", f"{nobody.pw_gid} {os.getegid()} 1"),
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in maps:
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(text)


def in_child(step: Callable[[], None]) -> int:
    """Run a step in a fork and give its exit status: a namespace half entered has no way back."""
    pid = os.fork()
    if pid == 0:
        try:
            step()
        except (OSError, AttributeError, KeyError):  # denied, not Linux, no such user
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_with(parent: int, number: int) -> None:
    """Have the kernel signal this process when its parent dies, and end now if it has died.

    Only Linux can; elsewhere the next gateway on the same directory stops what was left.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        sys.exit("the gateway ended before its server began")


def prepare(preparation: Preparation) -> None:
    """Make the directory whole or not at all, whatever died in the middle the last time."""
    shutil.rmtree(preparation["made"], ignore_errors=True)
    stub = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with(stub, signal.SIGKILL)
        os.execv(preparation["argv"][0], preparation["argv"])  # noqa: S606
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        sys.exit(f"{os.path.basename(preparation['argv'][0])} failed with {status}")  # noqa: PTH119
    os.rename(preparation["made"], preparation["becomes"])  # noqa: PTH104


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
