#include "privsep/helper/decide.h"

#include <string.h>

#include "common/clock.h"
#include "privsep/helper/firewall.h"

void helper_decide_begin(struct decision *decision, const struct knock *knock)
{
    const struct helper_profile *profile = knock->profile;
    const struct request *request = knock->request;
    bool all = request->service_count == 0;

    *decision = (struct decision){
        .address = request->has_address ? request->address : *knock->observed,
        .service_count = all ? profile->service_count : request->service_count,
    };
    memcpy(decision->services, all ? profile->services : request->services,
           decision->service_count * sizeof *decision->services);
}

/* ---- what policy says --------------------------------------------------- */

static enum verdict refuse_service(struct decision *decision, enum verdict verdict,
                                   struct service service)
{
    decision->services[0] = service;
    decision->service_count = 1;
    return verdict;
}

static enum verdict judge_services(struct decision *decision, const struct helper_profile *profile)
{
    for (size_t i = 0; i < decision->service_count; i++)
        if (!helper_policy_permits_service(profile, &decision->services[i]))
            return refuse_service(decision, VERDICT_SERVICE_DENIED, decision->services[i]);
    return VERDICT_NONE;
}

static enum verdict judge_address(const struct decision *decision, const struct knock *knock)
{
    const struct helper_profile *profile = knock->profile;

    return (profile->needs_signed_address && !knock->request->has_address) ||
                   !address_is_grantable(&decision->address) ||
                   !helper_policy_permits_address(profile, &decision->address)
               ? VERDICT_ADDRESS_DENIED
               : VERDICT_NONE;
}

/* Leaves out services that would have to be sent on to a host of the address's family where the
 * profile names no such host. A knock that asks for no other service is refused. */
static enum verdict judge_destinations(struct decision *decision,
                                       const struct helper_profile *profile)
{
    enum family family = address_family(&decision->address);
    struct service denied = {0};
    size_t kept = 0;

    for (size_t i = 0; i < decision->service_count; i++) {
        const struct service service = decision->services[i];

        if (helper_policy_destination(profile, &service, family) ||
            !helper_policy_sends_on(profile, &service))
            decision->services[kept++] = service;
        else
            denied = service;
    }
    decision->service_count = kept;
    return kept > 0 ? VERDICT_NONE : refuse_service(decision, VERDICT_NO_DESTINATION, denied);
}

static void choose_deadline(struct decision *decision, const struct helper_profile *profile,
                            uint32_t wanted, const struct moment *now)
{
    int64_t left = helper_policy_latest_end(profile, now->wall) - now->wall;
    int64_t window = wanted ? wanted : profile->window;

    if (window > profile->max_window)
        window = profile->max_window;
    if (window > left)
        window = left;
    decision->deadline = now->boot + window * NSEC_PER_SEC;
    decision->is_cut = wanted > window;
}

/* ---- what there is, and what changes ------------------------------------ */

/* What a profile has in the table. */
struct found {
    size_t of_profile;  /* all grants of the profile */
    bool any_of_other;  /* some of these are of the other address family */
    size_t of_services; /* those that the knock is about */
};

/* Finds the grants that the knock is about. Nothing else looks for them. */
static struct found find_grants(struct decision *decision, const struct knock *knock,
                                const struct grants *grants)
{
    const struct grant *grant = NULL;
    struct found found = {0};

    while ((grant = helper_grants_next_of(grants, knock->key_id, grant))) {
        found.of_profile++;
        found.any_of_other |= address_family(&grant->address) != address_family(&decision->address);
        for (size_t i = 0; i < decision->service_count; i++)
            if (address_equal(&grant->address, &decision->address) &&
                service_compare(&grant->service, &decision->services[i]) == 0) {
                decision->grants[i] = grant;
                found.of_services++;
            }
    }
    return found;
}

static enum verdict judge_open(struct decision *decision, const struct knock *knock,
                               const struct grants *grants, const struct moment *now)
{
    const struct helper_profile *profile = knock->profile;
    const struct found found = find_grants(decision, knock, grants);
    const size_t new = decision->service_count - found.of_services;

    /* A profile with room for one grant has it where the newest knock says. An older knock,
     * which somebody may have held back, moves nothing. */
    const bool moves = profile->max_grants == 1 && decision->service_count == 1 && new == 1 &&
                       found.of_profile > 0 && knock->is_newest;

    if (!moves && new > 0 && (found.of_profile + new > profile->max_grants ||
                              grants->count + new > grants->capacity))
        return VERDICT_TOO_MANY_GRANTS;
    if (now->wall >= helper_firewall_last_date)
        return VERDICT_FIREWALL_FAILED;
    decision->moves = moves;
    decision->leaves_other = moves && found.any_of_other;
    choose_deadline(decision, profile, knock->request->window, now);
    decision->counter = knock->is_credible ? knock->request->counter : 0;
    if (knock->request->has_address)
        decision->signing = address_equal(&decision->address, knock->observed)
                                ? GRANT_SIGNED
                                : GRANT_SIGNED_ELSEWHERE;
    return new > 0 ? VERDICT_OPENED : VERDICT_EXTENDED;
}

/* Leaves out what a newer knock opened. */
static enum verdict judge_close(struct decision *decision, const struct knock *knock,
                                const struct grants *grants)
{
    const struct found found = find_grants(decision, knock, grants);
    struct decision left = *decision;
    size_t newer = 0;

    left.service_count = 0;
    for (size_t i = 0; i < decision->service_count; i++)
        if (decision->grants[i] && decision->grants[i]->counter > knock->request->counter) {
            newer++;
        } else {
            left.services[left.service_count] = decision->services[i];
            left.grants[left.service_count++] = decision->grants[i];
        }
    if (newer == found.of_services)
        return newer > 0 ? VERDICT_OVERTAKEN : VERDICT_NOTHING_TO_CLOSE;
    *decision = left;
    return VERDICT_CLOSED;
}

void helper_decide(struct decision *decision, const struct knock *knock,
                   const struct grants *grants, const struct moment *now)
{
    const struct helper_profile *profile = knock->profile;
    enum verdict verdict = helper_policy_judge(profile, now->wall);

    if (verdict == VERDICT_NONE)
        verdict = judge_services(decision, profile);
    if (verdict == VERDICT_NONE)
        verdict = judge_address(decision, knock);
    if (verdict == VERDICT_NONE)
        verdict = judge_destinations(decision, profile);
    if (verdict == VERDICT_NONE)
        verdict = knock->request->action == ACTION_OPEN
                      ? judge_open(decision, knock, grants, now)
                      : judge_close(decision, knock, grants);
    decision->verdict = verdict;
}
