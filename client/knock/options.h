/* The command line of portsmith-knock(1), but for the subcommands. */
#ifndef PORTSMITH_OPTIONS_H
#define PORTSMITH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* As given, NULL where not. */
struct options {
    const char *address, *config, *identity, *output, *port, *server_key, *timeout, *transport;
    const char *window;
    const char *print; /* help or version: print it, do nothing else */
    int family;        /* AF_UNSPEC, AF_INET or AF_INET6 */
    uint32_t seconds;  /* of `timeout`, or the usual */
    bool close, connect, diagnose, pass, relay, verbose, wait;
    char **words; /* SERVER or HOST (unless `config`), then services, or PORT (`connect`) */
    int word_count;
};

/* Reads them all and checks what goes with what. Returns EXIT_SUCCESS, or EXIT_USAGE,
 * when what is wrong has been said. */
int options_read(struct options *o, int argc, char **argv);

/* Whether the knock is to be followed by connections. */
bool options_connect(const struct options *o);

#endif
