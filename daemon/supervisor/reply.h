/* What the supervisor answers portsmithctl, made of what it knows, what the helper said, and
 * the helper's table of grants. */
#ifndef PORTSMITH_REPLY_H
#define PORTSMITH_REPLY_H

#include <stdbool.h>

#include "daemon/supervisor/controlmessage.h"
#include "daemon/supervisor/pair.h"
#include "privsep/granttable.h"

/* The helper's order that a status, a list, a close or a revocation needs; pair_order gives it its
 * serial. False with the reason when no such profile is configured. */
bool reply_make_order(struct helper_order *order, const struct control_request *request,
                      const struct config *config, struct error *why);

/* A result and its text, which is cut to fit. */
void reply_result(struct control_reply *reply, uint32_t verb, enum control_result result,
                  const char *text);

/* The status but for its uptimes; `report` is NULL while no helper answers. */
void reply_status(struct control_reply *reply, const struct config *config,
                  const struct pair *pair, const struct counters *counters,
                  const struct helper_report *report);

/* The live grants above the request's id, the lowest ids first; profiles are named. */
void reply_list(struct control_reply *reply, const struct control_request *request,
                const struct config *config, const struct granttable_view *table);

/* What a sound report to a close or a revocation means. */
void reply_closed(struct control_reply *reply, const struct control_request *request,
                  const struct helper_report *report);

#endif
