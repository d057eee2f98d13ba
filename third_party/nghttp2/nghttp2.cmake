# nghttp2, the protocol of HTTP/2: neap::nghttp2.
package_part(nghttp2
  MODULE libnghttp2 PACKAGE libnghttp2-dev LICENCE MIT MINIMUM 1.52)
