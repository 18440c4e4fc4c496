#include "daemon/ask/report.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/text/command.h"
#include "common/text/keys.h"
#include "common/text/timespan.h"
#include "privsep/backend.h"

/* The counters of authentic knocks that were not passed on to the helper, and why. */
static const struct {
    const char *name, *text;
    size_t offset;
} held_back[] = {
    {"malformed", "no valid request or source address", offsetof(struct counters, malformed)},
    {"untimely", "the client's clock is off by more than MaxSkew",
     offsetof(struct counters, untimely)},
    {"repeated", "already used: a repeat or a replay", offsetof(struct counters, repeated)},
    {"throttled", "too many in a short time", offsetof(struct counters, throttled)},
    {"unsent", "the helper had too much to do", offsetof(struct counters, unsent)},
};

enum { HELD_BACK = sizeof held_back / sizeof *held_back };

static uint64_t count_held_back(const struct control_status *status, size_t which)
{
    uint64_t count;

    memcpy(&count, (const char *)&status->counters + held_back[which].offset, sizeof count);
    return count;
}

static uint64_t sum_verdicts(const struct control_status *status, bool grants)
{
    uint64_t sum = 0;

    for (uint32_t i = 1; i < VERDICTS; i++)
        if (verdict_is_grant(i) == grants)
            sum += status->verdicts[i];
    return sum;
}

uint64_t report_granted(const struct control_status *status)
{
    return sum_verdicts(status, true);
}

uint64_t report_refused(const struct control_status *status)
{
    return sum_verdicts(status, false);
}

const char *report_used(const struct control_grant *grant)
{
    if (grant->used > 0)
        return "yes";
    return grant->is_counted ? "no" : "?";
}

const char *report_profile(const struct control_grant *grant)
{
    return grant->profile[0] != '\0' ? grant->profile : "-";
}

static const char *backend_of(const struct control_status *s)
{
    return s->backend == BACKEND_AUTO ? "unknown" : backend_name(s->backend);
}

/* With nftables there is nothing to choose: what is known is known while the helper answers. */
static const char *store_of(const struct control_status *s)
{
    if (s->backend == BACKEND_NFTABLES && s->families != 0)
        return "set";
    return s->grant_store == GRANT_STORE_RULES ? "rules"
           : s->grant_store == GRANT_STORE_SET ? "set"
                                               : "unknown";
}

/* Writes the fingerprint of the profiles that a group should have alike. Returns `text`. */
static const char *shared_of(const struct control_status *s, char *text, size_t size)
{
    return sodium_bin2hex(text, size, s->shared_fingerprint, sizeof s->shared_fingerprint);
}

/* ---- for people --------------------------------------------------------- */

enum { LABEL_WIDTH = 14 };

static void label(const char *text)
{
    printf("%-*s", LABEL_WIDTH, text);
}

static void print_span(uint32_t seconds)
{
    if (seconds >= 86400)
        printf("%u d %u h", seconds / 86400, seconds / 3600 % 24);
    else if (seconds >= 3600)
        printf("%u h %u min", seconds / 3600, seconds / 60 % 60);
    else if (seconds >= 60)
        printf("%u min %u s", seconds / 60, seconds % 60);
    else
        printf("%u s", seconds);
}

static void print_process(const struct control_status *s, const char *name, uint32_t pid,
                          uint32_t uptime)
{
    label(name);
    if (pid == 0) {
        printf("NOT RUNNING: being started again; %.*s\n", CONTROL_TROUBLE_SIZE,
               s->trouble[0] ? s->trouble : "see the log");
        return;
    }
    printf("running as pid %u for ", pid);
    print_span(uptime);
    putchar('\n');
}

static void print_interfaces(const struct control_status *s)
{
    label("interfaces");
    for (uint32_t i = 0; i < s->interface_count; i++)
        printf("%s%.*s%s", i ? ", " : "", CONFIG_INTERFACE_NAME_SIZE, s->interfaces[i].name,
               s->interfaces[i].captured      ? ""
               : s->interfaces[i].unsupported ? " (NOT WATCHED: its link type is not supported)"
                                              : " (MISSING or down)");
    putchar('\n');
}

