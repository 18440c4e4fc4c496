#include "common/printable.h"

/* How many bytes it takes; 0: it is none. */
static int size_of_control(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
        return 2;
    return at[0] < ' ' || at[0] == 0x7f;
}

void printable(char *text)
{
    while (*text) {
        int size = size_of_control(text);

        if (size == 0)
            text++;
        while (size-- > 0)
            *text++ = '?';
    }
}
