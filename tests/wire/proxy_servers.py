"""nginx and HAProxy as processes of a test, in front of a gateway, each in its own directory.

They listen on a Unix socket in that directory, so that no port has to be found, and run as whoever
runs the test. `forwarded` says what a proxy believes to have sent on: its own log.
"""

import json
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from os import environ
from pathlib import Path

from attrs import define, frozen
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.processes import Program, eventually

_NGINX = """\
daemon off;
master_process off;
pid nginx.pid;
error_log error.log info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  log_format forwarded escape=json
    '{{"method":"$request_method","target":"$request_uri","status":"$upstream_status",'
    '"id":"$upstream_http_x_request_id","server":"$upstream_addr"}}';
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  client_max_body_size 0;
  large_client_header_buffers 4 32k;
  upstream gateway {{ server 127.0.0.1:{port}; keepalive 8; }}
  server {{
    listen unix:{socket};
    access_log {log} forwarded;
    location / {{
      proxy_pass http://gateway;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_request_buffering {buffering};
      proxy_buffering off;
      proxy_next_upstream off;
    }}
  }}
}}
"""

_HAPROXY = """\
global
  log stdout format raw local0 info
  maxconn 256
defaults
  mode http
  log global
  timeout connect 5s
  timeout client 20s
  timeout server 20s
  timeout http-request 20s
  option http-keep-alive
  http-reuse always
frontend clients
  bind unix@{socket}
  declare capture response len 64
  http-response capture res.hdr(X-Request-ID) id 0
  log-format "{mark}|%s|%ST|%[capture.res.hdr(0)]|%HM|%HU"
  default_backend gateways
backend gateways
  server gateway 127.0.0.1:{port}
"""

_MARK = "forwarded"
_NO_SERVER = "<NOSRV>"


@frozen(kw_only=True)
class Forwarded:
    """One request that a proxy has sent on; `request_id` is empty where no answer came."""

    method: str
    target: str
    status: int
    request_id: str


@define(eq=False)
class Proxy:
    """A proxy that runs."""

    name: str
    home: Path
    program: Program
    _read: Callable[["Proxy"], list[Forwarded]]

    @property
    def socket(self) -> str:
        """Where it listens."""
        return str(self.home / "clients")

    def forwarded(self) -> list[Forwarded]:
        """All that it has sent on, as far as its log says by now."""
        return self._read(self)

    def end(self) -> None:
        """End it and remove its directory."""
        self.program.end()
        shutil.rmtree(self.home, ignore_errors=True)


def nginx(case: SynchronousTestCase, port: int, *, buffering: bool) -> Proxy:
    """An nginx that sends everything to `port`; with `buffering`, whole bodies only."""
    executable = _found("nginx")
    home = Path(tempfile.mkdtemp(prefix="nz"))
    config = _NGINX.format(
        port=port,
        socket=home / "clients",
        log=home / "forwarded.log",
        buffering="on" if buffering else "off",
    )
    (home / "nginx.conf").write_text(config, encoding="ascii")
    arguments = [executable, "-p", str(home), "-c", "nginx.conf", "-e", "stderr"]
    return _started(case, home, "nginx", arguments, _read_nginx)


def haproxy(case: SynchronousTestCase, port: int) -> Proxy:
    """An HAProxy that sends everything to `port`."""
    executable = _found("haproxy")
    home = Path(tempfile.mkdtemp(prefix="nz"))
    config = _HAPROXY.format(port=port, socket=home / "clients", mark=_MARK)
    (home / "haproxy.cfg").write_text(config, encoding="ascii")
    return _started(case, home, "haproxy", [executable, "-db", "-f", "haproxy.cfg"], _read_haproxy)


def _found(program: str) -> str:
    path = f"{environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    executable = shutil.which(program, path=path)
    if executable is None:
        raise SkipTest(f"{program} is not installed")
    return executable


def _started(
    case: SynchronousTestCase,
    home: Path,
    name: str,
    arguments: Sequence[str],
    read: Callable[[Proxy], list[Forwarded]],
) -> Proxy:
    program = Program(list(arguments), dict(environ), home / "output.log")
    proxy = Proxy(name, home, program, read)
    case.addCleanup(proxy.end)
    eventually(lambda: _listens(home / "clients") or not program.runs())
    if not program.runs():
        raise AssertionError(f"{name} ended:\n{program.output}")
    return proxy


def _read_nginx(proxy: Proxy) -> list[Forwarded]:
    path = proxy.home / "forwarded.log"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [json.loads(line) for line in lines]
    return [
        Forwarded(
            method=line["method"],
            target=line["target"],
            status=int(line["status"]) if line["status"].isdigit() else 0,
            request_id=line["id"],
        )
        for line in found
        if line["server"]
    ]


def _read_haproxy(proxy: Proxy) -> list[Forwarded]:
    found = []
    for line in proxy.program.output.splitlines():
        mark, _, rest = line.partition("|")
        if mark != _MARK:
            continue
        server, status, request_id, method, target = rest.split("|", 4)
        if server != _NO_SERVER:
            request_id = request_id.replace("-", "", 1) if request_id == "-" else request_id
            found.append(
                Forwarded(method=method, target=target, status=int(status), request_id=request_id)
            )
    return found


def _listens(address: Path) -> bool:
    """Whether somebody listens there; the socket is in its place a moment earlier."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(address)) == 0
