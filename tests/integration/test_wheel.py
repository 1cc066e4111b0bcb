"""The wheel carries all that the gateway needs away from this tree, and nothing else."""

from pathlib import PurePosixPath
from zipfile import ZipFile

from twisted.trial.unittest import SynchronousTestCase

from tests.wheel import PROJECT, built_wheel


def tree(folder: str, becomes: str) -> set[str]:
    """The files below a folder of this tree, by their names in the wheel."""
    root = PROJECT / folder
    return {
        str(PurePosixPath(becomes) / path.relative_to(root).as_posix())
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


class WheelTests(SynchronousTestCase):
    def test_contents(self) -> None:
        """Packages, scripts, migrations, playground and plugin are in it, each file of them."""
        with ZipFile(built_wheel()) as archive:
            carried = {name for name in archive.namelist() if ".dist-info/" not in name}
        expected = {
            *tree("neuronetz_twisted", "neuronetz_twisted"),
            *tree("mock_ollama", "mock_ollama"),
            *tree("migrations", "neuronetz_twisted/migrations"),
            *tree("playground", "neuronetz_twisted/playground"),
            "twisted/plugins/neuronetz_plugin.py",
        }
        self.assertEqual(sorted(carried), sorted(expected))

    def test_no_package_of_twisted(self) -> None:
        """The plugin's directories stay Twisted's: an `__init__.py` there would hide it."""
        with ZipFile(built_wheel()) as archive:
            ours = [name for name in archive.namelist() if name.startswith("twisted/")]
        self.assertEqual(ours, ["twisted/plugins/neuronetz_plugin.py"])

    def test_metadata(self) -> None:
        """It has its command, its extra for embedded servers and its licence."""
        with ZipFile(built_wheel()) as archive:
            (info,) = {
                name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name
            }
            metadata = archive.read(f"{info}/METADATA").decode()
            commands = archive.read(f"{info}/entry_points.txt").decode()
        self.assertIn("neuronetz-gateway = neuronetz_twisted.cli:main", commands)
        self.assertIn("Provides-Extra: embedded", metadata)
        self.assertIn("License-Expression: Apache-2.0", metadata)
