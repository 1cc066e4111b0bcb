"""Each peer with the command that starts it; what it needs stands beside this file."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import frozen

from benchmarks.programs import Missing, Program, listens
from benchmarks.targets import NO_LIMIT, Place, Running, version_of

_HERE = Path(__file__).parent
_MASTER_KEY = "sk-bench"


@frozen(kw_only=True)
class Launch:
    """How a peer is started, what a client of it sends, and which version it is."""

    arguments: list[str]
    version: str
    headers: tuple[str, ...] = ()
    environ: Mapping[str, str] = {}


@frozen(kw_only=True)
class Peer:
    """A target that others wrote. More paced streams than `most_streams` it does not survive."""

    name: str
    label: str
    launch: Callable[[Place], Launch]
    most_streams: int = NO_LIMIT

    def start(self, place: Place) -> Running:
        """Start it; returns once it accepts connections. Raises `Missing`."""
        launch = self.launch(place)
        # A peer in Python shall not find the gateway's packages.
        environ = {"PYTHONPATH": "", "PYTHONNOUSERSITE": "1", **launch.environ}
        program = Program(launch.arguments, place.scratch / f"{self.name}.log", environ)
        try:
            program.wait_until(lambda: listens(place.port))
        except BaseException:
            program.stop()
            raise
        return Running(
            name=self.name,
            label=self.label,
            program=program,
            port=place.port,
            headers=launch.headers,
            version=launch.version,
            most_streams=self.most_streams,
        )


def _program(name: str, package: str) -> str:
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise Missing(f"{name} is not there: on Debian and Ubuntu, install the package {package}")
    return found


def _installed(path: Path) -> str:
    if not path.exists():
        raise Missing("not installed: run benchmarks/peers/install.sh")
    return str(path)


def _package(python: str, name: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return f"{name} {version_of([python, '-c', code])}"


def _nginx(place: Place) -> Launch:
    program = _program("nginx", "nginx-light")
    text = (_HERE / "nginx.conf").read_text()
    text = text.replace("@PORT@", str(place.port)).replace("@UPSTREAM@", str(place.upstream_port))
    configuration = place.scratch / "nginx.conf"
    configuration.write_text(text)
    return Launch(
        arguments=[program, "-p", str(place.scratch), "-c", str(configuration), "-e", "stderr"],
        version=version_of([program, "-v"]).removeprefix("nginx version: "),
    )


def _caddy(place: Place) -> Launch:
    program = _program("caddy", "caddy")
    arguments = ["run", "--config", str(_HERE / "Caddyfile"), "--adapter", "caddyfile"]
    return Launch(
        arguments=[program, *arguments],
        version=f"caddy {version_of([program, 'version']).split()[0]}",
        environ={
            "PORT": str(place.port),
            "UPSTREAM": f"127.0.0.1:{place.upstream_port}",
            # It keeps its last configuration there.
            "XDG_CONFIG_HOME": str(place.scratch),
            "XDG_DATA_HOME": str(place.scratch),
        },
    )


def _relay(place: Place, script: str, *packages: str) -> Launch:
    python = _installed(place.installed / "relays" / "bin" / "python")
    return Launch(
        arguments=[python, str(_HERE / script), str(place.port), place.upstream],
        version=", ".join(_package(python, package) for package in packages),
    )


def _aiohttp(place: Place) -> Launch:
    return _relay(place, "aiohttp_relay.py", "aiohttp")


def _fastapi(place: Place) -> Launch:
    return _relay(place, "fastapi_relay.py", "fastapi", "httpx", "uvicorn")


def _litellm(place: Place) -> Launch:
    bin_ = place.installed / "litellm" / "bin"
    program = _installed(bin_ / "litellm")
    options = ["--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"]
    return Launch(
        arguments=[program, "--config", str(_HERE / "litellm.yaml"), *options],
        version=_package(str(bin_ / "python"), "litellm"),
        headers=(f"Authorization: Bearer {_MASTER_KEY}",),
        environ={
            "UPSTREAM": f"{place.upstream}/v1",
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "NO_DOCS": "True",
        },
    )


def _portkey(place: Place) -> Launch:
    package = place.installed / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
    script = _installed(package / "build" / "start-server.js")
    node = _program("node", "nodejs")
    return Launch(
        arguments=[
            node,
            "-r",
            str(_HERE / "portkey.cjs"),
            script,
            f"--port={place.port}",
            "--headless",
        ],
        version=f"@portkey-ai/gateway {version_of([node, '-p', _version_in(package)])}",
        headers=(
            "Authorization: Bearer none",
            "x-portkey-provider: openai",
            f"x-portkey-custom-host: {place.upstream}/v1",
        ),
        environ={"NODE_ENV": "production"},
    )


def _version_in(package: Path) -> str:
    return f"require({str(package / 'package.json')!r}).version"


PEERS = (
    Peer(name="nginx", label="nginx, pass-through", launch=_nginx),
    Peer(name="caddy", label="Caddy, pass-through", launch=_caddy),
    Peer(name="aiohttp", label="aiohttp, bare relay", launch=_aiohttp),
    Peer(name="fastapi", label="FastAPI + httpx, bare relay", launch=_fastapi, most_streams=500),
    Peer(name="portkey", label="Portkey gateway, no auth", launch=_portkey, most_streams=500),
    Peer(name="litellm", label="LiteLLM proxy, master key", launch=_litellm, most_streams=100),
)
