# src/include: what a C module sees. Target neap::api, for the layers that
# implement it.
add_library(neap_api INTERFACE)
add_library(neap::api ALIAS neap_api)
target_include_directories(neap_api INTERFACE ${CMAKE_SOURCE_DIR}/src/include)
