"""slowhttptest, a program whose business are slow clients, finds the service available."""

import re
import shutil
import subprocess
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.gateway import own_stack

ATTACKS = {
    "slow heads": ("-H", "-i", "3"),
    "slow bodies": ("-B", "-i", "3"),
    "slow reading": ("-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3"),
}
SIZES = ("-c", "1000", "-r", "200", "-l", "40", "-p", "3")
"""A thousand connections, two hundred more each second, for forty; a probe may take three."""


class SlowHttpTestTests(SynchronousTestCase):
    def test_attacks(self) -> None:
        """Its own probe is answered in each second of each attack."""
        program = shutil.which("slowhttptest")
        if program is None:
            raise SkipTest("slowhttptest is not installed")
        # It comes from one address, which is a trusted proxy here, so only the limit in all holds.
        stack = own_stack(self, GATEWAY_MAX_CONNECTIONS="400")
        for name, options in ATTACKS.items():
            url = f"{stack.url}/" if "-X" in options else f"{stack.url}/api/chat"
            with self.subTest(attack=name):
                done = subprocess.run(
                    [program, *options, *SIZES, "-u", url],
                    capture_output=True,
                    text=True,
                    timeout=200,
                    check=False,
                )
                plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
                seen = re.findall(r"service available:\s+(\w+)", plain)
                sys.stderr.write(f"\n{name}: service available {sorted(set(seen))}\n")
                self.assertEqual(set(seen), {"YES"}, plain[-2000:])
