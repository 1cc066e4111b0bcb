#!/usr/bin/env bash
# How fast the gateway is beside others, on this machine. It takes about twelve minutes and writes
# docs/BENCHMARKS.md.
#
#   ./benchmarks/run.sh                        everything
#   ./benchmarks/run.sh --quick                one short round of each, in about two minutes
#   ./benchmarks/run.sh --only gateway,nginx --workloads chat,paced-500
#   ./benchmarks/run.sh --render               write the page anew from the last whole run
#
# The peers are installed into .bench/ the first time. Only a whole run replaces the page in docs/;
# others leave theirs in .bench/.
set -euo pipefail
cd "$(dirname "$0")/.."
. ops/environment.sh
ensure_environment embedded,dev
mkdir -p .bench
case " $* " in
  *" --render "* | *" --help "* | *" -h "*) ;;
  *" --only "*) ;;
  *) benchmarks/peers/install.sh ;;
esac
exec .venv/bin/python -m benchmarks "$@"