static void print_firewall(const struct control_status *s)
{
    static const char *const families[] = {"no family", "IPv4", "IPv6", "IPv4 and IPv6"};

    label("firewall");
    if (s->families == 0)
        printf("%s; the helper does not answer, shut ports stay shut\n", backend_of(s));
    else
        printf("%s, %s%s\n", backend_of(s), families[s->families & 3],
               s->backend != BACKEND_NFTABLES ? ""
               : s->owned                     ? "; no other program can change its table"
                                              : "; other programs can change its table");
}

static void print_rules(const struct control_status *s)
{
    label("rules");
    switch (s->rules) {
    case HELPER_RULES_IN_FORCE:
        puts("in force");
        break;
    case HELPER_RULES_CONTESTED:
        puts("in force, but another program keeps removing them; see the log");
        break;
    case HELPER_RULES_MISSING:
        puts("NOT IN FORCE: another program removed them; see the log");
        break;
    default:
        puts("NOT KNOWN to be in force: the helper cannot see; see the log");
    }
}

/* Says so where the ports are not shut at the moment. */
static void print_shut_ports(const struct control_status *s)
{
    char service[SERVICE_TEXT_SIZE];

    label("shut ports");
    for (uint32_t i = 0; i < s->shut_count; i++)
        printf("%s%s", i ? ", " : "", service_format(&s->shut[i], service));
    if (s->shut_count == 0)
        puts("none");
    else
        puts(s->rules == HELPER_RULES_MISSING ? " (NOT IN FORCE)" : "");
}

static void print_counters(const struct control_status *s)
{
    const struct counters *c = &s->counters;

    label("packets");
    printf("%" PRIu64 " seen, %" PRIu64 " dropped by the kernel, %" PRIu64 " garbage", c->captured,
           c->dropped, c->garbage);
    if (c->foreign > 0)
        printf(" (%" PRIu64 " for other hosts)", c->foreign);
    putchar('\n');
    label("knocks");
    printf("%" PRIu64 " authenticated, %" PRIu64 " granted, %" PRIu64 " refused\n", c->authentic,
           report_granted(s), report_refused(s));
    if (c->merged > 0) {
        label("  merged");
        printf("%8" PRIu64 "  the first of several in one packet: the others are not read\n",
               c->merged);
    }
    if (c->elsewhere > 0) {
        label("  elsewhere");
        printf("%8" PRIu64 "  signed another address than they came from\n", c->elsewhere);
    }
    for (size_t i = 0; i < HELD_BACK; i++)
        if (count_held_back(s, i) > 0) {
            label("  held back");
            printf("%8" PRIu64 "  %s\n", count_held_back(s, i), held_back[i].text);
        }
    if (report_refused(s) > 0)
        puts("  refused");
    for (uint32_t i = 1; i < VERDICTS; i++)
        if (!verdict_is_grant(i) && s->verdicts[i] > 0)
            printf("%-*s%8" PRIu64 "  %s\n", LABEL_WIDTH, "", s->verdicts[i], verdict_text(i));
}

static void print_drops(const json_t *drops)
{
    const json_t *drop;
    size_t i;

    json_array_foreach(drops, i, drop) {
        label(i == 0 ? "NOT OPENED" : "");
        printf("%s\n%-*s-> %s\n", json_string_value(json_object_get(drop, "what")), LABEL_WIDTH, "",
               json_string_value(json_object_get(drop, "advice")));
    }
}

static void print_roster(const struct control_status *s)
{
    char date[DATE_TEXT_SIZE];

    if (s->roster_version == 0)
        return;
    label("roster");
    printf("version %" PRIu64 ", %s %s; it gives %" PRIu64 " of the profiles\n", s->roster_version,
           s->roster_not_after > time(NULL) ? "good until"
                                            : "NOT IN FORCE: NotAfter has passed:",
           date_format(s->roster_not_after, date), s->roster_profiles);
}

void report_status(const struct control_status *s, const char *rest, const json_t *drops,
                   const char *keep)
{
    char fingerprint[2 * CONFIG_FINGERPRINT_SIZE + 1];

    print_process(s, "portsmithd", s->supervisor, s->uptime);
    print_process(s, "sniffer", s->sniffer, s->pair_uptime);
    print_process(s, "helper", s->helper, s->pair_uptime);
    print_process(s, "witness", s->witness, s->pair_uptime);
    print_interfaces(s);
    print_firewall(s);
    label("grant store");
    puts(store_of(s));
    print_rules(s);
    print_shut_ports(s);
    print_drops(drops);
    if (rest) {
        label("the rest");
        printf("shut by portsmith-firewall: %s\n", rest);
    }
    if (s->trial_left > 0) {
        label("on trial");
        print_span(s->trial_left);
        printf(" left, then nothing is shut any more; to keep it: %s\n", keep);
    }
    label("profiles");
    printf("%u\n", s->profiles);
    if (s->group[0] != '\0') {
        label("group");
        printf("%s, as %s; fingerprint of the profiles %s\n", s->group, s->member,
               shared_of(s, fingerprint, sizeof fingerprint));
    }
    print_roster(s);
    label("live grants");
    printf("%u\n\n", s->live);
    print_counters(s);
}

