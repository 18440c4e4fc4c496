#include "daemon/host/tracking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "daemon/host/links.h"
#include "daemon/host/nftables.h"
#include "daemon/host/save.h"

/* Where the raw tables of this host are. */
static const struct {
    enum backend backend;
    enum family family;
} tables[TRACKING_TABLES] = {
    {BACKEND_NFT, IPV4}, {BACKEND_NFT, IPV6}, {BACKEND_LEGACY, IPV4}, {BACKEND_LEGACY, IPV6},
};

/* ---- reading ------------------------------------------------------------ */

/* Reads the rules of all tables, as SYNPROXY is in the filter table. Reads nothing unless the raw
 * table keeps some packets from being tracked, as a whole firewall may be large. */
static void read_table(struct walk_rules *rules, size_t table)
{
    struct tool raw;

    if (!save_run(&raw, tables[table].backend, tables[table].family, "raw"))
        return;
    if (raw.status == 0 && (strstr(raw.said, "NOTRACK") || strstr(raw.said, "--notrack")))
        save_read(rules, tables[table].backend, tables[table].family);
    free(raw.said);
}

void tracking_read(struct tracking *t)
{
    *t = (struct tracking){.ruleset = nftables_read_early()};
    for (size_t i = 0; i < TRACKING_TABLES; i++)
        read_table(&t->rules[i], i);
}

void tracking_free(struct tracking *t)
{
    for (size_t i = 0; i < TRACKING_TABLES; i++)
        walk_free(&t->rules[i]);
    json_decref(t->ruleset);
}

static bool has_synproxy(const struct tracking *t)
{
    for (size_t i = 0; i < TRACKING_TABLES; i++)
        if (walk_has_target(&t->rules[i], "SYNPROXY"))
            return true;
    return nftables_has_statement(t->ruleset, "synproxy");
}

/* ---- asking ------------------------------------------------------------- */

static bool is_untracked(const struct tracking *t, const struct packet *packet, enum family family,
                         char by[static TRACKING_RULE_SIZE])
{
    const struct walk_line *line;

    for (size_t i = 0; i < TRACKING_TABLES; i++) {
        line = tables[i].family == family ? walk_find_notrack(&t->rules[i], packet) : NULL;
        if (!line)
            continue;
        snprintf(by, TRACKING_RULE_SIZE, "the rule '-t raw -A %s %.220s'", line->chain, line->rest);
        return true;
    }
    return nftables_is_untracked(t->ruleset, family, packet, by, TRACKING_RULE_SIZE);
}

/* The packet asked about is a segment of a session and not a SYN. Where SYNPROXY is used, SYNs
 * alone are not tracked, and connection tracking gets to know the sessions. */
enum tracked tracking_of(const struct tracking *t, const struct service *service,
                         const char *interface, enum family family,
                         char by[static TRACKING_RULE_SIZE])
{
    struct packet packet = {
        .service = *service, .interface = interface, .is_established = true};

    if (is_untracked(t, &packet, family, by))
        return UNTRACKED;
    packet.is_reply = true;
    return is_untracked(t, &packet, family, by) ? HALF_TRACKED : TRACKED;
}

/* ---- a configuration ---------------------------------------------------- */

struct search {
    const struct tracking *tracking;
    bool has_synproxy;
    struct link links[LINKS_MAX];
    size_t link_count;
    warning_taker *report;
    void *data;
};

static void tell(const struct search *s, const struct service *service, enum tracked how,
                 enum family family, const char *by)
{
    char what[TRACKING_RULE_SIZE + 100], advice[400], name[SERVICE_TEXT_SIZE];
    bool is_tcp = strcmp(service_protocol(service), "tcp") == 0;

    service_format(service, name);
    snprintf(what, sizeof what, "connections to %s are not tracked (%s): %s keeps the kernel from "
                                "it", name, family == IPV6 ? "IPv6" : "IPv4", by);
    if (how == HALF_TRACKED)
        snprintf(advice, sizeof advice, "have what comes in and what goes out tracked, or neither; "
                                        "whether a grant was used is not known");
    else if (s->has_synproxy)
        snprintf(advice, sizeof advice, "accept it in your own rules, as grants leave to SYNPROXY "
                                        "what is not tracked; whether one was used is not known");
    else if (is_tcp)
        snprintf(advice, sizeof advice,
                 "a grant accepts only the SYN: accept the rest in your own rules, as by %s "
                 "-A INPUT -p tcp --dport %u ! --syn -j ACCEPT, and what goes out; whether a grant "
                 "was used is not known", family == IPV6 ? "ip6tables" : "iptables", service->port);
    else
        snprintf(advice, sizeof advice,
                 "a flow ends with its grant, as it cannot be told from a new one; accept what "
                 "goes out in your own rules; whether a grant was used is not known");
    s->report(s->data, what, advice);
}

