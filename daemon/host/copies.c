#include "daemon/host/copies.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "daemon/host/links.h"
#include "daemon/host/nftables.h"
#include "daemon/host/save.h"
#include "privsep/backend.h"

#define NAME "knock-copies" /* of the table or chain, which is no part of Portsmith's own rules */
#define SEND NAME "-send"

enum { WHAT_SIZE = 400, LINE_SIZE = 300 };

static const char *family_name(enum family family)
{
    return family == IPV6 ? "IPv6" : "IPv4";
}

/* The name of nftables' own tables of the family. */
static const char *table_family(enum family family)
{
    return family == IPV6 ? "ip6" : "ip";
}

bool copies_are_of(const struct config *config, enum family family)
{
    for (unsigned i = 0; i < config->shared_count; i++)
        if (address_family(&config->shared[i]) == family)
            return true;
    return false;
}

/* ---- finding the peers ------------------------------------------------------ */

/* A look for a peer over a family, and what it came upon. */
struct look {
    const struct config *config;
    const char *name;
    enum family family;
    const char *unresolved; /* why the name has no address; NULL: it has some */
    bool leads_here;        /* one is this host's */
    struct address beyond;  /* one that is on no link of this host; zeros: there is none */
    struct neighbour at;
    enum neighbour_state state; /* of that: known or silent; else nothing was found */
};

/* Looks at one address of the peer. True if it is the one to take. */
static bool try(struct look *look, const struct address *address)
{
    struct neighbour at;
    enum neighbour_state state;

    if (config_shares(look->config, address) || !address_is_grantable(address))
        return false;
    state = neighbour_find(&at, address);
    look->leads_here |= state == NEIGHBOUR_SELF;
    if (state == NEIGHBOUR_BEYOND)
        look->beyond = *address;
    if (state == NEIGHBOUR_KNOWN ||
        (state == NEIGHBOUR_SILENT && look->state != NEIGHBOUR_SILENT)) {
        look->at = at;
        look->state = state;
    }
    return state == NEIGHBOUR_KNOWN;
}

static void look_up(struct look *look)
{
    const struct addrinfo hints = {.ai_family = look->family == IPV6 ? AF_INET6 : AF_INET,
                                   .ai_socktype = SOCK_DGRAM};
    struct addrinfo *all = NULL;
    int result = getaddrinfo(look->name, NULL, &hints, &all);
    struct address address;

    look->state = NEIGHBOUR_BEYOND;
    look->unresolved = result != 0 ? gai_strerror(result) : NULL;
    for (const struct addrinfo *one = all; one; one = one->ai_next)
        if (address_from_sockaddr(&address, one->ai_addr) && try(look, &address))
            break;
    if (all)
        freeaddrinfo(all);
}

static void tell_silent(const struct look *look, warning_taker *report, void *data)
{
    char what[WHAT_SIZE], text[ADDRESS_TEXT_SIZE];

    snprintf(what, sizeof what, "the peer %.200s does not answer at %s on %s, so its MAC address "
                                "is not known", look->name,
             address_format(&look->at.address, text), look->at.interface);
    report(data, what, "bring it up; if it is, look at the link, and at what its firewall does to "
                       "ARP or ICMPv6");
}

static void tell_missing(const struct look *look, warning_taker *report, void *data)
{
    char what[WHAT_SIZE], text[ADDRESS_TEXT_SIZE];

    if (address_is_foreign(&look->beyond)) {
        snprintf(what, sizeof what, "the peer %.200s is on no link of this host by %s, and the "
                                    "kernel copies to neighbours alone", look->name,
                 address_format(&look->beyond, text));
        report(data, what, "give it an address on a link of this host, and name that in Peers; or "
                           "remove SharedAddress, and have clients knock at each member");
    } else if (look->leads_here) {
        snprintf(what, sizeof what, "the peer %.200s is this host itself, as its name leads here "
                                    "over %s", look->name, family_name(look->family));
        report(data, what, "have /etc/hosts or DNS give the address of the other host");
    } else {
        snprintf(what, sizeof what, "the peer %.200s has no %s address to which knocks could be "
                                    "copied%s%.100s", look->name, family_name(look->family),
                 look->unresolved ? ": " : "", look->unresolved ? look->unresolved : "");
        report(data, what, "name it in Peers by a host name that has one, by DNS or in /etc/hosts");
    }
}

