"""A connection that a thread is using, as another thread may end it.

A server that is frozen, or behind a link that went silent, ignores every time limit that it was
asked to keep, and the thread that waits for it would wait for ever. Shutting the socket down from
outside wakes that thread with an ordinary connection error, so the pool gets it back.
"""

import os
import socket
import threading

from attrs import define, field


@define(eq=False)
class Lifeline:
    """What is known of one call's socket; `hold` and `release` in its thread, `cut` anywhere.

    It keeps a duplicate of the descriptor, so that a number which the driver has closed, and which
    by now belongs to someone else, is never shut down.
    """

    was_cut: bool = False
    _descriptor: int | None = None
    _lock: threading.Lock = field(factory=threading.Lock)

    def hold(self, descriptor: int) -> None:
        """The call uses this socket from now on; if the call was cut before, so is the socket."""
        with self._lock:
            self._close()
            self._descriptor = os.dup(descriptor)
            if self.was_cut:
                self._shut_down()

    def release(self) -> None:
        """The call is over: cutting it does nothing more."""
        with self._lock:
            self._close()

    def cut(self) -> None:
        """Wake the thread with a connection error, now or as soon as it holds a socket."""
        with self._lock:
            self.was_cut = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._descriptor is None:
            return
        connection = socket.socket(fileno=self._descriptor)
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The other side was quicker; the thread is awake already.
            return
        finally:
            connection.detach()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