/* Whether the service is untracked for strangers, in a family and by an interface; the first of
 * these is reported. */
static bool find_on_links(const struct search *s, const struct service *service)
{
    char by[TRACKING_RULE_SIZE];

    for (enum family family = IPV4; family < FAMILIES; family++)
        for (size_t i = 0; i < s->link_count; i++) {
            enum tracked how = tracking_of(s->tracking, service, s->links[i].name, family, by);

            if (how == TRACKED)
                continue;
            if (s->report)
                tell(s, service, how, family, by);
            return true;
        }
    return false;
}

static int compare(const void *a, const void *b)
{
    return service_compare(a, b);
}

/* The services of Shut and of the profiles, ascending, each once, which the caller frees. NULL
 * and a *count of 0 without memory. */
static struct service *collect_services(const struct config *c, size_t *count)
{
    struct service *all = calloc(c->profile_count * POLICY_SERVICES + c->shut_count + 1,
                                 sizeof *all);
    size_t found = c->shut_count;

    *count = 0;
    if (!all)
        return NULL;
    memcpy(all, c->shut, c->shut_count * sizeof *all);
    for (size_t i = 0; i < c->profile_count; i++)
        for (unsigned j = 0; j < c->profiles[i].policy->service_count; j++)
            all[found++] = c->profiles[i].policy->services[j];
    qsort(all, found, sizeof *all, compare);
    for (size_t i = 0; i < found; i++)
        if (*count == 0 || service_compare(&all[*count - 1], &all[i]) != 0)
            all[(*count)++] = all[i];
    return all;
}

static bool check_profile(const struct profile *p, const struct untracked *found,
                          struct error *why)
{
    char name[SERVICE_TEXT_SIZE];

    for (unsigned i = 0; i < p->policy->service_count; i++) {
        const struct service *service = &p->policy->services[i];

        if (!tracking_is_untracked(found, service))
            continue;
        service_format(service, name);
        if (p->policy->connections)
            return error_set(why, "%s: Connections cannot be held to, as connections to %s are not "
                                  "tracked, and so not counted: remove that line, or have them "
                                  "tracked (iptables -t raw -S and nft list ruleset show the rule)",
                             p->policy->name, name);
        if (profile_sends_on(p, service))
            return error_set(why, "%s: %s cannot be sent on to another host, as connections to it "
                                  "are not tracked: have them tracked (iptables -t raw -S and nft "
                                  "list ruleset show the rule), or name another port",
                             p->policy->name, name);
    }
    return true;
}

bool tracking_find(struct untracked *found, const struct config *config,
                   warning_taker *report, void *data, struct error *why)
{
    static struct search search;
    struct tracking tracking;
    size_t all;

    *found = (struct untracked){0};
    tracking_read(&tracking);
    search = (struct search){.tracking = &tracking, .has_synproxy = has_synproxy(&tracking),
                             .report = report, .data = data};
    search.link_count = links_of_strangers(search.links, config);
    found->has_synproxy = search.has_synproxy;
    found->services = collect_services(config, &all);
    for (size_t i = 0; i < all; i++)
        if (find_on_links(&search, &found->services[i]))
            found->services[found->count++] = found->services[i];
    tracking_free(&tracking);
    for (size_t i = 0; i < config->profile_count && found->count > 0; i++)
        if (!check_profile(&config->profiles[i], found, why))
            return false;
    return true;
}

void tracking_free_untracked(struct untracked *found)
{
    free(found->services);
    *found = (struct untracked){0};
}

bool tracking_check(const struct config *config, warning_taker *report, void *data,
                    struct error *why)
{
    struct untracked unused;
    bool is_possible = tracking_find(&unused, config, report, data, why);

    tracking_free_untracked(&unused);
    return is_possible;
}

bool tracking_is_untracked(const struct untracked *found, const struct service *service)
{
    return found->count > 0 &&
           bsearch(service, found->services, found->count, sizeof *service, compare) != NULL;
}

bool tracking_equal(const struct untracked *a, const struct untracked *b)
{
    if (a->count != b->count || a->has_synproxy != b->has_synproxy)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (service_compare(&a->services[i], &b->services[i]) != 0)
            return false;
    return true;
}
