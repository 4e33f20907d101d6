#!/usr/bin/env bash
# nginx: static files, and WebDAV to put them there, over HTTP/1.1 and over HTTP/2 with prior knowledge. It checks no
# signature and syncs nothing: its writes are no peer of durable ones. `NGINX` names another binary.
source "$(dirname "$0")/common.sh"
export PATH=$PATH:/usr/sbin
nginx=$(program NGINX nginx)
[[ $nginx == skipped* ]] && echo "$nginx" && exit 0
h1=$(free_port)
h2=$(free_port)
mkdir -p "$scratch/files" "$scratch/temporary"
user=""
[ "$(id -u)" = 0 ] && user="user root;"
cat >"$scratch/nginx.conf" <<CONF
$user
daemon off;
worker_processes auto;
pid $scratch/nginx.pid;
error_log $scratch/error.log error;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 3600;
  client_max_body_size 0;
  client_body_buffer_size 1m;
  client_body_temp_path $scratch/temporary/body;
  proxy_temp_path $scratch/temporary/proxy;
  fastcgi_temp_path $scratch/temporary/fastcgi;
  uwsgi_temp_path $scratch/temporary/uwsgi;
  scgi_temp_path $scratch/temporary/scgi;
  http2_chunk_size 256k;
  http2_body_preread_size 8m;
  http2_max_concurrent_streams 1024;
  open_file_cache max=10000;
  server {
    listen 127.0.0.1:$h1;
    listen 127.0.0.1:$h2 http2;
    root $scratch/files;
    dav_methods PUT DELETE;
  }
}
CONF
start "$nginx" -p "$scratch" -c "$scratch/nginx.conf"
ready listens "$h1"
ready listens "$h2"
version=$("$nginx" -v 2>&1 | sed 's/.*nginx\//nginx /')
announce "{\"address\":\"127.0.0.1:$h1\",\"address_http2\":\"127.0.0.1:$h2\",\"pid\":$pid,\"durability\":\"none: nginx syncs nothing, and checks no signature\",\"version\":\"$version\"}"
