/* The bundle: what a server's file says and, if it is meant to, a secret key, in one
 * file to be carried to another machine. `portsmith-profile create` writes one, and
 * so does `portsmith-knock export`. The format is that of portsmith-knock(1). */
#ifndef PORTSMITH_BUNDLE_H
#define PORTSMITH_BUNDLE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/identity.h"
#include "client/server.h"

enum { BUNDLE_TEXT_SIZE = SERVER_TEXT_SIZE + 512 };

struct bundle {
    struct server server; /* first: the setters of server.h work on a bundle */
    char name[SERVER_NAME_SIZE];
    bool opens_all;  /* Open names more services than a knock can: the server names none */
    bool has_secret; /* otherwise the device's own identity is used */
    uint8_t secret[KEY_SIZE]; /* the client's Ed25519 seed */
};

/* Reads the bundle at `path`, which nobody else may be able to write, nor, if it holds
 * a secret, to read. In locked memory, given back with bundle_free; NULL with file,
 * line and what was expected. */
struct bundle *bundle_read(const char *path, struct error *why);

/* The same from a descriptor, which is closed; `path` is what errors call it. A pipe
 * may hold secrets. */
struct bundle *bundle_read_from(int fd, const char *path, struct error *why);

/* What there is to say of the server called `name`: with the secret key of `identity`
 * and the pre-shared key, or, where `identity` is NULL, without any secret. In locked
 * memory, given back with bundle_free; NULL with the reason. */
struct bundle *bundle_of_server(const char *name, const struct server *server,
                                const struct identity *identity, struct error *why);

/* Writes the text that bundle_read takes, which the caller wipes. Returns its size. */
size_t bundle_format(const struct bundle *bundle, char text[static BUNDLE_TEXT_SIZE]);

/* Makes NAME.conf in `directory`, and NAME.key if there is a secret key, mode 0600
 * both, and stores their paths; the directory too (0700) if it is missing. All or
 * nothing: an existing file is an error and is never touched. */
bool bundle_unpack(const struct bundle *bundle, const char *directory, char key[static PATH_MAX],
                   char conf[static PATH_MAX], struct error *why);

/* Wipes and frees; NULL is allowed. */
void bundle_free(struct bundle *bundle);

#endif
