#include "privsep/xtables/text.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

enum { FIRST_ROOM = 1024 };

/* Returns 0 on a failure, which glibc's stdio remembers and musl's does not. */
static ssize_t append(void *cookie, const char *bytes, size_t size)
{
    struct text *text = cookie;

    while (text->room - text->size <= size) {
        char *more = realloc(text->bytes, text->room * 2);

        if (!more) {
            text->lost += size;
            return 0;
        }
        text->bytes = more;
        text->room *= 2;
    }
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
    if (fclose(text->out) != 0 || text->lost > 0)
        fatal("no memory for a firewall transaction");
}
