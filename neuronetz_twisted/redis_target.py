"""Which Redis is meant: the URL of the configuration, read once and strictly.

It is pure, so that a wrong URL is found with the other faults of the configuration (SPEC 10). No
message repeats any part of the URL: it may hold a password, also where it does not parse.
"""

from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from attrs import field, frozen

from neuronetz_twisted.hosts import is_host

_DEFAULT_PORT = 6379
_LAST_PORT = 65535
_LAST_DATABASE = 9999


@frozen(kw_only=True)
class RedisTarget:
    """A server, the account to use there and the database; its `repr` hides the password.

    Either `path` (an absolute Unix socket path) or `host` and `port` say where it is. `tls` means
    TLS with a verified certificate. `username` is only set along with `password`.
    """

    host: str = ""
    port: int = _DEFAULT_PORT
    path: str | None = None
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0

    @property
    def where(self) -> str:
        """The place, for people: `host:port` or the socket's path."""
        return f"{self.host}:{self.port}" if self.path is None else self.path


def parse_redis_url(url: str) -> RedisTarget:
    """The target that a URL names.

    Takes `redis://[[user]:password@]host[:port][/database]`, the same with `rediss://` for TLS, and
    `unix://[[user]:password@]/absolute/path.sock[?db=database]`. User, password and path are
    percent-decoded. Raises ValueError with a sentence for the operator.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("the Redis URL holds a space or a control character")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The original text quotes the URL, and with it the password.
        raise ValueError(
            "the Redis URL has no valid host and port; "
            "are all special characters of the password percent-encoded?"
        ) from None
    if parts.fragment:
        raise ValueError("the Redis URL holds a '#'; write it as %23")
    if parts.scheme == "unix":
        return _unix_target(parts)
    if parts.scheme in {"redis", "rediss"}:
        return _network_target(parts, port)
    raise ValueError("the Redis URL must start with redis://, rediss:// or unix://")


def _unix_target(parts: SplitResult) -> RedisTarget:
    path = unquote(parts.path)
    if parts.hostname or not path.startswith("/"):
        raise ValueError("unix:// needs an absolute path, such as unix:///run/redis.sock")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = options.pop("db", "")
    if options:
        raise ValueError("unix:// takes no option but db, such as ?db=0")
    username, password = _account(parts)
    return RedisTarget(
        path=path, username=username, password=password, database=_database(database)
    )


def _network_target(parts: SplitResult, port: int | None) -> RedisTarget:
    if not parts.hostname:
        raise ValueError("the Redis URL names no host")
    if not is_host(parts.hostname):
        raise ValueError("the host of the Redis URL is neither an address nor a valid name")
    if port is not None and not 1 <= port <= _LAST_PORT:
        raise ValueError(f"the port of the Redis URL is not in 1-{_LAST_PORT}")
    if parts.query:
        raise ValueError("redis:// and rediss:// take no options after a '?'")
    username, password = _account(parts)
    return RedisTarget(
        host=parts.hostname,
        port=_DEFAULT_PORT if port is None else port,
        tls=parts.scheme == "rediss",
        username=username,
        password=password,
        database=_database(parts.path.removeprefix("/")),
    )


def _account(parts: SplitResult) -> tuple[str | None, str | None]:
    username = unquote(parts.username or "") or None
    password = unquote(parts.password or "") or None
    if username and not password:
        raise ValueError("the Redis URL has a user without a password; write :password@host")
    return username, password


def _database(text: str) -> int:
    if not text:
        return 0
    # isdecimal alone would let other scripts' digits pass; a bound keeps int() cheap.
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LAST_DATABASE))):
        raise ValueError(f"the database of the Redis URL is not in 0-{_LAST_DATABASE}")
    return int(text)
