# The outside parts, each as a target neap::<part>. How each is found or built
# stands in third_party/<part>/; a part tells its version by add_part(), which
# versions.h and `neap --version` print.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# One line of versions.h: name, version, licence, where it came from.
function(add_part name version licence origin)
  set_property(GLOBAL APPEND_STRING PROPERTY NEAP_PARTS
    "\tX(\"${name}\", \"${version}\", \"${licence}\", \"${origin}\") \\\n")
endfunction()

# A part from a Debian package: target neap::<name> from pkg-config's MODULE.
function(package_part name)
  cmake_parse_arguments(PARSE_ARGV 1 P "" "MODULE;PACKAGE;LICENCE;MINIMUM" "")
  set(wanted ${P_MODULE})
  if(P_MINIMUM)
    set(wanted "${P_MODULE}>=${P_MINIMUM}")
  endif()
  pkg_check_modules(PART_${name} QUIET IMPORTED_TARGET GLOBAL ${wanted})
  if(NOT PART_${name}_FOUND)
    message(FATAL_ERROR
      "${name} (${wanted}) is missing: install ${P_PACKAGE}, "
      "or everything with: make deps")
  endif()
  add_library(neap::${name} ALIAS PkgConfig::PART_${name})
  add_part(${name} "${PART_${name}_VERSION}" "${P_LICENCE}"
    "package ${P_PACKAGE}")
endfunction()

foreach(part IN ITEMS
    luajit libuv llhttp nghttp2 msgpack libyaml openssl curl wslay zlib brotli zstd
    libedit uthash pcre2 xxhash unistring
    msgpuck)
  include(${CMAKE_SOURCE_DIR}/third_party/${part}/${part}.cmake)
endforeach()
