/* Transactions of nf_tables: messages of which the kernel does all or none (linux/netfilter/
 * nfnetlink.h: NFNL_MSG_BATCH_BEGIN, _END), for the family inet. CAP_NET_ADMIN suffices. Nothing is
 * read but the kernel's answers, which are of fixed size.
 *
 * An answer of 0 to a message does not mean that it was done: where another message of the batch
 * is refused, none is (Linux 6.18, tried). So a batch is in force only if no message was refused
 * and the last one was answered. All answers wait when send(2) returns, as the kernel works the
 * batch off within it. */
#ifndef PORTSMITH_BATCH_H
#define PORTSMITH_BATCH_H

#include "privsep/netwriter.h"

/* Begins a batch in a writer, whose former content is forgotten. */
void batch_begin(struct netwriter *w);

/* Begins a message of nf_tables: NFT_MSG_*, and NLM_F_* such as NLM_F_CREATE. netwriter_end ends
 * it. */
void batch_message(struct netwriter *w, unsigned message, unsigned flags);

/* Adds whole messages that were written before. */
void batch_append(struct netwriter *w, const void *messages, size_t size);

/* Has the kernel do the batch, which has a message. 0: it is in force. Else it is not, and this is
 * the errno of the first message that was refused; or EIO: the kernel did not answer, and nobody
 * knows. `fd` is a socket of NETLINK_NETFILTER, connected to the kernel, that no other process
 * uses just now; another descriptor is ENOTSOCK. Answers that still wait there, for a process that
 * was killed, are dropped. */
int batch_send(struct netwriter *w, int fd);

/* The same, but the kernel undoes all: only whether it would be done is found out. */
int batch_try(struct netwriter *w, int fd);

#endif
