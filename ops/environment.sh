# Sourced by demo.sh and test.sh: a virtual environment in .venv with this checkout installed.

say() { printf '%s\n' "$*" >&2; }

find_python() {
  for candidate in python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  say "Python 3.11, 3.12 or 3.13 is needed, and none of python3, python3.13, python3.12, python3.11 is it."
  return 1
}

# ensure_environment EXTRAS: what is installed is remembered by the extras and by pyproject.toml.
ensure_environment() {
  local extras=$1 python wanted stamp
  if ! [ "$(.venv/bin/python -c 'import sys; print(sys.prefix)' 2>/dev/null)" = "$PWD/.venv" ]; then
    python=$(find_python) || return 1
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    if ! "$python" -m venv .venv; then
      say "a virtual environment cannot be made: on Debian and Ubuntu, install the package python3-venv"
      return 1
    fi
  fi
  wanted=$(cksum <pyproject.toml)
  stamp=.venv/installed-$extras
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
  say "installing neuronetz-gateway [$extras] from the package index (the first time takes about half a minute)"
  .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check -e ".[$extras]" || return 1
  printf '%s\n' "$wanted" >"$stamp"
}
