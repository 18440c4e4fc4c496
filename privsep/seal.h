/* A record that a process may have been writing when it was killed, or the power failed:
 * a checksum behind it tells whether it is whole. It keeps nobody from forging one. */
#ifndef PORTSMITH_SEAL_H
#define PORTSMITH_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEAL_SIZE = 16 };

/* The seal of `size` bytes: BLAKE2b-128. */
void seal_make(uint8_t seal[static SEAL_SIZE], const void *bytes, size_t size);

/* Whether it is the seal of these bytes. */
bool seal_is_right(const uint8_t seal[static SEAL_SIZE], const void *bytes, size_t size);

#endif
