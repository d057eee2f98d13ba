#[[
neap_add_module(NAME source... [COMPAT])

Build the C module NAME: a library that `require('cmod').load('NAME')` finds.

    find_package(neap 0.1 REQUIRED)
    neap_add_module(hello hello.c)

The target is called NAME and may be given further libraries, definitions and
sources as any other. It is a shared library without the prefix `lib` that sees
neap's header and nothing else of neap. Symbols are hidden unless they are
declared NEAP_EXPORT. A NAME with dots goes into folders: `geo.area` is built as
`geo/area.so`. Libraries lie in CMAKE_LIBRARY_OUTPUT_DIRECTORY, or else in the
folder of the build that belongs to the one that calls this.

COMPAT is for sources written for Tarantool's `module.h`, which is then found
as it stands; their functions are not marked, so all symbols are visible.

`cmake --install` puts the library into NEAP_MODULE_DIR below its prefix. That is
`lib/lua/5.1` unless set: a rock tree, or a prefix that package.cpath knows.
]]
function(neap_add_module name)
  cmake_parse_arguments(PARSE_ARGV 1 M "COMPAT" "" "")
  if(NOT name MATCHES "^[A-Za-z0-9_][A-Za-z0-9_-]*(\\.[A-Za-z0-9_][A-Za-z0-9_-]*)*$")
    message(FATAL_ERROR "neap_add_module: '${name}' is no name of a module: "
      "letters, digits, _ and -, and dots between folders")
  endif()
  if(NOT M_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "neap_add_module(${name}): a source is wanted: "
      "neap_add_module(${name} ${name}.c)")
  endif()

  string(REPLACE "." "/" path ${name})
  get_filename_component(folder ${path} DIRECTORY)
  get_filename_component(file ${path} NAME)
  set(out ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
  if(NOT out)
    set(out ${CMAKE_CURRENT_BINARY_DIR})
  endif()
  set(where ${NEAP_MODULE_DIR})
  if(NOT where)
    set(where lib/lua/5.1)
  endif()
  if(folder)
    string(APPEND out /${folder})
    string(APPEND where /${folder})
  endif()

  add_library(${name} MODULE ${M_UNPARSED_ARGUMENTS})
  # The generator expression keeps generators of many kinds of build from
  # adding a folder for each.
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so" OUTPUT_NAME ${file}
    LIBRARY_OUTPUT_DIRECTORY $<1:${out}>)
  # Unique symbols of C++ would keep each build mapped for good.
  target_compile_options(${name} PRIVATE
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-fno-gnu-unique>)
  if(M_COMPAT)
    target_link_libraries(${name} PRIVATE neap::compat)
  else()
    target_link_libraries(${name} PRIVATE neap::module)
    set_target_properties(${name} PROPERTIES
      C_VISIBILITY_PRESET hidden
      CXX_VISIBILITY_PRESET hidden
      VISIBILITY_INLINES_HIDDEN ON)
  endif()
  install(TARGETS ${name} LIBRARY DESTINATION ${where})
endfunction()
