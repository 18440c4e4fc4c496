#include "daemon/witness/words.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/witness/trace.h"

enum {
    ORIGIN_SIZE = sizeof "; the knock came from " + ADDRESS_TEXT_SIZE,
    SERVICES_SIZE = POLICY_SERVICES * SERVICE_TEXT_SIZE,
    USE_SIZE = (int)sizeof "used: " + SERVICES_SIZE,
    WHY_SIZE = 256,
    MINUTE_SIZE = sizeof "Mon 00:00",
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
static const char *format_use(const struct ending *ending, char text[static USE_SIZE])
{
    static const char *const uses[] = {
        [USED_UNKNOWN] = "whether a connection came is not known here",
        [USED_NOT] = "no connection came",
        [USED_SOME] = "it was used",
    };
    struct service used[POLICY_SERVICES];
    char names[SERVICES_SIZE];
    size_t count = 0;

    for (size_t i = 0; i < ending->service_count; i++)
        if (ending->used >> i & 1)
            used[count++] = ending->services[i];
    if (ending->ended_count > 1 && count > 0)
        snprintf(text, USE_SIZE, "used: %s", services_format(used, count, names, sizeof names));
    else
        snprintf(text, USE_SIZE, "%s", uses[ending->use]);
    return text;
}

/* ---- why a knock was refused ---------------------------------------------- */

enum refusal {
    REFUSAL_PLAIN,         /* the verdict says it all */
    REFUSAL_OF_CLOCK,      /* the client's clock differs */
    REFUSAL_KEPT,          /* the counter was ahead of the clock once, and never counts */
    REFUSAL_DAMAGED,       /* the client's record was damaged, and MaxSkew is off */
    REFUSAL_OF_FLOOR,      /* the counter is older than the client's first one */
    REFUSAL_SINCE_AHEAD,   /* the client knocked while its clock was ahead */
    REFUSAL_USED,          /* the counter was spent, or is older than the last eight */
    REFUSAL_CLOSED_SINCE,  /* the knock opens, and is older than one that closed */
    REFUSAL_OPENED_SINCE,  /* the knock closes, and is older than one that opened */
    REFUSAL_OF_TIME,       /* the profile opens nothing now */
    REFUSAL_OF_SERVICE,    /* the profile does not have services[0] */
    REFUSAL_OF_DESTINATION, /* the profile names no host of the family behind services[0] */
    REFUSAL_UNSIGNED,      /* the profile wants the address signed */
    REFUSAL_LINK_LOCAL,    /* the address is link-local */
    REFUSAL_OF_ADDRESS,    /* the profile does not permit the address */
    REFUSAL_OF_SECURITY_KEY, /* its signature is wrong, or made without a touch or PIN */
};

static bool is_among(const uint64_t counters[static MARK_COUNTERS], uint64_t counter)
{
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (counters[i] == counter)
            return true;
    return false;
}

/* A counter below all that the mark counts was not always spent: the mark may begin late, as the
 * client's clock is behind, or was ahead. */
static enum refusal refusal_of_counter(const struct helper_event *event)
{
    const uint64_t lowest = event->counters[0], highest = event->counters[MARK_COUNTERS - 1];

