# msgpuck, which modules may be written with: neap::msgpuck, one header.
find_path(MSGPUCK_INCLUDE msgpuck.h)
mark_as_advanced(MSGPUCK_INCLUDE)
if(NOT MSGPUCK_INCLUDE)
  message(FATAL_ERROR
    "msgpuck is missing: install libmsgpuck-dev, or everything with: make deps")
endif()
add_library(neap_msgpuck INTERFACE)
add_library(neap::msgpuck ALIAS neap_msgpuck)
target_include_directories(neap_msgpuck SYSTEM INTERFACE ${MSGPUCK_INCLUDE})
add_part(msgpuck "1.0" BSD-2-Clause "package libmsgpuck-dev")
