# libcurl, the HTTP client: neap::curl, its headers alone. It is loaded when it is
# wanted (src/net/curl_library.c).
pkg_check_modules(PART_curl QUIET libcurl>=7.88)
if(NOT PART_curl_FOUND)
  message(FATAL_ERROR
    "curl (libcurl>=7.88) is missing: install libcurl4-openssl-dev, "
    "or everything with: make deps")
endif()
add_library(neap_curl INTERFACE)
target_include_directories(neap_curl SYSTEM INTERFACE ${PART_curl_INCLUDE_DIRS})
add_library(neap::curl ALIAS neap_curl)
add_part(curl "${PART_curl_VERSION}" curl "package libcurl4-openssl-dev")
