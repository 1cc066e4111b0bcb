"""How every session of ours reaches PostgreSQL: as role gateway_app, within limits of time.

Service, command line and listener share these arguments, so that none of them can hang on a
server or hold a lock for longer than another (SPEC 12).
"""

from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.pool import NullPool, QueuePool

# psycopg takes whole seconds and no less than two.
CONNECT_TIMEOUT_S = 2

# A column named without its schema must not be found in anybody else's.
_SESSION = {
    "role": "gateway_app",
    "search_path": "gateway",
    "statement_timeout": "3000",
    "lock_timeout": "1000",
    "idle_in_transaction_session_timeout": "5000",
}

# A peer that vanished without a word is noticed within about ten seconds on an idle connection
# and within three while it owes us an acknowledgement. Unix sockets ignore all of it.
_DEAD_PEER = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 3000,
}


def database_url(url: str) -> URL:
    """A URL as SQLAlchemy takes it; `postgresql://` means psycopg 3 too.

    Raises `sqlalchemy.exc.ArgumentError` where the text is no URL; the configuration holds none.
    """
    return make_url(url).set(drivername="postgresql+psycopg")


def peer_arguments(application_name: str) -> dict[str, Any]:
    """What `psycopg.connect` is told by everybody, so that a server that vanished is noticed."""
    return {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": application_name,
        **_DEAD_PEER,
    }


def session_arguments(application_name: str) -> dict[str, Any]:
    """What a session of the service is told beside the address of the server."""
    return {
        **peer_arguments(application_name),
        "options": " ".join(f"-c {name}={value}" for name, value in _SESSION.items()),
    }


def connection_arguments(url: str, application_name: str) -> dict[str, Any]:
    """All that `psycopg.connect` is told, for a connection outside of any pool."""
    address = database_url(url)
    _, arguments = address.get_dialect()().create_connect_args(address)
    return {**arguments, **session_arguments(application_name)}


def service_engine(
    url: str, *, application_name: str, pool_size: int = 1, keep: bool = True
) -> Engine:
    """An engine whose sessions run as gateway_app; it connects at the first use.

    `pool_size` is the number of threads that use it, so none ever waits for a connection.
    Unless `keep`, each transaction has a new one. Errors never show parameters: a hash may be
    among them.
    """
    pool: dict[str, Any] = {"poolclass": NullPool}
    if keep:
        pool = {"poolclass": QueuePool, "pool_size": pool_size, "max_overflow": 0}
    return create_engine(
        database_url(url),
        connect_args=session_arguments(application_name),
        hide_parameters=True,
        use_native_hstore=False,
        **pool,
    )
