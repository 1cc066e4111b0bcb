"""The other end of the gate, in memory: connections that a test accepts, reads and answers."""

import hiredis
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.stores.patience import GRACE_S
from neuronetz_twisted.stores.redis import RedisGate

RUN_ID = "a" * 40


def said(text: str) -> bytes:
    """A bulk reply."""
    return f"${len(text)}\r\n{text}\r\n".encode()


def greeting(run_id: str = RUN_ID, policy: str = "noeviction", role: str = "master") -> bytes:
    """What a server answers to a gate that needs no account."""
    server = said(f"# Server\r\nredis_version:7.0.0\r\nrun_id:{run_id}\r\ntcp_port:0")
    memory = said(f"# Memory\r\nused_memory:1\r\nmaxmemory_policy:{policy}\r\n")
    replication = said(f"# Replication\r\nrole:{role}\r\nconnected_slaves:0\r\n")
    return b"+PONG\r\n" + server + replication + memory


class ServerEnd(StringTransport):
    """One accepted connection, as the server sees it; it ends a turn after it is aborted."""

    def __init__(self, clock: MemoryReactorClock, client: IProtocol) -> None:
        super().__init__()
        self.open = True
        self._clock = clock
        self._client = client
        self._reader = hiredis.Reader()

    def received(self) -> list[list[bytes]]:
        """The commands that came since the last time."""
        self._reader.feed(self.value())
        self.clear()
        commands = []
        while (command := self._reader.gets()) is not False:
            commands.append(command)
        return commands

    def send(self, data: bytes) -> None:
        """Send bytes to the gate."""
        self._client.dataReceived(data)

    def close(self) -> None:
        """End the connection, from whichever side."""
        if self.open:
            self.open = False
            self._client.connectionLost(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        """The gate closes: it hears of it a turn later, as from a real transport."""
        self._clock.callLater(0, self.close)


class MemoryRedis:
    """A gate with its clock, and the server that it knocks at."""

    def __init__(self, target: RedisTarget | None = None, **figures: float) -> None:
        self.clock = MemoryReactorClock()
        self.connected: list[str] = []
        self.gate = RedisGate(
            self.clock,
            target or RedisTarget(path="/redis.sock"),
            connected=self.connected.append,
            **{"pool_size": 1, "first_delay_s": 1, "longest_delay_s": 4} | figures,  # type: ignore[arg-type]
        )

    @property
    def attempts(self) -> int:
        """How often the gate has tried to connect."""
        return len(self.clock.unixClients)

    def accept(self) -> ServerEnd:
        """Accept the newest attempt."""
        factory = self.clock.unixClients[-1][1]
        protocol = factory.buildProtocol(None)
        end = ServerEnd(self.clock, protocol)
        protocol.makeConnection(end)
        return end

    def refuse(self) -> None:
        """Refuse the newest attempt."""
        factory = self.clock.unixClients[-1][1]
        factory.clientConnectionFailed(None, Failure(ConnectError(string="refused")))

    def pass_deadline(self) -> None:
        """Let a call's deadline and its grace go by, in turns as a reactor's."""
        self.clock.pump([0.26, GRACE_S])

    def connect(self, answer: bytes = greeting()) -> ServerEnd:
        """Let the gate start and be greeted."""
        self.gate.startService()
        return self.next_connection(answer)

    def next_connection(self, answer: bytes = greeting()) -> ServerEnd:
        """Let the gate make its next attempt, and greet it."""
        attempts = self.attempts
        while self.attempts == attempts:
            self.clock.advance(0.5)
        end = self.accept()
        end.send(answer)
        end.clear()
        return end
