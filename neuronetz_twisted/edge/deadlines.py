"""How long a client may take for what it has to do, and a few other measures (SPEC 8).

They are constants: whoever needs more time than this holds a connection for nothing.
"""

HEAD_S = 10.0
KEEP_ALIVE_S = 75.0
STALL_S = 120.0
"""How long a client may take nothing of what is there for it (SPEC 8)."""

CUT_S = 5.0
CUT_1_0_S = 0.5
"""How long the last frame of a broken answer has to be read; a reset follows in HTTP/1.0."""

REQUESTS_PER_TURN = 32
"""How many requests of one client are begun before others have their turn."""

DRAIN_S = 2.0
DRAIN_BYTES = 32 * 1024 * 1024
"""How long, and how much, is read and dropped behind a refusal so that it can be read."""

BODY_S = 30.0
BODY_GRACE_S = 10.0
BODY_BYTES_PER_S = 512
"""A body may take `BODY_GRACE_S`, a second more for as many bytes, and never over `BODY_S`."""
