/* The servers that this user knows: the files NAME.conf in the configuration
 * directory. */
#ifndef PORTSMITH_KNOWN_H
#define PORTSMITH_KNOWN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/server.h"
#include "common/error.h"

struct known {
    char (*names)[SERVER_NAME_SIZE]; /* in alphabetical order */
    size_t count;
};

/* Finds the names of all server files; none is read. An absent directory knows
 * none. The caller frees with known_free. False with the reason when the directory
 * cannot be read. */
bool known_find(struct known *known, struct error *why);

void known_free(struct known *known);

/* Whether `name` can be a server's; false with what was expected. */
bool known_check_name(const char *name, struct error *why);

/* The path of the file of the server called `name`, be there one or not. */
bool known_path(char path[static PATH_MAX], const char *name, struct error *why);

/* Reads the file of the server called `name` into *server, fresh from server_new.
 * Where there is none, errno is ENOENT and the error says which names are known, the
 * nearest first if one was probably meant. */
bool known_read(struct server *server, const char *name, struct error *why);

/* The same for a server that `host` names as ssh(1) would: by its Host or, where no file has
 * that, by the name of its file; case does not matter. A Host that several files have is an
 * error, unless one of them is called so. Files that cannot be read are passed over, unless it
 * is them that `host` names. */
bool known_read_host(struct server *server, const char *host, struct error *why);

#endif
