#include "daemon/portsmith-firewall/closing.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "daemon/portsmith-firewall/saved.h"

bool closing_read(struct plan *plan, const struct config *c, struct error *why)
{
    if (!saved_read(plan, c, why))
        return false;
    plan->on_trial = plan->on_trial && clock_wall_ns() / NSEC_PER_SEC < plan->until;
    return true;
}

/* Whether all rules there are allow the service. */
static bool leaves_open(const struct plan *plan, const struct service *service)
{
    const struct ruleset *confirmed = &plan->confirmed, *trial = &plan->trial;

    return (!plan->is_confirmed || ruleset_names(confirmed->allow, confirmed->count, service)) &&
           (!plan->on_trial || ruleset_names(trial->allow, trial->count, service));
}

void closing_find_shut(const struct plan *plan, const struct config *c, struct ruleset *shut)
{
    *shut = (struct ruleset){.count = 0};
    for (unsigned i = 0; i < c->shut_count; i++)
        if (!leaves_open(plan, &c->shut[i]))
            shut->allow[shut->count++] = c->shut[i];
}

void closing_find_open(const struct plan *plan, struct ruleset *open)
{
    const struct ruleset *from = plan->is_confirmed ? &plan->confirmed : &plan->trial;

    *open = (struct ruleset){.count = 0};
    for (unsigned i = 0; i < from->count; i++)
        if (leaves_open(plan, &from->allow[i]))
            open->allow[open->count++] = from->allow[i];
}

const char *closing_format(const struct ruleset *services, char text[static CLOSING_TEXT_SIZE])
{
    char word[SERVICE_TEXT_SIZE];
    size_t used = 0;

    strcpy(text, "nothing");
    for (unsigned i = 0; i < services->count; i++) {
        const char *comma = i > 0 ? ", " : "";

        service_format(&services->allow[i], word);
        if (used + strlen(comma) + strlen(word) + sizeof ", ..." > CLOSING_TEXT_SIZE) {
            strcpy(text + used, ", ...");
            break;
        }
        used += (size_t)snprintf(text + used, CLOSING_TEXT_SIZE - used, "%s%s", comma, word);
    }
    return text;
}

const char *closing_format_configured(const struct config *c, char text[static CLOSING_TEXT_SIZE])
{
    struct ruleset services = {.count = (uint8_t)c->shut_count};

    memcpy(services.allow, c->shut, services.count * sizeof *services.allow);
    return closing_format(&services, text);
}

/* Says why release is refused; false. */
static bool refuse(const struct plan *plan, const struct ruleset *shut, struct error *why)
{
    char text[CLOSING_TEXT_SIZE];

    closing_format(shut, text);
    return error_set(why, "nothing was changed, because %s would be shut to everybody: "
                          "portsmith-firewall was told to shut it (%s), and no knock would open "
                          "it. Run portsmith-firewall remove first, or portsmith-firewall try "
                          "with an --allow that names it, and confirm; then release again",
                     text, plan->on_trial ? "on trial" : "confirmed");
}

bool closing_permits_release(const struct config *c, struct error *note)
{
    char text[CLOSING_TEXT_SIZE];
    struct ruleset services;
    struct error reason;
    struct plan plan;

    note->text[0] = '\0';
    if (!closing_read(&plan, c, &reason)) {
        error_set(note, "what portsmith-firewall shuts is not known (%.300s): if a port is "
                        "shut still, run portsmith-firewall remove", reason.text);
        return true;
    }
    closing_find_shut(&plan, c, &services);
    if (services.count > 0)
        return refuse(&plan, &services, note);
    closing_find_open(&plan, &services);
    if (plan.is_confirmed || plan.on_trial)
        error_set(note, "what portsmith-firewall shuts stays shut: all%s%s",
                  services.count > 0 ? " but " : "",
                  services.count > 0 ? closing_format(&services, text) : "");
    return true;
}
