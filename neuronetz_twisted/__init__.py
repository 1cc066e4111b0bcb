"""The only door to an Ollama host: keys, tenants, limits, streaming, records."""

__version__ = "0.1.0"

PROGRAM = "neuronetz-gateway"
"""What people type, and what begins each line that is for them."""
