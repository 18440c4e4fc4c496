/* The command line of portsmith-knock, without its subcommands. */
#ifndef PORTSMITH_OPTIONS_H
#define PORTSMITH_OPTIONS_H

#include <stdbool.h>

enum { EXIT_USAGE = 2 };

/* As given, NULL where not; all of it lies in argv or is constant. */
struct options {
    const char *address, *config, *identity, *output, *port, *server_key, *window;
    const char *print; /* help or version: print it, do nothing else */
    int family;        /* AF_UNSPEC, AF_INET or AF_INET6 */
    bool close, verbose;
    char **words; /* SERVER or HOST (unless `config`), then services */
    int word_count;
};

/* Reads the command line and checks what goes together; the values themselves
 * are not looked at yet. Returns EXIT_SUCCESS, or EXIT_USAGE with the mistake
 * told on standard error. */
int options_read(struct options *o, int argc, char **argv);

/* Tells the mistake on standard error, with a hint to --help, and returns
 * EXIT_USAGE. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
