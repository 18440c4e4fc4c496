/* How replies of portsmithd are printed: for people in columns, or for programs as JSON, whose
 * names portsmithctl(8) lists. All of it goes to standard output. */
#ifndef PORTSMITH_REPORT_H
#define PORTSMITH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/supervisor/controlmessage.h"

/* Prints a status. `rest` says whether what portsmith-firewall shuts is in force; NULL: it
 * shuts nothing. `drops` is an array of objects that say in `what` and `advice` which chain of
 * another firewall drops what a knock opens; NULL: that is not known. `keep` is the command that
 * keeps what is on trial. */
void report_status(const struct control_status *status, const char *rest, const json_t *drops,
                   const char *keep);

/* Prints grants as a table. */
void report_grants(const struct control_grant *grants, size_t count);

/* Prints how many grants were closed and, if `kill`, how many connections were ended. */
void report_closed(const struct control_reply *reply, bool kill);

/* The same as JSON: new references, which report_print or json_decref gives up. NULL without
 * memory. */
json_t *report_status_json(const struct control_status *status);
json_t *report_grant_json(const struct control_grant *grant);
json_t *report_grants_json(const struct control_grant *grants, size_t count);
json_t *report_closed_json(const struct control_reply *reply);

/* How many requests the helper has granted, and how many it has refused. */
uint64_t report_granted(const struct control_status *status);
uint64_t report_refused(const struct control_status *status);

/* Whether the grant was used: "yes", "no", or "?" where that is not known. */
const char *report_used(const struct control_grant *grant);

/* The name of the grant's profile, or "-" if that was removed. */
const char *report_profile(const struct control_grant *grant);

/* Prints the JSON and a line end, and gives it up. `flags` are those of json_dumpf. False where
 * that fails, or `json` is NULL. */
bool report_print(json_t *json, size_t flags);

/* Prints the JSON, which is all that the program prints, and gives it up. Returns an exit status, and
 * says why where it is not EXIT_SUCCESS. */
int report_print_whole(json_t *json);

#endif
