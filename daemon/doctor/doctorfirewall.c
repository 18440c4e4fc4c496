#include "daemon/doctor/doctorfirewall.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/linux/kernel.h"
#include "daemon/host/firewalls.h"
#include "daemon/host/links.h"
#include "daemon/host/listeners.h"
#include "daemon/host/nftables.h"
#include "daemon/host/save.h"
#include "daemon/host/tool.h"
#include "daemon/host/tracking.h"
#include "daemon/host/walk.h"
#include "daemon/portsmith-firewall/closing.h"
#include "daemon/portsmith-firewall/enforce.h"
#include "daemon/portsmith-firewall/keeper.h"
#include "daemon/portsmith-firewall/vianftables.h"
#include "daemon/supervisor/pair.h"
#include "privsep/backend.h"
#include "privsep/xtables/probe.h"

enum {
    SERVICES_MAX = 2 * SHUT_SERVICES, /* further services are not looked at */
    PATH_SIZE = 64,
    RULE_SIZE = 300, /* of the text of a rule, which is cut to fit */
};

struct examined {
    struct service service;
    bool is_shut; /* by Shut */
};

struct examination {
    struct findings *found;
    const struct config *config;
    enum backend backend; /* as doctorfirewall_examine has it, and so has `runs` */
    bool runs;
    struct xtables xtables;
    struct enforcer enforcer; /* of portsmith-firewall, once it has been found to shut something */
    struct walk_rules rules[FAMILIES];
    bool is_read[FAMILIES];
    json_t *ruleset; /* of nftables; NULL where it cannot be read */
    struct tracking tracking;
    struct examined services[SERVICES_MAX];
    size_t service_count;
    struct link links[LINKS_MAX]; /* the interfaces that strangers come by */
    size_t link_count;
};

/* What one look is about: a service, in a family, on an interface. */
struct look {
    struct examination *e;
    enum family family;
    const struct examined *examined;
    struct packet packet;
    char service[SERVICE_TEXT_SIZE];
};

static const char *family_name(enum family family)
{
    return family == IPV6 ? "IPv6" : "IPv4";
}

/* Whether grants are elements of a table of Portsmith's own, and iptables' rules are another
 * program's, if there are any. */
static bool is_native(const struct examination *e)
{
    return e->backend == BACKEND_NFTABLES;
}

/* The program that an admin would type, for the back end and family. */
static const char *program_name(const struct look *look)
{
    static const char *const names[][FAMILIES] = {{"iptables-nft", "ip6tables-nft"},
                                                  {"iptables-legacy", "ip6tables-legacy"}};

    return names[look->e->xtables.backend == BACKEND_LEGACY][look->family];
}

/* ---- reading ------------------------------------------------------------ */

static const char *first_line(char *said)
{
    said[strcspn(said, "\n")] = '\0';
    return said;
}

/* Reads the rules by the iptables-save that lies beside this iptables-restore, which may be
 * NULL. */
