#!/usr/bin/env bash
# The peers, into .bench/: a virtual environment for those in Python, an npm prefix for Portkey.
#
#   benchmarks/peers/install.sh
#
# nginx and Caddy are Debian's: apt-get install nginx-light caddy. A peer that cannot be had is
# named and skipped; the benchmark then runs without it.
set -uo pipefail
cd "$(dirname "$0")/../.."
. ops/environment.sh
directory=.bench/peers
mkdir -p "$directory"

need() { command -v "$1" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }
need nginx || say "nginx is not there: on Debian and Ubuntu, install the package nginx-light"
need caddy || say "Caddy is not there: on Debian and Ubuntu, install the package caddy"

# into_venv NAME REQUIREMENTS: done once for each state of the file.
into_venv() {
  local name=$1 requirements=$2 venv=$directory/$1 stamp wanted python
  stamp=$venv/installed wanted=$(cksum <"$requirements")
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
  python=$(find_python) || return 1
  say "installing $name from the package index"
  rm -rf "$venv"
  "$python" -m venv "$venv" &&
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r "$requirements" &&
    printf '%s\n' "$wanted" >"$stamp"
}

into_venv relays benchmarks/peers/relays.txt || say "aiohttp and FastAPI cannot be installed: skipped"
into_venv litellm benchmarks/peers/litellm.txt || say "LiteLLM cannot be installed: skipped"

if [ ! -e "$directory/portkey/node_modules/@portkey-ai/gateway/build/start-server.js" ]; then
  if need npm; then
    say "installing Portkey's gateway with npm"
    npm install --silent --no-audit --no-fund --prefix "$directory/portkey" @portkey-ai/gateway@1.15.2 ||
      say "Portkey's gateway cannot be installed: skipped"
  else
    say "npm is not there, Portkey's gateway is skipped: on Debian and Ubuntu, install the package npm"
  fi
fi
exit 0
