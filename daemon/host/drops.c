#include "daemon/host/drops.h"

#include <stdio.h>
#include <string.h>

#include "daemon/host/firewalls.h"
#include "daemon/host/links.h"
#include "daemon/host/nftables.h"
#include "daemon/host/save.h"
#include "daemon/host/walk.h"
#include "privsep/backend.h"

enum {
    KINDS = 2, /* of iptables */
    SERVICES_MAX = 2 * SHUT_SERVICES, /* further services are not looked at */
    TOLD_MAX = 32, /* further chains and services are not told of */
    WHAT_SIZE = 300,
    ADVICE_SIZE = FIREWALLS_WAY_SIZE + 100,
};

static const enum backend kinds[KINDS] = {BACKEND_NFT, BACKEND_LEGACY};

/* What strangers ask this host for. */
struct sought {
    struct service service;
    bool is_shut; /* by Shut */
    const struct helper_destination *destination; /* that a profile sends it on to; NULL: none */
};

struct search {
    const struct config *config;
    warning_taker *report;
    void *data;
    struct walk_rules rules[KINDS][FAMILIES];
    json_t *ruleset; /* of nftables; NULL where it cannot be read */
    struct link links[LINKS_MAX];
    size_t link_count;
    struct sought services[SERVICES_MAX];
    size_t service_count;
    char told[TOLD_MAX][WHAT_SIZE];
    size_t told_count;
};

/* What one look is about. */
struct look {
    struct search *s;
    const struct sought *sought;
    enum family family;
    const char *hook; /* "prerouting", "input" or "forward" */
    struct packet packet; /* as it comes there */
};

/* ---- telling -------------------------------------------------------------- */

/* The same chain may drop a service by several interfaces, and over both families. */
static bool is_told(struct search *s, const char *what)
{
    for (size_t i = 0; i < s->told_count; i++)
        if (strcmp(s->told[i], what) == 0)
            return true;
    if (s->told_count == TOLD_MAX)
        return true;
    snprintf(s->told[s->told_count++], WHAT_SIZE, "%s", what);
    return false;
}

/* How what is dropped is accepted. */
struct way {
    char text[FIREWALLS_WAY_SIZE];
    bool by_mark; /* only what a grant marks; else all that comes to the port */
};

/* What is accepted there by its port is let in without a knock, unless Portsmith shuts it. */
static void tell(const struct look *look, const char *chain, const struct way *way)
{
    char what[WHAT_SIZE], advice[ADVICE_SIZE], name[SERVICE_TEXT_SIZE];

    snprintf(what, sizeof what, "%.200s drops %s, and a grant opens nothing there", chain,
             service_format(&look->sought->service, name));
    if (is_told(look->s, what))
        return;
    snprintf(advice, sizeof advice, "%s: %s",
             way->by_mark ? "accept what a grant marks there"
             : look->sought->is_shut ? "accept it there, which is safe, for Portsmith shuts it before"
                                 : "name it in Shut first, then accept it there",
             way->text);
    look->s->report(look->s->data, what, advice);
}

static void take_chain(void *data, const char *family, const char *table, const char *chain)
{
    const struct look *look = data;
    const struct firewalls_place place = {family, table, chain, look->hook};
    struct way way = {.by_mark = look->packet.mark != 0 && strcmp(table, "firewalld") != 0};
    char name[200];

    snprintf(name, sizeof name, "the nftables chain %s %.60s %.60s", family, table, chain);
    firewalls_way_in(way.text, &place, &look->packet.service, look->packet.mark);
    tell(look, name, &way);
}

/* ---- iptables ------------------------------------------------------------- */

struct place {
    const char *table, *chain, *hook;
};

/* Where iptables may drop a packet, and at which hook that is. */
static const struct place places[] = {
    {"raw", "PREROUTING", "prerouting"}, {"mangle", "PREROUTING", "prerouting"},
    {"mangle", "INPUT", "input"},        {"filter", "INPUT", "input"},
    {"mangle", "FORWARD", "forward"},    {"filter", "FORWARD", "forward"},
};

/* Who wrote these rules, if it is known, has a command of its own, which keeps what it does, and
 * knows no mark. */
static struct way way_through_iptables(const struct look *look, enum backend kind,
                                       const struct walk_rules *rules, const struct place *place)
{
    const bool is_filter = strcmp(place->table, "filter") == 0, is_six = look->family == IPV6;
    const bool is_input = strcmp(place->chain, "INPUT") == 0;
    const uint32_t mark = look->packet.mark;
    const char *protocol = service_protocol(&look->packet.service);
    const char *chain = is_filter && !is_input && walk_has_chain(rules, "filter", "DOCKER-USER")
                            ? "DOCKER-USER" : place->chain;
    struct way way = {.by_mark = false};
    char command[60];

    snprintf(command, sizeof command, "ip%stables-%s -t %s", is_six ? "6" : "",
             kind == BACKEND_NFT ? "nft" : "legacy", place->table);
    if (is_filter && walk_has_chain(rules, "filter", is_six ? "ufw6-user-input" : "ufw-user-input"))
        snprintf(way.text, sizeof way.text, "ufw%s allow proto %s to any port %u",
                 is_input ? "" : " route", protocol, look->packet.service.port);
    else if (is_filter && is_input && walk_has_chain(rules, "filter", "INPUT_ZONES"))
        firewalls_way_into_firewalld(way.text, &look->packet.service);
    else if ((way.by_mark = mark != 0))
        snprintf(way.text, sizeof way.text, "%s -I %s -m mark --mark 0x%x/0x%x -j ACCEPT", command,
                 chain, mark, mark);
    else
        snprintf(way.text, sizeof way.text, "%s -I %s -p %s --dport %u -j ACCEPT", command, chain,
                 protocol, look->packet.service.port);
    return way;
}

