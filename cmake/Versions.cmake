# versions.h: neap's version, how it was built and its outside parts, for
# `neap --version`. Target neap::versions carries it.

get_property(NEAP_PARTS GLOBAL PROPERTY NEAP_PARTS)
set(how ${CMAKE_BUILD_TYPE})
if(NEAP_SANITIZE)
  string(APPEND how " ${NEAP_SANITIZE}")
endif()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/versions.h CONTENT
"/* Versions of neap and of its outside parts: generated. */
#pragma once

#define NEAP_VERSION \"@PROJECT_VERSION@\"
#define NEAP_BUILD \"@how@\"
#define NEAP_COMPILER \"@CMAKE_C_COMPILER_ID@ @CMAKE_C_COMPILER_VERSION@\"

/* X(name, version, licence, origin) for each part. */
#define NEAP_PARTS(X) \\
@NEAP_PARTS@	/* end */
" @ONLY)
add_library(neap_versions INTERFACE)
add_library(neap::versions ALIAS neap_versions)
target_include_directories(neap_versions INTERFACE
  ${CMAKE_BINARY_DIR}/generated)
