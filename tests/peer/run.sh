#!/usr/bin/env bash
# Lets the peer of this folder, another implementation, live beside a real hub as a clone of its channel.
#
#   tests/peer/run.sh [ZOTFERRY]      the program under test, by default target/debug/zotferry
#
# PYTHON is a Python with msgpack and cryptography (default python3). KEEP=1 leaves the folders.
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1

zotferry=$(realpath "${1:-target/debug/zotferry}")
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)

clean_up() {
    if [[ -n ${KEEP:-} ]]; then echo "kept $work"; else rm -rf "$work"; fi
}
trap clean_up EXIT

"$python" "$here/vectors.py"
# Both wait more than they work.
"$python" "$here/mutants.py" "$zotferry" "$work" >"$work/mutants.log" 2>&1 &
mutants=$!
status=0
"$python" "$here/scenario.py" "$zotferry" "$work" || status=$?
wait "$mutants" || status=$?
cat "$work/mutants.log"
exit "$status"
