"""Bytes to a request whose framing is beyond doubt, and answers back to bytes (SPEC 3, 8)."""
