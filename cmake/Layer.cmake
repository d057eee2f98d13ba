# add_layer(): one layer of src/ as a static library that can see and call
# only the layers it declares. check_layers() catches what went round it.
#
#   add_layer(net
#     SOURCES tcp.c tls.c       # without it: every .c of the folder
#     DEPS base runtime         # layers, all declared before this one
#     LIBS neap::libuv          # outside parts
#     EMBED http.lua)           # without it: every .lua of the folder
#
# Three walls keep the direction of the layers:
# - Include path. Headers are reached through one staged folder per layer,
#   build/layers/<name>/include, which holds a single link named after the
#   layer. A layer's include path is its own staged folder and those of its
#   DEPS, so "runtime/loop.h" does not exist for a source of base.
# - Declaration order. A DEP not yet declared stops the configuration; a cycle
#   would need one.
# - Linking. Each layer is linked whole with its DEPS alone into a program
#   that is never run; a call declared by hand has no definition there.

set_property(GLOBAL PROPERTY NEAP_LAYERS "")

set(NEAP_LAYER_MAIN ${CMAKE_BINARY_DIR}/layers/main.c)
set(NEAP_LAYER_EMPTY ${CMAKE_BINARY_DIR}/layers/empty.c)
file(CONFIGURE OUTPUT ${NEAP_LAYER_MAIN}
  CONTENT "int main(void) { return 0; }\n")
file(CONFIGURE OUTPUT ${NEAP_LAYER_EMPTY}
  CONTENT "typedef int neap_layer_without_code;\n")

function(add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 L "" "" "SOURCES;DEPS;LIBS;EMBED")
  if(L_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR
      "layer '${name}': not understood: ${L_UNPARSED_ARGUMENTS}")
  endif()

  get_property(known GLOBAL PROPERTY NEAP_LAYERS)
  if(name IN_LIST known)
    message(FATAL_ERROR "layer '${name}' is declared twice")
  endif()
  foreach(dep IN LISTS L_DEPS)
    if(NOT dep IN_LIST known)
      message(FATAL_ERROR
        "layer '${name}' depends on '${dep}', which is not declared yet: "
        "a layer may use only the layers below it")
    endif()
  endforeach()
  foreach(lib IN LISTS L_LIBS)
    if(lib IN_LIST known)
      message(FATAL_ERROR
        "layer '${name}': '${lib}' is a layer and belongs in DEPS")
    endif()
  endforeach()

  if(NOT L_SOURCES)
    file(GLOB L_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    if(NOT L_SOURCES)
      set(L_SOURCES ${NEAP_LAYER_EMPTY})
    endif()
  endif()
  if(NOT L_EMBED)
    file(GLOB L_EMBED CONFIGURE_DEPENDS
      RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/*.lua)
  endif()

  set(stage ${CMAKE_BINARY_DIR}/layers/${name}/include)
  file(MAKE_DIRECTORY ${stage})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${stage}/${name} SYMBOLIC)

  add_library(${name} STATIC ${L_SOURCES})
  target_include_directories(${name} PUBLIC ${stage})
  target_link_libraries(${name}
    PUBLIC ${L_DEPS} ${L_LIBS}
    PRIVATE neap::flags)
  if(L_EMBED)
    embed_lua(${name} ${L_EMBED})
  endif()

  set(alone layer_${name}_alone)
  add_executable(${alone} ${NEAP_LAYER_MAIN})
  set_target_properties(${alone} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/layers/${name}
    OUTPUT_NAME alone)
  target_link_libraries(${alone} PRIVATE
    "-Wl,--whole-archive,$<TARGET_FILE:${name}>,--no-whole-archive" ${name})

  set_property(GLOBAL APPEND PROPERTY NEAP_LAYERS ${name})
  get_target_property(linked ${name} LINK_LIBRARIES)
  get_target_property(included ${name} INCLUDE_DIRECTORIES)
  set_property(GLOBAL PROPERTY NEAP_LAYER_LINK_${name} "${linked}")
  set_property(GLOBAL PROPERTY NEAP_LAYER_INCLUDE_${name} "${included}")
endfunction()

# Call once, after the last layer: a layer's libraries and include path must
# still be those add_layer() gave it.
function(check_layers)
  get_property(layers GLOBAL PROPERTY NEAP_LAYERS)
  foreach(name IN LISTS layers)
    get_target_property(linked ${name} LINK_LIBRARIES)
    get_target_property(included ${name} INCLUDE_DIRECTORIES)
    get_property(link_then GLOBAL PROPERTY NEAP_LAYER_LINK_${name})
    get_property(include_then GLOBAL PROPERTY NEAP_LAYER_INCLUDE_${name})
    if(NOT linked STREQUAL link_then OR NOT included STREQUAL include_then)
      message(FATAL_ERROR
        "layer '${name}' was given libraries or include folders outside "
        "add_layer(): name layers in DEPS and outside parts in LIBS")
    endif()
  endforeach()
endfunction()
