"""`python -m mock_ollama`: the twin as a process, on a loopback address only."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from ipaddress import ip_address
from os import getpid
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor
from twisted.internet.error import CannotListenError

from mock_ollama.app import MockOllama
from mock_ollama.catalogue import DEFAULT_MODELS
from mock_ollama.control import Settings
from mock_ollama.scheduler import MAX_QUEUE

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address, IPv6Address

_BACKLOG = 1024
_USAGE_ERROR = 2


def _parse(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="mock_ollama", description="An honest twin of Ollama for tests.")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=11434, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port")
    parser.add_argument("--models", default=",".join(DEFAULT_MODELS), help="names, comma separated")
    parser.add_argument(
        "--num-parallel", type=int, default=0, help="requests at once on a model, 0 for any number"
    )
    parser.add_argument("--max-queue", type=int, default=MAX_QUEUE, help="how many may wait")
    parser.add_argument("--load-time", type=float, default=0.0, help="seconds to load a model")
    return parser.parse_args(arguments)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _write_whole(path: Path, text: str) -> None:
    """Write a file that a waiting reader sees either not at all or complete."""
    unfinished = path.with_name(f"{path.name}.{getpid()}")
    unfinished.write_text(text)
    unfinished.replace(path)


def main(arguments: Sequence[str]) -> int:
    """Listen until a signal ends the process, and give its exit status."""
    options = _parse(arguments)
    host = "127.0.0.1" if options.host == "localhost" else options.host
    if not _is_loopback(host):
        sys.stderr.write(f"mock_ollama: {host} is no loopback address\n")
        return _USAGE_ERROR
    models = [name.strip() for name in options.models.split(",") if name.strip()]
    settings = Settings(
        num_parallel=options.num_parallel,
        max_queue=options.max_queue,
        load_time=options.load_time,
    )
    # Twisted's own type of a factory does not fit its Site.
    site = cast("Any", MockOllama(reactor, models, settings).site())
    try:
        port = reactor.listenTCP(options.port, site, backlog=_BACKLOG, interface=host)
    except CannotListenError as error:
        sys.stderr.write(f"mock_ollama: {error}\n")
        return 1
    number = cast("IPv4Address | IPv6Address", port.getHost()).port
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"mock_ollama listening on http://{shown}:{number}\n")
    sys.stdout.flush()
    if options.port_file is not None:
        _write_whole(options.port_file, f"{number}\n")
    reactor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
