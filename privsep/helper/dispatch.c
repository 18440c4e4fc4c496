#include "privsep/helper/dispatch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "privsep/helper/usage.h"

/* One request on its way through the batch. */
struct asked {
    struct helper_request message;
    struct request request;
    struct policy_entry *entry;       /* NULL: no such profile */
    struct mark *mark;                /* set once the signature is verified */
    bool is_unnoted; /* it was ahead of the clock, and that could not be noted */
    enum verdict verdict;             /* 0 while nothing speaks against it */
    struct address address;           /* whom it is for */
    struct address moved_from;        /* whom the profile's one grant was for, if it moved */
    bool has_moved;
    struct service services[POLICY_SERVICES];
    size_t service_count;
    struct service denied; /* the first that the profile does not have */
    uint32_t window;       /* seconds, once capped */
    uint32_t left;         /* seconds until the first of the grants ends */
    size_t ended_at, ended_count; /* those that it took away, in the batch's list */
};

enum receipt { RECEIVED, NOTHING_WAITS, SNIFFER_GONE, SNIFFER_MISBEHAVES };

bool helper_dispatch_is_canonical(const struct helper_request *message, struct request *decoded)
{
    if (message->verb != HELPER_INSERT && message->verb != HELPER_EXPIRE)
        return false;
    if (!request_decode(decoded, message->request) || !address_is_foreign(&message->observed))
        return false;
    return (message->verb == HELPER_INSERT) == (decoded->action == ACTION_OPEN);
}

