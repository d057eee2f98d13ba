# What `cmake --install build --prefix DIR` puts where: the program, the public
# headers, the licence and the examples.

include(GNUInstallDirs)

if(TARGET neap)
  install(TARGETS neap RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/src/include/
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/doc/examples
  DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL
  PATTERN "*.so" EXCLUDE)
