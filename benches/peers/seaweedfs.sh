#!/usr/bin/env bash
# SeaweedFS: master, volume, filer and its S3 gateway in one process, with a rule that syncs every write of the filer to
# the volume. `WEED` names another binary.
source "$(dirname "$0")/common.sh"
weed=$(program WEED weed)
[[ $weed == skipped* ]] && echo "$weed" && exit 0
master=$(free_port)
volume=$(free_port)
filer=$(free_port)
s3=$(free_port)
access=$(random_hex 10)
secret=$(random_hex 20)
mkdir -p "$scratch/data"
(umask 077 && cat >"$scratch/s3.json" <<JSON
{"identities":[{"name":"bench","credentials":[{"accessKey":"$access","secretKey":"$secret"}],"actions":["Admin","Read","Write","List","Tagging"]}]}
JSON
)
cd "$scratch"
start "$weed" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$scratch/data" -master.port="$master" \
  -volume.port="$volume" -filer -filer.port="$filer" -s3 -s3.port="$s3" -s3.config="$scratch/s3.json"
ready listens "$s3"
ready listens "$filer"
synced() {
  echo "fs.configure -locationPrefix=/ -fsync -apply" |
    "$weed" shell -master="127.0.0.1:$master" -filer="127.0.0.1:$filer" 2>/dev/null | grep -q '"fsync": *true'
}
ready synced
version=$("$weed" version 2>/dev/null | sed -n 's/^version [^ ]* \([^ ]*\).*/\1/p')
announce "{\"address\":\"127.0.0.1:$s3\",\"pid\":$pid,\"durability\":\"fsync rule of the filer for all paths; the filer's own metadata is not known to be synced\",\"version\":\"seaweedfs $version\",\"access_key\":\"$access\",\"secret_key\":\"$secret\",\"region\":\"us-east-1\",\"bucket\":\"bench\"}"
