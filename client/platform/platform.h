/* What differs from system to system. CMakeLists.txt takes posix.c or windows.c, and linux.c or
 * elsewhere.c. Those also have what differs of paths.h, syn.h, echo.h and pass.h. */
#ifndef PORTSMITH_PLATFORM_H
#define PORTSMITH_PLATFORM_H

#include <stdbool.h>
#include <sys/socket.h>

/* ---- posix.c, windows.c --------------------------------------------------- */

bool platform_is_absolute(const char *path);

/* The last character in the path that parts directories. NULL if there is none. */
const char *platform_last_separator(const char *path);

/* Opens a file for reading and writing, and makes it, for the user alone, if it is missing. Waits
 * until no other process has it open by this function. Returns a descriptor, which the caller
 * closes, or -1 with errno. */
int platform_open_locked(const char *path);

/* ---- linux.c, elsewhere.c ------------------------------------------------- */

/* Has bind(2) leave the choice of the port to connect(2) (IP_BIND_ADDRESS_NO_PORT). Nothing happens
 * elsewhere: there are fewer ports then. */
void platform_bind_without_port(int fd);

/* Has the last ACK of a handshake wait for data, for a while (TCP_QUICKACK). Nothing happens
 * elsewhere. */
void platform_hold_ack(int fd);

/* Returns a TCP socket that has a source, and whose connection the kernel has put off
 * (TCP_FASTOPEN_CONNECT). -1 if it does not put it off, as elsewhere. The caller closes it. */
int platform_connect_later(const struct sockaddr *to, socklen_t size);

#endif
