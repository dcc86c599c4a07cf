#!/usr/bin/env bash
# Lets other people's programs use a hub over WebDAV: litmus, rclone and curl.
#
#   tests/dav/run.sh [ZOTFERRY] [TREE]   the program under test, by default target/debug/zotferry, and the
#                                        files to copy, by default the project's sources
#
# KEEP=1 leaves the hub's folder.
set -euo pipefail

zotferry=$(realpath "${1:-target/debug/zotferry}")
tree=$(realpath "${2:-$(dirname "$0")/../../src}")
work=$(mktemp -d)
hub_pid=
other_pid=

clean_up() {
    if [[ -n $other_pid ]]; then kill "$other_pid" 2>/dev/null || true; fi
    if [[ -n $hub_pid ]] && kill "$hub_pid" 2>/dev/null; then
        wait "$hub_pid" || echo "the hub ended with status $?"
    fi
    if [[ -n ${KEEP:-} ]]; then echo "kept $work"; else rm -rf "$work"; fi
}
trap clean_up EXIT

wrong() {
    echo "$1" >&2
    tail -n 40 "$work/hub.log" >&2
    exit 1
}

port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
hub=http://127.0.0.1:$port
"$zotferry" init "$work/hub" --url "$hub"
"$zotferry" --dir "$work/hub" channel new alice
password=$("$zotferry" --dir "$work/hub" password new alice --label test)
ZOTFERRY_LOG=${ZOTFERRY_LOG:-info} "$zotferry" hub "$work/hub" >"$work/hub.log" 2>&1 &
hub_pid=$!
for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    kill -0 "$hub_pid" || wrong "the hub did not start"
    sleep 0.1
done

echo "--- litmus"
mkdir "$work/litmus"
for suite in basic copymove props locks http; do
    (cd "$work/litmus" && TESTS=$suite litmus "$hub/dav/alice/" alice "$password" >"$suite.log" 2>&1) || {
        tr '\r' '\n' <"$work/litmus/$suite.log"
        wrong "litmus: $suite failed"
    }
    tr '\r' '\n' <"$work/litmus/$suite.log" | grep 'summary for'
done

echo "--- rclone"
export RCLONE_CONFIG=$work/rclone.conf RCLONE_CONFIG_HUB_TYPE=webdav RCLONE_CONFIG_HUB_USER=alice
RCLONE_CONFIG_HUB_PASS=$(rclone obscure "$password") RCLONE_CONFIG_HUB_URL=$hub/dav/alice/
export RCLONE_CONFIG_HUB_PASS RCLONE_CONFIG_HUB_URL
touch "$RCLONE_CONFIG"
for vendor in other owncloud; do
    export RCLONE_CONFIG_HUB_VENDOR=$vendor
    rclone copy --transfers 16 "$tree" "hub:$vendor/tree" || wrong "rclone: copying in failed"
    rclone moveto "hub:$vendor" "hub:$vendor moved" || wrong "rclone: moving failed"
    rclone copy --transfers 8 "hub:$vendor moved/tree" "$work/$vendor" || wrong "rclone: copying out failed"
    diff -r "$tree" "$work/$vendor" || wrong "rclone: what came back is not what went in"
    rclone check --download "$tree" "hub:$vendor moved/tree" 2>&1 | tail -n 2
    if [[ $vendor = owncloud ]]; then
        again=$(rclone sync --use-json-log -v "$tree" "hub:$vendor moved/tree" 2>&1 | grep -c '"Copied' || true)
        [[ $again = 0 ]] || wrong "rclone: $again files were copied again, as if their times were lost"
    fi
    rclone purge "hub:$vendor moved" || wrong "rclone: removing failed"
done

echo "--- curl"
head -c 30000001 /dev/urandom >"$work/large"
curl -fsS -u "alice:$password" -T "$work/large" "$hub/dav/alice/" || wrong "curl: the upload failed"
curl -fsS -u "alice:$password" -T - "$hub/dav/alice/piped" <"$work/large" || wrong "curl: the piped upload failed"
for name in large piped; do
    curl -fsS -u "alice:$password" "$hub/dav/alice/$name" | cmp - "$work/large" || wrong "curl: $name came back different"
done
[[ $(curl -s -o /dev/null -w '%{http_code}' "$hub/dav/alice/large") = 401 ]] || wrong "curl: no password was needed"
if find "$work/hub/storage/partial" -type f | grep .; then wrong "an upload left something behind"; fi
echo "--- a backup, by rclone and by curl"
"$zotferry" export "$work/hub" alice "$work/backup" >/dev/null
"$zotferry" --dir "$work/hub" channel export alice "$work/alice.id" --passphrase-file <(echo correct horse) >/dev/null
for way in rclone curl; do
    there=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
    "$zotferry" init "$work/$way" --url "http://127.0.0.1:$there" >/dev/null
    "$zotferry" --dir "$work/$way" channel import "$work/alice.id" --passphrase-file <(echo correct horse) >/dev/null
    secret=$("$zotferry" --dir "$work/$way" password new alice --label test)
    "$zotferry" hub "$work/$way" >"$work/$way.log" 2>&1 &
    other_pid=$!
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$there") 2>/dev/null; then break; fi
        sleep 0.1
    done
    dav=http://127.0.0.1:$there/dav/alice
    if [[ $way = rclone ]]; then
        RCLONE_CONFIG_HUB_URL=$dav/.restore/ RCLONE_CONFIG_HUB_PASS=$(rclone obscure "$secret") \
            rclone copy --transfers 8 "$work/backup" hub: --exclude 'tmp/**' || wrong "rclone: uploading the backup failed"
    else
        (cd "$work/backup" && find data meta -type f | sort -R) | while read -r file; do
            curl -fsS -u "alice:$secret" -T "$work/backup/$file" "$dav/.restore/$file" || wrong "curl: $file was refused"
        done
    fi
    for name in large piped; do
        curl -fsS -u "alice:$secret" "$dav/$name" | cmp - "$work/large" || wrong "$way: $name was not brought back"
    done
    left=$(curl -fsS -u "alice:$secret" -X PROPFIND -H 'Depth: 1' "$dav/.restore/" | grep -c '<D:getcontentlength>' || true)
    [[ $left = 0 ]] || wrong "$way: $left files were left over"
    kill "$other_pid" && wait "$other_pid" || wrong "the hub that $way restored ended badly"
    other_pid=
done
echo "all of them are content"
