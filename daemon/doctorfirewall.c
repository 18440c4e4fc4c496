#include "doctorfirewall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "links.h"
#include "listeners.h"
#include "neighbours.h"
#include "nftables.h"
#include "probe.h"
#include "tool.h"
#include "walk.h"

enum {
    SERVICES_MAX = 2 * CLOSE_SERVICES, /* that are looked at */
    PATH_SIZE = 64,
    RULE_SIZE = 300, /* as much of one as is shown */
};

struct examined {
    struct service service;
    bool is_shut; /* by Close */
};

struct examination {
    struct findings *found;
    const struct config *config;
    bool runs;
    struct xtables xtables;
    struct walk_rules rules[FAMILIES];
    bool is_read[FAMILIES];
    json_t *ruleset; /* of nftables; NULL where it cannot be read */
    struct examined services[SERVICES_MAX];
    size_t service_count;
    struct link links[LINKS_MAX]; /* that strangers come by */
    size_t link_count;
};

/* What one look is about. */
struct look {
    struct examination *e;
    int family;
    const struct examined *examined;
    struct packet packet;
    char service[SERVICE_TEXT_SIZE];
};

static const char *family_name(int family)
{
    return family == IPV6 ? "IPv6" : "IPv4";
}

static const char *backend_name(enum backend backend)
{
    return backend == BACKEND_NFT ? "iptables-nft" : "iptables-legacy";
}

/* The program that an admin would type, for the back end and family. */
static const char *program_name(const struct look *look)
{
    static const char *const names[][FAMILIES] = {{"iptables-nft", "ip6tables-nft"},
                                                  {"iptables-legacy", "ip6tables-legacy"}};

    return names[look->e->xtables.backend == BACKEND_LEGACY][look->family];
}

/* ---- reading ------------------------------------------------------------ */

/* Its sister that prints the rules. */
static bool find_save(char path[static PATH_SIZE], const char *restore)
{
    size_t stem = restore ? strlen(restore) - strlen("restore") : PATH_SIZE;

    if (stem + sizeof "save" > PATH_SIZE)
        return false;
    snprintf(path, PATH_SIZE, "%.*ssave", (int)stem, restore);
    return true;
}

static const char *first_line(char *said)
{
    said[strcspn(said, "\n")] = '\0';
    return said;
}

static bool read_rules(struct walk_rules *rules, const char *restore, struct error *why)
{
    static const char *const none[] = {NULL};
    char path[PATH_SIZE];
    struct tool tool;

    memset(rules, 0, sizeof *rules);
    if (!find_save(path, restore))
        return error_set(why, "iptables-save is missing");
    if (!tool_run(&tool, path, none, "", why))
        return false;
    if (tool.status != 0) {
        error_set(why, "%s: %.300s", path, first_line(tool.said));
        free(tool.said);
        return false;
    }
    return walk_read(rules, tool.said) || error_set(why, "no memory for the rules");
}

/* ---- what there is to examine ------------------------------------------- */

static void add_service(struct examination *e, struct service service, bool is_shut)
{
    for (size_t i = 0; i < e->service_count; i++)
        if (service_compare(&e->services[i].service, &service) == 0)
            return;
    if (e->service_count < SERVICES_MAX)
        e->services[e->service_count++] = (struct examined){service, is_shut};
}

static bool sends_on(const struct profile *p, const struct service *service)
{
    for (unsigned i = 0; i < p->destination_count; i++)
        if (service_compare(&p->destinations[i].service, service) == 0)
            return true;
    return false;
}

static void find_services(struct examination *e)
{
    const struct config *c = e->config;

    for (unsigned i = 0; i < c->close_count; i++)
        add_service(e, c->close[i], true);
    for (size_t i = 0; i < c->profile_count; i++)
        for (unsigned j = 0; j < c->profiles[i].service_count; j++)
            if (!sends_on(&c->profiles[i], &c->profiles[i].services[j]))
                add_service(e, c->profiles[i].services[j], false);
}

static bool any_is_watched(const struct config *c)
{
    return c->interface_count == 1 && strcmp(c->interfaces[0], "any") == 0;
}

