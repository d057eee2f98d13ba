# Writes the C file of embed_lua(): -DTARGET= -DFILES=a.lua|b.lua -DOUT=.

string(REPLACE "|" ";" files "${FILES}")
set(arrays "")
set(rows "")
set(count 0)
foreach(file IN LISTS files)
  get_filename_component(name ${file} NAME_WLE)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" bytes "${bytes}")
  # Sixteen bytes to a line; an escape ends where the next one begins.
  string(REPEAT "." 64 line)
  string(REGEX REPLACE "(${line})" "\\1\"\n\t\"" bytes "${bytes}")
  string(APPEND arrays
    "const char lua_src_${name}[] =\n\t\"${bytes}\";\n"
    "const size_t lua_src_${name}_size = sizeof(lua_src_${name}) - 1;\n\n")
  string(APPEND rows
    "\t{\"${name}\", lua_src_${name}, sizeof(lua_src_${name}) - 1},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUT}
  "/* The Lua sources embedded in ${TARGET}: generated. */\n"
  "#include \"lua_src/${TARGET}.h\"\n\n"
  "${arrays}"
  "const struct lua_src lua_src_${TARGET}_table[] = {\n"
  "${rows}\t{NULL, NULL, 0},\n};\n"
  "const size_t lua_src_${TARGET}_count = ${count};\n")
