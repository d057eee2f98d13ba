# wslay, frames of WebSocket connections: neap::wslay. Debian's package has no
# pkg-config file, and its header another version's number.
find_path(WSLAY_INCLUDE wslay/wslay.h)
find_library(WSLAY_LIBRARY wslay)
mark_as_advanced(WSLAY_INCLUDE WSLAY_LIBRARY)
if(NOT WSLAY_INCLUDE OR NOT WSLAY_LIBRARY)
  message(FATAL_ERROR
    "wslay is missing: install libwslay-dev, or everything with: make deps")
endif()
get_filename_component(version ${WSLAY_LIBRARY} REALPATH)
string(REGEX REPLACE ".*\\.so\\.?" "" version "${version}")
add_library(neap_wslay INTERFACE)
target_include_directories(neap_wslay SYSTEM INTERFACE ${WSLAY_INCLUDE})
target_link_libraries(neap_wslay INTERFACE ${WSLAY_LIBRARY})
add_library(neap::wslay ALIAS neap_wslay)
add_part(wslay "${version}" MIT "package libwslay-dev")
