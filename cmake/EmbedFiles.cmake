# embed_files(): a folder of files as byte arrays, in a library of its own.
#
#   embed_files(templates ${CMAKE_CURRENT_SOURCE_DIR}/templates)
#
# makes neap::templates, which carries "embedded/templates.h":
#
#   struct embedded_file { const char *path; const char *data; size_t size; };
#   extern const struct embedded_file embedded_templates[]; /* ends in NULLs */
#
# for each file of the folder that ends in ".in", which its path is without.

set(NEAP_EMBED_FILES_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_files_write.cmake)

function(embed_files name folder)
  set(dir ${CMAKE_BINARY_DIR}/generated/embed_${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*.in)
  list(SORT sources)
  string(CONCAT header
    "/* Files of ${name}: generated. */\n"
    "#pragma once\n\n#include <stddef.h>\n\n"
    "struct embedded_file {\n\tconst char *path;\n\tconst char *data;\n"
    "\tsize_t size;\n};\n\n"
    "extern const struct embedded_file embedded_${name}[];\n")
  file(CONFIGURE OUTPUT ${dir}/embedded/${name}.h CONTENT "${header}" @ONLY)
  list(JOIN sources "|" joined)
  add_custom_command(OUTPUT ${dir}/${name}.c
    COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DFOLDER=${folder}
            "-DFILES=${joined}" -DOUT=${dir}/${name}.c
            -P ${NEAP_EMBED_FILES_SCRIPT}
    DEPENDS ${sources} ${NEAP_EMBED_FILES_SCRIPT}
    COMMENT "Embedding ${name}"
    VERBATIM)
  add_library(neap_${name} STATIC ${dir}/${name}.c)
  add_library(neap::${name} ALIAS neap_${name})
  target_include_directories(neap_${name} PUBLIC ${dir})
  target_link_libraries(neap_${name} PRIVATE neap::flags)
endfunction()
