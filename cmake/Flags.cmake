# Compiler flags: those of all our C (target neap::flags), and the sanitizers.

add_library(neap_flags INTERFACE)
add_library(neap::flags ALIAS neap_flags)

# Fields left out of an initializer are zero, and that is meant.
# -fexceptions: a Lua error unwinds our frames; without it the handlers of
# __attribute__((cleanup)) would not run.
target_compile_options(neap_flags INTERFACE
  -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes
  -fPIE -fvisibility=hidden -fexceptions -funwind-tables
  -Wno-missing-field-initializers -fno-common
  # GNU C it is: a struct that ends in a flexible array may lie in another.
  $<$<C_COMPILER_ID:Clang>:-Wno-gnu-variable-sized-type-not-at-end>
  $<$<BOOL:${NEAP_WERROR}>:-Werror>)
target_compile_definitions(neap_flags INTERFACE
  _GNU_SOURCE $<$<CONFIG:Debug>:NEAP_INJECT>
  $<$<BOOL:${NEAP_CSTACK_UCONTEXT}>:NEAP_CSTACK_UCONTEXT>)

# The program's own tables are read-only once it runs.
add_link_options(-Wl,--as-needed,-z,relro,-z,now)

if(NEAP_SANITIZE)
  add_compile_options(
    -fsanitize=${NEAP_SANITIZE} -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=${NEAP_SANITIZE})
  if(NEAP_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

if(NEAP_SANITIZE MATCHES "address")
  set(NEAP_ASAN ON)
endif()
if(NEAP_SANITIZE MATCHES "thread")
  set(NEAP_TSAN ON)
endif()
