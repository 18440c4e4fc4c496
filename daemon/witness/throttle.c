#include "daemon/witness/throttle.h"

#include <inttypes.h>

#include "common/log.h"

static void earliest(int64_t *when, int64_t other)
{
    if (*when == 0 || other < *when)
        *when = other;
}

/* ---- refusals ------------------------------------------------------------ */

static void sum_up_refusals(struct throttle *throttle, uint32_t verdict, int64_t now)
{
    const char *name = verdict_name(verdict);
    const struct log_about about = {.verdict = name};
    uint32_t left_out = log_limit_take(&throttle->refusals[verdict], now);

    if (left_out > 0)
        log_warnx_about(&about, "%" PRIu32 " more of this kind were not logged: %s", left_out,
                        name);
}

bool throttle_admits_refusal(struct throttle *throttle, enum verdict verdict, int64_t now)
{
    sum_up_refusals(throttle, verdict, now);
    return log_limit_admits(&throttle->refusals[verdict], REFUSALS_LOGGED, REFUSALS_PERIOD, now);
}

/* ---- what a profile opens and closes ------------------------------------- */

static void sum_up_profile(struct client *of, int64_t now)
{
    const struct log_about about = {.profile = of->profile->name};
    uint32_t left_out = log_limit_take(&of->told, now);

    if (left_out > 0)
        log_info_about(&about, "%s: %" PRIu32 " more lines about its grants were not logged",
                       about.profile, left_out);
}

bool throttle_admits_profile(struct throttle *throttle, struct client *of, int64_t now)
{
    if (!of)
        return true;
    sum_up_profile(of, now);
    if (log_limit_admits(&of->told, LINES_LOGGED, LINES_PERIOD, now))
        return true;
    earliest(&throttle->sum_at, of->told.until);
    return false;
}

/* ---- both ---------------------------------------------------------------- */

void throttle_sum_up(struct throttle *throttle, const struct clients *clients, int64_t now)
{
    for (uint32_t i = 0; i < VERDICTS; i++)
        if (throttle->refusals[i].left_out > 0)
            sum_up_refusals(throttle, i, now);
    /* There may be ten thousand profiles: they are looked through only when one of them left a
     * line out. */
    if (throttle->sum_at == 0 || now < throttle->sum_at)
        return;
    throttle->sum_at = 0;
    for (size_t i = 0; i < clients->count; i++) {
        struct client *client = &clients->items[i];

        if (client->told.left_out == 0)
            continue;
        sum_up_profile(client, now);
        if (client->told.left_out > 0)
            earliest(&throttle->sum_at, client->told.until);
    }
}

int64_t throttle_next(const struct throttle *throttle)
{
    int64_t next = throttle->sum_at;

    for (uint32_t i = 0; i < VERDICTS; i++)
        if (throttle->refusals[i].left_out > 0)
            earliest(&next, throttle->refusals[i].until);
    return next;
}
