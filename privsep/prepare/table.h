/* Writes the table of privsep/nftables/table.h, but for the grants in it: what is the same whatever
 * is granted.
 *
 *   prerouting  to a shut port?                                          -> arriving
 *   arriving    may it begin something, not over loopback, to this host? -> door
 *   door        grants accept it; the rest is dropped, or with ShutWith = reset refused
 *   input       to a shut port?                                          -> delivered
 *               An ACK that belongs to no session, to such a port
 *               before DNAT?                                             -> stray
 *   delivered   an ACK that belongs to no session?                       -> stray
 *               May it begin something, and did prerouting not know that
 *               it would be delivered here?                              -> door
 *   stray       not of a socket's session, not over loopback?            -> door
 *   forward     an ACK that belongs to no session, which DNAT sent on?   -> door
 *   open        with AcceptMark: what is new and to be let in by another table as well, though
 *               its port is not shut here
 *   granted     with AcceptMark: gives it the mark
 *   sending     grants DNAT it to their destinations
 *
 * What it accepts goes on to the chains of other tables, and what they drop is dropped. Why
 * prerouting, and before mangle: it comes before any DNAT, so that ports published by containers
 * are shut too, and after connection tracking. What the rules mean is what prepare/rules.c means by
 * those that it writes for iptables. */
#ifndef PORTSMITH_PREPARE_TABLE_H
#define PORTSMITH_PREPARE_TABLE_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/setup.h"
#include "privsep/netwriter.h"

/* What form it has, by what the kernel can (nftprobe.h) and by what the profiles need. */
struct table_form {
    bool is_owned; /* nobody else can change it, and it outlives its owner: Linux 6.9 */
    bool destroys; /* the kernel has NFT_MSG_DESTROYSETELEM: Linux 6.3 */
    bool tells_sessions; /* the segments of sessions can be told from others */
    bool counts; /* some grants admit only so many connections */
};

/* Appends the messages to a batch that has begun. Whatever a table of this name holds, they replace
 * it in the same transaction, if it is nobody else's. Returns how many bytes of them, from the
 * first on, do away with what there was.
 *
 * A packet may pass even so: the kernel calls the new chain before the old one, and it finds the
 * new one not in force yet, and then the old one no more. */
size_t table_write(struct netwriter *w, const struct helper_setup *setup,
                   const struct table_form *form);

/* Appends what does away with it in the place of those, where the table is owned: the chains that
 * the kernel calls stay, and each has either the old rules for a packet or the new ones. The kernel
 * refuses that where such a chain is to be called elsewhere. */
void table_write_over(struct netwriter *w, const struct helper_setup *setup);

/* Removes the table, whether the socket `fd` owns it or nobody does. Where there is none, or one of
 * this name that is not ours, there is nothing to do; nor is there where the kernel has no
 * such sockets, and `fd` is none. False with the reason: it stays. */
bool table_release(int fd, struct error *why);

#endif
