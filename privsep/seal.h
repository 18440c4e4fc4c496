/* The seal of a record: a checksum behind it. Whoever reads a record that a process may have been
 * writing when it was killed, or when the power failed, sees by its seal whether it is whole. A
 * seal keeps nobody from forging a record. */
#ifndef PORTSMITH_SEAL_H
#define PORTSMITH_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEAL_SIZE = 16 };

/* Makes the seal of `size` bytes: BLAKE2b-128. */
void seal_make(uint8_t seal[static SEAL_SIZE], const void *bytes, size_t size);

/* Whether `seal` is the seal of these bytes. */
bool seal_is_right(const uint8_t seal[static SEAL_SIZE], const void *bytes, size_t size);

#endif
