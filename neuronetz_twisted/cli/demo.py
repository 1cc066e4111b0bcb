"""A working gateway on this machine with one command, gone with another (SPEC 13)."""

import os
from typing import Any

import click

from neuronetz_twisted import PROGRAM
from neuronetz_twisted.cli.address import base_url
from neuronetz_twisted.cli.demo_access import DemoClient, working_key
from neuronetz_twisted.cli.demo_home import DemoHome, gateway_variables
from neuronetz_twisted.cli.demo_servers import DemoServers
from neuronetz_twisted.cli.options import PREFIX_LENGTH, json_option
from neuronetz_twisted.cli.output import Fault, note, show_json


@click.group("demo", invoke_without_command=True)
@click.option("--down", is_flag=True, help="End the demo and remove its data.")
@json_option
@click.pass_context
def run_demo(context: click.Context, *, down: bool, as_json: bool) -> None:
    """Run a demo in the background, below .demo/ in the current directory.

    It brings its own database, Redis and mock model host. DEMO_PORT (8080) is its port; 0 takes a
    free one. Any variable of the gateway may be set: OLLAMA_BASE_URL takes a real Ollama.
    """
    if context.invoked_subcommand is not None:
        return
    home = DemoHome.here()
    with home.locked():
        if down:
            _down(home, as_json=as_json)
        else:
            _up(home, as_json=as_json)


@run_demo.command(
    "cli",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def demo_cli(context: click.Context, *, arguments: tuple[str, ...]) -> None:
    """Run any other command against the demo."""
    state = DemoHome.here().load()
    if state is None:
        raise Fault(f"there is no demo in this directory: start one with {PROGRAM} demo")
    for name in gateway_variables(os.environ):
        del os.environ[name]
    os.environ.update(state.environment)
    root: Any = context.find_root().command
    root.main(args=list(arguments), prog_name=PROGRAM)


def _up(home: DemoHome, *, as_json: bool) -> None:
    servers = DemoServers(home)
    state, settings = servers.up(os.environ)
    url = base_url(settings)
    key = working_key(settings, url, state.key)
    home.save(state.with_key(key))
    record = {
        "base_url": url,
        "key": key,
        "key_prefix": key[:PREFIX_LENGTH],
        "playground_url": None,
        "mock_url": state.mock_url,
        "state_dir": str(settings.state_dir),
    }
    if as_json:
        show_json(record)
        return
    click.echo(f"\nThe gateway is at {url}")
    click.echo(f"  key    {key}")
    click.echo(f"  model  {state.mock_url or settings.ollama_base_url}")
    click.echo(f"  logs   {servers.gateway.log}")
    if state.mock_url is not None:
        click.echo(f"         {servers.mock.log}")
    _show_calls(DemoClient(url, key))
    click.echo("\nMore: ./demo.sh cli --help   End: ./demo.sh --down")


def _show_calls(client: DemoClient) -> None:
    model = client.chat_model()
    if model is None:
        note("note: no model that can chat is installed; the first two commands need one")
    for words, command in client.curls(model):
        click.echo(f"\n# {words}\n{command}")


def _down(home: DemoHome, *, as_json: bool) -> None:
    there = home.path.exists()
    if there:
        DemoServers(home).down()
        home.remove()
    if as_json:
        show_json({"removed": there})
    else:
        click.echo("the demo has ended and its data is gone" if there else "there is no demo here")
