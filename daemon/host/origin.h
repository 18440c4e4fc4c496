/* Which host the server's key is of. A note beside the key, server.host, holds a hash of the
 * machine id of the host where the key was made, or was first used. A knock that one of two
 * hosts with one key has used up still counts at the other. */
#ifndef PORTSMITH_ORIGIN_H
#define PORTSMITH_ORIGIN_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/host/warning.h"

enum { ORIGIN_NOTE_SIZE = 34 }; /* 32 hexadecimal digits, a newline, a zero */

/* The note for a host whose machine id is in this file. machine-id(5) asks for a hash of an
 * application's own in place of the id: BLAKE2b, keyed with the id. False where there is no
 * such file or no id in it, as on a host that has not yet chosen one. sodium_init comes
 * first. */
bool origin_note(char note[static ORIGIN_NOTE_SIZE], const char *machine_id_path);

/* Notes this host beside the key that was just made, in place of any older note. A host
 * without a machine id leaves none. False with the reason. */
bool origin_put(const struct config *config, struct error *why);

/* Notes this host beside the key if no host is noted. False with the reason. */
bool origin_put_missing(const struct config *config, struct error *why);

/* Calls `report`, handing on `data`, where another host is noted than this one. `path` is the
 * configuration file's. */
void origin_find(const struct config *config, const char *path, warning_taker *report,
                 void *data);

#endif
