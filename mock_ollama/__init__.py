"""An honest twin of Ollama that tests, demo and benchmarks talk to (SPEC 13).

It answers with Ollama's routes, shapes, defaults and status codes, and it misbehaves only when a
directive inside a prompt or a control route tells it to. It knows nothing of the gateway.
"""
