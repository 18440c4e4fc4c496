/* The side of the control socket that asks. */
#ifndef PORTSMITH_ASK_H
#define PORTSMITH_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "daemon/supervisor/controlmessage.h"

enum ask_result {
    ASK_DONE,        /* the reply's result is CONTROL_DONE */
    ASK_NOT_RUNNING, /* nobody listens */
    ASK_FORBIDDEN,   /* the caller must be root, or in the control group */
    ASK_RESTARTING,  /* portsmithd is between two helpers, for a moment */
    ASK_FAILED,
};

enum { EXIT_NOT_RUNNING = 3 }; /* of a program that ASK_NOT_RUNNING keeps from its work */

/* Asks the portsmithd of this configuration, and waits for its reply: 30 seconds, or as long as
 * it takes for a reload, a release or a revocation. Unless the result is ASK_DONE, *why has the
 * reason, and what to do. */
enum ask_result ask(const struct config *config, const struct control_request *request,
                    struct control_reply *reply, struct error *why);

/* Asks for all live grants, which are ascending by id. The caller frees *grants, which may be
 * NULL, whatever the result. */
enum ask_result ask_grants(const struct config *config, struct control_grant **grants,
                           size_t *count, struct error *why);

#endif
