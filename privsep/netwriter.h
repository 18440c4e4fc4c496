/* Writes messages of netlink(7), one behind the other, into storage that grows. Nothing is read
 * here. A process that cannot get memory ends. */
#ifndef PORTSMITH_NETWRITER_H
#define PORTSMITH_NETWRITER_H

#include <stddef.h>
#include <stdint.h>

struct netwriter {
    uint8_t *bytes; /* the writer's own, kept until the process ends; NULL: nothing yet */
    size_t size;    /* bytes that are written */
    size_t room;    /* bytes that there is room for */
    size_t at;      /* where the message begins that is being written */
};

/* Begins a message; NLM_F_REQUEST is added to `flags`. The one before must have ended. */
void netwriter_begin(struct netwriter *w, unsigned type, unsigned flags, uint32_t sequence);

/* Appends bytes, and zeros up to the next multiple of four. */
void netwriter_put(struct netwriter *w, const void *bytes, size_t size);

/* Appends an attribute: bytes; a text with its zero; a number in network byte order. */
void netwriter_attribute(struct netwriter *w, unsigned type, const void *bytes, size_t size);
void netwriter_text(struct netwriter *w, unsigned type, const char *text);
void netwriter_u32(struct netwriter *w, unsigned type, uint32_t value);
void netwriter_u64(struct netwriter *w, unsigned type, uint64_t value);

/* Opens an attribute that holds those that follow; returns where it begins, which ends it. It takes
 * up to 65,535 bytes. */
size_t netwriter_open(struct netwriter *w, unsigned type);
void netwriter_close(struct netwriter *w, size_t at);

/* Ends the message. */
void netwriter_end(struct netwriter *w);

#endif
