"""How code that attaches reaches the embedded servers."""

from typing import Self

from attrs import field, frozen

from neuronetz_twisted.stores.embedded import postgres as pg
from neuronetz_twisted.stores.embedded import valkey
from neuronetz_twisted.stores.embedded.layout import Layout


@frozen
class EmbeddedUrls:
    """The URLs of the embedded servers; None for one that was not asked for.

    `database_url` is of the service's role gateway_app, `database_admin_url` of the superuser
    gateway_admin, both `postgresql+psycopg://ROLE:PASSWORD@/gateway?host=%2Fsocket%2Fdirectory`;
    `redis_url` is `unix://:PASSWORD@/absolute/path.sock`. Passwords are hexadecimal and paths
    plain, so that nothing needs decoding. `repr` shows none of it.
    """

    database_url: str | None = field(repr=False)
    database_admin_url: str | None = field(repr=False)
    redis_url: str | None = field(repr=False)

    @classmethod
    def of(cls, layout: Layout, *, postgres: bool, redis: bool) -> Self:
        """The URLs of the servers of a state directory."""
        return cls(
            database_url=pg.url(layout, pg.SERVICE) if postgres else None,
            database_admin_url=pg.url(layout, pg.ADMIN) if postgres else None,
            redis_url=valkey.url(layout) if redis else None,
        )
