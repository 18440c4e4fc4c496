/* The command line of portsmith-knock(1), without the subcommands. */
#ifndef PORTSMITH_OPTIONS_H
#define PORTSMITH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    /* Arguments as they are given; NULL: the option is not. */
    const char *address, *agent, *config, *identity, *output, *port, *server_key, *timeout;
    const char *transport, *window;
    const char *print; /* not NULL: the text of --help or --version, and nothing else is to do */
    int family;        /* AF_UNSPEC, AF_INET or AF_INET6 */
    uint32_t seconds;  /* what `timeout` says, or the default */
    bool close, connect, diagnose, pass, relay, verbose, wait;
    /* SERVER or HOST, unless `config` is given. Behind it services or, with `connect`, PORT. */
    char **words;
    int word_count;
};

/* Reads all options, and checks which of them go together. *o points into argv. Returns
 * EXIT_SUCCESS, or EXIT_USAGE after what is wrong was said on standard error. */
int options_read(struct options *o, int argc, char **argv);

/* Whether connections are to follow the knock: --wait or --connect. */
bool options_connect(const struct options *o);

#endif
