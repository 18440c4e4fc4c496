/* The kernel's news of connections (privsep/prepare/news.h), as they lie in a socket that outlives
 * the witness. Between them lie marks, and what the kernel says when it is asked for connections:
 * both have a number, which news have not. */
#ifndef PORTSMITH_WITNESS_NEWS_H
#define PORTSMITH_WITNESS_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/witness/usage.h"

struct news {
    int fd;         /* a netlink socket of netfilter, inherited; -1: this host has none */
    uint32_t held;  /* a mark whose event was not read yet; 0: none */
    bool was_heard; /* something was, since the caller last cleared this */
    bool was_lost;  /* news were lost, and the log was not told of that yet */
};

enum heard {
    NEWS_HEARD, /* nothing waits any more */
    NEWS_MORE,  /* more waits than is heard at once */
    NEWS_HELD,  /* what waits comes after a mark whose event must be read first */
};

/* Takes over a socket, or what the supervisor leaves in the place of one. */
void news_begin(struct news *news, int fd);

/* Counts what the kernel has told, a thousand messages at most. What was counted is taken out of
 * the socket afterwards: a witness that is killed leaves it to the next one. */
enum heard news_hear(struct news *news, struct usage *usage);

/* Gives up a mark that is held, when there are no events left that could be its own. */
void news_let_go(struct news *news, struct usage *usage);

#endif
