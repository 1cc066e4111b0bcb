#!/usr/bin/env bash
# A working gateway in front of a model host, on this machine, with one command.
#
#   ./demo.sh              start it (or find it running), print a key and five curls
#   ./demo.sh --json       the same, with one last line of JSON
#   ./demo.sh cli ARGS     the command line, against the demo
#   ./demo.sh --down       stop everything and remove its data
#
# DEMO_PORT (8080) is its port. OLLAMA_BASE_URL uses a real Ollama instead of the twin; every other
# variable of the gateway (docs/SPEC.md, section 10) reaches it as well.
set -euo pipefail
cd "$(dirname "$0")"
. ops/environment.sh
if [ "${1:-}" = "--down" ] && ! [ -e .demo ]; then
  say "the demo is not running"
  exit 0
fi
ensure_environment embedded
exec .venv/bin/neuronetz-gateway demo "$@"
