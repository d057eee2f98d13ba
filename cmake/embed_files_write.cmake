# Writes the C file of embed_files(): -DNAME= -DFOLDER= -DFILES=a|b -DOUT=.

string(REPLACE "|" ";" files "${FILES}")
set(rows "")
foreach(file IN LISTS files)
  file(RELATIVE_PATH path ${FOLDER} ${file})
  string(REGEX REPLACE "\\.in$" "" path ${path})
  file(READ ${file} bytes HEX)
  string(LENGTH "${bytes}" size)
  math(EXPR size "${size} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" bytes "${bytes}")
  string(REPEAT "." 64 line)
  string(REGEX REPLACE "(${line})" "\\1\"\n\t  \"" bytes "${bytes}")
  string(APPEND rows "\t{ \"${path}\",\n\t  \"${bytes}\", ${size} },\n")
endforeach()
file(WRITE ${OUT}
  "/* Files of ${NAME}: generated. */\n"
  "#include \"embedded/${NAME}.h\"\n\n"
  "const struct embedded_file embedded_${NAME}[] = {\n"
  "${rows}\t{ NULL, NULL, 0 },\n};\n")
