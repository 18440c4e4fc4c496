/* Questions to the kernel about tables of nf_tables, by privsep/netlink.h. The helper asks none. */
#ifndef PORTSMITH_ASKING_H
#define PORTSMITH_ASKING_H

#include <stdint.h>

#include "privsep/netlink.h"

/* Asks about a table (NFT_MSG_GETTABLE, `name` is NULL), about its chain `name` (NFT_MSG_GETCHAIN),
 * or for all elements of its set `name` (NFT_MSG_GETSETELEM). `family` is NFPROTO_*. What it
 * returns, and what becomes of *fd, a socket of NETLINK_NETFILTER, is as netlink_ask has it;
 * ENOENT: there is none. */
int asking(int *fd, unsigned message, uint8_t family, const char *table, const char *name,
           answer_handler *handle, void *into);

#endif
