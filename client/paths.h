/* Where the client keeps its files: the XDG base directories. */
#ifndef PORTSMITH_PATHS_H
#define PORTSMITH_PATHS_H

#include <limits.h>
#include <stdbool.h>

#include "common/error.h"

/* $XDG_CONFIG_HOME/portsmith, by default ~/.config/portsmith: the identity and
 * one file per server.
 *
 * What belongs to another user is not used: not the HOME of one, in whose place the home
 * directory of the user database is taken as ssh(1) does, and not the XDG_CONFIG_HOME or
 * XDG_STATE_HOME of one who is not root. For root they are errors that say so. False, too,
 * when no home directory is known. */
bool path_config_directory(char path[static PATH_MAX], struct error *why);

/* $XDG_STATE_HOME/portsmith, by default ~/.local/state/portsmith: the last
 * counter and the last failure. Whose it is matters as above. */
bool path_state_directory(char path[static PATH_MAX], struct error *why);

/* The identity that is used where none is named: in the configuration directory. */
bool path_identity(char path[static PATH_MAX], struct error *why);

/* Writes "directory/name" followed by `suffix` ("" for none). False when that
 * is too long for a path. */
bool path_join(char path[static PATH_MAX], const char *directory, const char *name,
               const char *suffix, struct error *why);

/* Where the file at `path` is: there or, if that is a symbolic link, where it leads. False if
 * it leads nowhere (errno is not ENOENT) or if anybody but the caller and root could put
 * another file into that one's place: each directory above must belong to one of them, and
 * be writable by no other or sticky. The file itself is for the reader to check. */
bool path_follow(char real[static PATH_MAX], const char *path, struct error *why);

#endif
