# llhttp, the HTTP/1 parser, built from the C files Debian ships in
# node-llhttp: neap::llhttp.
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include
  PATH_SUFFIXES llhttp)
find_path(LLHTTP_SOURCE llhttp.c PATHS /usr/share PATH_SUFFIXES llhttp)
mark_as_advanced(LLHTTP_INCLUDE LLHTTP_SOURCE)
if(NOT LLHTTP_INCLUDE OR NOT LLHTTP_SOURCE)
  message(FATAL_ERROR
    "llhttp is missing: install node-llhttp, or everything with: make deps")
endif()
set(version "")
foreach(part IN ITEMS MAJOR MINOR PATCH)
  file(STRINGS ${LLHTTP_INCLUDE}/llhttp.h line
    REGEX "^#define LLHTTP_VERSION_${part} ")
  string(REGEX REPLACE ".* ([0-9]+).*" "\\1" number "${line}")
  list(APPEND version ${number})
endforeach()
list(JOIN version "." version)
add_library(neap_llhttp STATIC
  ${LLHTTP_SOURCE}/api.c ${LLHTTP_SOURCE}/http.c ${LLHTTP_SOURCE}/llhttp.c)
add_library(neap::llhttp ALIAS neap_llhttp)
target_include_directories(neap_llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
# Its loose mode skips the line ends of chunks without a look.
target_compile_definitions(neap_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
# -O2 always: it runs over every byte of every request.
target_compile_options(neap_llhttp PRIVATE
  -w -O2 -fPIE -fvisibility=hidden -fexceptions -funwind-tables)
add_part(llhttp "${version}" MIT "package node-llhttp, built here")
