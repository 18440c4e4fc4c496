#include <stdio.h>

#include "client/knock/ask.h"

bool ask_user(const char *question, char *answer, int size)
{
    FILE *in = fopen("CONIN$", "r"), *out = fopen("CONOUT$", "w");
    bool asks = in && out;

    if (asks) {
        fputs(question, out);
        fflush(out);
        if (!fgets(answer, size, in))
            answer[0] = '\0';
    }
    if (in)
        fclose(in);
    if (out)
        fclose(out);
    return asks;
}
