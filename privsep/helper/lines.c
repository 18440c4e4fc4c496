#include "privsep/helper/lines.h"

#include <inttypes.h>

#include "common/log.h"

static void earliest(int64_t *when, int64_t other)
{
    if (*when == 0 || other < *when)
        *when = other;
}

/* ---- refusals ------------------------------------------------------------ */

static void sum_up_refusals(struct lines *lines, uint32_t verdict, int64_t now)
{
    const char *name = verdict_name(verdict);
    const struct log_about about = {.verdict = name};
    uint32_t left_out = log_limit_take(&lines->refusals[verdict], now);

    if (left_out > 0)
        log_warnx_about(&about, "%" PRIu32 " more of this kind were not logged: %s", left_out,
                        name);
}

bool helper_lines_admit_refusal(struct lines *lines, enum verdict verdict, int64_t now)
{
    sum_up_refusals(lines, verdict, now);
    return log_limit_admits(&lines->refusals[verdict], REFUSALS_LOGGED, REFUSALS_PERIOD, now);
}

/* ---- successes ----------------------------------------------------------- */

static void sum_up_successes(struct policy_entry *of, int64_t now)
{
    const struct log_about about = {.profile = of->profile->name};
    uint32_t left_out = log_limit_take(&of->told, now);

    if (left_out > 0)
        log_info_about(&about, "%s: %" PRIu32 " more lines about its grants were not logged",
                       about.profile, left_out);
}

bool helper_lines_admit_success(struct lines *lines, struct policy_entry *of, int64_t now)
{
    sum_up_successes(of, now);
    if (log_limit_admits(&of->told, SUCCESSES_LOGGED, SUCCESSES_PERIOD, now))
        return true;
    earliest(&lines->sum_at, of->told.until);
    return false;
}

/* There may be ten thousand: they are looked through only when one left a line out. */
static void sum_up_profiles(struct lines *lines, const struct policy *policy, int64_t now)
{
    if (lines->sum_at == 0 || now < lines->sum_at)
        return;
    lines->sum_at = 0;
    for (size_t i = 0; i < policy->setup.profile_count; i++) {
        struct policy_entry *entry = &policy->entries[i];

        if (entry->told.left_out == 0)
            continue;
        sum_up_successes(entry, now);
        if (entry->told.left_out > 0)
            earliest(&lines->sum_at, entry->told.until);
    }
}

/* ---- both ---------------------------------------------------------------- */

void helper_lines_sum_up(struct lines *lines, const struct policy *policy, int64_t now)
{
    for (uint32_t i = 0; i < VERDICTS; i++)
        if (lines->refusals[i].left_out > 0)
            sum_up_refusals(lines, i, now);
    sum_up_profiles(lines, policy, now);
}

int64_t helper_lines_next(const struct lines *lines)
{
    int64_t next = lines->sum_at;

    for (uint32_t i = 0; i < VERDICTS; i++)
        if (lines->refusals[i].left_out > 0)
            earliest(&next, lines->refusals[i].until);
    return next;
}
