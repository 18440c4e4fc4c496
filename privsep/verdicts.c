#include "verdicts.h"

#include <inttypes.h>

#include "clock.h"
#include "log.h"

static void sum_up(struct refusals *refusals, uint32_t verdict)
{
    const char *name = verdict_name(verdict);
    const struct log_about about = {.verdict = name};
    uint32_t left_out = refusals->of[verdict].left_out;

    if (left_out > 0)
        log_warnx_about(&about, "%" PRIu32 " more of this kind were not logged: %s", left_out,
                        name);
    refusals->of[verdict].until = 0;
    refusals->of[verdict].logged = refusals->of[verdict].left_out = 0;
}

bool helper_refusals_admit(struct refusals *refusals, enum verdict verdict, int64_t now)
{
    if (now >= refusals->of[verdict].until) {
        sum_up(refusals, verdict);
        refusals->of[verdict].until = now + (int64_t)REFUSALS_PERIOD * NSEC_PER_SEC;
    }
    if (refusals->of[verdict].logged == REFUSALS_LOGGED) {
        refusals->of[verdict].left_out++;
        return false;
    }
    refusals->of[verdict].logged++;
    return true;
}

void helper_refusals_sum_up(struct refusals *refusals, int64_t now)
{
    for (uint32_t i = 0; i < VERDICTS; i++)
        if (refusals->of[i].left_out > 0 && now >= refusals->of[i].until)
            sum_up(refusals, i);
}

int64_t helper_refusals_next(const struct refusals *refusals)
{
    int64_t next = 0;

    for (uint32_t i = 0; i < VERDICTS; i++)
        if (refusals->of[i].left_out > 0 && (next == 0 || refusals->of[i].until < next))
            next = refusals->of[i].until;
    return next;
}
