/* The check of portsmithctl doctor that compares this host with other members of its group. */
#ifndef PORTSMITH_DOCTORGROUP_H
#define PORTSMITH_DOCTORGROUP_H

#include <stddef.h>

#include "daemon/ask/ask.h"
#include "daemon/config/config.h"
#include "daemon/doctor/findings.h"

/* Compares `status`, this host's (NULL: portsmithd does not tell it), with those in `files`, of
 * which each is what portsmithctl --json status printed on another member ("-": standard input).
 * `config` is the host's. */
void doctorgroup_examine(struct findings *found, const struct config *config,
                         const struct control_status *status, char *const *files, size_t count);

#endif
