# xxHash, hashes of expressions: neap::xxhash, its header alone.
pkg_check_modules(PART_xxhash QUIET libxxhash)
if(NOT PART_xxhash_FOUND)
  message(FATAL_ERROR
    "xxhash (libxxhash) is missing: install libxxhash-dev, "
    "or everything with: make deps")
endif()
add_library(neap_xxhash INTERFACE)
target_include_directories(neap_xxhash SYSTEM INTERFACE
  ${PART_xxhash_INCLUDE_DIRS})
add_library(neap::xxhash ALIAS neap_xxhash)
add_part(xxhash "${PART_xxhash_VERSION}" BSD-2-Clause "package libxxhash-dev")
