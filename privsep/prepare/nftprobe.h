/* Whether this host's kernel can keep grants in a table of nf_tables, found by trying: in
 * transactions that the kernel undoes, so that nobody ever sees anything of it. */
#ifndef PORTSMITH_NFTPROBE_H
#define PORTSMITH_NFTPROBE_H

#include "common/error.h"
#include "privsep/setup.h"
#include "privsep/prepare/table.h"
#include "privsep/xtables/probe.h"

/* Tries the table that `setup` and form->counts ask for. PROBE_USABLE: all of it works, and the
 * rest of *form tells how it is to be made, but for tells_sessions. PROBE_UNUSABLE, with the
 * reason: the kernel lacks something, which is named, or a table of our name is another process's.
 * With HELPER_PROBE that of a portsmithd, which serves, is no obstacle. `fd` is the socket that
 * owns the table, or would (batch.h), or no socket, where the kernel has none. */
enum probe_result nftprobe(int fd, const struct helper_setup *setup, struct table_form *form,
                           struct error *why);

/* Sets form->tells_sessions, once the rest is known. Where sessions cannot be told they go on all
 * the same, but the ACKs of strangers pass as well: false, with the reason. */
bool nftprobe_sessions(int fd, struct table_form *form, struct error *why);

#endif