/* Of "any" those with a default route, if there are some. */
static void find_links(struct examination *e)
{
    size_t all = links_find(e->links);
    bool only_routes = false;

    for (size_t i = 0; i < all; i++)
        only_routes |= any_is_watched(e->config) && e->links[i].has_default_route;
    for (size_t i = 0; i < all; i++)
        if (links_is_watched(&e->links[i], e->config) &&
            (!only_routes || e->links[i].has_default_route))
            e->links[e->link_count++] = e->links[i];
}

/* ---- iptables itself ---------------------------------------------------- */

/* Without the set, which only the helper may make: its rules cannot be tried. Where the
 * helper is to choose, it does without deadlines of rules if it has to. */
static unsigned wishes_of(const struct config *c)
{
    unsigned wishes = 0;

    for (size_t i = 0; i < c->profile_count; i++) {
        wishes |= c->profiles[i].connections ? PROBE_LIMITS : 0;
        wishes |= c->profiles[i].destination_count ? PROBE_SENDS_ON : 0;
    }
    if (wishes || c->forward || c->grant_store == GRANT_STORE_RULES)
        wishes |= PROBE_DEADLINES;
    return wishes;
}

static bool run_test(struct tool *tool, const struct examination *e, int family, struct error *why)
{
    static const char *const arguments[] = {"--test", "--noflush", "-w", "5", NULL};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool done;

    error_set(why, "no memory");
    if (!out)
        return false;
    helper_probe_write(out, family, wishes_of(e->config));
    done = fclose(out) == 0 && tool_run(tool, e->xtables.paths[family], arguments, text, why);
    free(text);
    return done;
}

static void test_features(struct examination *e, int family)
{
    struct tool tool;
    struct error why;

    if (!run_test(&tool, e, family, &why)) {
        findings_add(e->found, FINDING_PROBLEM, "see that iptables can be run", "%s", why.text);
        return;
    }
    if (tool.status != 0)
        findings_add(e->found, FINDING_PROBLEM,
                     "portsmithd needs it and does not start without: load the kernel's module, "
                     "such as xt_time, or install the rest of iptables",
                     "%s cannot do what Portsmith needs (%s): %.300s",
                     backend_name(e->xtables.backend), family_name(family),
                     first_line(tool.said));
    free(tool.said);
}

/* False when nothing more can be looked at. */
static bool examine_iptables(struct examination *e)
{
    struct error why;

    findings_begin(e->found, "iptables");
    if (!helper_probe_choose(&e->xtables, e->config->backend, &why)) {
        findings_add(e->found, FINDING_PROBLEM, "or set Backend to the one that is there", "%s",
                     why.text);
        return false;
    }
    for (int family = IPV4; family < FAMILIES; family++) {
        if (!e->xtables.in_use[family])
            continue;
        test_features(e, family);
        e->is_read[family] = read_rules(&e->rules[family], e->xtables.paths[family], &why);
        if (!e->is_read[family])
            findings_add(e->found, FINDING_PROBLEM, "see that iptables-save can be run",
                         "the rules cannot be read: %s", why.text);
    }
    return true;
}

static void tell_mixed(struct examination *e, int family, const struct walk_rules *others)
{
    enum backend own = e->xtables.backend;
    enum backend other = own == BACKEND_NFT ? BACKEND_LEGACY : BACKEND_NFT;

    if (walk_has_chain(others, "mangle", "portsmith"))
        findings_add(e->found, FINDING_PROBLEM,
                     "run portsmithctl release, which removes them from both, and start portsmithd",
                     "Portsmith's rules of an earlier start are left in %s (%s), while it now uses "
                     "%s", backend_name(other), family_name(family), backend_name(own));
    else
        findings_add(e->found, FINDING_PROBLEM,
                     "keep all rules in one of them, and set Backend to it; iptables-legacy-save "
                     "and iptables-nft-save show what is where",
                     "%s has rules, while Portsmith uses %s (%s): a packet must pass both, so what "
                     "one of them drops no grant in the other opens", backend_name(other),
                     backend_name(own), family_name(family));
}

