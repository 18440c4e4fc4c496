/* Files in memory, without a name that others could open. */
#ifndef PORTSMITH_MEMFILE_H
#define PORTSMITH_MEMFILE_H

/* Makes an empty file, which can be sealed (memfd_create(2)), and returns its descriptor, closed
 * when a program is executed; -1 with errno. `name` is what others see of it in /proc. */
int memfile_create(const char *name);

#endif
