/* Where the client keeps its files: the XDG base directories. */
#ifndef PORTSMITH_PATHS_H
#define PORTSMITH_PATHS_H

#include <limits.h>
#include <stdbool.h>

#include "error.h"

/* $XDG_CONFIG_HOME/portsmith, by default ~/.config/portsmith: the identity and
 * one file per server. False when no home directory is known. */
bool path_config_directory(char path[static PATH_MAX], struct error *why);

/* $XDG_STATE_HOME/portsmith, by default ~/.local/state/portsmith: the last
 * counter. False when no home directory is known. */
bool path_state_directory(char path[static PATH_MAX], struct error *why);

/* The identity that is used where none is named: in the configuration directory. */
bool path_identity(char path[static PATH_MAX], struct error *why);

/* Writes "directory/name" followed by `suffix` ("" for none). False when that
 * is too long for a path. */
bool path_join(char path[static PATH_MAX], const char *directory, const char *name,
               const char *suffix, struct error *why);

#endif
