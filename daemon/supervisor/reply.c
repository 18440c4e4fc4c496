#include "daemon/supervisor/reply.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "privsep/grantfile.h"
#include "privsep/uses.h"

static bool closes(const struct control_request *request)
{
    return request->verb == CONTROL_CLOSE || request->verb == CONTROL_REVOKE;
}

bool reply_make_order(struct helper_order *order, const struct control_request *request,
                      const struct config *config, struct error *why)
{
    const struct profile *profile;

    memset(order, 0, sizeof *order);
    order->command = closes(request) ? HELPER_CLOSE : HELPER_TELL;
    order->scope = request->scope;
    order->id = closes(request) ? request->id : 0; /* the id of a list is where it begins */
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
    memcpy(status->shared_fingerprint, config->shared_fingerprint,
           sizeof status->shared_fingerprint);
    memcpy(status->server_public, config->server_public, sizeof status->server_public);
    memcpy(status->group, config->group, sizeof config->group);
    memcpy(status->member, config->member, sizeof config->member);
    status->roster_version = config->roster.version;
    status->roster_not_after = config->roster.not_after;
    for (size_t i = 0; i < config->profile_count; i++)
        status->roster_profiles += config->profiles[i].is_of_roster;
    status->backend = config->backend_in_use;
    status->profiles = (uint32_t)config->profile_count;
    status->shut_count = config->shut_count;
    for (size_t i = 0; i < config->shut_count; i++) {
        status->shut[i].protocol = config->shut[i].protocol;
        status->shut[i].port = config->shut[i].port;
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
                  const struct helper_report *report)
{
    struct control_status *status = &reply->status;

    reply_result(reply, CONTROL_STATUS, CONTROL_DONE, "");
    status->supervisor = (uint32_t)getpid();
    status->sniffer = (uint32_t)pair->sniffer;
    status->helper = (uint32_t)pair->helper;
    status->witness = (uint32_t)pair->witness;
    add_configuration(status, config, pair);
    status->counters = *counters;
    for (uint32_t i = 0; i < VERDICTS; i++)
        status->verdicts[i] = pair_count(pair, i);
    if (!report)
        return;
    status->families = report->families;
    status->grant_store = report->grant_store;
    status->rules = report->rules;
    status->owned = report->owned;
    status->live = report->live;
}

/* ---- grants ------------------------------------------------------------- */

/* Returns the name of the profile with that key id; empty: there is none any more. */
static const char *name_of(const struct config *config, const uint8_t key_id[static KEY_ID_SIZE])
{
    for (size_t i = 0; i < config->profile_count; i++)
        if (memcmp(config->profiles[i].key_id, key_id, KEY_ID_SIZE) == 0)
            return config->profiles[i].policy->name;
    return "";
}

static void describe(struct control_grant *to, const struct grant *from, int64_t now,
                     const struct config *config)
{
    to->id = from->id;
    to->seconds_left = (uint32_t)((from->deadline - now + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
    to->elsewhere = from->signed_address == GRANT_SIGNED_ELSEWHERE;
    to->address = from->address;
    to->service.protocol = from->service.protocol;
    to->service.port = from->service.port;
    snprintf(to->profile, sizeof to->profile, "%s", name_of(config, from->key_id));
}

/* The grants with the lowest ids of all that were met, in order. */
struct page {
    struct grant grants[CONTROL_GRANTS];
    uint32_t count;
    bool more;
};

/* Puts a grant on the page, unless it is there: a grant may be met twice, while it moves. */
static void put_on_page(struct page *page, const struct grant *grant)
{
    struct grant *grants = page->grants;
    uint32_t at = page->count;

    while (at > 0 && grants[at - 1].id > grant->id)
        at--;
    if (at > 0 && grants[at - 1].id == grant->id)
        return;
    if (page->count == CONTROL_GRANTS)
        page->more = true;
    else
        page->count++;
    if (at == CONTROL_GRANTS)
        return;
    memmove(grants + at + 1, grants + at, (page->count - 1 - at) * sizeof *grants);
    grants[at] = *grant;
}

/* Adds to the grants on a page what the witness knows of their use. The witness may be changing
 * it, and may say anything. */
static void add_uses(struct control_reply *reply, const struct page *page, int uses)
{
    enum { AT_ONCE = 64 };
    struct use some[AT_ONCE];
    off_t at = 0;
    ssize_t n;

    while ((n = pread(uses, some, sizeof some, at)) >= (ssize_t)sizeof *some) {
        const size_t count = (size_t)n / sizeof *some;

        for (size_t i = 0; i < count; i++)
            for (uint32_t j = 0; j < page->count; j++)
                if (some[i].id == page->grants[j].id &&
                    some[i].allowance == page->grants[j].allowance) {
                    reply->grants[j].is_counted = some[i].known == USE_COUNTED;
                    reply->grants[j].used = some[i].used;
                }
        at += (off_t)(count * sizeof *some);
    }
}

void reply_list(struct control_reply *reply, const struct control_request *request,
                const struct config *config, const struct granttable_view *table, int uses)
{
    int64_t now = clock_boot_ns();
    struct page page = {.count = 0};
    struct grant grant;

    for (size_t i = table->capacity; i > 0; i--) /* downwards, as granttable.h says */
        if (granttable_read(table, i - 1, &grant) && grant.id > request->id &&
            grant.deadline > now) /* if not, the kernel has shut it */
            put_on_page(&page, &grant);
    reply_result(reply, request->verb, CONTROL_DONE, "");
    reply->count = page.count;
    reply->more = page.more;
    for (uint32_t i = 0; i < page.count; i++)
        describe(&reply->grants[i], &page.grants[i], now, config);
    add_uses(reply, &page, uses);
}

void reply_closed(struct control_reply *reply, const struct control_request *request,
                  const struct helper_report *report, const struct cut_result *cut)
{
    reply_result(reply, request->verb, CONTROL_DONE, "");
    reply->closed = report->closed;
    reply->ended = cut->ended;
    if (report->failed || cut->trouble != CUT_DONE)
        reply_result(reply, request->verb, CONTROL_FAILED,
                     "the grants are taken away, but not all of it is done yet: see the log");
    else if (report->closed == 0 && cut->ended == 0 && request->scope == HELPER_SCOPE_ID)
        reply_result(reply, request->verb, CONTROL_FAILED, "there is no live grant of that id");
}
