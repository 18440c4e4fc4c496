/* Whether this host's kernel can keep grants in a table of nf_tables, found by trying: in
 * transactions that the kernel undoes, so that nobody ever sees anything of it. */
#ifndef PORTSMITH_NFTPROBE_H
#define PORTSMITH_NFTPROBE_H

#include "common/error.h"
#include "privsep/message.h"
#include "privsep/prepare/table.h"
#include "privsep/xtables/probe.h"

/* Tries the table that `setup` asks for. PROBE_USABLE: *means tells how it can be made, and all of
 * `setup` works. PROBE_UNUSABLE, with the reason: the kernel lacks something, which is named, or a
 * table of our name is another process's. `fd` is the socket that owns the table, or would; -1: the
 * kernel has no such sockets. */
enum probe_result nftprobe(int fd, const struct helper_setup *setup, struct table_means *means,
                           struct error *why);

/* Sets means->tells_sessions, once the rest is known. Where sessions cannot be told they go on all
 * the same, but the ACKs of strangers pass as well: false, with the reason. */
bool nftprobe_sessions(int fd, struct table_means *means, struct error *why);

#endif
