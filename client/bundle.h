/* The bundle that `portsmith-profile create` writes for a client whose key was
 * made on the server. The format is that of portsmith-knock(1). */
#ifndef PORTSMITH_BUNDLE_H
#define PORTSMITH_BUNDLE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "server.h"

struct bundle {
    struct server server; /* first: the setters of server.h work on a bundle */
    char name[SERVER_NAME_SIZE];
    bool opens_all; /* Open names more services than a knock can */
    bool has_secret;
    uint8_t secret[KEY_SIZE]; /* the client's Ed25519 seed */
};

/* Reads the bundle at `path`, which nobody else may be able to read. In locked
 * memory, given back with bundle_free; NULL with file, line and what was
 * expected. */
struct bundle *bundle_read(const char *path, struct error *why);

/* Makes NAME.key and NAME.conf in `directory`, mode 0600 both, and stores
 * their paths; the directory too (0700) if it is missing. Both or neither: an
 * existing file is an error and is never touched. */
bool bundle_unpack(const struct bundle *bundle, const char *directory, char key[static PATH_MAX],
                   char conf[static PATH_MAX], struct error *why);

/* Wipes and frees; NULL is allowed. */
void bundle_free(struct bundle *bundle);

#endif
