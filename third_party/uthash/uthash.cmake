# uthash, hash tables in headers: neap::uthash.
find_path(UTHASH_INCLUDE uthash.h)
mark_as_advanced(UTHASH_INCLUDE)
if(NOT UTHASH_INCLUDE)
  message(FATAL_ERROR
    "uthash is missing: install uthash-dev, or everything with: make deps")
endif()
file(STRINGS ${UTHASH_INCLUDE}/uthash.h line
  REGEX "^#define UTHASH_VERSION ")
string(REGEX REPLACE ".* ([0-9.]+).*" "\\1" version "${line}")
add_library(neap_uthash INTERFACE)
add_library(neap::uthash ALIAS neap_uthash)
target_include_directories(neap_uthash SYSTEM INTERFACE ${UTHASH_INCLUDE})
add_part(uthash "${version}" BSD-1-Clause "package uthash-dev")