/* How wide the columns must be. */
struct widths {
    int profile, address;
};

static void widen(int *width, const char *text)
{
    if ((int)strlen(text) > *width)
        *width = (int)strlen(text);
}

void report_grants(const struct control_grant *grants, size_t count)
{
    struct widths w = {.profile = sizeof "PROFILE" - 1, .address = sizeof "ADDRESS" - 1};
    char address[ADDRESS_TEXT_SIZE], service[SERVICE_TEXT_SIZE];

    if (count == 0) {
        puts("There are no live grants.");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        widen(&w.profile, report_profile(&grants[i]));
        widen(&w.address, address_format(&grants[i].address, address));
    }
    printf("%4s  %-*s  %-*s  %-9s  %7s  USED\n", "ID", w.profile, "PROFILE", w.address, "ADDRESS",
           "SERVICE", "LEFT");
    for (size_t i = 0; i < count; i++)
        printf("%4u  %-*s  %-*s  %-9s  %5u s  %s%s\n", grants[i].id, w.profile,
               report_profile(&grants[i]), w.address, address_format(&grants[i].address, address),
               service_format(&grants[i].service, service), grants[i].seconds_left,
               report_used(&grants[i]),
               grants[i].elsewhere ? "  (the knock came from another address)" : "");
}

void report_closed(const struct control_reply *reply, bool kill)
{
    printf("closed %u grant%s", reply->closed, reply->closed == 1 ? "" : "s");
    if (kill)
        printf(", ended %u connection%s", reply->ended, reply->ended == 1 ? "" : "s");
    putchar('\n');
}

/* ---- for programs ------------------------------------------------------- */

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *interfaces_json(const struct control_status *s)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < s->interface_count; i++)
        json_array_append_new(array, json_pack("{s:s, s:b, s:b}", "name", s->interfaces[i].name,
                                               "captured", (int)s->interfaces[i].captured,
                                               "unsupported", (int)s->interfaces[i].unsupported));
    return array;
}

static json_t *families_json(const struct control_status *s)
{
    json_t *array = json_array();

    if (s->families & 1)
        json_array_append_new(array, json_integer(4));
    if (s->families & 2)
        json_array_append_new(array, json_integer(6));
    return array;
}

static json_t *shut_json(const struct control_status *s)
{
    json_t *array = json_array();
    char service[SERVICE_TEXT_SIZE];

    for (uint32_t i = 0; i < s->shut_count; i++)
        json_array_append_new(array, json_string(service_format(&s->shut[i], service)));
    return array;
}

static json_t *group_json(const struct control_status *s)
{
    char key[KEY_TEXT_SIZE], fingerprint[2 * CONFIG_FINGERPRINT_SIZE + 1];

    if (s->group[0] == '\0')
        return json_null();
    return json_pack("{s:s, s:s, s:s, s:s}", "name", s->group, "member", s->member, "public_key",
                     key_format(s->server_public, key), "profiles",
                     shared_of(s, fingerprint, sizeof fingerprint));
}

static json_t *roster_json(const struct control_status *s)
{
    char date[DATE_TEXT_SIZE];

    return s->roster_version == 0
               ? json_null()
               : json_pack("{s:I, s:s, s:I}", "version", (json_int_t)s->roster_version, "not_after",
                           date_format(s->roster_not_after, date), "profiles",
                           (json_int_t)s->roster_profiles);
}

