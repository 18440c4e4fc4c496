#include "common/printable.h"

int control_size(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
        return 2;
    return at[0] < ' ' || at[0] == 0x7f;
}

void printable(char *text)
{
    while (*text) {
        int size = control_size(text);

        if (size == 0)
            text++;
        while (size-- > 0)
            *text++ = '?';
    }
}
