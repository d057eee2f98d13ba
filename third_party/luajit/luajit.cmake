# LuaJIT, static, from build.sh or, where no source can be had, the system's:
# neap::luajit, neap::luajit_internal (its private headers), and the variable
# NEAP_LUAJIT_LIB for linking it whole.

set(dir ${CMAKE_CURRENT_LIST_DIR})
set(options "")
if(NEAP_LUAJIT_ASSERT)
  list(APPEND options --assert)
endif()
if(NEAP_ASAN)
  # malloc for Lua's memory, so that the address sanitizer sees it.
  list(APPEND options --sysmalloc)
endif()
if(NEAP_LUAJIT_TARBALL)
  list(APPEND options --tarball ${NEAP_LUAJIT_TARBALL})
endif()

execute_process(
  COMMAND ${dir}/build.sh ${options}
  OUTPUT_VARIABLE prefix
  OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE result)
file(GLOB inputs CONFIGURE_DEPENDS ${dir}/*.patch)
set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY
  CMAKE_CONFIGURE_DEPENDS ${dir}/build.sh ${inputs})

if(result EQUAL 0)
  set(NEAP_LUAJIT_SYSTEM OFF)
  set(NEAP_LUAJIT_LIB ${prefix}/lib/libluajit.a)
  set(NEAP_LUAJIT_DIR ${prefix})
  file(READ ${prefix}/version version)
  file(READ ${prefix}/origin origin)
  file(READ ${prefix}/flags flags)
  string(STRIP "${version}" version)
  string(STRIP "${origin}" origin)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  set(include ${prefix}/include)
  # How long the interpreter's code is: where a signal may have struck.
  execute_process(COMMAND size -A ${NEAP_LUAJIT_LIB} OUTPUT_VARIABLE sizes)
  if(NOT sizes MATCHES "lj_vm\\.o[^\n]*\n[^\n]*\n\\.text +([0-9]+)")
    message(FATAL_ERROR "no lj_vm.o in ${NEAP_LUAJIT_LIB}")
  endif()
  set(NEAP_LUAJIT_VM_SIZE ${CMAKE_MATCH_1})
elseif(result EQUAL 3)
  pkg_check_modules(SYSTEM_LUAJIT QUIET luajit)
  if(NOT SYSTEM_LUAJIT_FOUND AND DEFINED ENV{NEAP_INSTALL})
    # Under make, which installs what it needs.
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/third_party/install.sh fallback)
    pkg_check_modules(SYSTEM_LUAJIT QUIET luajit)
  endif()
  if(NOT SYSTEM_LUAJIT_FOUND)
    message(FATAL_ERROR
      "LuaJIT's source could not be had, and the system has no LuaJIT to "
      "fall back to: install libluajit-5.1-dev, or give the source by hand "
      "with -DNEAP_LUAJIT_TARBALL=FILE")
  endif()
  message(WARNING
    "LuaJIT's source could not be had: the system's library is used, and "
    "compiled loops cannot be preempted")
  set(NEAP_LUAJIT_SYSTEM ON)
  find_library(NEAP_LUAJIT_LIB NAMES libluajit-5.1.a luajit-5.1
    HINTS ${SYSTEM_LUAJIT_LIBRARY_DIRS} REQUIRED)
  set(version ${SYSTEM_LUAJIT_VERSION})
  set(origin "system library, compiled loops cannot be preempted")
  set(flags "")
  set(include ${SYSTEM_LUAJIT_INCLUDE_DIRS})
else()
  message(FATAL_ERROR "LuaJIT could not be built")
endif()

add_library(neap_luajit INTERFACE)
add_library(neap::luajit ALIAS neap_luajit)
target_include_directories(neap_luajit SYSTEM INTERFACE ${include})
target_link_libraries(neap_luajit INTERFACE ${NEAP_LUAJIT_LIB} m dl)
target_compile_definitions(neap_luajit INTERFACE
  NEAP_LUAJIT_SYSTEM=$<BOOL:${NEAP_LUAJIT_SYSTEM}>)

add_library(neap_luajit_internal INTERFACE)
add_library(neap::luajit_internal ALIAS neap_luajit_internal)
target_link_libraries(neap_luajit_internal INTERFACE neap_luajit)
if(NOT NEAP_LUAJIT_SYSTEM)
  target_include_directories(neap_luajit_internal SYSTEM INTERFACE
    ${prefix}/internal)
  target_compile_options(neap_luajit_internal INTERFACE ${flags})
  target_compile_definitions(neap_luajit_internal INTERFACE
    NEAP_LUAJIT_VM_SIZE=${NEAP_LUAJIT_VM_SIZE})
endif()
add_part(LuaJIT "${version}" MIT "${origin}")
