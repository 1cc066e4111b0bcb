"""Start in order, stop in order.

    embedded servers -> (migrations) -> files of the record
        -> stores -> the record -> revocations, discovery -> edge

`MultiService` starts all children at once and stops all at once; here each step waits for the one
before, and the stop goes the other way, one service after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import evolve, frozen
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from neuronetz_twisted.config import Settings
from neuronetz_twisted.edge.site import CannotOpen, EdgeService
from neuronetz_twisted.relay.live import LiveCalls
from neuronetz_twisted.stores.embedded import EmbeddedError, EmbeddedServers
from neuronetz_twisted.stores.embedded.service import EmbeddedService
from neuronetz_twisted.stores.faults import DatabaseFault
from neuronetz_twisted.stores.threads import in_own_thread
from neuronetz_twisted.variables import EMBEDDED

STOP_S = 15.0
"""How long one service may take to stop before the next one is stopped all the same."""

AGAIN_S = 1.0
"""How long a gateway without files for its record waits before it tries to make them again."""


class CannotWire(Exception):  # noqa: N818 - states what happened
    """A part cannot be made; one plain line says why."""


class CannotRecord(Exception):  # noqa: N818 - states what happened
    """The disk has no room for the files of the record, or fails; one plain line says why."""


@frozen(kw_only=True)
class Parts:
    """What one process runs once its stores are there, in the order of its start."""

    services: Sequence[IService]
    edge: EdgeService
    live: LiveCalls


class Gateway(MultiService):
    """Everything that runs in one gateway process.

    `prepare` makes the files of the record; it is called in a thread. While it raises
    `CannotRecord` the gateway runs without them and admits nothing, and it is called again each
    second. `wire` makes the parts from settings whose URLs are real ones, and these files or None.
    `environ` is searched for the programs of embedded servers. `migrate` brings the schema up to
    date first. `fail` is called with one plain line where the start does not succeed.
    """

    name = "gateway"
    _log = Logger()

    def __init__(  # noqa: PLR0913 - its parts, given once
        self,
        settings: Settings,
        reactor: Any,
        *,
        prepare: Callable[[Settings, Any], Any],
        wire: Callable[[Settings, Any, Any], Parts],
        environ: Mapping[str, str],
        migrate: bool,
        fail: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.settings = settings
        self._reactor = reactor
        self._prepare = prepare
        self._wire = wire
        self._trouble: str | None = None
        self._environ = environ
        self._migrate = migrate
        self._fail = fail
        self._parts: Parts | None = None
        self._starting: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin the ordered start."""
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """End running answers, then stop the services one after the other, last first."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            settings = await self._with_embedded_servers()
            if self._migrate:
                # Not in the reactor's pool, which a stop of the process would wait for.
                await in_own_thread(self._reactor, partial(_migrate, settings), "migration")
            files = await self._files(settings)
            await self._run(settings, files)
            while files is None:
                await deferLater(self._reactor, AGAIN_S)
                files = await self._files(settings)
                if files is not None:
                    await self._end_parts()
                    if self.running:
                        await self._run(settings, files)
        except CancelledError:
            self._log.info("stopped before the start was complete")
        except (EmbeddedError, DatabaseFault, CannotWire, CannotOpen) as error:
            self._fail(f"the gateway cannot start: {error}")
        except Exception:  # noqa: BLE001 - the outermost wall: a half-started process must end
            self._log.failure("the gateway cannot start")
            self._fail("the gateway cannot start; the log says why")

    async def _files(self, settings: Settings) -> Any:
        """The files of the record, or None while the disk has no room for them."""
        try:
            files = await in_own_thread(
                self._reactor, partial(self._prepare, settings, self._reactor), "audit files"
            )
        except CannotRecord as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._log.error(
                    "nothing can be recorded, so nothing is admitted: {error}", error=error
                )
            return None
        if self._trouble is not None:
            self._log.info("records can be kept now")
        return files

    async def _run(self, settings: Settings, files: Any) -> None:
        parts = self._parts = self._wire(settings, self._reactor, files)
        for service in (*parts.services, parts.edge):
            service.setServiceParent(self)
        await parts.edge.listen()

    async def _end_parts(self) -> None:
        """End the parts that have no record, so that others can take their place."""
        parts = self._parts
        if parts is not None:
            # As long as the gateway runs, a service that leaves it is stopped by that.
            for service in (parts.edge, *reversed(parts.services)):
                if self.running:
                    await self._ended(service, service.disownServiceParent)

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        if self._parts is not None:
            self._parts.live.cut_all()
        for service in reversed(list(self)):
            await self._ended(service, service.stopService)

    async def _ended(self, service: IService, end: Callable[[], object]) -> None:
        stopped = maybeDeferred(end)
        stopped.addTimeout(STOP_S, self._reactor)
        try:
            await stopped
        except Exception:  # noqa: BLE001 - the others must be stopped all the same
            self._log.failure("a service did not stop: {reason}", reason=str(service.name))

    async def _with_embedded_servers(self) -> Settings:
        """The settings with the URLs of the embedded servers, once those answer."""
        settings = self.settings
        postgres = settings.database_url == EMBEDDED
        redis = settings.redis_url == EMBEDDED
        if not postgres and not redis:
            return settings
        servers = EmbeddedServers(
            state_dir=settings.state_dir, postgres=postgres, redis=redis, environ=self._environ
        )
        embedded = EmbeddedService(clock=self._reactor, servers=servers)
        embedded.setServiceParent(self)
        urls = await embedded.ready()
        return evolve(
            settings,
            database_url=urls.database_url or settings.database_url,
            database_admin_url=urls.database_admin_url or settings.database_admin_url,
            redis_url=urls.redis_url or settings.redis_url,
        )


def _migrate(settings: Settings) -> None:
    # Alembic would be a tenth of our memory, so only those who migrate load it.
    from neuronetz_twisted.stores.migrate import owner_url, upgrade  # noqa: PLC0415

    upgrade(owner_url(settings), keep_days=settings.audit_retention_days)
