#!/usr/bin/env bash
# Redis with an append-only file that is synced before every answer. `REDIS` names another binary.
source "$(dirname "$0")/common.sh"
redis=$(program REDIS redis-server)
[[ $redis == skipped* ]] && echo "$redis" && exit 0
port=$(free_port)
start "$redis" --bind 127.0.0.1 --port "$port" --dir "$scratch" --save "" \
  --appendonly yes --appendfsync always --no-appendfsync-on-rewrite no --daemonize no
ready listens "$port"
version=$("$redis" --version | sed -n 's/.*v=\([^ ]*\).*/\1/p')
announce "{\"address\":\"127.0.0.1:$port\",\"pid\":$pid,\"durability\":\"appendonly, appendfsync always\",\"version\":\"redis $version\"}"
