/* What portsmithctl prints: for people, in columns, or as JSON, whose names
 * portsmithctl(8) lists. */
#ifndef PORTSMITH_REPORT_H
#define PORTSMITH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/supervisor/controlmessage.h"

/* `rest` says how it is with what portsmith-firewall closes, NULL nothing; `keep` is the
 * command that keeps what is on trial. */
void report_status(const struct control_status *status, const char *rest, const char *keep);
void report_grants(const struct control_grant *grants, size_t count);
void report_closed(const struct control_reply *reply, bool kill);

/* New references, NULL without memory. */
json_t *report_status_json(const struct control_status *status);
json_t *report_grant_json(const struct control_grant *grant);
json_t *report_grants_json(const struct control_grant *grants, size_t count);
json_t *report_closed_json(const struct control_reply *reply);

/* How many requests were granted or refused by the helper. */
uint64_t report_granted(const struct control_status *status);
uint64_t report_refused(const struct control_status *status);

/* "yes", "no" or "?". */
const char *report_used(const struct control_grant *grant);

/* The profile's name, or "-" when it was removed. */
const char *report_profile(const struct control_grant *grant);

/* Prints it and gives it up; false where that fails. */
bool report_print(json_t *json, size_t flags);

#endif
