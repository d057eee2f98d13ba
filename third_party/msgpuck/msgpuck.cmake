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
# The header does not tell its version; the package does, where there is one.
execute_process(COMMAND dpkg-query -W -f "\${Version}" libmsgpuck-dev
  OUTPUT_VARIABLE msgpuck_version ERROR_QUIET RESULT_VARIABLE msgpuck_failed)
if(msgpuck_failed)
  set(msgpuck_version "unknown")
endif()
string(REGEX REPLACE "[-+].*" "" msgpuck_version "${msgpuck_version}")
add_part(msgpuck "${msgpuck_version}" BSD-2-Clause "package libmsgpuck-dev")
