/* Text that is written into memory, and of which nothing is ever missing. It is not made
 * by open_memstream(3): glibc's drops what finds no memory, and neither ferror(3) nor
 * fclose(3) says so. Half a transaction would then go to iptables. */
#ifndef PORTSMITH_TEXT_H
#define PORTSMITH_TEXT_H

#include <stddef.h>
#include <stdio.h>

struct text {
    FILE *out;    /* write here until text_end() */
    char *bytes;  /* then this is the text, to be freed; a zero follows it */
    size_t size;  /* in bytes, without that zero */
    size_t room;
};

/* `text` must stay where it is until its end. Ends the process if there is no
 * memory, as does text_end(). */
void text_begin(struct text *text);
void text_end(struct text *text);

#endif