static void examine_backends(struct examination *e)
{
    enum backend other = e->xtables.backend == BACKEND_NFT ? BACKEND_LEGACY : BACKEND_NFT;
    struct walk_rules rules;
    struct error unused;

    findings_begin(e->found, "backends");
    for (int family = IPV4; family < FAMILIES; family++) {
        const char *path = helper_probe_program(other, family);

        if (!path || (other == BACKEND_LEGACY && !helper_probe_legacy_in_use(family)) ||
            !read_rules(&rules, path, &unused))
            continue;
        if (walk_has_rules(&rules))
            tell_mixed(e, family, &rules);
        walk_free(&rules);
    }
}

static void take_neighbour(void *data, const char *what, const char *advice)
{
    findings_add(data, FINDING_PROBLEM, advice, "%s", what);
}

static void take_uncertain_neighbour(void *data, const char *what, const char *advice)
{
    findings_add(data, FINDING_NOTE, advice, "%s, unless a rule of it accepts", what);
}

/* ---- services ----------------------------------------------------------- */

/* Calls `check` for each service and family, and each interface until it finds something. */
static void each_service(struct examination *e, const char *name,
                         bool (*check)(const struct look *look))
{
    struct look look = {.e = e};

    findings_begin(e->found, name);
    for (look.family = IPV4; look.family < FAMILIES; look.family++)
        for (size_t i = 0; e->is_read[look.family] && i < e->service_count; i++) {
            look.examined = &e->services[i];
            service_format(&look.examined->service, look.service);
            look.packet = (struct packet){.service = look.examined->service};
            for (size_t j = 0; j < e->link_count; j++) {
                look.packet.interface = e->links[j].name;
                if (check(&look))
                    break;
            }
        }
}

static struct walk_end through(const struct look *look, const char *table, const char *chain,
                               const struct packet *packet)
{
    return walk_through(&look->e->rules[look->family], table, chain, packet);
}

/* What decides, in words. */
static const char *format_line(const struct walk_end *end, char text[static RULE_SIZE])
{
    if (end->by_policy)
        snprintf(text, RULE_SIZE, "the policy of %s in the table %s", end->line.chain,
                 end->line.table);
    else
        snprintf(text, RULE_SIZE, "the rule '-t %s -A %s %.220s'", end->line.table,
                 end->line.chain, end->line.rest);
    return text;
}

/* The packet as it is behind a DNAT by others, such as docker's. */
struct sent_on {
    struct packet packet;
    struct address to;
};

static bool is_sent_on(const struct look *look, struct sent_on *on)
{
    uint16_t port;

    on->packet = look->packet;
    if (!walk_finds_dnat(&look->e->rules[look->family], &look->packet, &on->to, &port))
        return false;
    if (port == 0)
        return true;
    on->packet.to = &on->to;
    on->packet.service.port = port;
    return true;
}

static bool is_sent_on_somewhere(struct examination *e, const struct examined *examined)
{
    struct look look = {.e = e, .examined = examined, .packet.service = examined->service};
    struct sent_on unused;

    for (look.family = IPV4; look.family < FAMILIES; look.family++)
        for (size_t i = 0; e->is_read[look.family] && i < e->link_count; i++) {
            look.packet.interface = e->links[i].name;
            if (is_sent_on(&look, &unused))
                return true;
        }
    return false;
}

static void examine_listeners(struct examination *e, const struct service *service)
{
    char text[SERVICE_TEXT_SIZE];

    service_format(service, text);
    switch (listeners_find(service)) {
    case LISTENERS_NONE:
        findings_add(e->found, FINDING_NOTE, "start the service, or see on which port it listens",
                     "nothing listens on %s: the door opens to nobody", text);
        break;
    case LISTENERS_LOCAL:
        findings_add(e->found, FINDING_NOTE, "have it listen on an address that clients can reach",
                     "what listens on %s does so on loopback alone", text);
        break;
    default:
        break;
    }
}

