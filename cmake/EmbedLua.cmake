# embed_lua(): puts Lua sources into a target as byte arrays.
#
#   embed_lua(lua http.lua fiber.lua)
#
# gives the C of the target, and of whoever links it, "lua_src/<target>.h":
#
#   struct lua_src { const char *name; const char *data; size_t size; };
#   extern const char lua_src_http[];           /* ends in a NUL */
#   extern const size_t lua_src_http_size;      /* without that NUL */
#   extern const struct lua_src lua_src_<target>_table[]; /* ends in NULLs */
#   extern const size_t lua_src_<target>_count;
#
# The text is embedded as it stands; the loader gives the chunk its name,
# "@neap/<name>.lua". add_layer() calls this for the .lua files of a layer.

set(NEAP_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_lua_write.cmake)

function(embed_lua target)
  set(dir ${CMAKE_BINARY_DIR}/layers/${target}/generated)
  set(sources "")
  set(declarations "")
  foreach(file IN LISTS ARGN)
    get_filename_component(source ${file} ABSOLUTE)
    get_filename_component(name ${file} NAME_WLE)
    if(NOT name MATCHES "^[a-z][a-z0-9_]*$")
      message(FATAL_ERROR "embed_lua: no C name can be made of '${file}'")
    endif()
    list(APPEND sources ${source})
    string(APPEND declarations
      "extern const char lua_src_${name}[];\n"
      "extern const size_t lua_src_${name}_size;\n")
  endforeach()

  string(CONCAT header
    "/* The Lua sources embedded in ${target}: generated. */\n"
    "#pragma once\n\n#include <stddef.h>\n\n"
    "#ifndef NEAP_LUA_SRC\n#define NEAP_LUA_SRC\n"
    "struct lua_src {\n\tconst char *name;\n\tconst char *data;\n"
    "\tsize_t size;\n};\n#endif\n\n"
    "${declarations}\n"
    "extern const struct lua_src lua_src_${target}_table[];\n"
    "extern const size_t lua_src_${target}_count;\n")
  file(CONFIGURE OUTPUT ${dir}/lua_src/${target}.h CONTENT "${header}" @ONLY)

  set(out ${dir}/lua_src_${target}.c)
  list(JOIN sources "|" joined)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DTARGET=${target} "-DFILES=${joined}"
            -DOUT=${out} -P ${NEAP_EMBED_SCRIPT}
    DEPENDS ${sources} ${NEAP_EMBED_SCRIPT}
    COMMENT "Embedding the Lua sources of ${target}"
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
  target_include_directories(${target} PUBLIC ${dir})
endfunction()
