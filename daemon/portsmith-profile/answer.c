#include "daemon/portsmith-profile/answer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/text/command.h"

static const char blanks[] = " \t\r\n";

/* Ends the line before the blanks behind it. Returns where it begins, behind those before it. */
static char *trim(char *line)
{
    size_t size = strlen(line);

    while (size > 0 && strchr(blanks, line[size - 1]))
        size--;
    line[size] = '\0';
    return line + strspn(line, blanks);
}

/* Reads a line into `line`. False at the end of the input. */
static bool read_line(char line[static ANSWER_SIZE], FILE *in)
{
    if (isatty(fileno(in)))
        fputs("The client's public key: ", stderr);
    memset(line, '\n', ANSWER_SIZE); /* so the last zero in it is the one that fgets writes */
    return fgets(line, ANSWER_SIZE, in);
}

static bool take_line(struct profile_draft *draft, char line[static ANSWER_SIZE],
                      struct error *why)
{
    struct settings_notes notes = {0};
    size_t size = strlen(line);

    if (line + size != memrchr(line, '\0', ANSWER_SIZE))
        return error_set(why, "the line holds a zero byte");
    if (size == ANSWER_SIZE - 1 && line[size - 1] != '\n')
        return error_set(why, "the line is longer than %d characters", ANSWER_SIZE - 2);
    return profile_set(draft, "standard input", "PublicKey", trim(line), &notes, why);
}

bool answer_read(struct profile_draft *draft, FILE *in, struct error *why)
{
    char line[ANSWER_SIZE];
    struct error reason;

    for (int tries = 0; tries < ANSWER_TRIES; tries++) {
        if (!read_line(line, in))
            return error_set(why, "%s: %s", FILE_STANDARD_INPUT,
                             ferror(in) ? strerror(errno) : "there is no public key in it");
        if (take_line(draft, line, &reason))
            return true;
        command_warn("%s: %s", FILE_STANDARD_INPUT, reason.text);
    }
    return error_set(why, "%s: no public key in the first %d lines", FILE_STANDARD_INPUT,
                     ANSWER_TRIES);
}