static bool find_peer(struct copies *copies, const char *name, enum family family,
                      warning_taker *report, void *data)
{
    struct look look = {.config = copies->config, .name = name, .family = family};

    look_up(&look);
    if (look.state == NEIGHBOUR_SILENT)
        tell_silent(&look, report, data);
    else if (look.state != NEIGHBOUR_KNOWN)
        tell_missing(&look, report, data);
    if (look.state != NEIGHBOUR_KNOWN && look.state != NEIGHBOUR_SILENT)
        return false;
    copies->peers[copies->peer_count++] =
        (struct copies_peer){name, look.at, look.state == NEIGHBOUR_SILENT};
    return true;
}

bool copies_find(struct copies *copies, const struct config *config, enum backend backend,
                 warning_taker *report, void *data)
{
    bool found = true;

    *copies = (struct copies){.config = config, .backend = backend};
    for (enum family family = IPV4; family < FAMILIES; family++)
        for (unsigned i = 0; copies_are_of(config, family) && i < config->peer_count; i++)
            found &= find_peer(copies, config->peers[i], family, report, data);
    return found;
}

/* ---- rules ------------------------------------------------------------------ */

/* What a transport's packets are like, in iptables' words and in nft's; the port follows. */
struct shape {
    const char *iptables[FAMILIES], *nft[FAMILIES];
    unsigned header_min, header_max; /* bytes, of what is between the IP header and the knock */
    bool has_port;
};

/* A segment's flags are not looked at: nothing listens at a knock port. The longest headers of TCP
 * and of IPv4 have 60 bytes (RFC 9293, 3.1; RFC 791, 3.1). */
static const struct shape shapes[TRANSPORTS] = {
    [TRANSPORT_UDP] = {{"-p udp -m udp --dport", "-p udp -m udp --dport"},
                       {"udp dport", "udp dport"}, 8, 8, true},
    [TRANSPORT_TCP_SYN] = {{"-p tcp -m tcp --dport", "-p tcp -m tcp --dport"},
                           {"tcp dport", "tcp dport"}, 20, 60, true},
    [TRANSPORT_ICMP] = {{"-p icmp -m icmp --icmp-type 8",
                         "-p ipv6-icmp -m icmp6 --icmpv6-type 128"},
                        {"icmp type echo-request", "icmpv6 type echo-request"}, 8, 8, false},
};

static bool is_nftables(const struct copies *copies)
{
    return copies->backend == BACKEND_NFTABLES;
}

/* Prints the rule that finds knocks of this shape at one address and port. Both programs mean the
 * length of the whole IP packet. */
static void print_finding(const struct copies *copies, const struct shape *shape,
                          const struct address *shared, uint16_t port, FILE *out)
{
    const enum family family = address_family(shared);
    const unsigned min = (family == IPV6 ? 40 : 20) + shape->header_min + DATAGRAM_MIN;
    const unsigned max = (family == IPV6 ? 40 : 60) + shape->header_max + DATAGRAM_MAX;
    char to[ADDRESS_TEXT_SIZE], at[sizeof " 65535"] = "";

    address_format(shared, to);
    if (shape->has_port)
        snprintf(at, sizeof at, " %u", port);
    if (is_nftables(copies))
        fprintf(out, "\t\t%s daddr %s %s%s meta length %u-%u jump send\n",
                table_family(family), to, shape->nft[family], at, min, max);
    else
        fprintf(out, "-A " NAME " -d %s/%d %s%s -m length --length %u:%u -j " SEND "\n", to,
                family == IPV6 ? 128 : 32, shape->iptables[family], at, min, max);
}

static void print_findings(const struct copies *copies, enum family family, FILE *out)
{
    const struct config *c = copies->config;

    for (unsigned i = 0; i < c->shared_count; i++)
        for (unsigned j = 0; j < TRANSPORTS; j++) {
            const unsigned ports = shapes[j].has_port ? c->port_count : 1;

            if (address_family(&c->shared[i]) == family && (c->transports & 1u << j))
                for (unsigned k = 0; k < ports; k++)
                    print_finding(copies, &shapes[j], &c->shared[i], c->ports[k], out);
        }
}