static void examine_services(struct examination *e)
{
    findings_begin(e->found, "services");
    for (size_t i = 0; i < e->service_count; i++)
        if (!is_sent_on_somewhere(e, &e->services[i]))
            examine_listeners(e, &e->services[i].service);
}

static bool tell_open(const struct look *look, const struct walk_end *past,
                      const struct walk_end *accepted)
{
    struct findings *f = look->e->found;
    char line[RULE_SIZE], advice[FINDING_SIZE];

    if (!look->examined->is_shut)
        snprintf(advice, sizeof advice, "add Close = %s to portsmith.conf, then portsmithctl reload",
                 look->service);
    else if (!past->by_policy)
        snprintf(advice, sizeof advice, "delete %s, or move it behind the jump to portsmith",
                 format_line(past, line));
    else if (look->e->runs)
        snprintf(advice, sizeof advice, "portsmithd puts a jump that is missing back within "
                                        "seconds; if this stays, its log says why");
    else
        snprintf(advice, sizeof advice, "start portsmithd, which shuts it");
    findings_add(f, FINDING_PROBLEM, advice, "%s is open without a knock (%s, %s): %s accepts it",
                 look->service, family_name(look->family), look->packet.interface,
                 format_line(accepted, line));
    return true;
}

static bool find_open(const struct look *look)
{
    struct walk_end raw = through(look, "raw", "PREROUTING", &look->packet);
    struct walk_end past = through(look, "mangle", "PREROUTING", &look->packet);
    struct walk_end accepted;
    struct sent_on on;

    if (!raw.accepts || !past.accepts)
        return false;
    if (is_sent_on(look, &on)) {
        accepted = through(look, "filter", "FORWARD", &on.packet);
        return !accepted.drops && tell_open(look, &past, &accepted);
    }
    accepted = through(look, "filter", "INPUT", &look->packet);
    return accepted.accepts && tell_open(look, &past, &accepted);
}

static bool tell_blocked(const struct look *look, const struct walk_end *end)
{
    bool is_filter = strcmp(end->line.table, "filter") == 0;
    char line[RULE_SIZE], advice[FINDING_SIZE];

    if (is_filter && end->by_policy)
        snprintf(advice, sizeof advice, "portsmithd puts a jump that is missing back within "
                                        "seconds; if this stays, its log says why");
    else if (is_filter)
        snprintf(advice, sizeof advice, "run %s -D INPUT -j portsmith: portsmithd puts the jump "
                                        "back, at the top", program_name(look));
    else
        snprintf(advice, sizeof advice, "delete that rule, or have it match less");
    findings_add(look->e->found, FINDING_PROBLEM, advice,
                 "a knock for %s opens nothing (%s, %s): %s drops it before the grants are asked",
                 look->service, family_name(look->family), look->packet.interface,
                 format_line(end, line));
    return true;
}

static bool find_blocked(const struct look *look)
{
    struct packet granted = look->packet;
    struct walk_end end;
    struct sent_on on;

    if (!look->e->runs)
        return false;
    granted.is_granted = true;
    end = through(look, "raw", "PREROUTING", &granted);
    if (!end.drops)
        end = through(look, "mangle", "PREROUTING", &granted);
    if (!end.drops && !is_sent_on(look, &on))
        end = through(look, "filter", "INPUT", &granted);
    return end.drops && tell_blocked(look, &end);
}

static bool tell_not_established(const struct look *look, const struct walk_end *end,
                                 const char *chain)
{
    char line[RULE_SIZE], advice[FINDING_SIZE];

    snprintf(advice, sizeof advice, "accept them first: %s -I %s -m conntrack --ctstate "
                                    "RELATED,ESTABLISHED -j ACCEPT", program_name(look), chain);
    findings_add(look->e->found, FINDING_PROBLEM, advice,
                 "connections to %s do not live (%s, %s): %s drops packets of established ones",
                 look->service, family_name(look->family), look->packet.interface,
                 format_line(end, line));
    return true;
}

