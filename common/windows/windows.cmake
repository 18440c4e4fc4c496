# The headers of POSIX that mingw-w64 lacks: all are posix.h.
foreach(header arpa/inet err netdb netinet/in netinet/tcp poll sys/socket sysexits)
  file(WRITE ${PROJECT_BINARY_DIR}/windows/${header}.h "#include \"common/windows/posix.h\"\n")
endforeach()
include_directories(SYSTEM ${PROJECT_BINARY_DIR}/windows)
# Windows 10, and no more of its names than are asked for.
add_compile_definitions(_WIN32_WINNT=0x0A00 WIN32_LEAN_AND_MEAN _POSIX_C_SOURCE=200809L)
# It takes printf to be Microsoft's, which knows no %zu. Linux's compiler reads the formats.
add_compile_options(-Wno-format)
# The compiler knows by the last what stands behind fortifying; clock_gettime is in winpthread.
link_libraries(ws2_32 advapi32 winpthread -static -fstack-protector-strong)
# Its compiler touches each page of the stack anyhow, and stumbles over being told to (GCC's bug
# 90458).
set(HAVE_fstack_clash_protection OFF)
