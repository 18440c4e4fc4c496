/* Text that is written into memory, and of which nothing is ever missing. It is not made by
 * open_memstream(3): that of glibc drops what finds no memory, and neither ferror(3) nor
 * fclose(3) says so. Half a transaction would then go to iptables. */
#ifndef PORTSMITH_TEXT_H
#define PORTSMITH_TEXT_H

#include <stddef.h>
#include <stdio.h>

struct text {
    FILE *out;    /* write here until text_end() */
    char *bytes;  /* then this is the text, to be freed; a zero follows it */
    size_t size;  /* in bytes, without that zero */
    size_t room, lost; /* bytes; those are lost for which there was no memory */
};

/* Begins a text, which must stay where it is until text_end(). Ends the process if there is no
 * memory. */
void text_begin(struct text *text);

/* Ends a text: text->bytes is whole, and the caller's to free. Ends the process if there was no
 * memory for all of it. */
void text_end(struct text *text);

#endif
