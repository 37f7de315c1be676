#!/bin/sh
# Checks that entry.msgpack is in a ledger: openssl, xxd and base64. Usage: sh check.sh [FOLDER]
set -eu; cd "${1:-.}"; t=$(mktemp -d); trap 'rm -r "$t"' EXIT
sha() { xxd -r -p | openssl dgst -sha256 -r | cut -c 1-64; }
sed '1,/^$/d' entry.tlog-proof > "$t/note"; sed '/^$/,$d' "$t/note" > "$t/text"
origin=$(sed -n 1p "$t/text"); size=$(sed -n 2p "$t/text")
root=$(sed -n 3p "$t/text" | base64 -d | xxd -p -c 64)
sed '1,/^$/d' "$t/note" | sed -n "s#^— $origin ##p" | head -1 | base64 -d | tail -c 64 > "$t/sig"
openssl pkeyutl -verify -pubin -inkey recorder.pub -rawin -in "$t/text" -sigfile "$t/sig"
index=$(sed -n 's/^index //p' entry.tlog-proof | head -1); n=$index; last=$((size - 1))
sed -n '/^index /,/^$/p' entry.tlog-proof | sed '1d;/^$/d' > "$t/path"
h=$({ printf 00; xxd -p entry.msgpack; } | tr -d '\n' | sha)
while read -r line; do
  p=$(echo "$line" | base64 -d | xxd -p -c 64)
  if [ $((n % 2)) = 1 ] || [ "$n" = "$last" ]; then h=$(echo "01$p$h" | sha)
    while [ $((n % 2)) = 0 ] && [ "$n" != 0 ]; do n=$((n / 2)); last=$((last / 2)); done
  else h=$(echo "01$h$p" | sha); fi
  n=$((n / 2)); last=$((last / 2))
done < "$t/path"
[ "$h" = "$root" ] && [ "$last" = 0 ] || { echo "NOT in the ledger"; exit 1; }
echo "entry $((index + 1)) of $size is in the ledger $origin, signed by the recorder's key"
openssl pkey -pubin -in recorder.pub -outform DER | openssl dgst -sha256 -r | cut -c 1-64
