#!/bin/sh
# Checks this folder with openssl and the tools of any POSIX system; nothing of airgap is needed.
# Exit code 0: every file is as it was collected, and every signature in signed/index.txt holds.
# It does not know whom you trust: compare the fingerprint of the root with the site's records.
cd "$(dirname "$0")" || exit 2
failed=0

report() { # RESULT TEXT
    if [ "$1" -eq 0 ]; then echo "OK   $2"; else echo "BAD  $2"; failed=1; fi
}

hex() { od -An -v -tx1 | tr -d ' \n'; }

check_signature() { # ALGORITHM KEY SIGNATURE SIGNED_BYTES
    case $1 in
    ecdsa-p256-sha256) openssl dgst -sha256 -verify "$2" -signature "$3" "$4" ;;
    ecdsa-p384-sha384) openssl dgst -sha384 -verify "$2" -signature "$3" "$4" ;;
    *) openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$4" -sigfile "$3" ;;
    esac >/dev/null 2>&1
}

sha256sum -c --quiet SHA256SUMS
report $? "SHA256SUMS"

for folder in bundles/*/; do
    id=$(basename "$folder")
    [ "$(sha256sum <"${folder}manifest.msgpack" | cut -d ' ' -f 1)" = "$id" ]
    report $? "bundle id $id"
done

for root in root/*.root.msgpack; do
    [ -f "$root" ] || continue
    echo "root $root: compare with the site's records"
    echo "     SHA256:$(sha256sum <"$root" | cut -d ' ' -f 1)"
    for key in keys/*.pem; do
        der=$(openssl pkey -pubin -in "$key" -outform DER 2>&1 | hex)
        openssl pkey -pubin -in "$key" -noout 2>&1 && hex <"$root" | grep -qF "$der"
        report $? "$key is in the root"
    done
done

while read -r number key algorithm type source; do
    signed=signed/$number
    [ "$(openssl pkey -pubin -in "keys/$key.pem" -outform DER | sha256sum | cut -d ' ' -f 1)" = "$key" ] &&
        {
            printf 'DSSEv1 %d %s %d ' "${#type}" "$type" "$(($(wc -c <"$signed.payload")))"
            cat "$signed.payload"
        } | cmp -s - "$signed.pae" &&
        case $source in
        *.intoto.json)
            sed -n 's/^{"payload":"\([^"]*\)".*/\1/p' "$source" | base64 -d |
                cmp -s - "$signed.payload"
            ;;
        *) cmp -s "$signed.payload" "$source" ;;
        esac &&
        check_signature "$algorithm" "keys/$key.pem" "$signed.sig" "$signed.pae"
    report $? "$source, signed by $key"
done <signed/index.txt

exit "$failed"
