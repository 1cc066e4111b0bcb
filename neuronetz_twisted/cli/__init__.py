"""The command line: all that an operator does with tenants, keys, models and the schema (SPEC 11).

There is no administration over HTTP; this and the manhole are the whole surface. Each noun has a
module; this one only lists their commands.
"""

import click

from neuronetz_twisted import PROGRAM, __version__
from neuronetz_twisted.cli.audit import audit
from neuronetz_twisted.cli.backend_changes import add_backend, remove_backend
from neuronetz_twisted.cli.backends import list_backends, probe_ollama
from neuronetz_twisted.cli.configuration import config
from neuronetz_twisted.cli.database import migrate
from neuronetz_twisted.cli.demo import run_demo
from neuronetz_twisted.cli.keys import (
    disable_key,
    enable_key,
    list_keys,
    revoke_key,
    set_key,
)
from neuronetz_twisted.cli.limits import set_budget, set_limits
from neuronetz_twisted.cli.models import list_models, set_models
from neuronetz_twisted.cli.new_keys import create_key
from neuronetz_twisted.cli.prompts import prompts
from neuronetz_twisted.cli.serve import run_gateway
from neuronetz_twisted.cli.tenants import (
    create_tenant,
    disable_tenant,
    enable_tenant,
    list_tenants,
)
from neuronetz_twisted.cli.usage import show_usage


@click.group()
@click.version_option(__version__, prog_name=PROGRAM)
def gateway() -> None:
    """Operate the gateway in front of an Ollama host.

    Settings come from environment variables and from a .env in the current directory; `config`
    shows them. Exit status: 0 done, 1 not done, 2 wrong usage or configuration.
    """


for command in (
    create_tenant,
    list_tenants,
    disable_tenant,
    enable_tenant,
    create_key,
    list_keys,
    set_key,
    disable_key,
    enable_key,
    revoke_key,
    set_limits,
    set_budget,
    set_models,
    list_models,
    prompts,
    audit,
    show_usage,
    probe_ollama,
    list_backends,
    add_backend,
    remove_backend,
    migrate,
    config,
    run_gateway,
    run_demo,
):
    gateway.add_command(command)


def main() -> None:
    """The console script `neuronetz-gateway`."""
    gateway.main(prog_name=PROGRAM)
