# msgpack-c, the packer and the unpacker's template: neap::msgpack. Both are
# headers whole; its library is not linked.
pkg_check_modules(MSGPACK QUIET msgpack>=4.0)
if(NOT MSGPACK_FOUND)
  message(FATAL_ERROR
    "msgpack-c 4 is missing: install libmsgpack-dev, or everything with: "
    "make deps")
endif()
find_path(MSGPACK_INCLUDE msgpack/pack.h
  HINTS ${MSGPACK_INCLUDE_DIRS} REQUIRED)
mark_as_advanced(MSGPACK_INCLUDE)
add_library(neap_msgpack INTERFACE)
add_library(neap::msgpack ALIAS neap_msgpack)
target_include_directories(neap_msgpack SYSTEM INTERFACE ${MSGPACK_INCLUDE})
add_part(msgpack-c "${MSGPACK_VERSION}" "BSL-1.0" "package libmsgpack-dev")
