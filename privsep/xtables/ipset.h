/* Sets of addresses and ports in the kernel, which iptables' rules refer to (ipset(8)).
 *
 * Asked for over netlink(7), as linux/netfilter/ipset/ip_set.h has it, protocol 6 (since
 * Linux 2.6.39); CAP_NET_ADMIN suffices. Functions that return int give 0 or an errno,
 * among them the IPSET_ERR_* of that header. */
#ifndef PORTSMITH_IPSET_H
#define PORTSMITH_IPSET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"
#include "common/error.h"
#include "privsep/netlink.h"

struct ipset {
    int fd;          /* netlink socket; -1: the kernel has none */
    size_t capacity; /* elements that each set takes */
};

/* Opens a socket, before the process is confined. That the kernel has no sets is found out
 * when it is asked for something. */
void ipset_open(struct ipset *set, size_t capacity);

/* Closes the socket. The sets stay. */
void ipset_close(struct ipset *set);

/* Begin a question with a command (IPSET_CMD_*) about the set `name`, and put attributes
 * (IPSET_ATTR_*) into it. Values are in host byte order. */
void ipset_begin(union question *q, unsigned command, const char *name);
void ipset_put_text(union question *q, unsigned type, const char *text);
void ipset_put_byte(union question *q, unsigned type, unsigned value);
void ipset_put_number(union question *q, unsigned type, size_t value);

/* Asks the question. False with the reason, which names the set. */
bool ipset_ask(struct ipset *set, union question *q, const char *name, struct error *why);

/* Returns what an error means; valid until the next call. */
const char *ipset_explain(int error);

/* Makes a set of one family, which must not be there. Removes a set, which no rule may refer
 * to. */
int ipset_create(struct ipset *set, const char *name, enum family family);
int ipset_destroy(struct ipset *set, const char *name);

/* The sets that grants are kept in, by family. "-m set --match-set NAME src,dst". */
extern const char *const ipset_names[FAMILIES];

/* Makes and removes the set that the rules of a probe name. False with the reason. *for_good is
 * true where the kernel has no such sets, so that trying again does not help. */
extern const char *const ipset_scratch;
bool ipset_make_scratch(struct ipset *set, enum family family, bool *for_good, struct error *why);
void ipset_remove_scratch(struct ipset *set);

#endif
