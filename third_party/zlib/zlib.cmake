# zlib, bodies as gzip: neap::zlib, its headers alone. It is loaded when it is
# wanted (src/net/http_encoder.c).
pkg_check_modules(PART_zlib QUIET zlib)
if(NOT PART_zlib_FOUND)
  message(FATAL_ERROR
    "zlib (zlib) is missing: install zlib1g-dev, "
    "or everything with: make deps")
endif()
add_library(neap_zlib INTERFACE)
target_include_directories(neap_zlib SYSTEM INTERFACE ${PART_zlib_INCLUDE_DIRS})
add_library(neap::zlib ALIAS neap_zlib)
add_part(zlib "${PART_zlib_VERSION}" Zlib "package zlib1g-dev")