static bool read_rules(struct walk_rules *rules, const char *restore, struct error *why)
{
    static const char *const none[] = {NULL};
    size_t stem = restore ? strlen(restore) - strlen("restore") : PATH_SIZE;
    char path[PATH_SIZE];
    struct tool tool;

    memset(rules, 0, sizeof *rules);
    if (stem + sizeof "save" > PATH_SIZE)
        return error_set(why, "iptables-save is missing");
    snprintf(path, sizeof path, "%.*ssave", (int)stem, restore);
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

static void find_services(struct examination *e)
{
    const struct config *c = e->config;

    for (unsigned i = 0; i < c->shut_count; i++)
        add_service(e, c->shut[i], true);
    for (size_t i = 0; i < c->profile_count; i++)
        for (unsigned j = 0; j < c->profiles[i].policy->service_count; j++)
            if (!profile_sends_on(&c->profiles[i], &c->profiles[i].policy->services[j]))
                add_service(e, c->profiles[i].policy->services[j], false);
}

/* ---- iptables itself ---------------------------------------------------- */

/* Looks, as a start does, whether this host can do what the configuration asks for. */
static bool can_do(struct examination *e)
{
    const struct pair_options once = {.foreground = true};
    struct error why;
    enum pair_result result = pair_probe(e->config, &once, &why);

    if (result != PAIR_STARTED)
        findings_add(e->found, FINDING_PROBLEM,
                     result == PAIR_FAILED
                         ? "ask again, as that may pass"
                         : "do that: until then portsmithd does not start, and a reload is refused",
                     "%s", why.text);
    return result == PAIR_STARTED;
}

/* Reads the rules of the iptables that this host has, if it has one, as those of another program.
 * What is not there lets everything pass. */
static void read_others(struct examination *e)
{
    struct error unused;
    const bool is_there = probe_choose(&e->xtables, BACKEND_AUTO, &unused);

    for (enum family family = IPV4; family < FAMILIES; family++) {
        e->is_read[family] = e->xtables.in_use[family];
        if (is_there && e->is_read[family])
            save_read(&e->rules[family], e->xtables.backend, family);
    }
}

/* Without `persist` (Linux 6.9) a table cannot be kept from others for longer than its maker
 * lives. */
static void examine_table(struct examination *e)
{
    findings_begin(e->found, "nftables");
    can_do(e);
    if (!e->runs)
        return;
    if (!firewalls_have_table("inet", "portsmith"))
        findings_add(e->found, FINDING_PROBLEM, "restart portsmithd; its log says why",
                     "the table inet portsmith is not there, so nothing is shut");
    else if (!firewalls_own_table("inet", "portsmith"))
        findings_add(e->found, FINDING_NOTE,
                     "Linux 6.9 and later keep others out; until then leave the table out of what "
                     "flushes the ruleset",
                     "other programs can remove Portsmith's table, as this kernel knows no owned "
                     "table that persists: what is shut is open until it is put back");
}

/* Chooses the back end and reads its rules. False when there is none to look at. */
static bool examine_iptables(struct examination *e)
{
    struct error why;
    bool can;

    if (is_native(e)) {
        read_others(e);
        examine_table(e);
        return true;
    }
    findings_begin(e->found, "iptables");
    can = can_do(e);
    if (!probe_choose(&e->xtables, e->backend, &why))
        return false;
    for (enum family family = IPV4; family < FAMILIES; family++) {
        if (!e->xtables.in_use[family])
            continue;
        e->is_read[family] = read_rules(&e->rules[family], e->xtables.paths[family], &why);
        if (!e->is_read[family] && can)
            findings_add(e->found, FINDING_PROBLEM, "see that iptables-save can be run",
                         "the rules cannot be read: %s", why.text);
    }
    return true;
}

static void tell_mixed(struct examination *e, enum family family, const struct walk_rules *others)
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

/* Portsmith's own rules of an earlier start. What is left of them accepts what no grant opens, or
 * drops what one does. */
static void tell_leftover(struct examination *e, enum backend other, enum family family,
                          const struct walk_rules *others)
{
    if (walk_has_chain(others, "mangle", "portsmith"))
        findings_add(e->found, FINDING_PROBLEM,
                     "run portsmithctl release, which removes them, and start portsmithd",
                     "Portsmith's rules of an earlier start are left in %s (%s), while it now uses "
                     "nftables", backend_name(other), family_name(family));
}

static void find_leftover(struct examination *e)
{
    static const enum backend kinds[] = {BACKEND_NFT, BACKEND_LEGACY};
    struct walk_rules rules;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (enum family family = IPV4; family < FAMILIES; family++)
            if (save_read(&rules, kinds[i], family)) {
                tell_leftover(e, kinds[i], family, &rules);
                walk_free(&rules);
            }
}

static void examine_backends(struct examination *e)
{
    enum backend other = e->xtables.backend == BACKEND_NFT ? BACKEND_LEGACY : BACKEND_NFT;
    struct walk_rules rules;
    struct error unused;

    findings_begin(e->found, "backends");
    if (is_native(e)) {
        find_leftover(e);
        return;
    }
    for (enum family family = IPV4; family < FAMILIES; family++) {
        const char *path = probe_program_in_use(other, family);

        if (!path || !read_rules(&rules, path, &unused))
            continue;
        if (walk_has_rules(&rules))
            tell_mixed(e, family, &rules);
        walk_free(&rules);
    }
}

/* Also reads what is not tracked for the checks that follow. */
static void examine_tracking(struct examination *e)
{
    struct error why;

    findings_begin(e->found, "tracking");
    if (!tracking_check(e->config, findings_take_note, e->found, &why))
        findings_add(e->found, FINDING_PROBLEM, "fix that: until then portsmithd does not start",
                     "%s", why.text);
    tracking_read(&e->tracking);
}

static void take_uncertain(void *data, const char *what, const char *advice)
{
    findings_add(data, FINDING_NOTE, advice, "%s, unless a rule of it accepts", what);
}

/* ---- portsmith-firewall ------------------------------------------------- */

/* Finds rules that no file tells of, as where StateDirectory has been changed. */
static void find_unknown_rules(struct examination *e)
{
    static const char advice[] = "run portsmith-firewall remove; then try and confirm again";
    static const char what[] = "portsmith-firewall shuts ports (%s), but what it was told is not "
                               "in %s";

    for (enum family family = IPV4; family < FAMILIES; family++)
        if (e->is_read[family] &&
            walk_has_rule(&e->rules[family], "filter", "INPUT", "-j portsmith-firewall") &&
            walk_has_rule(&e->rules[family], "filter", "portsmith-firewall", "-j DROP"))
            findings_add(e->found, FINDING_PROBLEM, advice, what, family_name(family),
                         e->config->state_directory);
    if (via_nftables_finds_confirmed())
        findings_add(e->found, FINDING_PROBLEM, advice, what, "nftables",
                     e->config->state_directory);
}

/* Finds the families in which rules of the plan are missing. True if one family has them all. */
static bool find_missing_rules(struct examination *e, const struct plan *plan)
{
    struct enforcer *enforcer = &e->enforcer;
    struct error why;
    bool any = false;

    if (!enforce_choose(enforcer, e->config, false, &why)) {
        findings_add(e->found, FINDING_PROBLEM, "or set Backend to the one that is there", "%s",
                     why.text);
        return false;
    }
    for (enum family family = IPV4; family < FAMILIES; family++) {
        if (!enforcer->in_use[family])
            continue;
        if (enforce_looks_intact(enforcer, family, plan))
            any = true;
        else
            findings_add(e->found, FINDING_PROBLEM, "run portsmith-firewall enforce",
                         "what portsmith-firewall shuts is not shut (%s): another program "
                         "removed its rules, or the boot did not put them in force",
                         family_name(family));
    }
    return any;
}

static void tell_closing(struct examination *e, const struct plan *plan)
{
    char open[CLOSING_TEXT_SIZE], all_but[CLOSING_TEXT_SIZE + 10] = "everything";
    char shut[CLOSING_TEXT_SIZE], kind[64] = "confirmed";
    struct ruleset services;

    if (plan->on_trial)
        snprintf(kind, sizeof kind, "on trial for %lld s",
                 (long long)(plan->until - clock_wall_ns() / NSEC_PER_SEC));
    closing_find_open(plan, &services);
    if (services.count > 0)
        snprintf(all_but, sizeof all_but, "all but %s", closing_format(&services, open));
    closing_find_shut(plan, e->config, &services);
    if (services.count > 0 && !e->runs)
        findings_add(e->found, FINDING_PROBLEM,
                     "start portsmithd, or run portsmith-firewall remove",
                     "%s is shut to everybody: portsmith-firewall shuts %s (%s), and portsmithd "
                     "does not run to open it", closing_format(&services, shut), all_but, kind);
    else if (services.count > 0 && !enforce_lets_knocks_in(&e->enforcer))
        findings_add(e->found, FINDING_PROBLEM,
                     "set AcceptMark in portsmith.conf, restart portsmithd, and run "
                     "portsmith-firewall enforce",
                     "no knock opens %s: portsmith-firewall shuts %s (%s) by a table of nftables, "
                     "and lets in only by a packet mark what another table has let through",
                     closing_format(&services, shut), all_but, kind);
    else
        findings_add(e->found, FINDING_NOTE,
                     plan->on_trial ? "see that you still get in, then portsmith-firewall confirm"
                                    : "portsmith-firewall remove ends that",
                     "portsmith-firewall shuts %s (%s), except what knocks open", all_but, kind);
}

static void examine_closing(struct examination *e)
{
    struct plan plan;
    struct error why;

    findings_begin(e->found, "firewall");
    if (!closing_read(&plan, e->config, &why)) {
        findings_add(e->found, FINDING_PROBLEM,
                     "run portsmith-firewall remove; then try and confirm again",
                     "what portsmith-firewall was told cannot be read: %s", why.text);
        return;
    }
    if (!plan.is_confirmed)
        find_unknown_rules(e);
    if ((plan.is_confirmed || plan.on_trial) && find_missing_rules(e, &plan))
        tell_closing(e, &plan);
    if (plan.is_confirmed && keeper_find() == 0)
        findings_add(e->found, FINDING_NOTE, "portsmith-firewall enforce starts the one that does",
                     "what portsmith-firewall shuts stays open once another program removes its "
                     "rules, as no process is there to put them back");
}

/* ---- services ----------------------------------------------------------- */

/* Calls `check` for each family and service, and there for each interface until it has found
 * something. */
static void each_service(struct examination *e, const char *name,
                         bool (*check)(const struct look *look))
{
    struct look look = {.e = e};
    char unused[TRACKING_RULE_SIZE];

    findings_begin(e->found, name);
    for (look.family = IPV4; look.family < FAMILIES; look.family++)
        for (size_t i = 0; e->is_read[look.family] && i < e->service_count; i++) {
            look.examined = &e->services[i];
            service_format(&look.examined->service, look.service);
            look.packet = (struct packet){.service = look.examined->service};
            for (size_t j = 0; j < e->link_count; j++) {
                look.packet.interface = e->links[j].name;
                look.packet.is_untracked =
                    tracking_of(&e->tracking, &look.examined->service, look.packet.interface,
                                look.family, unused) == UNTRACKED;
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

/* Describes the rule or policy that decides, in `text`. */
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

/* The packet as it is behind another program's DNAT, such as Docker's. */
struct sent_on {
    struct packet packet;
    struct address to;
};

/* Whether DNAT gives the packet another destination. on->packet.to is NULL where the rule names
 * no address. */
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

/* Looks for programs that listen. What is sent on goes elsewhere. */
static void examine_services(struct examination *e)
{
    char text[SERVICE_TEXT_SIZE];

    findings_begin(e->found, "services");
    for (size_t i = 0; i < e->service_count; i++) {
        const struct service *service = &e->services[i].service;
        enum listeners listeners = listeners_find(service);

        if (listeners == LISTENERS_REACHABLE || is_sent_on_somewhere(e, &e->services[i]))
            continue;
        service_format(service, text);
        if (listeners == LISTENERS_NONE)
            findings_add(e->found, FINDING_NOTE,
                         "start the service, or see on which port it listens",
                         "nothing listens on %s: a knock opens a port without a service", text);
        else
            findings_add(e->found, FINDING_NOTE,
                         "have it listen on an address that clients can reach",
                         "the service at %s listens only on loopback", text);
    }
}

static void note_chain(void *is_found, const char *family, const char *table, const char *chain)
{
    (void)family, (void)table, (void)chain;
    *(bool *)is_found = true;
}

static bool is_dropped_by_nftables(const struct look *look)
{
    static const struct nftables_chains chains[] = {{"prerouting", true}, {"input", true}};
    bool is_found = false;

    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
        nftables_find_drops(look->e->ruleset, &chains[i], look->family, &look->packet, note_chain,
                            &is_found);
    return is_found;
}

static bool tell_open(const struct look *look, const struct walk_end *past,
                      const struct walk_end *accepted)
{
    struct findings *f = look->e->found;
    char line[RULE_SIZE], advice[FINDING_SIZE];

    if (!look->examined->is_shut)
        snprintf(advice, sizeof advice,
                 "add Shut = %s to portsmith.conf, then portsmithctl reload", look->service);
    else if (!past->by_policy)
        snprintf(advice, sizeof advice, "delete %s, or move it behind the jump to portsmith",
                 format_line(past, line));
    else if (look->e->runs)
        snprintf(advice, sizeof advice, "portsmithd puts a jump that is missing back within "
                                        "seconds; if this stays, its log says why");
    else
        snprintf(advice, sizeof advice, "start portsmithd, which shuts it; with --trial 15m as "
                                        "long as you have not got in by a knock");
    findings_add(f, FINDING_PROBLEM, advice, "%s is open without a knock (%s, %s%s): %s accepts it",
                 look->service, family_name(look->family), look->packet.interface,
                 look->packet.is_elsewhere ? ", at addresses of a VRF or of policy routing" : "",
                 format_line(accepted, line));
    return true;
}

static bool find_open_there(const struct look *look)
{
    struct walk_end raw = through(look, "raw", "PREROUTING", &look->packet);
    struct walk_end past = through(look, "mangle", "PREROUTING", &look->packet);
    struct walk_end input, accepted;
    struct sent_on on;

    if (!raw.accepts || !past.accepts)
        return false;
    if (is_sent_on(look, &on)) {
        accepted = through(look, "filter", "FORWARD", &on.packet);
        return !accepted.drops && tell_open(look, &past, &accepted);
    }
    input = through(look, "mangle", "INPUT", &look->packet);
    accepted = through(look, "filter", "INPUT", &look->packet);
    return input.accepts && accepted.accepts &&
           tell_open(look, past.by_policy ? &input : &past, &accepted);
}

/* With a table of Portsmith's own: what it does not shut is open, unless another chain drops it. */
static bool find_open_past_others(const struct look *look)
{
    if (look->examined->is_shut && look->e->runs)
        return false;
    if (!through(look, "filter", "INPUT", &look->packet).accepts || is_dropped_by_nftables(look))
        return false;
    findings_add(look->e->found, FINDING_PROBLEM, look->examined->is_shut
                     ? "start portsmithd, which shuts it; with --trial 15m as long as you have not "
                       "got in by a knock"
                     : "name it in Shut in portsmith.conf, then portsmithctl reload",
                 "%s is open without a knock (%s, %s): nothing drops it", look->service,
                 family_name(look->family), look->packet.interface);
    return true;
}

/* Finds what is open without a knock, also at addresses that table `local` does not have. What
 * DNAT sends on from such an address only passes through this host. */
static bool find_open(const struct look *look)
{
    struct look elsewhere = *look;
    struct sent_on unused;

    if (is_native(look->e))
        return find_open_past_others(look);
    elsewhere.packet.is_elsewhere = true;
    return find_open_there(look) || (look->examined->is_shut && !is_sent_on(look, &unused) &&
                                     find_open_there(&elsewhere));
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

/* Finds what drops a packet that a knock has opened the way for, before grants are asked. */
static bool find_blocked(const struct look *look)
{
    struct packet granted = look->packet;
    struct walk_end end;
    struct sent_on on;

    if (!look->e->runs || is_native(look->e)) /* drops_find tells it, too */
        return false;
    granted.is_granted = true;
    end = through(look, "raw", "PREROUTING", &granted);
    if (!end.drops)
        end = through(look, "mangle", "PREROUTING", &granted);
    if (!end.drops && !is_sent_on(look, &on))
        end = through(look, "filter", "INPUT", &granted);
    return end.drops && tell_blocked(look, &end);
}

/* Advises to accept packets of established connections at the top of the chain. This is safe for
 * what Shut names, as SYNs without a grant are dropped before. */
static bool tell_not_established(const struct look *look, const struct walk_end *end,
                                 const char *chain)
{
    bool is_in = strcmp(chain, "OUTPUT") != 0;
    char match[100] = "-m conntrack --ctstate RELATED,ESTABLISHED";
    char line[RULE_SIZE], advice[FINDING_SIZE];

    if (look->packet.is_untracked)
        snprintf(match, sizeof match, "-p %s --%s %u%s -m conntrack --ctstate UNTRACKED",
                 service_protocol(&look->packet.service), is_in ? "dport" : "sport",
                 look->packet.service.port, is_in ? " ! --syn" : "");
    snprintf(advice, sizeof advice, "accept them first: %s -I %s %s -j ACCEPT",
             program_name(look), chain, match);
    findings_add(look->e->found, FINDING_PROBLEM, advice,
                 "connections to %s do not live (%s, %s): %s drops packets of established ones",
                 look->service, family_name(look->family), look->packet.interface,
                 format_line(end, line));
    return true;
}

/* Finds what drops packets of established connections, on their way in and out. */
static bool find_not_established(const struct look *look)
{
    struct packet packet = look->packet;
    struct walk_end end;
    struct sent_on on;

    packet.is_established = true;
    packet.is_granted = packet.is_untracked && packet.service.protocol == IPPROTO_UDP;
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

/* Tells of what goes on to a container that Docker's own nftables tables may drop. Docker has
 * these since its version 29: they come besides Portsmith's rules, and drop what Docker has not
 * published. Docker's iptables rules stand behind Portsmith's, and do no harm. */
static bool tell_docker(struct examination *e, const struct service *service,
                        const struct address *to)
{
    const struct look look = {.e = e, .family = address_family(to)};
    char bridge[CONFIG_INTERFACE_NAME_SIZE], address[ADDRESS_TEXT_SIZE], name[SERVICE_TEXT_SIZE];
    char way[FIREWALLS_WAY_SIZE], advice[FINDING_SIZE];

    if (!firewalls_have_table(look.family == IPV4 ? "ip" : "ip6", "docker-bridges") ||
        !links_find_docker(to, bridge))
        return false;
    service_format(service, name);
    if (is_native(e))
        snprintf(advice, sizeof advice, "if it is not published, %s",
                 firewalls_way_into_docker(way, e->config->accept_mark));
    else
        snprintf(advice, sizeof advice,
                 "if it is not published, start dockerd with "
                 "--bridge-accept-fwmark=0x4000000/0x4000000, and mark it: %s -t mangle -A FORWARD "
                 "-m conntrack --ctstate DNAT --ctorigdstport %u -j MARK --set-xmark "
                 "0x4000000/0x4000000", program_name(&look), service->port);
    findings_add(e->found, FINDING_NOTE, advice,
                 "%s goes on to %s behind %s, and Docker's own nftables rules drop what Docker has "
                 "not published", name, address_format(to, address), bridge);
    return true;
}

static bool find_docker(const struct look *look)
{
    struct sent_on on;

    return is_sent_on(look, &on) && on.packet.to &&
           tell_docker(look->e, &look->packet.service, &on.to);
}

/* Whether the profiles' grants of the service lead to destinations of theirs. */
static bool has_destination(const struct config *c, const struct service *service)
{
    for (size_t i = 0; i < c->profile_count; i++)
        for (unsigned j = 0; j < c->profiles[i].policy->destination_count; j++)
            if (service_compare(&c->profiles[i].policy->destinations[j].service, service) == 0)
                return true;
    return false;
}

/* Finds what drops packets that go on to a container. They pass FORWARD and not INPUT, where
 * grants are unless Forward is set. */
static bool find_not_forwarded(const struct look *look)
{
    char line[RULE_SIZE], to[ADDRESS_TEXT_SIZE];
    struct walk_end end;
    struct sent_on on;

    if (!is_sent_on(look, &on) || is_native(look->e)) /* drops_find tells it, too */
        return false;
    on.packet.is_granted = look->e->config->forward ||
                           has_destination(look->e->config, &look->packet.service);
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

static void examine_docker(struct examination *e)
{
    const struct config *c = e->config;

    each_service(e, "docker", find_docker);
    for (size_t i = 0; i < c->profile_count; i++)
        for (unsigned j = 0; j < c->profiles[i].policy->destination_count; j++)
            tell_docker(e, &c->profiles[i].policy->destinations[j].service,
                        &c->profiles[i].policy->destinations[j].address);
}

/* ---- sessions ----------------------------------------------------------- */

/* The helper decided when it started whether rules tell sessions. The kernel may have been set
 * otherwise since. */
static void examine_sessions(struct examination *e)
{
    struct error why;
    bool tells = true, finds = kernel_finds_sockets(&why);

    findings_begin(e->found, "sessions");
    if (!e->runs || !config_shuts_tcp(e->config))
        return;
    for (enum family family = IPV4; family < FAMILIES && !is_native(e); family++)
        tells = tells && (!e->is_read[family] ||
                          walk_has_text(&e->rules[family], "mangle", "portsmith-input", "cgroup"));
    if (tells && !finds && !is_native(e))
        findings_add(e->found, FINDING_PROBLEM, "set it back, or restart portsmithd, which then "
                     "lets all of them go on",
                     "sessions at shut ports can be cut, as their segments can no longer be told "
                     "since portsmithd began: %s", why.text);
    else if (!tells || !finds)
        findings_add(e->found, FINDING_NOTE, "portsmith-trust(7) tells more; when it is fixed, "
                     "restart portsmithd",
                     "a valid SYN cookie opens shut ports of TCP, because a segment of a session "
                     "cannot be told from others: %s",
                     finds ? "iptables' cgroup or policy match did not work" : why.text);
}

/* ---- chains of nftables ------------------------------------------------- */

static void take_chain(void *data, const char *family, const char *table, const char *chain)
{
    const struct look *look = data;
    const struct firewalls_place place = {family, table, chain, "input"};
    char way[FIREWALLS_WAY_SIZE], advice[FINDING_SIZE];

    snprintf(advice, sizeof advice,
             look->examined->is_shut
                 ? "accept it there, which is safe, for Portsmith shuts it before: %s"
                 : "name it in Shut first, then accept it there: %s",
             firewalls_way_in(way, &place, &look->examined->service, 0));
    findings_add(look->e->found, FINDING_PROBLEM, advice,
                 "a knock for %s opens nothing (%s, %s): the nftables chain %s %.60s %.60s drops "
                 "it",
                 look->service, family_name(look->family), look->packet.interface, family, table,
                 chain);
}

static bool find_dropped_by_nftables(const struct look *look)
{
    static const struct nftables_chains input = {"input", false};
    size_t before = look->e->found->count;
    struct look copy = *look;
    struct sent_on on;

    if (!is_sent_on(look, &on))
        nftables_find_drops(look->e->ruleset, &input, look->family, &look->packet, take_chain,
                            &copy);
    return look->e->found->count > before;
}

/* Where nft(8) cannot be asked, only the chains' policies are known. */
static void examine_firewalls(struct examination *e)
{
    struct error unused;

    e->ruleset = nftables_read(&unused);
    if (is_native(e)) {
        findings_begin(e->found, "firewalls");
        firewalls_find(e->config, e->ruleset ? findings_take_problem : take_uncertain, e->found);
    } else if (e->ruleset) {
        each_service(e, "firewalls", find_dropped_by_nftables);
        firewalls_find_forwarding(e->config, findings_take_problem, e->found);
    } else {
        findings_begin(e->found, "firewalls");
        firewalls_find(e->config, take_uncertain, e->found);
    }
}

/* ---- the whole ---------------------------------------------------------- */

void doctorfirewall_examine(struct findings *f, const struct config *config,
                            enum backend backend, bool runs)
{
    static struct examination e;

    e = (struct examination){
        .found = f, .config = config, .backend = backend, .runs = runs};
    find_services(&e);
    e.link_count = links_of_strangers(e.links, config);
    if (!examine_iptables(&e))
        return;
    examine_backends(&e);
    examine_closing(&e);
    examine_tracking(&e);
    examine_firewalls(&e);
    examine_services(&e);
    each_service(&e, "ports", find_open);
    examine_sessions(&e);
    each_service(&e, "grants", find_blocked);
    each_service(&e, "established", find_not_established);
    each_service(&e, "forwarding", find_not_forwarded);
    examine_docker(&e);
    for (enum family family = IPV4; family < FAMILIES; family++)
        walk_free(&e.rules[family]);
    tracking_free(&e.tracking);
    json_decref(e.ruleset);
}
