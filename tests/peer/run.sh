#!/usr/bin/env bash
# Lets the peer of this folder fetch a channel's files from a real hub, and compares them.
#
#   tests/peer/run.sh [ZOTFERRY]      the program under test, by default target/debug/zotferry
#
# PYTHON is a Python with msgpack and cryptography (default python3). KEEP=1 leaves the hub's folder.
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1

zotferry=$(realpath "${1:-target/debug/zotferry}")
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
hub_pid=

clean_up() {
    if [[ -n $hub_pid ]] && kill "$hub_pid" 2>/dev/null; then
        wait "$hub_pid" || echo "the hub ended with status $?"
    fi
    if [[ -n ${KEEP:-} ]]; then echo "kept $work"; else rm -rf "$work"; fi
}
trap clean_up EXIT

free_ports() {
    "$python" -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))'
}

"$python" "$here/vectors.py"

read -r hub_port peer_port < <(free_ports)
hub=http://127.0.0.1:$hub_port
"$zotferry" init "$work/hub" --url "$hub"
ZOTFERRY_LOG=${ZOTFERRY_LOG:-info} "$zotferry" hub "$work/hub" >"$work/hub.log" 2>&1 &
hub_pid=$!
for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$hub_port") 2>/dev/null; then break; fi
    kill -0 "$hub_pid" || { cat "$work/hub.log"; exit 1; }
    sleep 0.1
done

mib=1048576
sizes=(0 1 $((mib - 1)) $mib $((mib + 1)) $((5 * mib + 1)) $((40 * mib)))
mkdir "$work/files" "$work/fetched"
for size in "${sizes[@]}"; do
    head -c "$size" /dev/urandom >"$work/files/$size bytes"
done

"$zotferry" --dir "$work/hub" channel new alice
"$zotferry" --dir "$work/hub" put alice "$work/files/"*
read -r id guid < <("$zotferry" --dir "$work/hub" channel list --json | "$python" -c '
import json, sys
channel = json.loads(sys.stdin.readline())
print(channel["id"], channel.get("guid", ""))')
if [[ -z $guid ]]; then
    echo "channel list --json does not print the guid; without it no peer can know the channel's id" >&2
    exit 1
fi

status=0
"$python" "$here/fetch.py" --key "$work/hub/keys/channel-$id.pem" --guid="$guid" --hub "$hub" \
    --listen "127.0.0.1:$peer_port" --into "$work/fetched" --files "${#sizes[@]}" || status=$?
if diff -r "$work/files" "$work/fetched"; then
    echo "all ${#sizes[@]} files are the same"
    "$zotferry" --dir "$work/hub" status
else
    status=1
fi
if ((status)); then tail -n 40 "$work/hub.log"; fi
exit "$status"