static json_t *counters_json(const struct control_status *s)
{
    json_t *object = json_object(), *held = json_object(), *by_verdict[2] = {json_object(),
                                                                             json_object()};
    const struct counters *c = &s->counters;

    for (size_t i = 0; i < HELD_BACK; i++)
        json_object_set_new(held, held_back[i].name, number(count_held_back(s, i)));
    for (uint32_t i = 1; i < VERDICTS; i++)
        json_object_set_new(by_verdict[verdict_is_grant(i)], verdict_name(i),
                            number(s->verdicts[i]));
    json_object_set_new(object, "seen", number(c->captured));
    json_object_set_new(object, "dropped_by_kernel", number(c->dropped));
    json_object_set_new(object, "garbage", number(c->garbage));
    json_object_set_new(object, "foreign", number(c->foreign));
    json_object_set_new(object, "authenticated", number(c->authentic));
    json_object_set_new(object, "merged", number(c->merged));
    json_object_set_new(object, "elsewhere", number(c->elsewhere));
    json_object_set_new(object, "held_back", held);
    json_object_set_new(object, "granted", by_verdict[true]);
    json_object_set_new(object, "refused", by_verdict[false]);
    return object;
}

static json_t *process_json(uint32_t pid, uint32_t uptime)
{
    return pid == 0 ? json_null() : json_pack("{s:I, s:I}", "pid", (json_int_t)pid, "uptime",
                                              (json_int_t)uptime);
}

json_t *report_status_json(const struct control_status *s)
{
    json_t *object = json_object();

    json_object_set_new(object, "supervisor", process_json(s->supervisor, s->uptime));
    json_object_set_new(object, "sniffer", process_json(s->sniffer, s->pair_uptime));
    json_object_set_new(object, "helper", process_json(s->helper, s->pair_uptime));
    json_object_set_new(object, "witness", process_json(s->witness, s->pair_uptime));
    json_object_set_new(object, "trouble", s->trouble[0] ? json_string(s->trouble) : json_null());
    json_object_set_new(object, "interfaces", interfaces_json(s));
    json_object_set_new(object, "backend", json_string(backend_of(s)));
    json_object_set_new(object, "families", families_json(s));
    json_object_set_new(object, "grant_store", json_string(store_of(s)));
    json_object_set_new(object, "in_force",
                        s->rules == HELPER_RULES_UNKNOWN
                            ? json_null()
                            : json_boolean(s->rules != HELPER_RULES_MISSING));
    json_object_set_new(object, "owned", json_boolean(s->owned));
    json_object_set_new(object, "contested", json_boolean(s->rules == HELPER_RULES_CONTESTED));
    json_object_set_new(object, "shut", shut_json(s));
    json_object_set_new(object, "trial_seconds_left",
                        s->trial_left ? number(s->trial_left) : json_null());
    json_object_set_new(object, "profiles", number(s->profiles));
    json_object_set_new(object, "group", group_json(s));
    json_object_set_new(object, "roster", roster_json(s));
    json_object_set_new(object, "time", json_integer(time(NULL)));
    json_object_set_new(object, "grants", number(s->live));
    json_object_set_new(object, "counters", counters_json(s));
    return object;
}

json_t *report_grant_json(const struct control_grant *g)
{
    char address[ADDRESS_TEXT_SIZE], service[SERVICE_TEXT_SIZE];
    json_t *object = json_object();

    json_object_set_new(object, "id", number(g->id));
    json_object_set_new(object, "profile",
                        g->profile[0] != '\0' ? json_string(g->profile) : json_null());
    json_object_set_new(object, "address", json_string(address_format(&g->address, address)));
    json_object_set_new(object, "service", json_string(service_format(&g->service, service)));
    json_object_set_new(object, "seconds_left", number(g->seconds_left));
    json_object_set_new(object, "used", g->used || g->is_counted ? json_boolean(g->used > 0)
                                                              : json_null());
    json_object_set_new(object, "elsewhere", json_boolean(g->elsewhere));
    return object;
}

json_t *report_grants_json(const struct control_grant *grants, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, report_grant_json(&grants[i]));
    return array;
}

json_t *report_closed_json(const struct control_reply *reply)
{
    return json_pack("{s:I, s:I}", "closed", (json_int_t)reply->closed, "connections_ended",
                     (json_int_t)reply->ended);
}

bool report_print(json_t *json, size_t flags)
{
    bool printed = json && json_dumpf(json, stdout, flags) == 0 && putchar('\n') != EOF &&
                   fflush(stdout) == 0;

    json_decref(json);
    return printed;
}

int report_print_whole(json_t *json)
{
    if (report_print(json, JSON_INDENT(2)))
        return EXIT_SUCCESS;
    return command_fail(EXIT_FAILURE, "the JSON cannot be written to standard output");
}
