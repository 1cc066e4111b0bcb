"""Dialects: client bodies into native requests, native frames into client bytes.

Pure modules: no reactor, no store. Adding a dialect touches nothing else (SPEC 3).
"""
