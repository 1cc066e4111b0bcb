"""What the wiring of the record makes of the settings, and of a directory that is not usable."""

import errno
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import recording as wiring
from neuronetz_twisted.audit.flusher import Flusher
from neuronetz_twisted.audit.retention import Retention
from neuronetz_twisted.audit.signing import SigningFault
from neuronetz_twisted.audit.spool import Spool
from neuronetz_twisted.config import Settings
from neuronetz_twisted.errors import AuditUnavailable
from neuronetz_twisted.ledger import Flushed
from neuronetz_twisted.lifecycle import CannotRecord, CannotWire
from neuronetz_twisted.recording import NoTrail, Recording, descriptors, prepare, recording
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.threads import OwnThread
from tests.unit.settings import SETTINGS


class RecordingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A state directory of this test's own, not yet made."""
        self.state_dir = Path(self.mktemp()).absolute()
        self.reactor: Any = MemoryReactorClock()
        self.told: list[Flushed] = []

    def settings(self, **changes: Any) -> Settings:
        """Settings of a gateway whose database is elsewhere."""
        url = "postgresql+psycopg://gateway@127.0.0.1:1/gateway"
        return evolve(SETTINGS, state_dir=self.state_dir, database_url=url, **changes)

    def made(self, **changes: Any) -> Recording:
        """The parts, whose spool is ended with the test."""
        settings = self.settings(**changes)
        self.database = DatabaseThreads(
            self.reactor, settings.database_url, pool_size=1, overflow=1
        )
        files = prepare(settings, self.reactor)
        self.addCleanup(self.end, files.spool)
        return recording(settings, self.reactor, self.database, files, self.told.append)

    def end(self, spool: Spool) -> None:
        """Close the files."""
        self.successResultOf(Deferred.fromCoroutine(spool.seal()))
        spool.close()

    def test_files(self) -> None:
        """The spool is in the state directory, for nobody else, and so is what signs."""
        made = self.made()
        (writer,) = (path for path in (self.state_dir / "spool").iterdir() if path.is_dir())
        assert isinstance(made.trail, Spool)
        self.assertEqual(writer.name, str(made.trail.writer))
        self.assertIsNone(made.trail.denies)
        self.assertIsNone(made.trail.committed())
        self.assertEqual(self.state_dir.stat().st_mode & 0o777, 0o700)
        names = {path.name for path in self.state_dir.iterdir()}
        self.assertTrue({"audit-signing.key", "audit-checkpoints.jsonl"} <= names)

    def test_names(self) -> None:
        """Each service has a name of its own."""
        names = [str(service.name) for service in self.made().services]
        self.assertEqual(len(names), len(set(names)))

    def test_room(self) -> None:
        """Once it has started, the spool has room made in a thread."""
        made = self.made()
        spool, *_ = made.services
        spool.startService()
        self.assertIsNone(made.trail.denies)
        self.successResultOf(maybeDeferred(spool.stopService))

    def test_one_thread_for_syncs(self) -> None:
        """With `disk` all that waits for the disk does so in one thread, which is kept."""
        trail = self.made(audit_durability="disk").trail
        assert isinstance(trail, Spool)
        commit = trail._commit
        assert commit is not None
        self.assertIsInstance(commit._in_thread, OwnThread)

    def test_unusable_key(self) -> None:
        """A file that should hold the key and does not is one plain line."""
        self.state_dir.mkdir()
        (self.state_dir / "audit-signing.key").write_text("canary")
        with self.assertRaisesRegex(CannotWire, "audit-signing.key") as caught:
            self.made()
        self.assertNotIn("canary", str(caught.exception))

    def test_unusable(self) -> None:
        """So is a state directory that is none."""
        self.state_dir.write_text("")
        with self.assertRaisesRegex(CannotWire, str(self.state_dir)):
            self.made()

    def test_no_room(self) -> None:
        """A disk that is full or fails is no fault of the configuration."""
        for number in (errno.ENOSPC, errno.EIO):
            full = OSError(number, os.strerror(number), "/state")

            def no_signer(*_: object, full: OSError = full, **__: object) -> None:
                try:
                    raise full
                except OSError:
                    raise SigningFault("cannot use /state") from None

            def no_spool(*_: object, full: OSError = full, **__: object) -> None:
                raise full

            for place, name, broken in (
                (wiring, "open_signer", no_signer),
                (Spool, "create", no_spool),
            ):
                with self.subTest(name=name):
                    patch = self.patch(place, name, broken)
                    with self.assertRaisesRegex(CannotRecord, "/state"):
                        prepare(self.settings(), self.reactor)
                    patch.restore()

    def test_without_files(self) -> None:
        """Everything is denied, and only what needs no file runs."""
        settings = self.settings()
        database = DatabaseThreads(self.reactor, settings.database_url, pool_size=1, overflow=1)
        made = recording(settings, self.reactor, database, None, self.told.append)
        self.assertEqual((list(made.services), made.trail.denies), ([made.prompts], "io"))
        self.assertIsInstance(made.trail, NoTrail)
        self.assertFalse(made.trail.note(b""))
        self.assertRaises(AuditUnavailable, made.trail.check)
        self.assertRaises(AuditUnavailable, made.trail.open, uuid4(), b"")
        committed = made.trail.committed()
        assert committed is not None
        self.failureResultOf(committed, AuditUnavailable)

    def test_connections(self) -> None:
        """Neither callers nor retention can keep the flusher from its connection."""
        services = self.made().services
        databases = [each for each in services if isinstance(each, DatabaseThreads)]
        (flusher,) = (each for each in services if isinstance(each, Flusher))
        self.assertEqual(len(databases), wiring.DATABASE_CONNECTIONS)
        self.assertIn(flusher._database, databases)
        flusher._told(Flushed("tenant", [], []))
        self.assertEqual(len(self.told), 1)
        retention = next(each for each in services if isinstance(each, Retention))
        self.assertIsNot(flusher._database, retention._database)

    def test_descriptors(self) -> None:
        """Those of two connections, and of each segment that the spools may have."""
        self.assertEqual(descriptors(self.settings(audit_spool_max_bytes=40 << 20)), 2 * 2 + 10)
