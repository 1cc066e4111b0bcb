"""Requests as raw bytes, each with the rule of the RFC that decides it, and all that runs them."""
