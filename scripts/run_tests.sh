#!/usr/bin/env bash
# Runs the suite in two processes: what only computes (charts, training, the models' quality) beside the rest, at the
# lowest priority, so that it takes what tests with real services leave. Arguments go to one pytest alone.
set -uo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
if (($#)); then
  exec "$python" -m pytest "$@"
fi
computing=(tests/charts tests/unit/lab tests/unit/models)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
nice -n 19 "$python" -m pytest -o cache_dir=.pytest_cache/beside "${computing[@]}" >"$log" 2>&1 &
beside=$!
"$python" -m pytest "${computing[@]/#/--ignore=}"
serving=$?
echo "the tests beside (${computing[*]}):"
wait "$beside"
computed=$?
cat "$log"
((serving == 0 && computed == 0))
