#!/usr/bin/env bash
# One etcd, which syncs its log before every answer. Its JSON gateway is used. `ETCD` names another binary.
source "$(dirname "$0")/common.sh"
etcd=$(program ETCD etcd)
[[ $etcd == skipped* ]] && echo "$etcd" && exit 0
port=$(free_port)
peer_port=$(free_port)
start "$etcd" --name bench --data-dir "$scratch/data" \
  --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
  --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
  --initial-cluster "bench=http://127.0.0.1:$peer_port" --quota-backend-bytes 8589934592 --log-level error
healthy() { curl -sf "http://127.0.0.1:$port/health" | grep -q true; }
ready healthy
version=$("$etcd" --version | sed -n 's/^etcd Version: //p')
announce "{\"address\":\"127.0.0.1:$port\",\"pid\":$pid,\"durability\":\"log synced before each answer (its default); JSON gateway, values as base64\",\"version\":\"etcd $version\"}"
