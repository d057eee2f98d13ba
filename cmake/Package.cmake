# What `cmake --install build --prefix DIR` puts where: the program, the public
# headers, what finds them (CMake package, pkg-config), the licence and the
# examples. All of it may be moved together.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

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

# A module of one 0.x is compiled for all: the header's own version, checked
# when the module is loaded, says when that ends.
set(package_in ${CMAKE_SOURCE_DIR}/cmake/package)
set(package_out ${CMAKE_BINARY_DIR}/generated/package)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/neap)
set(NEAP_PROGRAM ${CMAKE_INSTALL_BINDIR}/neap)
configure_package_config_file(
  ${package_in}/neapConfig.cmake.in ${package_out}/neapConfig.cmake
  INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR NEAP_PROGRAM)
write_basic_package_version_file(${package_out}/neapConfigVersion.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES
  ${package_out}/neapConfig.cmake
  ${package_out}/neapConfigVersion.cmake
  ${package_in}/neap_add_module.cmake
  DESTINATION ${package_dir})

# A folder as pkg-config files spell it: below the prefix unless it was given
# from the root on; the prefix as it lies from the file itself.
function(pkg_config_folder out folder)
  if(IS_ABSOLUTE ${folder})
    set(${out} ${folder} PARENT_SCOPE)
  else()
    set(${out} "\${prefix}/${folder}" PARENT_SCOPE)
  endif()
endfunction()

set(pkg_config_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(IS_ABSOLUTE ${pkg_config_dir})
  set(prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH up /${pkg_config_dir} /)
  string(REGEX REPLACE "/$" "" up ${up})
  set(prefix "\${pcfiledir}/${up}")
endif()
pkg_config_folder(includedir ${CMAKE_INSTALL_INCLUDEDIR})
pkg_config_folder(bindir ${CMAKE_INSTALL_BINDIR})
foreach(pc IN ITEMS neap.pc neap-compat.pc)
  configure_file(${package_in}/${pc}.in ${package_out}/${pc} @ONLY)
  install(FILES ${package_out}/${pc} DESTINATION ${pkg_config_dir})
endforeach()
