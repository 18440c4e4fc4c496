/* Where the client keeps its files, by the XDG Base Directory Specification. */
#ifndef PORTSMITH_PATHS_H
#define PORTSMITH_PATHS_H

#include <limits.h>
#include <stdbool.h>

#include "common/error.h"

/* The directory of the identity and of the server files: $XDG_CONFIG_HOME/portsmith, by default
 * ~/.config/portsmith.
 *
 * A directory of another user's is not used. If HOME is one, the home directory of the user
 * database takes its place, as with ssh(1). If XDG_CONFIG_HOME or XDG_STATE_HOME is one, and is
 * not root's, the default takes its place. If the caller is root, all three are errors. False with
 * the reason, also if no home directory is known. */
bool path_config_directory(char path[static PATH_MAX], struct error *why);

/* The directory of the last counter and the last failure: $XDG_STATE_HOME/portsmith, by default
 * ~/.local/state/portsmith. Directories of other users are treated as above. False with the
 * reason. */
bool path_state_directory(char path[static PATH_MAX], struct error *why);

/* The path of the identity that is used where none is named: "identity" in the configuration
 * directory. False with the reason. */
bool path_identity(char path[static PATH_MAX], struct error *why);

/* Writes the user's home directory: HOME or, as with ssh(1), the user database's if HOME is another
 * user's. If the caller is root, that is an error. False with the reason. */
bool path_home(char path[static PATH_MAX], struct error *why);

/* Writes "directory/name" followed by `suffix` ("" for none). False with the reason if that is too
 * long for a path. */
bool path_join(char path[static PATH_MAX], const char *directory, const char *name,
               const char *suffix, struct error *why);

/* Writes where the file at `path` is: `path` itself or, if that is a symbolic link, where the link
 * leads. False with the reason if the link leads nowhere; errno is then not ENOENT. False, too, if
 * anybody but the caller and root could put another file in place of the one that the link leads
 * to: each directory above that must belong to one of them, and be sticky or writable by no other.
 * Whoever opens the file checks the file itself. */
bool path_follow(char real[static PATH_MAX], const char *path, struct error *why);

#endif
