#include "daemon/supervisor/reply.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool closes(const struct control_request *request)
{
    return request->verb == CONTROL_CLOSE || request->verb == CONTROL_REVOKE;
}

bool reply_make_order(struct helper_order *order, const struct control_request *request,
                      const struct config *config, struct error *why)
{
    const struct profile *profile;

    memset(order, 0, sizeof *order);
    order->command = closes(request) ? HELPER_CLOSE : HELPER_LIST;
    order->scope = request->scope;
    order->id = request->id;
    order->kill = request->kill;
    if (request->scope != HELPER_SCOPE_PROFILE)
        return true;
    profile = config_find_profile(config, request->profile);
    if (!profile)
        return error_set(why, "there is no profile '%s'", request->profile);
    memcpy(order->key_id, profile->key_id, KEY_ID_SIZE);
    return true;
}

void reply_result(struct control_reply *reply, uint32_t verb, enum control_result result,
                  const char *text)
{
    memset(reply, 0, sizeof *reply);
    reply->verb = verb;
    reply->result = result;
    snprintf(reply->text, sizeof reply->text, "%s", text);
}

/* ---- status ------------------------------------------------------------- */

static void add_configuration(struct control_status *status, const struct config *config,
                              const struct pair *pair)
{
    memcpy(status->fingerprint, config->fingerprint, sizeof status->fingerprint);
    status->backend = config->backend_in_use;
    status->profiles = (uint32_t)config->profile_count;
    status->close_count = config->close_count;
    for (size_t i = 0; i < config->close_count; i++) {
        status->close[i].protocol = config->close[i].protocol;
        status->close[i].port = config->close[i].port;
    }
    status->interface_count = config->interface_count;
    for (size_t i = 0; i < config->interface_count; i++) {
        memcpy(status->interfaces[i].name, config->interfaces[i],
               sizeof status->interfaces[i].name);
        status->interfaces[i].unsupported = pair->unsupported[i];
        status->interfaces[i].captured =
            pair->sniffer != 0 && pair->interfaces[i] != 0 && !pair->unsupported[i];
    }
}

void reply_status(struct control_reply *reply, const struct config *config,
                  const struct pair *pair, const struct counters *counters,
                  const struct helper_answer *answer)
{
    struct control_status *status = &reply->status;

    reply_result(reply, CONTROL_STATUS, CONTROL_DONE, "");
    status->supervisor = (uint32_t)getpid();
    status->sniffer = (uint32_t)pair->sniffer;
    status->helper = (uint32_t)pair->helper;
    add_configuration(status, config, pair);
    status->counters = *counters;
    for (uint32_t i = 0; i < VERDICTS; i++)
        status->verdicts[i] = pair_count(pair, i);
    if (!answer)
        return;
    status->families = answer->families;
    status->grant_store = answer->grant_store;
    status->rules = answer->rules;
    status->live = answer->live;
}

/* ---- grants ------------------------------------------------------------- */

/* Few profiles have live grants; a look at each is soon done. */
static const char *name_of(const struct config *config, const uint8_t key_id[static KEY_ID_SIZE])
{
    for (size_t i = 0; i < config->profile_count; i++)
        if (memcmp(config->profiles[i].key_id, key_id, KEY_ID_SIZE) == 0)
            return config->profiles[i].policy->name;
    return "";
}

static void name_grant(struct control_grant *to, const struct helper_grant *from,
                       const struct config *config)
{
    to->id = from->id;
    to->seconds_left = from->seconds_left;
    to->watched = from->watched;
    to->elsewhere = from->elsewhere;
    to->used = from->used;
    to->address = from->address;
    to->service.protocol = from->service.protocol;
    to->service.port = from->service.port;
    snprintf(to->profile, sizeof to->profile, "%s", name_of(config, from->key_id));
}

static void say_what_was_closed(struct control_reply *reply, const struct control_request *request,
                                const struct helper_answer *answer)
{
    reply->closed = answer->closed;
    reply->ended = answer->ended;
    if (answer->failed)
        reply_result(reply, request->verb, CONTROL_FAILED,
                     "the grants are taken away, but not all of it is done yet: see the log");
    else if (answer->closed == 0 && request->scope == HELPER_SCOPE_ID)
        reply_result(reply, request->verb, CONTROL_FAILED, "there is no live grant of that id");
}

void reply_answer(struct control_reply *reply, const struct control_request *request,
                  const struct config *config, const struct helper_answer *answer)
{
    reply_result(reply, request->verb, CONTROL_DONE, "");
    if (closes(request)) {
        say_what_was_closed(reply, request, answer);
        return;
    }
    reply->count = answer->count;
    reply->more = answer->more;
    for (uint32_t i = 0; i < answer->count; i++)
        name_grant(&reply->grants[i], &answer->grants[i], config);
}