/* Prints a rule for each peer: at first those that drop what it has sent, then those that send it
 * a copy. In the text of a MAC address that is not known, a '?' stands for each digit. */
static void print_sendings(const struct copies *copies, enum family family, FILE *out)
{
    const bool nft = is_nftables(copies);
    char mac[NEIGHBOUR_MAC_TEXT_SIZE], to[ADDRESS_TEXT_SIZE];

    for (size_t i = 0; i < copies->peer_count; i++)
        if (address_family(&copies->peers[i].at.address) == family)
            fprintf(out, nft ? "\t\tether saddr %s drop\n"
                             : "-A " SEND " -m mac --mac-source %s -j DROP\n",
                    copies->peers[i].is_silent ? "??:??:??:??:??:??"
                                               : neighbour_format_mac(&copies->peers[i].at, mac));
    for (size_t i = 0; i < copies->peer_count; i++)
        if (address_family(&copies->peers[i].at.address) == family)
            fprintf(out, nft ? "\t\tlimit rate %d/second burst %d packets dup to %s\n"
                             : "-A " SEND " -m limit --limit %d/sec --limit-burst %d "
                               "-j TEE --gateway %s\n",
                    COPIES_A_SECOND, COPIES_A_SECOND,
                    address_format(&copies->peers[i].at.address, to));
}

/* Prints the rules of a family just as iptables-save(8) or nft(8) would, once they are in force. */
static void print_rules(const struct copies *copies, enum family family, FILE *out)
{
    if (is_nftables(copies))
        fprintf(out, "table %s " NAME " {\n\tchain prerouting {\n"
                     "\t\ttype filter hook prerouting priority raw; policy accept;\n",
                table_family(family));
    print_findings(copies, family, out);
    if (is_nftables(copies))
        fputs("\t}\n\n\tchain send {\n", out);
    print_sendings(copies, family, out);
    if (is_nftables(copies))
        fputs("\t}\n}\n", out);
}

/* ---- printing --------------------------------------------------------------- */

/* Twice the table, as nft deletes only what is there. */
static void print_for_nftables(const struct copies *copies, enum family family, FILE *out)
{
    const char *of = table_family(family);

    fprintf(out, "nft -f - <<'END'\ntable %s " NAME "\ndelete table %s " NAME "\n", of, of);
    print_rules(copies, family, out);
    fputs("END\n", out);
}

/* A chain that is named anew is emptied. */
static void print_for_iptables(const struct copies *copies, enum family family, FILE *out)
{
    char program[LINE_SIZE];

    snprintf(program, sizeof program, "ip%stables-%s", family == IPV6 ? "6" : "",
             copies->backend == BACKEND_LEGACY ? "legacy" : "nft");
    fprintf(out, "%s-restore -w 5 --noflush <<'END'\n*raw\n:" NAME " - [0:0]\n:" SEND " - [0:0]\n",
            program);
    print_rules(copies, family, out);
    fprintf(out, "COMMIT\nEND\n%s -w 5 -t raw -C PREROUTING -j " NAME " 2>/dev/null ||\n"
                 "    %s -w 5 -t raw -I PREROUTING -j " NAME "\n", program, program);
}

void copies_print(const struct copies *copies, FILE *out)
{
    fprintf(out, "# For %s, of the group %s: copies knocks to %u peer%s.\nset -e\n",
            copies->config->member, copies->config->group, copies->config->peer_count,
            copies->config->peer_count == 1 ? "" : "s");
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (copies_are_of(copies->config, family))
            (is_nftables(copies) ? print_for_nftables : print_for_iptables)(copies, family, out);
}

/* ---- checking --------------------------------------------------------------- */

/* The next rule in the text, without what it is indented by; NULL: there is none. Lines that tell
 * of other rules, or of none, are left out. */
static const char *next_rule(char **text, const char *about)
{
    char *line;

    while ((line = strsep(text, "\n"))) {
        line += strspn(line, " \t");
        if (*line != '\0' && *line != ':' && *line != '#' && strstr(line, about))
            return line;
    }
    return NULL;
}