static void look_at_place(const struct look *look, const struct place *place)
{
    char name[200];

    for (size_t kind = 0; kind < KINDS; kind++) {
        const struct walk_rules *rules = &look->s->rules[kind][look->family];
        const struct walk_end end = walk_through(rules, place->table, place->chain, &look->packet);
        struct way way;

        if (!end.drops)
            continue;
        if (end.by_policy)
            snprintf(name, sizeof name, "the policy of %s's %s (IPv%d)", backend_name(kinds[kind]),
                     place->chain, look->family == IPV6 ? 6 : 4);
        else
            snprintf(name, sizeof name, "%s's rule '-t %s -A %s %.90s' (IPv%d)",
                     backend_name(kinds[kind]), place->table, end.line.chain, end.line.rest,
                     look->family == IPV6 ? 6 : 4);
        way = way_through_iptables(look, kinds[kind], rules, place);
        tell(look, name, &way);
    }
}

/* ---- packets -------------------------------------------------------------- */

/* Where another program's DNAT sends the packet, if it does. */
static bool is_sent_on(const struct look *look, struct packet *packet, struct address *to)
{
    uint16_t port;

    for (size_t kind = 0; kind < KINDS; kind++) {
        if (!walk_finds_dnat(&look->s->rules[kind][look->family], packet, to, &port))
            continue;
        if (port != 0) {
            packet->to = to;
            packet->service.port = port;
        }
        return true;
    }
    return false;
}

/* Asks all chains at a hook. */
static void look_at_hook(struct look *look, const char *hook)
{
    const struct nftables_chains chains = {hook, !save_is_there(BACKEND_NFT, look->family)};

    look->hook = hook;
    look->packet.mark = strcmp(hook, "prerouting") != 0 ? look->s->config->accept_mark : 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(places[i].hook, hook) == 0)
            look_at_place(look, &places[i]);
    nftables_find_drops(look->s->ruleset, &chains, look->family, &look->packet, take_chain, look);
}

/* What a profile sends on has another address and port behind prerouting. */
static void look_at_destination(struct look *look)
{
    const struct helper_destination *destination = look->sought->destination;

    if (address_family(&destination->address) != look->family)
        return;
    look->packet.to = &destination->address;
    look->packet.service.port = destination->port;
    look_at_hook(look, "forward");
}

static void look_at_host(struct look *look)
{
    struct address to;

    look_at_hook(look, "prerouting");
    look_at_hook(look, is_sent_on(look, &look->packet, &to) ? "forward" : "input");
    if (!look->s->config->forward || look->packet.to)
        return;
    look->packet.is_elsewhere = true; /* to no address of this host's */
    look_at_hook(look, "forward");
}

static void look_everywhere(struct search *s, const struct sought *sought)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        for (size_t i = 0; i < s->link_count; i++) {
            struct look look = {.s = s, .sought = sought, .family = family,
                                .packet = {.service = sought->service,
                                           .interface = s->links[i].name}};

            if (sought->destination)
                look_at_destination(&look);
            else
                look_at_host(&look);
        }
}

/* ---- what is looked at ---------------------------------------------------- */

static void add(struct search *s, const struct sought *new)
{
    for (size_t i = 0; i < s->service_count; i++)
        if (service_compare(&s->services[i].service, &new->service) == 0 &&
            s->services[i].destination == new->destination)
            return;
    if (s->service_count < SERVICES_MAX)
        s->services[s->service_count++] = *new;
}

static void find_services(struct search *s)
{
    const struct config *c = s->config;

    for (unsigned i = 0; i < c->shut_count; i++)
        add(s, &(struct sought){c->shut[i], true, NULL});
    for (size_t i = 0; i < c->profile_count; i++) {
        const struct helper_profile *policy = c->profiles[i].policy;

        for (unsigned j = 0; j < policy->service_count; j++)
            if (!profile_sends_on(&c->profiles[i], &policy->services[j]))
                add(s, &(struct sought){policy->services[j], false, NULL});
        for (unsigned j = 0; j < policy->destination_count; j++)
            add(s, &(struct sought){policy->destinations[j].service, true,
                                    &policy->destinations[j]});
    }
}

/* ---- the whole ------------------------------------------------------------ */

bool drops_matter(const struct config *config)
{
    return config->backend_in_use == BACKEND_NFTABLES ||
           (config->backend_in_use == BACKEND_AUTO && !save_is_there(BACKEND_NFT, IPV4) &&
            !save_is_there(BACKEND_LEGACY, IPV4));
}

bool drops_find(const struct config *config, warning_taker *report, void *data)
{
    static struct search s;
    struct error unused;
    bool can_ask;

    s = (struct search){.config = config, .report = report, .data = data,
                        .ruleset = nftables_read(&unused)};
    for (size_t kind = 0; kind < KINDS; kind++)
        for (enum family family = IPV4; family < FAMILIES; family++)
            save_read(&s.rules[kind][family], kinds[kind], family);
    s.link_count = links_of_strangers(s.links, config);
    find_services(&s);
    for (size_t i = 0; i < s.service_count; i++)
        look_everywhere(&s, &s.services[i]);
    for (size_t kind = 0; kind < KINDS; kind++)
        for (enum family family = IPV4; family < FAMILIES; family++)
            walk_free(&s.rules[kind][family]);
    can_ask = s.ruleset != NULL;
    json_decref(s.ruleset);
    return can_ask;
}
