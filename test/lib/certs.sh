#!/bin/sh
# Certificates for tests, made on the spot by the openssl command, into the folder $1:
#
#   ca.pem               an authority; ca.key its key
#   ca2.pem ca2.key      another one, trusted by nobody
#   server.pem .key      by ca, for localhost, *.wild.test, 127.0.0.1 and ::1
#   other.pem .key       by ca, for other.test
#   expired.pem .key     by ca, for localhost, over
#   self.pem .key        by itself, for localhost
#   stranger.pem .key    by ca2, for localhost
#   client.pem .key      by ca, a client's, CN=ann
#   clients.pem .key     by ca2, a client's, CN=eve
#   secret.key           the key of server.pem, encrypted with "open sesame"
set -eu
mkdir -p "$1"
cd "$1"

# Nothing of the machine's own configuration.
cat > req.cnf << 'END'
[req]
distinguished_name = dn
[dn]
END

key() {
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
		-out "$1.key" 2> /dev/null
}

authority() {
	key "$1"
	openssl req -x509 -config req.cnf -new -key "$1.key" -subj "/CN=$1" \
		-days 30 -addext basicConstraints=critical,CA:TRUE \
		-addext keyUsage=critical,keyCertSign -out "$1.pem"
}

# leaf NAME AUTHORITY SUBJECT EXTENSIONS [DAYS]
leaf() {
	key "$1"
	printf '%b' "$4" > "$1.ext"
	openssl req -config req.cnf -new -key "$1.key" -subj "$3" \
		-out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" \
		-set_serial "$(cksum < "$1.key" | cut -d ' ' -f 1)" \
		-days "${5:-30}" -extfile "$1.ext" -out "$1.pem" 2> /dev/null
}

local_names='subjectAltName=DNS:localhost,DNS:*.wild.test,IP:127.0.0.1,IP:::1\n'
authority ca
authority ca2
leaf server ca /CN=localhost "$local_names"
leaf other ca /CN=other.test 'subjectAltName=DNS:other.test\n'
leaf expired ca /CN=localhost "$local_names" -1
leaf stranger ca2 /CN=localhost "$local_names"
leaf client ca /CN=ann 'extendedKeyUsage=clientAuth\n'
leaf clients ca2 /CN=eve 'extendedKeyUsage=clientAuth\n'
key self
openssl req -x509 -config req.cnf -new -key self.key -subj /CN=localhost \
	-days 30 -addext subjectAltName=DNS:localhost -out self.pem
openssl pkey -in server.key -aes128 -passout 'pass:open sesame' -out secret.key
