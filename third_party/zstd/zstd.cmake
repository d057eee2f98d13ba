# zstd, bodies as zstd: neap::zstd, its headers alone. It is loaded when it is wanted
# (src/net/http_encoder.c).
pkg_check_modules(PART_zstd QUIET libzstd)
if(NOT PART_zstd_FOUND)
  message(FATAL_ERROR
    "zstd (libzstd) is missing: install libzstd-dev, "
    "or everything with: make deps")
endif()
add_library(neap_zstd INTERFACE)
target_include_directories(neap_zstd SYSTEM INTERFACE ${PART_zstd_INCLUDE_DIRS})
add_library(neap::zstd ALIAS neap_zstd)
add_part(zstd "${PART_zstd_VERSION}" BSD-3-Clause "package libzstd-dev")
