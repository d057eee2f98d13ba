# GNU libunistring, letters in upper and lower case: neap::unistring, its headers alone.
# It is loaded when it is wanted (src/lua/lua_utf8.c).
find_path(UNISTRING_INCLUDE unicase.h)
mark_as_advanced(UNISTRING_INCLUDE)
if(NOT UNISTRING_INCLUDE)
  message(FATAL_ERROR
    "libunistring is missing: install libunistring-dev, "
    "or everything with: make deps")
endif()
file(STRINGS ${UNISTRING_INCLUDE}/unistring/version.h line
  REGEX "^#define _LIBUNISTRING_VERSION ")
string(REGEX REPLACE ".* 0x0*([0-9a-f]+)0*([0-9a-f])$" "\\1.\\2" version "${line}")
add_library(neap_unistring INTERFACE)
target_include_directories(neap_unistring SYSTEM INTERFACE ${UNISTRING_INCLUDE})
add_library(neap::unistring ALIAS neap_unistring)
add_part(unistring "${version}" LGPL-3.0-or-later "package libunistring-dev")
