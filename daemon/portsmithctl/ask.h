/* portsmithctl's side of the control socket. */
#ifndef PORTSMITH_ASK_H
#define PORTSMITH_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "daemon/supervisor/controlmessage.h"

enum ask_result {
    ASK_DONE,        /* the reply's result is CONTROL_DONE */
    ASK_NOT_RUNNING, /* nobody listens */
    ASK_FORBIDDEN,   /* one must be root, or in the group */
    ASK_RESTARTING,  /* will pass */
    ASK_FAILED,
};

/* Asks the portsmithd of this configuration, and waits for its reply: as long as it
 * takes for a reload, a release or a revocation, 30 seconds for the rest. All but
 * ASK_DONE come with the reason, and what to do, in *why. */
enum ask_result ask(const struct config *config, const struct control_request *request,
                    struct control_reply *reply, struct error *why);

/* Every live grant, ascending by id; the caller frees *grants, which may be NULL. */
enum ask_result ask_grants(const struct config *config, struct control_grant **grants,
                           size_t *count, struct error *why);

#endif
