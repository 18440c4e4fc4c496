# What the client uses beyond POSIX.1-2008 and Linux has: each is probed, and portable.h stands in
# for what a system lacks.
include(CheckSymbolExists)

# On Linux, where this is tried, no more is shown than a POSIX system has.
if(CMAKE_SYSTEM_NAME STREQUAL Linux)
  add_compile_definitions(_XOPEN_SOURCE=700)
  list(APPEND CMAKE_REQUIRED_DEFINITIONS -D_XOPEN_SOURCE=700)
elseif(WIN32)
  include(${CMAKE_CURRENT_LIST_DIR}/../windows/windows.cmake)
endif()

function(probe name)
  string(TOUPPER HAVE_${name} have)
  check_symbol_exists(${name} "${ARGN}" ${have})
  if(${have})
    add_compile_definitions(${have})
  endif()
endfunction()

probe(adjtimex sys/timex.h)
probe(fdatasync unistd.h)
probe(getprogname stdlib.h)
probe(memmem string.h)
probe(memrchr string.h)
probe(ntp_adjtime sys/timex.h)
probe(pipe2 unistd.h fcntl.h)
probe(ppoll poll.h)
probe(reallocarray stdlib.h)
probe(strsep string.h)

add_compile_options(-include ${PROJECT_SOURCE_DIR}/common/portable/portable.h)
