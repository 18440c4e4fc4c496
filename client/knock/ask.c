#include <stdio.h>

#include "client/knock/ask.h"

bool ask_user(const char *question, char *answer, int size)
{
    FILE *terminal = fopen("/dev/tty", "r+e");

    if (!terminal)
        return false;
    fputs(question, terminal);
    fflush(terminal);
    if (!fgets(answer, size, terminal))
        answer[0] = '\0';
    fclose(terminal);
    return true;
}
