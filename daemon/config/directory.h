/* The profile directory: the server's key, and the profiles of all clients. */
#ifndef PORTSMITH_DIRECTORY_H
#define PORTSMITH_DIRECTORY_H

#include "daemon/config/config.h"

/* Reads the directory into *c, of which portsmith.conf, `config_path`, was read before: the
 * server's public key, the profiles, complete and sorted by name, and every knock port in use. The
 * server's secret key and the pre-shared keys are wiped before it returns. Where the roster cannot
 * be used, that is an error if `is_again`; else the one that was used last is, and
 * c->roster_trouble has the reason. False with the reason: config_free frees what was read. */
bool directory_read(struct config *c, const char *config_path, bool is_again, struct error *why);

/* Fills in what the draft of a profile leaves out, and counts its port among those of *c. False
 * with the reason, which begins with `path`: *c takes no such profile, whatever its key. */
bool directory_complete(struct config *c, struct profile_draft *draft, const char *path,
                        struct error *why);

#endif
