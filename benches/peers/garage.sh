#!/usr/bin/env bash
# Garage as a single node: no copies, no compression, both of its fsync switches on. `GARAGE` names another binary.
# It leaves Nagle's algorithm on for its connections: without `holds_back` small answers would wait 40 ms for our
# acknowledgement.
source "$(dirname "$0")/common.sh"
garage=$(program GARAGE garage)
[[ $garage == skipped* ]] && echo "$garage" && exit 0
s3=$(free_port)
rpc=$(free_port)
access="GK$(random_hex 12)"
secret=$(random_hex 32)
(umask 077 && cat >"$scratch/garage.toml" <<TOML
metadata_dir = "$scratch/meta"
data_dir = "$scratch/data"
db_engine = "lmdb"
replication_factor = 1
compression_level = "none"
metadata_fsync = true
data_fsync = true
rpc_bind_addr = "127.0.0.1:$rpc"
rpc_public_addr = "127.0.0.1:$rpc"
rpc_secret = "$(random_hex 32)"

[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:$s3"
root_domain = ".s3.garage.localhost"
TOML
)
export GARAGE_DEFAULT_ACCESS_KEY=$access GARAGE_DEFAULT_SECRET_KEY=$secret GARAGE_DEFAULT_BUCKET=bench
start "$garage" -c "$scratch/garage.toml" server --single-node --default-bucket
ready listens "$s3"
bucket_there() { "$garage" -c "$scratch/garage.toml" bucket info bench; }
ready bucket_there
version=$("$garage" --version | head -n 1 | sed 's/ \[.*//')
announce "{\"address\":\"127.0.0.1:$s3\",\"pid\":$pid,\"holds_back\":true,\"durability\":\"metadata_fsync and data_fsync\",\"version\":\"$version\",\"access_key\":\"$access\",\"secret_key\":\"$secret\",\"region\":\"garage\",\"bucket\":\"bench\"}"
