#include "privsep/helper/decide.h"

#include <string.h>

#include "common/clock.h"
#include "privsep/rules.h"

/* What a knock asks for, as the table has it. */
struct found {
    struct {
        struct service service;
        const struct grant *grant; /* NULL: there is none */
    } asked[POLICY_SERVICES];
    size_t count;
    size_t new;         /* how many of `asked` have no grant */
    size_t of_profile;  /* all grants of the profile */
    bool any_of_other;  /* some of these are of the other address family */
};

void helper_decide_begin(struct decision *decision, const struct knock *knock)
{
    const struct helper_profile *profile = knock->of->profile;
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

static void refuse(struct decision *decision, enum verdict verdict, enum refusal refusal)
{
    decision->verdict = verdict;
    decision->refusal = refusal;
}

static void refuse_service(struct decision *decision, enum verdict verdict, enum refusal refusal,
                           struct service service)
{
    refuse(decision, verdict, refusal);
    decision->services[0] = service;
    decision->service_count = 1;
}

static bool are_services_permitted(struct decision *decision, const struct helper_profile *profile)
{
    for (size_t i = 0; i < decision->service_count; i++)
        if (!helper_policy_permits_service(profile, &decision->services[i])) {
            refuse_service(decision, VERDICT_SERVICE_DENIED, REFUSAL_OF_SERVICE,
                           decision->services[i]);
            return false;
        }
    return true;
}

static bool is_address_permitted(struct decision *decision, const struct knock *knock)
{
    const struct helper_profile *profile = knock->of->profile;
    const struct address *address = &decision->address;

    if (profile->needs_signed_address && !knock->request->has_address)
        refuse(decision, VERDICT_ADDRESS_DENIED, REFUSAL_UNSIGNED);
    else if (address_is_link_local(address))
        refuse(decision, VERDICT_ADDRESS_DENIED, REFUSAL_LINK_LOCAL);
    else if (!address_is_grantable(address) || !helper_policy_permits_address(profile, address))
        refuse(decision, VERDICT_ADDRESS_DENIED, REFUSAL_OF_ADDRESS);
    return decision->verdict == VERDICT_NONE;
}

/* Leaves out services that would have to be sent on to a host of the address's family where the
 * profile names no such host. A knock that asks for no other service is refused. */
static bool has_destinations(struct decision *decision, const struct helper_profile *profile,
                             struct found *found)
{
    enum family family = address_family(&decision->address);
    struct service denied = {0};

    for (size_t i = 0; i < decision->service_count; i++) {
        const struct service *service = &decision->services[i];

        if (helper_policy_destination(profile, service, family) ||
            !helper_policy_sends_on(profile, service))
            found->asked[found->count++].service = *service;
        else
            denied = *service;
    }
    if (found->count == 0)
        refuse_service(decision, VERDICT_NO_DESTINATION, REFUSAL_OF_DESTINATION, denied);
    return found->count > 0;
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

/* ---- what there is ------------------------------------------------------ */

/* Finds the grants that the knock is about. Nothing else looks for them. */
static void find_grants(struct found *found, const struct grants *grants, const struct knock *knock,
                        const struct address *address)
{
    const struct grant *grant = NULL;

    found->new = found->count;
    while ((grant = helper_grants_next_of(grants, knock->of->key_id, grant))) {
        found->of_profile++;
        found->any_of_other |= address_is_ipv4(&grant->address) != address_is_ipv4(address);
        if (!address_equal(&grant->address, address))
            continue;
        for (size_t i = 0; i < found->count; i++)
            if (service_compare(&grant->service, &found->asked[i].service) == 0) {
                found->asked[i].grant = grant;
                found->new--;
            }
    }
}

/* ---- what changes ------------------------------------------------------- */

static void decide_open(struct decision *decision, const struct knock *knock,
                        const struct found *found, const struct grants *grants,
                        const struct moment *now)
{
    const struct helper_profile *profile = knock->of->profile;
    bool there_is_room = found->new == 0 ||
                         (found->of_profile + found->new <= profile->max_grants &&
                          grants->count + found->new <= grants->capacity);

    /* A profile with room for one grant has it where the newest knock says. An older knock,
     * which somebody may have held back, moves nothing. */
    bool moves = profile->max_grants == 1 && found->count == 1 && found->new == 1 &&
                 found->of_profile > 0 && knock->is_newest;

    if (!moves && !there_is_room) {
        refuse(decision, VERDICT_TOO_MANY_GRANTS, REFUSAL_PLAIN);
        return;
    }
    if (now->wall >= RULES_LAST_DATE) {
        refuse(decision, VERDICT_FIREWALL_FAILED, REFUSAL_PLAIN);
        return;
    }
    decision->moves = moves;
    decision->leaves_other = moves && found->any_of_other;
    choose_deadline(decision, profile, knock->request->window, now);
    decision->counter = knock->is_credible ? knock->request->counter : 0;
    if (knock->request->has_address)
        decision->signing = address_equal(&decision->address, knock->observed)
                                ? GRANT_SIGNED
                                : GRANT_SIGNED_ELSEWHERE;
    decision->verdict = found->new > 0 ? VERDICT_OPENED : VERDICT_EXTENDED;
    for (size_t i = 0; i < found->count; i++) {
        const struct service *service = &found->asked[i].service;
        const struct grant *grant = found->asked[i].grant;
        struct change *change = &decision->changes[i];

        decision->services[i] = change->service = *service;
        change->kind = grant ? CHANGE_EXTEND : CHANGE_ADD;
        if (grant)
            change->at = (size_t)(grant - grants->items);
        else
            change->destination = helper_policy_destination(profile, service,
                                                            address_family(&decision->address));
    }
    decision->change_count = decision->service_count = (uint8_t)found->count;
}

/* Plans to remove the grant at `at`. Removals go from the table's end down, as the last grant takes
 * the place of the one that is removed. */
static void plan_removal(struct decision *decision, struct service service, size_t at)
{
    size_t i = decision->change_count++;

    for (; i > 0 && decision->changes[i - 1].at < at; i--)
        decision->changes[i] = decision->changes[i - 1];
    decision->changes[i] = (struct change){.kind = CHANGE_REMOVE, .service = service, .at = at};
}

static void decide_close(struct decision *decision, const struct knock *knock,
                         const struct found *found, const struct grants *grants)
{
    struct service left[POLICY_SERVICES];
    uint8_t count = 0;

    for (size_t i = 0; i < found->count; i++) {
        const struct grant *grant = found->asked[i].grant;

        if (grant && grant->counter > knock->request->counter)
            continue; /* a newer knock opened it */
        left[count++] = found->asked[i].service;
        if (grant)
            plan_removal(decision, found->asked[i].service, (size_t)(grant - grants->items));
    }
    if (decision->change_count > 0) {
        decision->verdict = VERDICT_CLOSED;
        memcpy(decision->services, left, count * sizeof *left);
        decision->service_count = count;
    } else if (count < found->count) {
        refuse(decision, VERDICT_OVERTAKEN, REFUSAL_OPENED_SINCE);
    } else {
        refuse(decision, VERDICT_NOTHING_TO_CLOSE, REFUSAL_PLAIN);
    }
}

void helper_decide(struct decision *decision, const struct knock *knock,
                   const struct grants *grants, const struct moment *now)
{
    const struct helper_profile *profile = knock->of->profile;
    enum verdict untimely = helper_policy_judge(profile, now->wall);
    struct found found = {0};

    if (untimely) {
        refuse(decision, untimely, REFUSAL_OF_TIME);
        return;
    }
    if (!are_services_permitted(decision, profile) || !is_address_permitted(decision, knock) ||
        !has_destinations(decision, profile, &found))
        return;
    find_grants(&found, grants, knock, &decision->address);
    if (knock->request->action == ACTION_OPEN)
        decide_open(decision, knock, &found, grants, now);
    else
        decide_close(decision, knock, &found, grants);
}
