/* The bundle: one file, to be carried to another machine, that holds what a server file says and
 * may hold a secret key. `portsmith-profile create` and `portsmith-knock export` write bundles.
 * portsmith-servers(5) describes the format. */
#ifndef PORTSMITH_BUNDLE_H
#define PORTSMITH_BUNDLE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/identity.h"
#include "client/server.h"

enum {
    BUNDLE_TEXT_SIZE = SERVER_TEXT_SIZE + SETTINGS_LINE_MAX + 512, /* bytes, the zero included */
    BUNDLE_FILE_MAX = 4096, /* bytes that a pipe takes before anybody reads (PIPE_BUF) */
};

struct bundle {
    struct server server; /* first: the setters of server.h work on a bundle */
    char name[SERVER_NAME_SIZE];
    bool opens_all;  /* Service names more services than a knock can, so `server` has none */
    bool has_secret; /* otherwise knocks take the device's own identity */
    uint8_t secret[KEY_SIZE]; /* the client's Ed25519 seed */
};

/* Reads the bundle at `path`. Nobody else may be able to write the file or, if it holds a
 * secret, to read it. The bundle is in locked memory, and the caller gives it back with
 * bundle_free. NULL with the reason, which names file and line. */
struct bundle *bundle_read(const char *path, struct error *why);

/* As bundle_read, from the descriptor `fd`, which is closed. Errors call it `path`. A pipe may hold
 * secrets. */
struct bundle *bundle_read_from(int fd, const char *path, struct error *why);

/* As bundle_read, from `size` bytes of text, BUNDLE_FILE_MAX at most. Errors call it "bundle". */
struct bundle *bundle_parse(const void *text, size_t size, struct error *why);

/* Makes a bundle of the server called `name`. With `secret` it holds the pre-shared key, and either
 * the secret key of `identity` or, if that is NULL, the ssh key. Otherwise it is for somebody with
 * another key, and `identity` is NULL. It is in locked memory, and the caller gives it back with
 * bundle_free. NULL with the reason. */
struct bundle *bundle_of_server(const char *name, const struct server *server, bool secret,
                                const struct identity *identity, struct error *why);

/* Writes the text of the file, which the caller wipes. Returns its size in bytes, without the
 * zero. */
size_t bundle_format(const struct bundle *bundle, char text[static BUNDLE_TEXT_SIZE]);

/* Makes the file NAME.conf in `directory` and, if the bundle has a secret key, NAME.key, both
 * of mode 0600. Stores both paths. A missing directory is made, of mode 0700. False with the
 * reason, and then neither file was made. An existing file is an error, and is never touched. */
bool bundle_unpack(const struct bundle *bundle, const char *directory, char key[static PATH_MAX],
                   char conf[static PATH_MAX], struct error *why);

/* Wipes and frees the bundle. NULL is allowed. */
void bundle_free(struct bundle *bundle);

#endif
