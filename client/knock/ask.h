/* A question to the user: ask.c, or windows/ask.c there. */
#ifndef PORTSMITH_ASK_H
#define PORTSMITH_ASK_H

#include <stdbool.h>

/* Asks on the terminal, whatever standard input and output are. Stores the beginning of the line that
 * is typed, "" for none. False if there is no terminal. */
bool ask_user(const char *question, char *answer, int size);

#endif
