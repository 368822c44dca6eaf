#!/bin/sh
# Makes certificates/ beside this script, for trying out: a CA, the token authority's certificate, and one for each
# caller, valid for 30 days. Needs openssl.
set -eu
umask 077
mkdir -p "$(dirname "$0")/certificates"
cd "$(dirname "$0")/certificates"

new_key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

# issue NAME SUBJECT_ALT_NAMES
issue() {
  openssl req $new_key -keyout "$1.key" -subj "/CN=$1" -out "$1.csr"
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$2" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem"
  rm "$1.csr" "$1.ext"
}

{
  openssl req -x509 $new_key -keyout ca.key -days 30 -subj "/CN=examples" -out ca.pem
  issue authority "DNS:localhost,IP:127.0.0.1"
  issue gateway "URI:spiffe://casapay/gateway"
  issue operator "URI:spiffe://casapay/operator"
} 2>openssl.log || { cat openssl.log >&2; exit 1; }
# HAProxy reads a certificate and its key from one file.
cat gateway.pem gateway.key >gateway-with-key.pem
printf '{"spiffe://casapay/gateway": "gateway", "spiffe://casapay/operator": "operator"}\n' >callers.json
