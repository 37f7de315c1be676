#!/bin/sh
# Runs every command of report.html on this folder: openssl, python3 and the tools of any POSIX
# system; nothing of airgap is needed. Exit code 0: all of them succeeded.
# It does not know whom you trust: compare the fingerprint of the root with the site's records.
cd "$(dirname "$0")" || exit 2
failed=0
output=$(mktemp) || exit 2
trap 'rm -f "$output"' EXIT

check() { # NUMBER, and the command on standard input
    if sh -c "$(cat)" >"$output" 2>&1; then
        echo "OK   E$1"
    else
        echo "BAD  E$1"
        sed 's/^/     /' "$output"
        failed=$((failed + 1))
    fi
}

finish() { # COUNT
    echo "$1 commands and SHA256SUMS were checked; $failed failed"
    [ "$failed" -eq 0 ]
}

if sha256sum -c --quiet SHA256SUMS; then
    echo "OK   SHA256SUMS"
else
    echo "BAD  SHA256SUMS"
    failed=$((failed + 1))
fi

