# Shared by the scripts beside it: each starts one peer with durable writes on free loopback ports in a scratch
# directory, prints one line of JSON when it is ready (address, pid, durability, version, …), and ends the peer when it
# is ended itself (TERM). A peer that is not installed is one line: `skipped: …`.
#
#   bash benches/peers/redis.sh /some/scratch/directory

set -euo pipefail
scratch=${1:?"a scratch directory"}
mkdir -p "$scratch"
scratch=$(cd "$scratch" && pwd)

# The program of a peer: from the variable, else from PATH.
program() { # variable name
  local given=${!1:-}
  local found
  if found=$(command -v "${given:-$2}"); then
    printf '%s' "$found"
  else
    echo "skipped: $2 is not installed" && exit 0
  fi
}

# A port of loopback that nobody listens on.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# Runs a peer in the background; its output goes to a file. Sets `pid`.
start() {
  "$@" >"$scratch/log" 2>&1 </dev/null &
  pid=$!
  trap 'kill -TERM "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; exit 0' TERM INT EXIT
}

# Waits up to 30 s until a command succeeds.
ready() {
  local turn
  for turn in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    if ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.1
  done
  echo "not ready after ${turn:-0} tries; the last of its log:" >&2
  tail -n 20 "$scratch/log" >&2
  exit 1
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }
random_hex() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# Prints the line and stays until the peer ends.
announce() {
  echo "$1"
  wait "$pid"
}
