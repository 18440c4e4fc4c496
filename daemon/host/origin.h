/* Which host the server's key is of. A note beside the key, server.host, holds a hash of the
 * machine id of the host where the key was made, or was first used. A knock that one of two
 * hosts with one key has used up still counts at the other, unless they are of one group. */
#ifndef PORTSMITH_ORIGIN_H
#define PORTSMITH_ORIGIN_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/host/warning.h"

enum { ORIGIN_NOTE_SIZE = 34 }; /* 32 hexadecimal digits, a newline, a zero */

/* Makes the note for a host whose machine id is in the file at `machine_id_path`: a hash of
 * that id (BLAKE2b), as machine-id(5) asks applications not to use the id itself. False where
 * the file holds no id, as on a host that has not yet chosen one. sodium_init comes first. */
bool origin_note(char note[static ORIGIN_NOTE_SIZE], const char *machine_id_path);

/* Notes this host beside the key that was just made, in place of any older note. On a host
 * without a machine id an older note is removed. False with the reason. */
bool origin_put(const struct config *config, struct error *why);

/* Notes this host beside the key if no host is noted there. False with the reason. */
bool origin_put_missing(const struct config *config, struct error *why);

/* Calls `report`, handing on `data`, if the note names another host than this one, or cannot be
 * read. Of a member of a group nothing is reported. `path` is the configuration file's, for the
 * advice. */
void origin_find(const struct config *config, const char *path, warning_taker *report,
                 void *data);

#endif