static bool find_not_established(const struct look *look)
{
    struct packet packet = look->packet;
    struct walk_end end;
    struct sent_on on;

    packet.is_established = true;
    if (is_sent_on(look, &on)) {
        on.packet.is_established = true;
        end = through(look, "filter", "FORWARD", &on.packet);
        return end.drops && tell_not_established(look, &end, "FORWARD");
    }
    end = through(look, "filter", "INPUT", &packet);
    if (end.drops)
        return tell_not_established(look, &end, "INPUT");
    packet.is_reply = true;
    end = through(look, "filter", "OUTPUT", &packet);
    return end.drops && tell_not_established(look, &end, "OUTPUT");
}

/* What goes on to a container never sees INPUT, where grants are without Forward. */
static bool find_not_forwarded(const struct look *look)
{
    char line[RULE_SIZE], to[ADDRESS_TEXT_SIZE];
    struct walk_end end;
    struct sent_on on;

    if (!is_sent_on(look, &on))
        return false;
    on.packet.is_granted = true;
    end = through(look, "filter", "FORWARD", &on.packet);
    if (!end.drops)
        return false;
    findings_add(look->e->found, FINDING_PROBLEM,
                 look->e->config->forward
                     ? "portsmithd puts the jump to portsmith-gateway at the top of FORWARD: move "
                       "what stands before it"
                     : "set Forward = yes in portsmith.conf, then portsmithctl reload",
                 "a knock for %s opens nothing (%s, %s): it goes on to %s, by FORWARD and not "
                 "INPUT, and %s drops it", look->service, family_name(look->family),
                 look->packet.interface, on.packet.to ? address_format(&on.to, to) : "another host",
                 format_line(&end, line));
    return true;
}

/* ---- chains of nftables ------------------------------------------------- */

static void take_chain(void *data, const char *family, const char *table, const char *chain)
{
    const struct look *look = data;
    char advice[FINDING_SIZE];

    snprintf(advice, sizeof advice,
             look->examined->is_shut
                 ? "accept it there, which is safe, for Portsmith shuts it before: nft insert rule "
                   "%s %.60s %.60s %.3s dport %s accept"
                 : "name it in Close first, then accept it there: nft insert rule %s %.60s %.60s "
                   "%.3s dport %s accept",
             family, table, chain, look->service, look->service + strlen("tcp/"));
    findings_add(look->e->found, FINDING_PROBLEM, advice,
                 "a knock for %s opens nothing (%s, %s): the nftables chain %s %.60s %.60s drops it",
                 look->service, family_name(look->family), look->packet.interface, family, table,
                 chain);
}

static bool find_dropped_by_nftables(const struct look *look)
{
    size_t before = look->e->found->count;
    struct look copy = *look;
    struct sent_on on;

    if (!is_sent_on(look, &on))
        nftables_find_drops(look->e->ruleset, look->family == IPV6, &look->packet, take_chain,
                            &copy);
    return look->e->found->count > before;
}

/* Without nft(8) only policies can be told. */
static void examine_neighbours(struct examination *e)
{
    struct error unused;

    e->ruleset = nftables_read(&unused);
    if (e->ruleset) {
        each_service(e, "neighbours", find_dropped_by_nftables);
        neighbours_find_forwarding(e->config, take_neighbour, e->found);
    } else {
        findings_begin(e->found, "neighbours");
        neighbours_find(e->config, take_uncertain_neighbour, e->found);
    }
    json_decref(e->ruleset);
}

/* ---- the whole ---------------------------------------------------------- */

void doctorfirewall_examine(struct findings *f, const struct config *config, bool runs)
{
    static struct examination e;

    e = (struct examination){.found = f, .config = config, .runs = runs};
    find_services(&e);
    find_links(&e);
    if (!examine_iptables(&e))
        return;
    examine_backends(&e);
    examine_neighbours(&e);
    examine_services(&e);
    each_service(&e, "ports", find_open);
    each_service(&e, "grants", find_blocked);
    each_service(&e, "established", find_not_established);
    each_service(&e, "forwarding", find_not_forwarded);
    for (int family = IPV4; family < FAMILIES; family++)
        walk_free(&e.rules[family]);
}
