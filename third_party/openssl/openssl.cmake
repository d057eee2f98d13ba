# OpenSSL, TLS and hashes: neap::openssl.
package_part(openssl
  MODULE openssl PACKAGE libssl-dev LICENCE Apache-2.0 MINIMUM 3.0)
