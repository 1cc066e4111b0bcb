#!/usr/bin/env bash
# All tests, on a machine with nothing but Python 3.11+ and the package index.
#
#   ./test.sh                   everything at small sizes: lint, unit, integration, wire
#   ./test.sh unit              one part: lint, unit, integration, wire or long
#   ./test.sh long              the sizes that take minutes, and the contract's figures exactly
#   ./test.sh --require-all     a skipped test is a failure
set -uo pipefail
cd "$(dirname "$0")"
. ops/environment.sh

parts=()
require_all=no
for word in "$@"; do
  case $word in
    lint | unit | integration | wire | long) parts+=("$word") ;;
    --require-all) require_all=yes ;;
    *)
      say "usage: ./test.sh [lint|unit|integration|wire|long]... [--require-all]"
      exit 2
      ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(lint unit integration wire)

ensure_environment embedded,dev || exit 1
python=$PWD/.venv/bin/python
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/coverage"
export COVERAGE_FILE=$scratch/coverage/data
passed=0 failed=0 skipped=0
failures=()

run() {
  local name=$1
  shift
  say "== $name"
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    failures+=("$name")
  fi
}

# Branches of the package that unit and integration tests reach, the processes they start included.
covered() {
  "$python" -m coverage combine --quiet && "$python" -m coverage report --fail-under=95
}

lint() {
  run "ruff check" .venv/bin/ruff check .
  run "ruff format" .venv/bin/ruff format --check .
  run "mypy --strict" .venv/bin/mypy
  run "directions of imports" .venv/bin/lint-imports
  run "changelog fragments" .venv/bin/towncrier build --draft --version check
}

# tests PART COMMAND...: run trial and add its counts to ours.
tests() {
  local part=$1 log=$scratch/$1.log started=$SECONDS status last
  shift
  say "== tests: $part"
  "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  last=$(grep -E '^(PASSED|FAILED)' "$log" | tail -n 1)
  count() { printf '%s' "$last" | sed -n "s/.*$1=\([0-9]*\).*/\1/p" | grep . || echo 0; }
  passed=$((passed + $(count successes)))
  failed=$((failed + $(count failures) + $(count errors)))
  skipped=$((skipped + $(count skips)))
  if [ "$status" -ne 0 ]; then failures+=("tests: $part"); fi
  if [ "$status" -ne 0 ] && [ "$(count failures)" = 0 ] && [ "$(count errors)" = 0 ]; then failed=$((failed + 1)); fi
  say "$part took $((SECONDS - started)) s"
}

for part in "${parts[@]}"; do
  case $part in
    lint) lint ;;
    unit)
      tests unit "$python" -m coverage run -m twisted.trial \
        --temp-directory="$scratch/trial-unit" tests.unit
      ;;
    integration)
      tests integration "$python" -m coverage run -m twisted.trial -j2 \
        --temp-directory="$scratch/trial-integration" tests.integration
      ;;
    wire)
      tests wire "$python" -m twisted.trial -j2 \
        --temp-directory="$scratch/trial-wire" tests.wire
      ;;
    long)
      tests long env TEST_FIGURES=exact "$python" -m twisted.trial --temp-directory="$scratch/trial-long" \
        tests.long tests.integration.test_changes tests.integration.test_disconnects \
        tests.integration.test_outages tests.integration.test_floods tests.integration.test_redis \
        tests.integration.test_notify tests.integration.test_postgres_faults \
        tests.integration.test_half_open tests.integration.test_early_answers \
        tests.integration.test_admission_scripts tests.integration.test_admission_windows \
        tests.integration.test_limit_headers tests.integration.test_limit_faults \
        tests.integration.test_limit_clocks tests.wire.guided
      ;;
  esac
done

case " ${parts[*]} " in
  *" unit integration "*) run "coverage" covered ;;
esac

if [ "$skipped" -gt 0 ]; then
  say "skipped:"
  cat "$scratch"/*.log | sed -n '/^\[SKIPPED\]/,/^===\|^---/p' | grep -vE '^(===|---)' | sort -u >&2
  if [ "$require_all" = yes ]; then failures+=("skipped tests, with --require-all"); fi
fi
for failure in ${failures[@]+"${failures[@]}"}; do say "FAILED: $failure"; done
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ ${#failures[@]} -eq 0 ]
