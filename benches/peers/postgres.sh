#!/usr/bin/env bash
# One PostgreSQL with durable commits (its default), over TCP on loopback as everything here. It refuses to run as
# root, so there it runs as `nobody`. `POSTGRES_BIN` names another directory of binaries.
source "$(dirname "$0")/common.sh"
bin=${POSTGRES_BIN:-}
if [[ -z $bin ]]; then
  for found in /usr/lib/postgresql/*/bin; do [[ -x $found/initdb ]] && bin=$found; done
fi
[[ -x $bin/initdb ]] || { echo "skipped: postgresql is not installed" && exit 0; }
owner=()
[[ $(id -u) == 0 ]] && owner=(setpriv --reuid=nobody --regid=nogroup --clear-groups --)
mkdir -p "$scratch/run"
[[ $(id -u) == 0 ]] && chown nobody:nogroup "$scratch" "$scratch/run"
# Every directory above must let the owner through.
above=$scratch
while [[ $(id -u) == 0 && $above != / ]]; do chmod a+x "$above" && above=$(dirname "$above"); done
(cd "$scratch" && "${owner[@]}" "$bin/initdb" -D "$scratch/data" -U bench --auth=trust --no-locale --encoding=UTF8) >"$scratch/initdb.log" 2>&1
port=$(free_port)
cd "$scratch"
settings=(-c listen_addresses=127.0.0.1 -c "unix_socket_directories=$scratch/run" -c "port=$port" -c shared_buffers=1GB
  -c effective_cache_size=4GB -c work_mem=64MB -c maintenance_work_mem=256MB -c max_wal_size=4GB -c jit=off -c random_page_cost=1.1)
start "${owner[@]}" "$bin/postgres" -D "$scratch/data" "${settings[@]}"
ready "$bin/pg_isready" -h "$scratch/run" -p "$port" -U bench
version=$("$bin/postgres" --version)
announce "{\"address\":\"127.0.0.1\",\"pid\":$pid,\"port\":$port,\"durability\":\"commits synced (its default); shared_buffers 1 GB, random_page_cost 1.1, jit off\",\"version\":\"$version\"}"
