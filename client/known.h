/* The servers that this user knows: the files NAME.conf in the configuration directory. */
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

/* Finds the names of all server files, and reads none of the files. A directory that is not there
 * holds no names. The caller frees the names with known_free. False with the reason, and nothing to
 * free, if the directory cannot be read. */
bool known_find(struct known *known, struct error *why);

/* Frees the names. */
void known_free(struct known *known);

/* Whether `name` can be the name of a server. False with what was expected. */
bool known_check_name(const char *name, struct error *why);

/* Writes the path that the file of the server called `name` has, whether or not there is one. False
 * with the reason. */
bool known_path(char path[static PATH_MAX], const char *name, struct error *why);

/* Reads the file of the server called `name` into *server, which is fresh from server_new. False
 * with the reason. Where there is no such file, errno is ENOENT, and the reason says which names
 * are known, and which of them was probably meant. */
bool known_read(struct server *server, const char *name, struct error *why);

/* Reads the file of the server that `host` names as ssh(1) would, into *server, which is fresh from
 * server_new. That is the file with this Host or, where no file has it, the file of this name. Case
 * does not matter. A Host that several files have is an error, unless one of the files is called
 * so, too. Files that cannot be read are passed over, but for the one that `host` names. False with
 * the reason. */
bool known_read_host(struct server *server, const char *host, struct error *why);

#endif
