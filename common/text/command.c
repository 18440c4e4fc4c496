#include "common/text/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/printable.h"
#include "common/text/nearest.h"

/* ---- telling ------------------------------------------------------------- */

__attribute__((format(printf, 1, 0))) static void say(const char *format, va_list arguments)
{
    char text[2048]; /* longer than a struct error with some words around it */

    vsnprintf(text, sizeof text, format, arguments);
    printable(text);
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
}

void command_warn(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void command_point_to_help(void)
{
    fprintf(stderr, "Try '%s --help'.\n", program_invocation_short_name);
}

int command_finish(int status)
{
    if (fflush(stdout) == 0)
        return status;
    command_warn("standard output: %s", strerror(errno));
    return status != EXIT_SUCCESS ? status : EXIT_FAILURE;
}

/* ---- options ------------------------------------------------------------- */

bool command_read(struct command_line *line, int argc, char **argv, int *status)
{
    int option;

    while ((option = getopt_long(argc, argv, line->letters, line->options, NULL)) != -1)
        switch (option) {
        case 'c':
            line->config_file = optarg;
            break;
        case 'h':
            fputs(line->usage, stdout);
            *status = command_finish(EXIT_SUCCESS);
            return false;
        case 'V':
            printf("%s " PORTSMITH_VERSION "\n", program_invocation_short_name);
            *status = command_finish(EXIT_SUCCESS);
            return false;
        default:
            if (option != '?' && line->take && line->take(line->into, option))
                break;
            *status = command_hint();
            return false;
        }
    return true;
}

/* ---- commands ------------------------------------------------------------ */

const void *command_find(const void *table, size_t count, size_t size, const char *name)
{
    struct nearest nearest = nearest_to(name ? name : "");

    if (!name) {
        command_misused("no command is given");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const void *element = (const char *)table + i * size;
        const char *its_name = *(const char *const *)element;

        if (strcmp(its_name, name) == 0)
            return element;
        nearest_try(&nearest, its_name);
    }
    if (nearest.found)
        command_misused("there is no command '%.100s'; did you mean '%s'?", name, nearest.found);
    else
        command_misused("there is no command '%.100s'", name);
    return NULL;
}

void command_tell_old_word(const char *old, const char *now)
{
    command_warn("warning: %s is the old word for %s, and is still taken: write %s", old, now, now);
}

int command_main(const struct command *commands, size_t count, const char *usage,
                 const char *config_file, int argc, char **argv)
{
    static const struct option options[] = {COMMAND_OPTIONS, {0}};
    struct command_line line = {
        .usage = usage, .letters = "+c:hV", .options = options, .config_file = config_file};
    const struct command *command;
    int first, status;

    if (!command_read(&line, argc, argv, &status))
        return status;
    first = optind;
    command = command_find(commands, count, sizeof *commands, argv[first]);
    if (!command)
        return EXIT_USAGE;
    if (command->now)
        command_tell_old_word(command->name, command->now);
    if (first + 1 < argc && strcmp(argv[first + 1], "--help") == 0) {
        fputs(usage, stdout);
        return command_finish(EXIT_SUCCESS);
    }
    argv[first] = argv[0]; /* what getopt_long begins its messages with */
    optind = 0;            /* glibc's getopt_long starts afresh */
    return command_finish(command->run(line.config_file, argc - first, argv + first));
}

int command_refuse_options(int argc, char **argv)
{
    static const struct option none[] = {{0}};

    return getopt_long(argc, argv, "", none, NULL) == -1 ? 0 : command_hint();
}

int command_refuse_arguments(int argc)
{
    return optind == argc ? 0 : command_misused("too many arguments");
}
