"""Settings of a gateway in front of one Ollama on this machine."""

from pathlib import Path

from neuronetz_twisted.config import load

SETTINGS = load(
    {"DATABASE_URL": "embedded:", "OLLAMA_BASE_URL": "http://127.0.0.1:11434"}, Path("/nowhere")
).settings