/* Whether they are alike, as far as the needed one is known. */
static bool is_alike(const char *needed, const char *found)
{
    size_t i = 0;

    while (needed[i] != '\0' && (needed[i] == found[i] || (needed[i] == '?' && found[i] != '\0')))
        i++;
    return needed[i] == '\0' && found[i] == '\0';
}

/* Compares the rules that are needed with those that were found; both texts are taken apart. */
static void compare(enum family family, char *needed, char *found, const char *about,
                    warning_taker *report, void *data)
{
    static const char put_in_force[] = "portsmithctl group rules >FILE && sh FILE; and have that "
                                       "FILE run at each boot";
    char what[WHAT_SIZE + LINE_SIZE];
    const char *need = next_rule(&needed, about), *got = next_rule(&found, about);
    int size;

    if (!got) {
        snprintf(what, sizeof what, "the rules that copy knocks over %s to the peers are not in "
                                    "force: a knock at a shared address opens at one member alone",
                 family_name(family));
        report(data, what, put_in_force);
        return;
    }
    while (need && got && is_alike(need, got)) {
        need = next_rule(&needed, about);
        got = next_rule(&found, about);
    }
    if (!need && !got)
        return;
    size = snprintf(what, sizeof what, "the rules that copy knocks over %s are not those that are "
                                       "needed: ", family_name(family));
    if (need && got)
        snprintf(what + size, sizeof what - (size_t)size,
                 "where '%.190s' belongs, there is '%.190s'", need, got);
    else
        snprintf(what + size, sizeof what - (size_t)size, "'%.190s' is %s", need ? need : got,
                 need ? "missing" : "too much");
    report(data, what, put_in_force);
}

/* What is in force; the caller frees it. NULL: nothing of it is. */
static char *read_rules(const struct copies *copies, enum family family)
{
    const char *const arguments[] = {"list", "table", table_family(family), NAME, NULL};
    struct error unused;
    struct tool tool;

    if (!(is_nftables(copies) ? nftables_run(&tool, arguments, &unused)
                              : save_run(&tool, copies->backend, family, "raw")))
        return NULL;
    if (tool.status == 0)
        return tool.said;
    free(tool.said);
    return NULL;
}

static void check_family(const struct copies *copies, enum family family, warning_taker *report,
                         void *data)
{
    char *needed = NULL, *found = read_rules(copies, family), nothing[] = "";
    size_t size;
    FILE *out = open_memstream(&needed, &size);

    if (out) {
        if (!is_nftables(copies))
            fputs("-A PREROUTING -j " NAME "\n", out);
        print_rules(copies, family, out);
        fclose(out);
        compare(family, needed, found ? found : nothing, is_nftables(copies) ? "" : NAME, report,
                data);
    }
    free(needed);
    free(found);
}

/* Whether an earlier entry is the same peer, over the other family, by the same interface. */
static bool is_double(const struct copies *copies, const struct copies_peer *peer)
{
    for (const struct copies_peer *one = copies->peers; one < peer; one++)
        if (one->name == peer->name && strcmp(one->at.interface, peer->at.interface) == 0)
            return true;
    return false;
}

/* Copies come by the interface that leads to the peer, if both hosts are set up alike. */
static void check_interface(const struct copies *copies, const struct copies_peer *peer,
                            warning_taker *report, void *data)
{
    char what[WHAT_SIZE];
    struct link link = {.is_up = true};

    strcpy(link.name, peer->at.interface);
    if (links_is_watched(&link, copies->config) || is_double(copies, peer))
        return;
    snprintf(what, sizeof what, "what the peer %.200s copies comes in by %s, which Interface does "
                                "not name: it is not seen", peer->name, link.name);
    report(data, what, "add it to Interface in portsmith.conf, or set Interface = any; then "
                       "portsmithctl reload");
}

void copies_check(const struct copies *copies, warning_taker *report, void *data)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (copies_are_of(copies->config, family))
            check_family(copies, family, report, data);
    for (size_t i = 0; i < copies->peer_count; i++)
        check_interface(copies, &copies->peers[i], report, data);
}
