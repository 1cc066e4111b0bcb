"""An honest twin of Ollama that tests, demo and benchmarks talk to (SPEC 13).

It answers with Ollama's routes, shapes, defaults and status codes, and it misbehaves only when a
directive (`directives.py`: in a prompt, or in the header `X-Mock-Directive`) or `/mock/config`
(`control.py`) tells it to. `/mock/seen` shows each request with the body that was sent and, as
`decoded`, what Ollama would have understood of it (`apitypes.py`), and how often each model was
loaded. It knows nothing of the gateway.
"""
