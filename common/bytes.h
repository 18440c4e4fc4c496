/* Big-endian loads and stores, as the wire format is big-endian throughout. `p` need not be
 * aligned. */
#ifndef PORTSMITH_BYTES_H
#define PORTSMITH_BYTES_H

#include <stdint.h>

/*@ requires \valid_read(p + (0 .. 1));
    assigns \nothing; */
static inline uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

/*@ requires \valid_read(p + (0 .. 3));
    assigns \nothing; */
static inline uint32_t load_be32(const uint8_t *p)
{
    return ((uint32_t)load_be16(p) << 16) | load_be16(p + 2);
}

/*@ requires \valid_read(p + (0 .. 7));
    assigns \nothing; */
static inline uint64_t load_be64(const uint8_t *p)
{
    return ((uint64_t)load_be32(p) << 32) | load_be32(p + 4);
}

/*@ requires \valid(p + (0 .. 1));
    assigns p[0 .. 1]; */
static inline void store_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/*@ requires \valid(p + (0 .. 3));
    assigns p[0 .. 3]; */
static inline void store_be32(uint8_t *p, uint32_t v)
{
    store_be16(p, (uint16_t)(v >> 16));
    store_be16(p + 2, (uint16_t)v);
}

/*@ requires \valid(p + (0 .. 7));
    assigns p[0 .. 7]; */
static inline void store_be64(uint8_t *p, uint64_t v)
{
    store_be32(p, (uint32_t)(v >> 32));
    store_be32(p + 4, (uint32_t)v);
}

#endif
