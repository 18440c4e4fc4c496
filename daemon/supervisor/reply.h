/* The supervisor's replies to portsmithctl, made of what it knows itself, what the helper reported,
 * and the helper's table of grants. */
#ifndef PORTSMITH_REPLY_H
#define PORTSMITH_REPLY_H

#include <stdbool.h>

#include "daemon/supervisor/controlmessage.h"
#include "daemon/supervisor/pair.h"
#include "privsep/cut/cutmessage.h"
#include "privsep/grantfile.h"
#include "privsep/granttable.h"

/* Makes the order to the helper that a status, a list, a close or a revocation needs.
 * cutting_complete completes one that closes, and pair_order gives it its serial. False with the
 * reason when no such profile is configured. */
bool reply_make_order(struct helper_order *order, const struct control_request *request,
                      const struct config *config, struct error *why);

/* Makes a reply of a result and its text, which is cut to fit. */
void reply_result(struct control_reply *reply, uint32_t verb, enum control_result result,
                  const char *text);

/* Makes a status, but for its uptimes and its trouble. `report` is NULL while no helper reports. */
void reply_status(struct control_reply *reply, const struct config *config,
                  const struct pair *pair, const struct counters *counters,
                  const struct helper_report *report);

/* Makes a list of the live grants above the request's id, as many as fit, the lowest ids first.
 * `uses` is the file of uses.h; -1: there is none. */
void reply_list(struct control_reply *reply, const struct control_request *request,
                const struct config *config, const struct granttable_view *table, int uses);

/* Makes the reply to a close or a revocation from the helper's report, and from what portsmith-cut
 * says of its connections. */
void reply_closed(struct control_reply *reply, const struct control_request *request,
                  const struct helper_report *report, const struct cut_result *cut);

#endif
