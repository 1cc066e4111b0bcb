"""The only door to an Ollama host: keys, tenants, limits, streaming, records."""

__version__ = "0.1.0"
