# libuv, the event loop: neap::libuv.
package_part(libuv MODULE libuv PACKAGE libuv1-dev LICENCE MIT MINIMUM 1.44)
