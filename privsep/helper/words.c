#include "privsep/helper/words.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"

enum {
    ORIGIN_SIZE = sizeof "; the knock came from " + ADDRESS_TEXT_SIZE,
    SERVICES_SIZE = POLICY_SERVICES * SERVICE_TEXT_SIZE,
    USE_SIZE = (int)sizeof "used: " + SERVICES_SIZE,
    WHY_SIZE = 256,
};

/* ---- parts of a line ---------------------------------------------------- */

/* Says where a knock came from that is for another address; else it says nothing. Behind a router
 * that translates addresses, the address that the client signed is not its address here. */
static const char *format_origin(const struct helper_event *event, char text[static ORIGIN_SIZE])
{
    char observed[ADDRESS_TEXT_SIZE];

    text[0] = '\0';
    if (!address_equal(&event->address, &event->observed))
        snprintf(text, ORIGIN_SIZE, "; the knock came from %s",
                 address_format(&event->observed, observed));
    return text;
}

/* Says what is known of the use of the grants that ended. Where several ended, the used ones are
 * named. */
static const char *format_use(const struct helper_event *event, char text[static USE_SIZE])
{
    static const char *const uses[] = {
        [USE_UNKNOWN] = "whether a connection came is not known here",
        [USE_NONE] = "no connection came",
        [USE_SOME] = "it was used",
    };
    struct service used[POLICY_SERVICES];
    char names[SERVICES_SIZE];
    size_t count = 0;

    for (size_t i = 0; i < event->service_count; i++)
        if (event->used >> i & 1)
            used[count++] = event->services[i];
    if (event->ended_count > 1 && count > 0)
        snprintf(text, USE_SIZE, "used: %s", services_format(used, count, names, sizeof names));
    else
        snprintf(text, USE_SIZE, "%s", uses[event->use]);
    return text;
}

/* The refusals that need no more than a sentence of their own. */
static const char *const sentences[] = {
    [REFUSAL_KEPT] = "it was refused before, when its clock was ahead of this host's, and never "
                     "counts",
    [REFUSAL_DAMAGED] = "the record of its knocks was damaged: it stays out until it is added "
                        "anew, with a new key",
    [REFUSAL_USED] = "already used, or older than the last eight knocks: a repeat, a replay or a "
                     "second device with this key",
    [REFUSAL_CLOSED_SINCE] = "the client has closed since it made this knock",
    [REFUSAL_OPENED_SINCE] = "the client has opened it since it made this knock",
    [REFUSAL_UNSIGNED] = "this profile wants the address signed",
    [REFUSAL_LINK_LOCAL] = "no door is opened to a link-local address, which another host can "
                           "have on another link: let the client connect from a global or unique "
                           "local address",
    [REFUSAL_OF_ADDRESS] = "this profile does not permit this address",
};

static const char *format_refusal(const struct words *words, const struct helper_event *event,
                                  const char *services, char text[static WHY_SIZE])
{
    long long left = event->left, ahead = event->ahead;

    switch (event->refusal) {
    case REFUSAL_PLAIN:
        return verdict_text(event->verdict);
    case REFUSAL_OF_CLOCK:
    case REFUSAL_UNNOTED:
        snprintf(text, WHY_SIZE, "its clock is %lld s %s this host's; allowed %u%s",
                 ahead < 0 ? -ahead : ahead,
                 event->verdict == VERDICT_AHEAD ? "ahead of" : "behind",
                 words->policy->setup.max_skew,
                 event->refusal == REFUSAL_UNNOTED
                     ? "; not all like it could be noted: whoever recorded this knock could use "
                       "it: prefer a signed address" : "");
        return text;
    case REFUSAL_OF_FLOOR:
        snprintf(text, WHY_SIZE, "older than the moment from which this profile counts; if its "
                                 "clock is behind, it is heard in %lld s", left);
        return text;
    case REFUSAL_SINCE_AHEAD:
        snprintf(text, WHY_SIZE, "it knocked while its clock was ahead of this host's; it is heard "
                                 "in %lld s, or once it is added anew, with a new key", left);
        return text;
    case REFUSAL_OF_TIME:
        helper_policy_explain(helper_policy_find(words->policy, event->key_id), event->verdict,
                              event->wall, text, WHY_SIZE);
        return text;
    case REFUSAL_OF_SERVICE:
        snprintf(text, WHY_SIZE, "%s is not in this profile", services);
        return text;
    case REFUSAL_OF_DESTINATION:
        snprintf(text, WHY_SIZE, "this profile names no IPv%d host behind %s",
                 address_is_ipv4(&event->address) ? 4 : 6, services);
        return text;
    default:
        return sentences[event->refusal];
    }
}

/* ---- lines -------------------------------------------------------------- */

