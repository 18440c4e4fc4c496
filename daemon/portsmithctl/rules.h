/* portsmithctl group rules: prints how this host's firewall copies knocks to its peers. */
#ifndef PORTSMITH_RULES_H
#define PORTSMITH_RULES_H

#include <stdbool.h>

/* Reads the configuration at that path, asks a running portsmithd for its back end where Backend =
 * auto, and prints the script of daemon/host/copies.h, or with `json` an object that holds it.
 * Returns the program's exit status; on failure the reasons are on standard error, and standard
 * output is empty. */
int rules_show(const char *config_path, bool json);

#endif