/* To recv(2) an empty message is the same as the end. */
static bool has_hung_up(int fd)
{
    struct pollfd p = {.fd = fd};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

/* Exactly one message of exactly the right size and nothing besides: without
 * room for ancillary data the kernel drops descriptors that are passed, and
 * tells so by MSG_CTRUNC. */
static enum receipt receive(int fd, struct asked *asked)
{
    struct iovec part = {.iov_base = &asked->message, .iov_len = sizeof asked->message};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    do
        n = recvmsg(fd, &header, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? NOTHING_WAITS : SNIFFER_GONE;
    if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return SNIFFER_MISBEHAVES;
    if (n == 0)
        return has_hung_up(fd) ? SNIFFER_GONE : SNIFFER_MISBEHAVES;
    if (n != sizeof asked->message ||
        !helper_dispatch_is_canonical(&asked->message, &asked->request))
        return SNIFFER_MISBEHAVES;
    return RECEIVED;
}

/* ---- how much may be logged -------------------------------------------- */

/* A sniffer gone bad, a flood of replays or a client's knocks must not fill the log. */
static bool may_log(struct dispatch *d, enum verdict verdict)
{
    return helper_lines_admit_refusal(&d->lines, verdict, clock_boot_ns());
}

static bool may_log_success(struct dispatch *d, const struct asked *asked)
{
    return helper_lines_admit_success(&d->lines, asked->entry, clock_boot_ns());
}

static void log_throttled(struct dispatch *d, enum verdict verdict, const char *what,
                          const struct error *why)
{
    if (may_log(d, verdict))
        log_warnx("%s: %s", what, why->text);
}

/* ---- is it authentic, new and fresh? ------------------------------------ */

static enum verdict judge_time(const struct helper_setup *setup, uint64_t counter, uint64_t now)
{
    uint64_t skew = (uint64_t)setup->max_skew * USEC_PER_SEC;

    if (!setup->skew_checked)
        return 0;
    if (counter > now && counter - now > skew)
        return VERDICT_AHEAD;
    if (counter < now && now - counter > skew)
        return VERDICT_BEHIND;
    return 0;
}

/* The sniffer has looked at all of this already. It is looked at again because
 * the sniffer reads the network and may no longer be ours. The clock comes before
 * the counter: a new client whose clock is behind is to be told of its clock. */
static enum verdict judge(const struct dispatch *d, struct asked *asked)
{
    const struct helper_request *message = &asked->message;
    uint64_t counter = asked->request.counter, now = clock_wall_us();
    enum verdict verdict;
    struct mark *mark;

    asked->entry = helper_policy_find(d->policy, message->key_id);
    if (!asked->entry)
        return VERDICT_UNKNOWN_PROFILE;
    if (!envelope_verify(message->signature, asked->entry->profile.public_key,
                         d->policy->setup.server_public, message->request))
        return VERDICT_BAD_SIGNATURE;
    mark = asked->mark = helper_marks_find(d->marks, message->key_id);
    verdict = judge_time(&d->policy->setup, counter, now);
    if (verdict == VERDICT_AHEAD) /* else whoever recorded it could use it once it is timely */
        asked->is_unnoted = !helper_marks_refuse(d->marks, mark, counter, now);
    if (verdict)
        return verdict;
    if (!helper_mark_is_new(mark, counter))
        return VERDICT_REPEATED;
    helper_marks_spend(d->marks, mark, counter);
    if (message->verb == HELPER_EXPIRE)
        helper_marks_close_at(d->marks, mark, counter, now);
    else if (helper_mark_was_closed_since(d->marks, mark, counter, now))
        return VERDICT_OVERTAKEN;
    return 0;
}

/* ---- what may it have? -------------------------------------------------- */

static bool choose_services(struct asked *asked)
{
    const struct helper_profile *profile = &asked->entry->profile;
    bool all = asked->request.service_count == 0;
    const struct service *from = all ? profile->services : asked->request.services;

    asked->service_count = all ? profile->service_count : asked->request.service_count;
    for (size_t i = 0; i < asked->service_count; i++) {
        if (!helper_policy_permits_service(profile, &from[i])) {
            asked->denied = from[i];
            return false;
        }
        asked->services[i] = from[i];
    }
    return true;
}

/* Nothing that a request says counts before its signature is verified. */
static const struct address *address_asked_for(const struct asked *asked)
{
    return asked->mark && asked->request.has_address ? &asked->request.address
                                                     : &asked->message.observed;
}

/* Behind a router that translates addresses, the one signed is not the client's here. */
static bool came_from_elsewhere(const struct asked *asked)
{
    return !address_equal(address_asked_for(asked), &asked->message.observed);
}

static bool choose_address(struct asked *asked)
{
    const struct helper_profile *profile = &asked->entry->profile;

    if (!asked->request.has_address && profile->needs_signed_address)
        return false;
    asked->address = *address_asked_for(asked);
    return address_is_grantable(&asked->address) &&
           helper_policy_permits_address(profile, &asked->address);
}

/* Leaves services out that would have to be sent on to a host of the address's family,
 * when the profile names none; false if no other was asked for. */
static bool choose_destinations(struct asked *asked)
{
    const struct helper_profile *profile = &asked->entry->profile;
    bool ipv4 = address_is_ipv4(&asked->address);
    size_t kept = 0;

    for (size_t i = 0; i < asked->service_count; i++)
        if (helper_policy_destination(profile, &asked->services[i], ipv4) ||
            !helper_policy_sends_on(profile, &asked->services[i]))
            asked->services[kept++] = asked->services[i];
        else
            asked->denied = asked->services[i];
    asked->service_count = kept;
    return kept > 0;
}

static void choose_window(struct asked *asked, int64_t now)
{
    const struct helper_profile *profile = &asked->entry->profile;
    uint32_t window = asked->request.window ? asked->request.window : profile->window;
    int64_t left = helper_policy_latest_end(profile, now) - now;

    if (window > profile->max_window)
        window = profile->max_window;
    if (window > left)
        window = (uint32_t)left;
    asked->window = window;
}

static enum verdict apply_policy(struct asked *asked)
{
    int64_t now = clock_wall_ns() / NSEC_PER_SEC;

    if (helper_policy_is_expired(&asked->entry->profile, now))
        return VERDICT_EXPIRED_PROFILE;
    if (helper_policy_is_outside_hours(&asked->entry->profile, now))
        return VERDICT_OUTSIDE_HOURS;
    if (!choose_services(asked))
        return VERDICT_SERVICE_DENIED;
    if (!choose_address(asked))
        return VERDICT_ADDRESS_DENIED;
    if (!choose_destinations(asked))
        return VERDICT_NO_DESTINATION;
    choose_window(asked, now);
    return 0;
}

/* ---- change the table --------------------------------------------------- */

/* What the batch asks of one family's chains. */
struct change {
    bool insert;  /* rules are to be added */
    bool rewrite; /* rules are to be changed or removed */
};

/* How many of the services are not open yet. */
static size_t count_new(const struct dispatch *d, const struct asked *asked)
{
    size_t count = 0;

    for (size_t i = 0; i < asked->service_count; i++)
        count += !helper_grants_find(d->grants, asked->message.key_id, &asked->address,
                                     &asked->services[i]);
    return count;
}

/* Notes what the knock says of its grants; seconds until the first of them ends. Without
 * MaxSkew one that is ahead of the clock is no measure: none would close them. */
static uint32_t note_grants(const struct dispatch *d, const struct asked *asked)
{
    int64_t first = INT64_MAX, now = clock_boot_ns();
    uint64_t counter = asked->request.counter;
    bool is_credible = d->policy->setup.skew_checked || counter <= clock_wall_us();

    for (size_t i = 0; i < asked->service_count; i++) {
        struct grant *grant = helper_grants_find(d->grants, asked->message.key_id,
                                                 &asked->address, &asked->services[i]);

        if (asked->request.has_address)
            grant->signed_address = came_from_elsewhere(asked) ? GRANT_SIGNED_ELSEWHERE
                                                               : GRANT_SIGNED;
        if (is_credible && grant->counter < counter)
            grant->counter = counter;
        helper_grants_note_change(d->grants, grant);
        if (grant->deadline < first)
            first = grant->deadline;
    }
    return (uint32_t)((first - now + NSEC_PER_SEC / 2) / NSEC_PER_SEC);
}

static bool there_is_room(const struct dispatch *d, const struct asked *asked, size_t count)
{
    size_t limit = asked->entry->profile.max_grants;

    return count == 0 || (helper_grants_of(d->grants, asked->message.key_id) + count <= limit &&
                          d->grants->count + count <= d->grants->capacity);
}

static enum family family_of(const struct address *address)
{
    return address_is_ipv4(address) ? IPV4 : IPV6;
}

/* A profile with room for one grant has it where the newest knock says. An older
 * one, which somebody may have held back, moves nothing. */
static bool moves(const struct dispatch *d, const struct asked *asked, size_t count)
{
    return asked->entry->profile.max_grants == 1 && count == 1 &&
           helper_grants_of(d->grants, asked->message.key_id) > 0 &&
           asked->request.counter == asked->mark->counters[MARK_COUNTERS - 1];
}

/* Takes a grant away, but keeps a copy: whether it was used is asked when its door is
 * shut. Without memory for that nothing is said of it. */
static bool take_away(struct dispatch *d, struct asked *asked, const struct address *address,
                      const struct service *service)
{
    const uint8_t *key_id = asked->message.key_id;
    const struct grant *grant = helper_grants_find(d->grants, key_id, address, service);
    struct grant *more;

    if (!grant)
        return false;
    more = reallocarray(d->ended, d->ended_count + 1, sizeof *more);
    if (more) {
        if (asked->ended_count++ == 0)
            asked->ended_at = d->ended_count;
        more[d->ended_count++] = *grant;
        d->ended = more;
    }
    return helper_grants_remove(d->grants, key_id, address, service);
}

/* Takes the profile's grant away, wherever it is. In the new one's family both change
 * in one transaction. The other family has its own, which must come first: there
 * are never two. False if that failed. */
static bool leave_old_address(struct dispatch *d, struct asked *asked,
                              struct change changes[FAMILIES])
{
    enum family other = family_of(&asked->address) == IPV4 ? IPV6 : IPV4;
    bool is_left[FAMILIES] = {false};
    const struct grant *old;
    struct error why;

    while ((old = helper_grants_any_of(d->grants, asked->message.key_id))) {
        const struct address address = old->address;
        const struct service service = old->service;

        take_away(d, asked, &address, &service);
        asked->moved_from = address;
        asked->has_moved = true;
        is_left[family_of(&address)] = true;
    }
    for (enum family family = IPV4; family < FAMILIES; family++)
        changes[family].rewrite |= is_left[family];
    if (!is_left[other] || !d->firewall->xtables.in_use[other] ||
        helper_firewall_rewrite(d->firewall, other, d->grants, &why))
        return true;
    log_throttled(d, VERDICT_FIREWALL_FAILED, "the firewall was not changed", &why);
    return false;
}

static void begin_usage(const struct dispatch *d, const struct asked *asked, struct grant *grant)
{
    helper_usage_begin(d->news, d->grants, grant,
                       helper_policy_is_tracked(&asked->entry->profile, &grant->service));
}

/* Whom its packets are sent on to, and how many of them. */
static void begin_grant(const struct dispatch *d, const struct asked *asked, struct grant *grant)
{
    const struct helper_destination *destination = helper_policy_destination(
        &asked->entry->profile, &grant->service, address_is_ipv4(&asked->address));

    if (destination) {
        grant->destination = destination->address;
        grant->destination_port = destination->port;
    }
    grant->connections = asked->entry->profile.connections;
    begin_usage(d, asked, grant);
}

/* Opens it, or extends it: then one that admits only so many connections admits as many
 * anew. True if its rule changes. */
static bool open_service(const struct dispatch *d, const struct asked *asked,
                         const struct service *service, int64_t deadline)
{
    const uint8_t *key_id = asked->message.key_id;
    const bool is_new = helper_grants_open(d->grants, key_id, &asked->address, service,
                                           deadline) == GRANT_ADDED;
    struct grant *grant = helper_grants_find(d->grants, key_id, &asked->address, service);

    if (is_new) {
        begin_grant(d, asked, grant);
    } else if (grant->connections) {
        grant->allowance++;
        begin_usage(d, asked, grant);
    }
    return !is_new && helper_firewall_is_rule(d->firewall, grant);
}

static enum verdict open_services(struct dispatch *d, struct asked *asked,
                                  struct change changes[FAMILIES])
{
    int64_t deadline = clock_boot_ns() + (int64_t)asked->window * NSEC_PER_SEC;
    struct change *change = &changes[family_of(&asked->address)];
    size_t count = count_new(d, asked);
    bool moving = moves(d, asked, count);

    if (!moving && !there_is_room(d, asked, count))
        return VERDICT_TOO_MANY_GRANTS;
    if (!helper_firewall_can_end(clock_wall_ns() / NSEC_PER_SEC))
        return VERDICT_FIREWALL_FAILED;
    if (moving && !leave_old_address(d, asked, changes))
        return VERDICT_FIREWALL_FAILED;
    for (size_t i = 0; i < asked->service_count; i++) {
        change->rewrite |= open_service(d, asked, &asked->services[i], deadline);
        change->insert = true;
    }
    asked->left = note_grants(d, asked);
    return count ? VERDICT_OPENED : VERDICT_EXTENDED;
}

static enum verdict close_services(struct dispatch *d, struct asked *asked,
                                   struct change changes[FAMILIES])
{
    bool closed = false;
    size_t asked_for = asked->service_count, kept = 0;

    for (size_t i = 0; i < asked_for; i++) {
        const struct service service = asked->services[i];
        const struct grant *grant =
            helper_grants_find(d->grants, asked->message.key_id, &asked->address, &service);

        if (grant && grant->counter > asked->request.counter)
            continue; /* a newer knock opened it */
        closed |= take_away(d, asked, &asked->address, &service);
        asked->services[kept++] = service;
    }
    asked->service_count = kept;
    changes[family_of(&asked->address)].rewrite |= closed;
    return closed ? VERDICT_CLOSED : kept < asked_for ? VERDICT_OVERTAKEN : VERDICT_NOTHING_TO_CLOSE;
}

static void change_table(struct dispatch *d, struct asked *asked, struct change changes[FAMILIES])
{
    asked->verdict = apply_policy(asked);
    if (asked->verdict == 0)
        asked->verdict = asked->message.verb == HELPER_INSERT ? open_services(d, asked, changes)
                                                              : close_services(d, asked, changes);
}

/* ---- change the firewall ------------------------------------------------ */

static bool change_firewall(struct dispatch *d, enum family family, const struct change *change)
{
    struct firewall *fw = d->firewall;
    struct error why;
    bool done;

    if (!change->insert && !change->rewrite)
        return true;
    if (!fw->xtables.in_use[family])
        done = error_set(&why, "this host has no IPv6");
    else if (change->rewrite || fw->unsure[family])
        done = helper_firewall_rewrite(fw, family, d->grants, &why);
    else
        done = helper_firewall_insert(fw, family, d->grants, &why);
    if (!done)
        log_throttled(d, VERDICT_FIREWALL_FAILED, "the firewall was not changed", &why);
    helper_grants_settle(d->grants, family == IPV6, done);
    if (!fw->xtables.in_use[family]) /* nobody is to be told of it */
        helper_grants_forget_gone(d->grants, family == IPV6);
    return done;
}

static bool is_open_verdict(enum verdict verdict)
{
    return verdict == VERDICT_OPENED || verdict == VERDICT_EXTENDED;
}

static bool is_success(enum verdict verdict)
{
    return is_open_verdict(verdict) || verdict == VERDICT_CLOSED;
}

static void change_firewalls(struct dispatch *d, struct asked *batch, size_t count,
                             const struct change changes[FAMILIES])
{
    for (enum family family = IPV4; family < FAMILIES; family++) {
        if (change_firewall(d, family, &changes[family]))
            continue;
        for (size_t i = 0; i < count; i++)
            if (is_success(batch[i].verdict) && family_of(&batch[i].address) == family)
                batch[i].verdict = VERDICT_FIREWALL_FAILED;
    }
}

/* ---- tell --------------------------------------------------------------- */

/* What the knock was for. Nothing that a request says counts before its signature
 * is verified. */
static void write_services_of(char *text, size_t size, const struct asked *asked)
{
    const struct request *request = &asked->request;

    text[0] = '\0';
    if (asked->verdict == VERDICT_SERVICE_DENIED || asked->verdict == VERDICT_NO_DESTINATION)
        services_format(&asked->denied, 1, text, size);
    else if (is_success(asked->verdict))
        services_format(asked->services, asked->service_count, text, size);
    else if (asked->mark && request->service_count > 0)
        services_format(request->services, request->service_count, text, size);
    else if (asked->mark && asked->entry) /* which is there if the mark is */
        services_format(asked->entry->profile.services, asked->entry->profile.service_count, text,
                        size);
}

/* Whether connections came in through what the request took away. */
static void write_usage(char *text, size_t size, const struct dispatch *d,
                        const struct asked *asked)
{
    char usage[USAGE_TEXT_SIZE];

    text[0] = '\0';
    if (asked->ended_count > 0)
        snprintf(text, size, "; %s",
                 helper_usage_text(&d->ended[asked->ended_at], asked->ended_count, usage));
}

enum { ORIGIN_SIZE = sizeof "; the knock came from " + ADDRESS_TEXT_SIZE };

/* Where it came from, unless that is the address that it is for. */
static const char *format_origin(const struct asked *asked, char text[static ORIGIN_SIZE])
{
    char observed[ADDRESS_TEXT_SIZE];

    text[0] = '\0';
    if (came_from_elsewhere(asked))
        snprintf(text, ORIGIN_SIZE, "; the knock came from %s",
                 address_format(&asked->message.observed, observed));
    return text;
}

static void log_done(const struct asked *asked, const struct log_about *about, const char *usage)
{
    bool is_signed = asked->request.has_address;
    char origin[ORIGIN_SIZE];

    format_origin(asked, origin);
    if (asked->verdict == VERDICT_CLOSED)
        log_info_about(about, "%s: closed %s for %s%s%s", about->profile, about->service,
                       about->address, origin, usage);
    else
        log_info_about(about, "%s: %s %s for %s for %u s%s%s%s%s", about->profile, about->verdict,
                       about->service, about->address, asked->left,
                       asked->request.window > asked->window ? ", cut to the maximum" : "",
                       is_signed ? " (address signed" : "", origin, is_signed ? ")" : "");
}

/* What is older than all that the mark counts, and than a floor: when it was not the
 * client itself that moved on. Else it may be a repeat. */
static void write_repetition(char *text, size_t size, const struct asked *asked)
{
    const struct mark *mark = asked->mark;
    uint64_t lowest = mark->counters[0], now = clock_wall_us();
    long long left = (long long)((lowest - asked->request.counter) / USEC_PER_SEC) + 1;

    if (helper_mark_refuses(mark, asked->request.counter))
        snprintf(text, size, "it was refused before, when its clock was ahead of this host's, and "
                             "never counts");
    else if (lowest == UINT64_MAX)
        snprintf(text, size, "the record of its knocks was damaged: it stays out until it is added "
                             "anew, with a new key");
    else if (asked->request.counter <= lowest && helper_mark_is_unspent(mark))
        snprintf(text, size, "older than the moment from which this profile counts; if its clock "
                             "is behind, it is heard in %lld s", left);
    else if (asked->request.counter <= lowest && lowest > now)
        snprintf(text, size, "it knocked while its clock was ahead of this host's; it is heard in "
                             "%lld s, or once it is added anew, with a new key", left);
    else
        snprintf(text, size, "already used, or older than the last eight knocks: a repeat, a "
                             "replay or a second device with this key");
}

enum { MINUTE_SIZE = sizeof "Mon 00:00" };

static const char *format_minute(unsigned minute, char text[static MINUTE_SIZE])
{
    static const char days[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

    snprintf(text, MINUTE_SIZE, "%s %02u:%02u", days[minute / MINUTES_A_DAY % 7],
             minute / 60 % 24, minute % 60);
    return text;
}

static void write_hours(char *text, size_t size, const struct helper_profile *profile)
{
    int64_t now = clock_wall_ns() / NSEC_PER_SEC;
    char this[MINUTE_SIZE], next[MINUTE_SIZE];

    snprintf(text, size, "outside its Hours: it is %s UTC, they begin again on %s",
             format_minute(helper_policy_minute(now), this),
             format_minute(helper_policy_next_hours(profile, now), next));
}

static void write_denial(char *text, size_t size, const struct asked *asked)
{
    if (asked->entry->profile.needs_signed_address && !asked->request.has_address)
        snprintf(text, size, "this profile wants the address signed");
    else if (address_is_link_local(&asked->address))
        snprintf(text, size, "no door is opened to a link-local address, which another host can "
                             "have on another link: let the client connect from a global or "
                             "unique local address");
    else
        snprintf(text, size, "this profile does not permit this address");
}

static void write_reason(char *text, size_t size, const struct dispatch *d,
                         const struct asked *asked, const struct log_about *about)
{
    int64_t offset = (int64_t)(asked->request.counter - clock_wall_us()) / USEC_PER_SEC;

    if (asked->verdict == VERDICT_AHEAD || asked->verdict == VERDICT_BEHIND)
        snprintf(text, size, "its clock is %lld s %s this host's; allowed %u%s",
                 (long long)(offset < 0 ? -offset : offset),
                 asked->verdict == VERDICT_AHEAD ? "ahead of" : "behind",
                 d->policy->setup.max_skew,
                 asked->is_unnoted ? "; not all like it could be noted: whoever recorded this knock "
                                     "could use it: prefer a signed address" : "");
    else if (asked->verdict == VERDICT_REPEATED)
        write_repetition(text, size, asked);
    else if (asked->verdict == VERDICT_OVERTAKEN)
        snprintf(text, size, "%s", asked->message.verb == HELPER_INSERT
                                       ? "the client has closed since it made this knock"
                                       : "the client has opened it since it made this knock");
    else if (asked->verdict == VERDICT_OUTSIDE_HOURS)
        write_hours(text, size, &asked->entry->profile);
    else if (asked->verdict == VERDICT_SERVICE_DENIED)
        snprintf(text, size, "%s is not in this profile", about->service);
    else if (asked->verdict == VERDICT_NO_DESTINATION)
        snprintf(text, size, "this profile names no IPv%d host behind %s",
                 address_is_ipv4(&asked->address) ? 4 : 6, about->service);
    else if (asked->verdict == VERDICT_ADDRESS_DENIED)
        write_denial(text, size, asked);
    else
        snprintf(text, size, "%s", verdict_text(asked->verdict));
}

static void log_refusal(const struct dispatch *d, const struct asked *asked,
                        const struct log_about *about)
{
    bool names_services = asked->mark && asked->verdict != VERDICT_SERVICE_DENIED &&
                          asked->verdict != VERDICT_NO_DESTINATION;
    char why[256], origin[ORIGIN_SIZE];

    write_reason(why, sizeof why, d, asked, about);
    log_warnx_about(about, "%s: refused for %s: %s%s%s%s", about->profile, about->address, why,
                    names_services ? "; it was for " : "", names_services ? about->service : "",
                    format_origin(asked, origin));
}

static void log_move(const struct asked *asked, const char *profile, const char *usage)
{
    char address[ADDRESS_TEXT_SIZE];
    const struct log_about about = {.profile = profile,
                                    .address = address_format(&asked->moved_from, address),
                                    .verdict = "moved"};

    log_info_about(&about, "%s: no longer open for %s: a newer knock moved the profile's one "
                           "grant%s", profile, address, usage);
}

static void log_verdict(struct dispatch *d, struct asked *asked)
{
    char address[ADDRESS_TEXT_SIZE], services[POLICY_SERVICES * SERVICE_TEXT_SIZE], usage[256];
    const struct log_about about = {
        .profile = asked->entry ? asked->entry->profile.name : "unknown",
        .address = address_format(address_asked_for(asked), address),
        .service = asked->mark ? services : NULL,
        .verdict = verdict_name(asked->verdict),
    };

    write_services_of(services, sizeof services, asked);
    write_usage(usage, sizeof usage, d, asked);
    if (asked->has_moved && may_log_success(d, asked))
        log_move(asked, about.profile, usage);
    if (is_success(asked->verdict)) {
        if (may_log_success(d, asked))
            log_done(asked, &about, usage);
    } else if (may_log(d, asked->verdict)) {
        log_refusal(d, asked, &about);
    }
}

static bool reply(int fd, const struct asked *asked)
{
    struct helper_reply reply = {.serial = asked->message.serial, .verdict = asked->verdict};
    ssize_t n;

    memcpy(reply.key_id, asked->message.key_id, KEY_ID_SIZE);
    if (asked->mark)
        memcpy(reply.counters, asked->mark->counters, sizeof reply.counters);
    do
        n = send(fd, &reply, sizeof reply, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    /* One that has gone is found gone at the next receive. */
    return n == sizeof reply || (errno != EAGAIN && errno != ENOBUFS);
}

/* Each new connection walks along all rules: some 10 ns for each with iptables-nft, so
 * that these cost as much as the rest of its way in. */
static void advise(struct dispatch *d)
{
    enum { MANY_RULES = 200 };

    if (d->is_crowded || d->firewall->uses_set || d->grants->count <= MANY_RULES)
        return;
    d->is_crowded = true;
    log_info("more than %d live grants, a rule each: GrantStore = set would serve better, see "
             "portsmith.conf(5)", MANY_RULES);
}

/* ---- the batch ---------------------------------------------------------- */

static void judge_all(struct dispatch *d, struct asked *batch, size_t count)
{
    struct error why;

    for (size_t i = 0; i < count; i++)
        batch[i].verdict = judge(d, &batch[i]);
    helper_trace_note(&d->trace, TRACE_VERIFIED);
    if (helper_marks_commit(d->marks, &why))
        return;
    log_throttled(d, VERDICT_NOT_RECORDED, "knocks are refused", &why);
    for (size_t i = 0; i < count; i++) {
        if (batch[i].verdict == 0)
            batch[i].verdict = VERDICT_NOT_RECORDED;
        batch[i].is_unnoted |= batch[i].verdict == VERDICT_AHEAD;
    }
}

static void trace_all(struct dispatch *d, const struct asked *batch, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (d->trace.on && is_open_verdict(batch[i].verdict) && may_log_success(d, &batch[i]))
            helper_trace_log(&d->trace, &batch[i].message.times, batch[i].entry->profile.name,
                             count);
}

static void forget_ended(struct dispatch *d)
{
    free(d->ended);
    d->ended = NULL;
    d->ended_count = 0;
}

static bool serve(struct dispatch *d, struct asked *batch, size_t count)
{
    struct change changes[FAMILIES] = {0};
    bool listening = true, changed = false;

    helper_trace_note(&d->trace, TRACE_RECEIVED);
    judge_all(d, batch, count);
    helper_trace_note(&d->trace, TRACE_MARKED);
    for (size_t i = 0; i < count; i++)
        if (batch[i].verdict == 0)
            change_table(d, &batch[i], changes);
    helper_trace_note(&d->trace, TRACE_DECIDED);
    change_firewalls(d, batch, count, changes);
    helper_trace_note(&d->trace, TRACE_CHANGED);
    for (enum family family = IPV4; family < FAMILIES; family++)
        changed = changed || changes[family].insert || changes[family].rewrite;
    if (changed) /* before anybody is told: what was closed must not come back */
        helper_grants_store(d->grants);
    for (size_t i = 0; i < count; i++)
        d->verdicts[batch[i].verdict]++;
    for (size_t i = 0; i < count; i++)
        listening = reply(d->sniffer, &batch[i]) && listening;
    helper_usage_finish(d->news, d->grants, d->ended, d->ended_count);
    for (size_t i = 0; i < count; i++)
        log_verdict(d, &batch[i]);
    trace_all(d, batch, count);
    forget_ended(d);
    advise(d);
    return listening;
}

enum dispatch_end helper_dispatch(struct dispatch *d)
{
    static struct asked batch[BATCH_MAX];
    enum receipt receipt = RECEIVED;
    size_t count = 0;

    memset(batch, 0, sizeof batch);
    while (count < BATCH_MAX && (receipt = receive(d->sniffer, &batch[count])) == RECEIVED)
        count++;
    if (count > 0 && !serve(d, batch, count))
        return DISPATCH_MISBEHAVING;
    if (receipt == SNIFFER_GONE)
        return DISPATCH_GONE;
    return receipt == SNIFFER_MISBEHAVES ? DISPATCH_MISBEHAVING : DISPATCH_SERVED;
}
