/* How the server's programs read their command lines, and tell people of what goes wrong. */
#ifndef PORTSMITH_COMMAND_H
#define PORTSMITH_COMMAND_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

enum { EXIT_USAGE = 2 };

/* ---- telling ------------------------------------------------------------- */

/* Prints "PROGRAM: TEXT" on standard error, in one line and without control characters.
 * The text is cut at 2047 bytes. command_fail and command_misused do so, too. */
void command_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says on standard error how to get help. */
void command_point_to_help(void);

/* Says why the program fails, and returns `status`. */
static inline int command_fail(int status, const char *reason)
{
    command_warn("%s", reason);
    return status;
}

/* For mistakes that getopt_long(3) has told already: says how to get help, and returns
 * EXIT_USAGE. */
static inline int command_hint(void)
{
    command_point_to_help();
    return EXIT_USAGE;
}

/* Says what is wrong with the command line, as printf(3) does, and how to get help. Gives
 * EXIT_USAGE: a macro, as an analyser sees then that it does. */
#define command_misused(...) (command_warn(__VA_ARGS__), command_hint())

/* The exit status of a program that would end with `status`: another, having said why, if what
 * it printed on standard output could not be written. */
int command_finish(int status);

/* ---- options ------------------------------------------------------------- */

/* What every program has, and `letters` names as "c:hV". */
#define COMMAND_OPTIONS                                                             \
    {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'},     \
    {"version", no_argument, NULL, 'V'}

struct command_line {
    const char *usage;       /* which --help prints */
    const char *letters;     /* of getopt_long(3) */
    const struct option *options; /* COMMAND_OPTIONS and the program's own; zeros end them */
    const char *config_file; /* at first where it is by default, then what --config says */
    /* Takes an option of the program's own, whose argument is in optarg. False, having said
     * why, if the argument is wrong. NULL if the program has no option of its own. */
    bool (*take)(void *into, int option);
    void *into; /* handed on to it */
};

/* Reads the options; the first argument is argv[optind] then. False when the program is to end
 * with *status: after --help, --version or a mistake, which it has told. */
bool command_read(struct command_line *line, int argc, char **argv, int *status);

/* ---- commands ------------------------------------------------------------ */

/* The element that `name` names in a table of `count` elements of `size` bytes, each of which
 * begins with its name, a const char *. NULL, having said so, if there is none, or if `name`
 * is NULL, as at the end of argv. */
const void *command_find(const void *table, size_t count, size_t size, const char *name);

/* Warns that `old` was given, which is still taken for `now`. */
void command_tell_old_word(const char *old, const char *now);

/* A command that reads options and arguments of its own. Its argv begins with the program. */
struct command {
    const char *name;
    int (*run)(const char *config_file, int argc, char **argv); /* an exit status */
    const char *now; /* what it is called now, if `name` is an old word; else NULL */
};

/* The whole of a program that is called as PROGRAM [-c FILE] COMMAND [ARGUMENT...]. Returns
 * its exit status. */
int command_main(const struct command *commands, size_t count, const char *usage,
                 const char *config_file, int argc, char **argv);

/* For a command without options of its own: 0, or EXIT_USAGE, having told of the mistake. */
int command_refuse_options(int argc, char **argv);

/* For a command whose options have been read, and that takes no argument: likewise. */
int command_refuse_arguments(int argc);

#endif
