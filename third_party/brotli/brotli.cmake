# brotli, bodies as brotli: neap::brotli, its headers alone. It is loaded when it is
# wanted (src/net/http_encoder.c).
pkg_check_modules(PART_brotli QUIET libbrotlienc)
if(NOT PART_brotli_FOUND)
  message(FATAL_ERROR
    "brotli (libbrotlienc) is missing: install libbrotli-dev, "
    "or everything with: make deps")
endif()
add_library(neap_brotli INTERFACE)
target_include_directories(neap_brotli SYSTEM INTERFACE ${PART_brotli_INCLUDE_DIRS})
add_library(neap::brotli ALIAS neap_brotli)
add_part(brotli "${PART_brotli_VERSION}" MIT "package libbrotli-dev")
