"""The gateway itself, in the foreground: the same tree as `twistd -n neuronetz` (SPEC 14)."""

import os
import sys

import click

# twistd has no module to run, and its script need not lie on the path.
_TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"


@click.command("serve")
@click.option("--migrate", is_flag=True, help="Bring the schema up to date first.")
def run_gateway(*, migrate: bool) -> None:
    """Run the gateway in the foreground."""
    command = twistd_command(migrate=migrate)
    os.execv(command[0], command)  # noqa: S606 - our own interpreter


def twistd_command(*, migrate: bool) -> list[str]:
    """The program that runs the gateway, with its arguments.

    `-P` keeps the current directory from being searched for modules.
    """
    twistd = [sys.executable, "-P", "-c", _TWISTD, "-n", "--pidfile=", "neuronetz"]
    return [*twistd, "--migrate"] if migrate else twistd
