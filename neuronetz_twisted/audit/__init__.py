"""The record of every call (SPEC 9)."""
