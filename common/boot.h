/* Which boot of the host this is. */
#ifndef PORTSMITH_BOOT_H
#define PORTSMITH_BOOT_H

#include <stdbool.h>

enum { BOOT_ID_SIZE = 36 };

/* The kernel's random id of this boot (random(4)), as text without an end: no other boot
 * has it. False with errno set. */
bool boot_id_read(char id[static BOOT_ID_SIZE]);

#endif