static void say_granted(const struct helper_event *event, const struct log_about *about)
{
    char origin[ORIGIN_SIZE], use[USE_SIZE];
    bool is_signed = event->is_address_signed;

    format_origin(event, origin);
    if (event->verdict == VERDICT_CLOSED)
        log_info_about(about, "%s: closed %s for %s%s; %s", about->profile, about->service,
                       about->address, origin, format_use(event, use));
    else
        log_info_about(about, "%s: %s %s for %s for %lld s%s%s%s%s", about->profile, about->verdict,
                       about->service, about->address, (long long)event->left,
                       event->is_cut ? ", cut to the maximum" : "",
                       is_signed ? " (address signed" : "", origin, is_signed ? ")" : "");
}

static void say_refused(const struct words *words, const struct helper_event *event,
                        const struct log_about *about)
{
    const bool is_for = about->service && event->refusal != REFUSAL_OF_SERVICE &&
                        event->refusal != REFUSAL_OF_DESTINATION;
    char why[WHY_SIZE], origin[ORIGIN_SIZE];

    log_warnx_about(about, "%s: refused for %s: %s%s%s%s", about->profile, about->address,
                    format_refusal(words, event, about->service, why),
                    is_for ? "; it was for " : "", is_for ? about->service : "",
                    format_origin(event, origin));
}

static void say_verdict(struct words *words, const struct helper_event *event,
                        struct policy_entry *of, const struct log_about *about)
{
    struct throttle *throttle = &words->throttle;

    if (!verdict_is_grant(event->verdict)) {
        if (helper_throttle_admits_refusal(throttle, event->verdict, clock_boot_ns()))
            say_refused(words, event, about);
        return;
    }
    if (helper_throttle_admits_profile(throttle, of, clock_boot_ns()))
        say_granted(event, about);
    if (event->trace.on && event->verdict != VERDICT_CLOSED &&
        helper_throttle_admits_profile(throttle, of, clock_boot_ns()))
        helper_trace_log(&event->trace, &event->times, about->profile, event->together);
}

static void say_move(const struct helper_event *event, struct log_about about)
{
    char use[USE_SIZE];

    about.service = NULL;
    about.verdict = "moved";
    log_info_about(&about, "%s: no longer open for %s: a newer knock moved the profile's one "
                           "grant; %s", about.profile, about.address, format_use(event, use));
}

static void say_end(const struct helper_event *event, struct log_about about)
{
    static const char *const ends[] = {
        [END_USED_UP] = "it has had its connections",
        [END_UNCOUNTED] = "its connections could not be counted",
        [END_WINDOW] = "the window is over",
        [END_CLOSED] = "closed by an admin",
        [END_KILLED] = "closed by an admin, with its connections",
        [END_FORBIDDEN] = "it is no longer permitted",
        [END_STOPPED] = "portsmithd stops",
    };
    char use[USE_SIZE];

    about.verdict = "ended";
    log_info_about(&about, "%s: %s for %s %s ended: %s; %s", about.profile, about.service,
                   about.address, event->ended_count == 1 ? "has" : "have", ends[event->end],
                   format_use(event, use));
}

void helper_words_say(struct words *words, const struct helper_event *event)
{
    struct policy_entry *of = helper_policy_find(words->policy, event->key_id);
    char address[ADDRESS_TEXT_SIZE], services[SERVICES_SIZE];
    const struct log_about about = {
        .profile = of ? of->profile->name : event->kind == EVENT_ENDED ? "a removed profile"
                                                                      : "unknown",
        .address = address_format(&event->address, address),
        .service = event->service_count > 0
                       ? services_format(event->services, event->service_count, services,
                                         sizeof services)
                       : NULL,
        .verdict = verdict_name(event->verdict),
    };

    switch (event->kind) {
    case EVENT_VERDICT:
        say_verdict(words, event, of, &about);
        break;
    case EVENT_MOVED:
        if (helper_throttle_admits_profile(&words->throttle, of, clock_boot_ns()))
            say_move(event, about);
        break;
    case EVENT_ENDED:
        if (helper_throttle_admits_profile(&words->throttle, of, clock_boot_ns()))
            say_end(event, about);
        break;
    case EVENT_NEWS_LOST:
        log_warnx_limited(&words->news_lost, LINES_A_MINUTE,
                          "more connections were made than could be counted: grants that admit "
                          "only so many end, and whether others are used is not known");
        break;
    case EVENT_CROWDED:
        log_info("more than %d live grants, a rule each: GrantStore = set would serve better, see "
                 "portsmith.conf(5)", CROWD);
        break;
    }
}

void helper_words_say_failure(struct words *words, enum verdict verdict, const struct error *why)
{
    if (helper_throttle_admits_refusal(&words->throttle, verdict, clock_boot_ns()))
        log_warnx("%s: %s", verdict == VERDICT_NOT_RECORDED ? "knocks are refused"
                                                            : "the firewall was not changed",
                  why->text);
}
