/* The Internet's checksum (RFC 1071). */
#ifndef PORTSMITH_CHECKSUM_H
#define PORTSMITH_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds `size` bytes, 65535 at most, to `sum`, and returns the new sum. A sum begins with 0. An
 * odd last byte counts as if a zero followed. */
uint32_t checksum_add(uint32_t sum, const uint8_t *bytes, size_t size);

/* The checksum of all bytes that were added to `sum`, in host order. */
uint16_t checksum_end(uint32_t sum);

#endif
