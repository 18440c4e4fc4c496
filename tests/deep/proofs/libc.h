/* Frama-C's own contracts of these functions speak of char, which its memory model
 * keeps apart from uint8_t; these speak of bytes. They are trusted: nothing proves
 * them of libc. */
#ifndef PORTSMITH_PROOFS_LIBC_H
#define PORTSMITH_PROOFS_LIBC_H

#include <string.h>
#include <stdint.h>

/*@ requires \valid(to + (0 .. size - 1)) && \valid_read(from + (0 .. size - 1));
    requires \separated(to + (0 .. size - 1), from + (0 .. size - 1));
    assigns to[0 .. size - 1] \from from[0 .. size - 1];
    assigns \result \from to;
    ensures \forall integer i; 0 <= i < size ==> to[i] == from[i];
    ensures \result == to; */
uint8_t *copy_bytes(uint8_t *to, const uint8_t *from, size_t size);

/*@ requires \valid(to + (0 .. size - 1));
    assigns to[0 .. size - 1] \from value;
    assigns \result \from to;
    ensures \forall integer i; 0 <= i < size ==> to[i] == value;
    ensures \result == to; */
uint8_t *set_bytes(uint8_t *to, uint8_t value, size_t size);

/*@ requires \valid_read(a + (0 .. size - 1)) && \valid_read(b + (0 .. size - 1));
    assigns \result \from a[0 .. size - 1], b[0 .. size - 1];
    ensures \result == 0 <==> \forall integer i; 0 <= i < size ==> a[i] == b[i]; */
int compare_bytes(const uint8_t *a, const uint8_t *b, size_t size);

#define memcpy copy_bytes
#define memset set_bytes
#define memcmp compare_bytes

#endif
