#include "privsep/xtables/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

enum { FIRST_ROOM = 1024 };

static bool make_room(struct text *text, size_t more)
{
    size_t room = text->room;
    char *bytes;

    while (room - text->size <= more)
        room *= 2;
    if (room == text->room)
        return true;
    bytes = realloc(text->bytes, room);
    if (!bytes)
        return false;
    text->bytes = bytes;
    text->room = room;
    return true;
}

/* Returns 0 on a failure, which stdio then remembers. */
static ssize_t append(void *cookie, const char *bytes, size_t size)
{
    struct text *text = cookie;

    if (!make_room(text, size))
        return 0;
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
    return (ssize_t)size;
}

void text_begin(struct text *text)
{
    const cookie_io_functions_t functions = {.write = append};

    *text = (struct text){.room = FIRST_ROOM, .bytes = calloc(FIRST_ROOM, 1)};
    if (text->bytes)
        text->out = fopencookie(text, "w", functions);
    if (!text->out)
        fatal("no memory for a firewall transaction");
}

void text_end(struct text *text)
{
    bool lost = ferror(text->out);

    if (fclose(text->out) != 0 || lost)
        fatal("no memory for a firewall transaction");
}
