"""The twin as a process: its command line, real sockets and a real client."""

import http.client
import select
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import ollama
import orjson
from attrs import define
from twisted.trial.unittest import SynchronousTestCase

import mock_ollama
from mock_ollama.catalogue import DEFAULT_MODELS

DEADLINE_S = 20.0
POLLS = 5000


def launch(*arguments: str) -> subprocess.Popen[str]:
    """Start the twin with some arguments, its output readable."""
    return subprocess.Popen(
        [sys.executable, "-m", "mock_ollama", *arguments],
        cwd=Path(mock_ollama.__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> int:
    """End a twin and give its exit status."""
    process.send_signal(how)
    process.communicate(timeout=DEADLINE_S)
    return process.returncode


@define
class Running:
    """A twin that listens, and a connection that asks it what it has seen."""

    process: subprocess.Popen[str]
    port: int
    line: str
    control: http.client.HTTPConnection

    def last(self) -> Any:
        """Give the record of the last request."""
        self.control.request("GET", "/mock/seen")
        return orjson.loads(self.control.getresponse().read())["requests"][-1]

    def chat(self, text: str) -> socket.socket:
        """Begin a chat on a socket of its own that reads little at a time."""
        message = {"role": "user", "content": text}
        body = orjson.dumps({"model": "llama3.2", "messages": [message]})
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        peer.settimeout(DEADLINE_S)
        peer.connect(("127.0.0.1", self.port))
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        peer.sendall(head.encode() + body)
        return peer


def running(case: SynchronousTestCase) -> Running:
    """Start a twin on a free port for the time of one test."""
    port_file = Path(case.mktemp()).absolute()
    process = launch("--port", "0", "--port-file", str(port_file))
    case.addCleanup(stop, process, signal.SIGKILL)
    if process.stdout is None or not select.select([process.stdout], [], [], DEADLINE_S)[0]:
        raise AssertionError("the twin did not say that it listens")
    line = process.stdout.readline()
    port = int(line.rpartition(":")[2])
    control = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    # The file is written after the line, before the first answer.
    control.request("GET", "/")
    control.getresponse().read()
    case.addCleanup(control.close)
    case.assertEqual(port_file.read_text(), f"{port}\n")
    return Running(process, port, line, control)


class CommandLineTests(SynchronousTestCase):
    def test_serves_until_terminated(self) -> None:
        """It says where it listens, and SIGTERM ends it with status 0."""
        twin = running(self)
        self.assertEqual(twin.line, f"mock_ollama listening on http://127.0.0.1:{twin.port}\n")
        self.assertEqual(stop(twin.process), 0)

    def test_loopback_only(self) -> None:
        """Any other host is refused with one plain line and status 2."""
        for host in ("0.0.0.0", "192.168.1.1", "example.com"):
            with self.subTest(host=host):
                process = launch("--host", host, "--port", "0")
                _, errors = process.communicate(timeout=DEADLINE_S)
                self.assertEqual(process.returncode, 2)
                self.assertEqual(errors, f"mock_ollama: {host} is no loopback address\n")

    def test_port_taken(self) -> None:
        """A port that is taken gives one plain line and status 1."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            process = launch("--port", str(taken.getsockname()[1]))
            _, errors = process.communicate(timeout=DEADLINE_S)
        self.assertEqual((process.returncode, errors.count("\n")), (1, 1))


class SocketTests(SynchronousTestCase):
    def test_reset_after_five_frames(self) -> None:
        """The frames before a reset arrive, and then a real reset."""
        received = b""
        with running(self).chat("[[n=50 fault=reset@5]]") as peer:
            try:
                while data := peer.recv(65_536):
                    received += data
            except ConnectionResetError:
                received += b"(reset)"
        self.assertEqual(received.count(b'"done":false'), 5)
        self.assertTrue(received.endswith(b"(reset)"))

    def test_close_is_noticed(self) -> None:
        """A peer that closes, or resets, is noticed while the stream is idle."""
        twin = running(self)
        for linger in (None, struct.pack("ii", 1, 0)):
            with self.subTest(reset=linger is not None):
                peer = twin.chat("[[n=50 delay=600s]]")
                peer.recv(65_536)
                if linger is not None:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                peer.close()
                states = (twin.last()["state"] for _ in range(POLLS))
                self.assertIn("peer_closed", states)

    def test_slow_reader_holds_it_back(self) -> None:
        """A peer that does not read stops 50 MB on their way, and gets them all in the end."""
        twin = running(self)
        with twin.chat("[[n=4000 size=13000]]") as peer:
            sent, unchanged = -1, 0
            for _ in range(POLLS):
                frames = twin.last()["frames_sent"]
                sent, unchanged = frames, unchanged + 1 if frames == sent else 0
                if unchanged == 50:
                    break
            self.assertEqual((twin.last()["state"], unchanged), ("open", 50))
            # What is not sent is not generated, so this bounds the twin's memory, too.
            self.assertLess(twin.last()["bytes_sent"], 10_000_000)
            received, tail = 0, b""
            while not tail.endswith(b"0\r\n\r\n"):
                data = peer.recv(1_048_576)
                received, tail = received + len(data), (tail + data)[-5:]
        self.assertGreater(received, 52_000_000)
        self.assertEqual((twin.last()["state"], twin.last()["frames_sent"]), ("complete", 4001))


class ClientTests(SynchronousTestCase):
    def test_ollama_sdk(self) -> None:
        """The real client streams, folds, lists, shows and embeds, and raises its own errors."""
        client = ollama.Client(host=f"http://127.0.0.1:{running(self).port}", timeout=DEADLINE_S)
        messages = [{"role": "user", "content": "good morning"}]
        *parts, final = client.chat("llama3.2", messages, stream=True)
        whole = client.chat("llama3.2", messages)
        self.assertEqual(
            whole.message.content, "".join(part.message.content or "" for part in parts)
        )
        self.assertEqual((final.done_reason, final.eval_count), ("stop", len(parts)))
        self.assertIn("You said: hi.", client.generate("llama3.2", "hi").response or "")
        self.assertEqual(len(client.list().models), len(DEFAULT_MODELS))
        self.assertEqual(client.show("qwen3:8b").capabilities, ["completion", "tools", "thinking"])
        self.assertEqual(len(client.embed("nomic-embed-text", ["a", "b"]).embeddings), 2)
        self.assertIn("llama3.2:latest", [model.name for model in client.ps().models])
        self.assertRaises(ollama.ResponseError, client.chat, "nothing", messages)
