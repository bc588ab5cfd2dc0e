#!/bin/sh
# Makes the certificates of a site's bus: a CA of its own, one certificate per broker, one per service and host.
# Run it in a folder that only its owner can read; ca.key stays there. Needs openssl; "stores" also needs keytool (a JRE).
set -eu
umask 077

usage() {
    cat >&2 <<'USAGE'
usage: certificates.sh ca                 the CA, once: ca.key, ca.pem
       certificates.sh server NAME...     a broker's: NAME.key, NAME.pem, after the first of the names and addresses by
                                          which clients reach it
       certificates.sh client NAME...     one per service: NAME.key, NAME.pem, after the user at the broker
       certificates.sh stores NAME        ActiveMQ's form of NAME.key, NAME.pem and ca.pem: NAME.p12, trust.p12
USAGE
    exit 64
}

# What a program says is shown only when it fails.
quietly() {
    said=$("$@" 2>&1) || {
        printf '%s\n' "$said" >&2
        exit 70
    }
}

check() {
    for name in "$@"; do
        case $name in
        '' | -* | *[!A-Za-z0-9._:-]*)
            echo "\"$name\" is no name: letters, digits and . _ - only" >&2
            exit 65
            ;;
        esac
    done
}

# $1: file and common name. ECDSA on P-256, which every broker reads.
request() {
    quietly openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
}

# $1: file, $2: what it is for, $3: its other names.
sign() {
    printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n%s' \
        "$2" "$3" >"$1.ext"
    quietly openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -sha256 \
        -extfile "$1.ext" -out "$1.pem"
    rm "$1.csr" "$1.ext"
    echo "$1.pem $(openssl x509 -in "$1.pem" -noout -enddate)"
}

names() {
    list=
    for name in "$@"; do
        case $name in
        *:*) kind=IP ;;
        *[!0-9.]*) kind=DNS ;;
        *) kind=IP ;;
        esac
        list=$list${list:+,}$kind:$name
    done
    printf 'subjectAltName=%s\n' "$list"
}

[ $# -ge 1 ] || usage
action=$1
shift
case $action in
ca)
    [ $# -eq 0 ] || usage
    if [ -e ca.key ]; then
        echo "ca.key is already here; every certificate hangs on it, so move it away first" >&2
        exit 73
    fi
    quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -sha256 \
        -subj "/CN=deploykit bus CA" -keyout ca.key -out ca.pem \
        -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
    echo "ca.pem $(openssl x509 -in ca.pem -noout -enddate)"
    ;;
server)
    [ $# -ge 1 ] || usage
    check "$@"
    request "$1"
    sign "$1" serverAuth "$(names "$@")"
    ;;
client)
    [ $# -ge 1 ] || usage
    check "$@"
    for name in "$@"; do
        request "$name"
        sign "$name" clientAuth ""
    done
    ;;
stores)
    [ $# -eq 1 ] || usage
    # Java wants a password for them. It lies here beside the keys, and in activemq.xml.
    [ -e store-password ] || openssl rand -hex 24 >store-password
    quietly openssl pkcs12 -export -name broker -in "$1.pem" -inkey "$1.key" -certfile ca.pem \
        -passout file:store-password -out "$1.p12"
    rm -f trust.p12
    quietly keytool -importcert -noprompt -alias ca -file ca.pem -storetype PKCS12 \
        -storepass:file store-password -keystore trust.p12
    echo "$1.p12 trust.p12; their password is in store-password"
    ;;
*) usage ;;
esac