    if (lowest == UINT64_MAX)
        return REFUSAL_DAMAGED;
    if (event->counter > lowest)
        return is_among(event->counters, event->counter) ? REFUSAL_USED : REFUSAL_KEPT;
    if (lowest == highest) /* the client has spent none yet */
        return REFUSAL_OF_FLOOR;
    return lowest > event->wall ? REFUSAL_SINCE_AHEAD : REFUSAL_USED;
}

static enum refusal refusal_of_address(const struct client *client,
                                       const struct helper_event *event)
{
    if (client && client->profile->needs_signed_address && !event->is_address_signed)
        return REFUSAL_UNSIGNED;
    return address_is_link_local(&event->address) ? REFUSAL_LINK_LOCAL : REFUSAL_OF_ADDRESS;
}

static enum refusal refusal_of(const struct client *client, const struct helper_event *event)
{
    switch (event->verdict) {
    case VERDICT_AHEAD:
    case VERDICT_BEHIND:
        return REFUSAL_OF_CLOCK;
    case VERDICT_REPEATED:
        return refusal_of_counter(event);
    case VERDICT_OVERTAKEN:
        return event->is_close ? REFUSAL_OPENED_SINCE : REFUSAL_CLOSED_SINCE;
    case VERDICT_EXPIRED_PROFILE:
    case VERDICT_OUTSIDE_HOURS:
        return REFUSAL_OF_TIME;
    case VERDICT_SERVICE_DENIED:
        return REFUSAL_OF_SERVICE;
    case VERDICT_NO_DESTINATION:
        return REFUSAL_OF_DESTINATION;
    case VERDICT_ADDRESS_DENIED:
        return refusal_of_address(client, event);
    case VERDICT_BAD_SIGNATURE:
        return client && client->profile->signer.required ? REFUSAL_OF_SECURITY_KEY : REFUSAL_PLAIN;
    default:
        return REFUSAL_PLAIN;
    }
}

/* The refusals that need no more than a sentence of their own. */
static const char *const sentences[] = {
    [REFUSAL_KEPT] = "it was refused before, when its clock was ahead of this host's, and never "
                     "counts",
    [REFUSAL_DAMAGED] = "the record of its knocks was damaged: it stays out until it is added "
                        "again, with a new key",
    [REFUSAL_USED] = "already used, or older than the last eight knocks: a repeat, a replay or a "
                     "second device with this key",
    [REFUSAL_CLOSED_SINCE] = "the client has closed since it made this knock",
    [REFUSAL_OPENED_SINCE] = "the client has opened it since it made this knock",
    [REFUSAL_UNSIGNED] = "this profile wants the address signed",
    [REFUSAL_LINK_LOCAL] = "no port is opened to a link-local address, which another host can "
                           "have on another link: let the client connect from a global or unique "
                           "local address",
    [REFUSAL_OF_ADDRESS] = "this profile does not permit this address",
    [REFUSAL_OF_SECURITY_KEY] = "the signature is wrong, or the security key made it without the "
                                "touch or PIN that Require demands",
};

static const char *format_minute(unsigned minute, char text[static MINUTE_SIZE])
{
    static const char days[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

    snprintf(text, MINUTE_SIZE, "%s %02u:%02u", days[minute / MINUTES_A_DAY % 7],
             minute / 60 % 24, minute % 60);
    return text;
}

/* Says when the profile opens again, if it is its Hours that were in the way. */
static const char *format_time(const struct client *client, const struct helper_event *event,
                               char text[static WHY_SIZE])
{
    enum { MONDAY_TO_THURSDAY = 3 * MINUTES_A_DAY }; /* 1970-01-01 */
    const uint64_t minutes = event->wall / USEC_PER_SEC / 60;
    const unsigned minute = (unsigned)((minutes + MONDAY_TO_THURSDAY) % MINUTES_A_WEEK);
    char now[MINUTE_SIZE], next[MINUTE_SIZE];
    const struct helper_profile *profile;
    size_t i = 0;

    if (event->verdict != VERDICT_OUTSIDE_HOURS || !client || client->profile->hours_count == 0)
        return verdict_text(event->verdict);
    profile = client->profile;
    while (i < profile->hours_count && profile->hours[i].from <= minute)
        i++;
    snprintf(text, WHY_SIZE, "outside its Hours: it is %s UTC, they begin again on %s",
             format_minute(minute, now),
             format_minute(profile->hours[i % profile->hours_count].from, next));
    return text;
}

static const char *format_clock(const struct words *words, const struct helper_event *event,
                                char text[static WHY_SIZE])
{
    const bool is_ahead = event->verdict == VERDICT_AHEAD;
    const int64_t ahead = (int64_t)(event->counter - event->wall) / USEC_PER_SEC;

    snprintf(text, WHY_SIZE, "its clock is %" PRId64 " s %s this host's; allowed %u%s",
             ahead < 0 ? -ahead : ahead, is_ahead ? "ahead of" : "behind", words->clients->max_skew,
             event->is_unnoted ? "; there was no room to note all of these: somebody who recorded "
                                 "one can use it once its time comes, unless it has a signed "
                                 "address" : "");
    return text;
}

static const char *format_refusal(const struct words *words, const struct client *client,
                                  const struct helper_event *event, enum refusal refusal,
                                  const char *services, char text[static WHY_SIZE])
{
    /* Until such knocks count. */
    const uint64_t left = (event->counters[0] - event->counter) / USEC_PER_SEC + 1;

    switch (refusal) {
    case REFUSAL_PLAIN:
        return verdict_text(event->verdict);
    case REFUSAL_OF_CLOCK:
        return format_clock(words, event, text);
    case REFUSAL_OF_FLOOR:
        snprintf(text, WHY_SIZE, "older than the moment from which this profile counts; if its "
                                 "clock is behind, it is heard in %" PRIu64 " s", left);
        return text;
    case REFUSAL_SINCE_AHEAD:
        snprintf(text, WHY_SIZE, "it knocked while its clock was ahead of this host's; it is heard "
                 "in %" PRIu64 " s, or once it is added again, with a new key", left);
        return text;
    case REFUSAL_OF_TIME:
        return format_time(client, event, text);
    case REFUSAL_OF_SERVICE:
        snprintf(text, WHY_SIZE, "%s is not in this profile", services);
        return text;
    case REFUSAL_OF_DESTINATION:
        snprintf(text, WHY_SIZE, "this profile names no IPv%d host behind %s",
                 address_is_ipv4(&event->address) ? 4 : 6, services);
        return text;
    default:
        return sentences[refusal];
    }
}

/* ---- lines -------------------------------------------------------------- */

static void say_granted(const struct helper_event *event, const struct ending *closed,
                        const struct log_about *about)
{
    char origin[ORIGIN_SIZE], use[USE_SIZE];
    bool is_signed = event->is_address_signed;

    format_origin(event, origin);
    if (event->verdict == VERDICT_CLOSED)
        log_info_about(about, "%s: closed %s for %s%s; %s", about->profile, about->service,
                       about->address, origin, format_use(closed, use));
    else
        log_info_about(about, "%s: %s %s for %s for %lld s%s%s%s%s", about->profile, about->verdict,
                       about->service, about->address, (long long)event->left,
                       event->is_cut ? ", cut to the maximum" : "",
                       is_signed ? " (address signed" : "", origin, is_signed ? ")" : "");
}

static void say_refused(const struct words *words, const struct client *client,
                        const struct helper_event *event, const struct log_about *about)
{
    const enum refusal refusal = refusal_of(client, event);
    const bool is_for = about->service && refusal != REFUSAL_OF_SERVICE &&
                        refusal != REFUSAL_OF_DESTINATION;
    char why[WHY_SIZE], origin[ORIGIN_SIZE];

    log_warnx_about(about, "%s: refused for %s: %s%s%s%s", about->profile, about->address,
                    format_refusal(words, client, event, refusal,
                                   about->service ? about->service : "", why),
                    is_for ? "; it was for " : "", is_for ? about->service : "",
                    format_origin(event, origin));
}

void words_say_verdict(struct words *words, const struct helper_event *event,
                       const struct ending *closed)
{
    struct client *of = clients_find(words->clients, event->key_id);
    char address[ADDRESS_TEXT_SIZE], services[SERVICES_SIZE];
    struct throttle *throttle = &words->throttle;
    const struct log_about about = {
        .profile = of ? of->profile->name : "unknown",
        .address = address_format(&event->address, address),
        .service = event->service_count > 0
                       ? services_format(event->services, event->service_count, services,
                                         sizeof services)
                       : NULL,
        .verdict = verdict_name(event->verdict),
    };

    if (!verdict_is_grant(event->verdict)) {
        if (throttle_admits_refusal(throttle, event->verdict, clock_boot_ns()))
            say_refused(words, of, event, &about);
        return;
    }
    if (throttle_admits_profile(throttle, of, clock_boot_ns()))
        say_granted(event, closed, &about);
    if (event->trace[0] != 0 && event->verdict != VERDICT_CLOSED &&
        throttle_admits_profile(throttle, of, clock_boot_ns()))
        trace_log(event, about.profile);
}

void words_say_end(struct words *words, const struct ending *ending)
{
    static const char *const ends[] = {
        [END_COUNTED] = "it has had its connections",
        [END_UNWITNESSED] = "its connections could not be counted",
        [END_WINDOW] = "the window is over",
        [END_CLOSED] = "closed by an admin",
        [END_KILLED] = "closed by an admin, with its connections",
        [END_FORBIDDEN] = "it is no longer permitted",
        [END_STOPPED] = "portsmithd stops",
    };
    struct client *of = clients_find(words->clients, ending->key_id);
    char address[ADDRESS_TEXT_SIZE], services[SERVICES_SIZE], use[USE_SIZE];
    struct log_about about = {.profile = of ? of->profile->name : "a removed profile",
                              .address = address_format(&ending->address, address)};

    if (!throttle_admits_profile(&words->throttle, of, clock_boot_ns()))
        return;
    format_use(ending, use);
    if (ending->end == END_MOVED) {
        about.verdict = "moved";
        log_info_about(&about, "%s: no longer open for %s: a newer knock moved the profile's one "
                               "grant; %s", about.profile, about.address, use);
        return;
    }
    about.verdict = "ended";
    about.service = services_format(ending->services, ending->service_count, services,
                                    sizeof services);
    log_info_about(&about, "%s: %s for %s %s ended: %s; %s", about.profile, about.service,
                   about.address, ending->ended_count == 1 ? "has" : "have", ends[ending->end],
                   use);
}

/* ---- what is wrong at large --------------------------------------------- */

void words_say_crowded(void)
{
    log_info("more than %d live grants, a rule each: GrantStore = set would serve better, see "
             "portsmith.conf(5)", CROWD);
}

void words_say_news_lost(struct words *words)
{
    log_warnx_limited(&words->news_lost, LINES_A_MINUTE,
                      "more connections were made than could be counted: for grants that admit "
                      "only so many the kernel is asked, and whether others are used is not known");
}

void words_say_events_lost(struct words *words, uint32_t count)
{
    log_warnx_limited(&words->events_lost, LINES_A_MINUTE,
                      "the helper did more than could be told: lines lost: %" PRIu32, count);
}

void words_say_removal(uint32_t removals, const struct bell_ringer *ringer)
{
    char who[80] = "";

    if (ringer->pid != 0)
        snprintf(who, sizeof who, " (the last to change nftables was %s, pid %" PRIu32 ")",
                 ringer->name, ringer->pid);
    if (removals <= REMOVALS_OFTEN)
        log_warnx("another program removed Portsmith's rules%s: putting them back", who);
    else if (removals == REMOVALS_OFTEN + 1)
        log_warnx("another program keeps removing Portsmith's rules%s: until it stops they are put "
                  "back each time, within two seconds, and this is not said again", who);
}

void words_say_quiet(uint32_t removals)
{
    if (removals > REMOVALS_OFTEN)
        log_info("nobody has removed Portsmith's rules for %d s; before that they were put back "
                 "%" PRIu32 " times", QUIET_SECONDS, removals);
}
