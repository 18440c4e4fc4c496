/* Which boot of the host this is. */
#ifndef PORTSMITH_BOOT_H
#define PORTSMITH_BOOT_H

#include <stdbool.h>

enum { BOOT_ID_SIZE = 36 }; /* bytes, without a zero */

/* Stores the kernel's random id of this boot (random(4)), as text that no zero ends. No other
 * boot has the same id. False with errno. */
bool boot_id_read(char id[static BOOT_ID_SIZE]);

#endif
