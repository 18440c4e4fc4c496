#include "daemon/host/firewalls.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/linux/kernel.h"
#include "daemon/host/attribute.h"
#include "daemon/host/drops.h"
#include "privsep/backend.h"
#include "privsep/netlink.h"
#include "privsep/nftables/asking.h"

enum { CHAINS_MAX = 16 };

/* Chains that drop. */
struct chains {
    unsigned count;
    struct chain {
        uint8_t family;
        char table[NFT_TABLE_MAXNAMELEN], name[NFT_CHAIN_MAXNAMELEN];
    } items[CHAINS_MAX];
};

static const char *family_name(uint8_t family)
{
    return family == NFPROTO_INET ? "inet" : family == NFPROTO_IPV6 ? "ip6" : "ip";
}

/* What follows the header of nfnetlink in an answer. */
static struct span attributes_of(struct span answer)
{
    const size_t header = sizeof(struct nfgenmsg);

    return answer.size >= header ? (struct span){answer.bytes + header, answer.size - header}
                                 : (struct span){NULL, 0};
}

/* Whether the attribute is a number of 32 bits, which nftables sends in network order, and that
 * one. */
static bool is_number(struct span attributes, unsigned type, uint32_t wanted)
{
    uint32_t number;

    return netlink_read(attributes, type, &number, sizeof number) && ntohl(number) == wanted;
}

/* ---- a way in ----------------------------------------------------------- */

struct table {
    bool is_there, is_owned;
};

static void note_table(void *into, struct span answer)
{
    struct table *table = into;

    table->is_there = true;
    table->is_owned = netlink_find(attributes_of(answer), NFTA_TABLE_OWNER).bytes != NULL;
}

static struct table find_table(const char *family, const char *name)
{
    const uint8_t number = strcmp(family, "inet") == 0  ? NFPROTO_INET
                           : strcmp(family, "ip6") == 0 ? NFPROTO_IPV6
                                                        : NFPROTO_IPV4;
    int fd = netlink_open(NETLINK_NETFILTER);
    struct table table = {0};

    if (strlen(name) < NFT_TABLE_MAXNAMELEN)
        asking(&fd, NFT_MSG_GETTABLE, number, name, NULL, note_table, &table);
    if (fd >= 0)
        close(fd);
    return table;
}

bool firewalls_have_table(const char *family, const char *table)
{
    return find_table(family, table).is_there;
}

bool firewalls_own_table(const char *family, const char *table)
{
    return find_table(family, table).is_owned;
}

const char *firewalls_way_into_firewalld(char way[static FIREWALLS_WAY_SIZE],
                                         const struct service *service)
{
    snprintf(way, FIREWALLS_WAY_SIZE,
             "firewall-cmd --add-port=%u/%s, and the same with --permanent to keep it; with "
             "--zone=ZONE where the interface is not in the default zone",
             service->port, service_protocol(service));
    return way;
}

const char *firewalls_way_into_docker(char way[static FIREWALLS_WAY_SIZE], uint32_t mark)
{
    if (mark != 0)
        snprintf(way, FIREWALLS_WAY_SIZE, "start dockerd with --bridge-accept-fwmark=0x%x/0x%x",
                 mark, mark);
    else
        snprintf(way, FIREWALLS_WAY_SIZE, "set AcceptMark = 0x4000000, and start dockerd with "
                                          "--bridge-accept-fwmark=0x4000000/0x4000000");
    return way;
}

static bool is_forward(const struct firewalls_place *place)
{
    return strcmp(place->hook, "forward") == 0;
}

/* firewalld owns its table from firewalld 2.2 on. Before, its next reload removes the rules that
 * others put there. Its own command works in both cases; what it forwards needs a policy. */
const char *firewalls_way_in(char way[static FIREWALLS_WAY_SIZE],
                             const struct firewalls_place *place, const struct service *service,
                             uint32_t mark)
{
    if (strcmp(place->table, "firewalld") == 0 && is_forward(place))
        snprintf(way, FIREWALLS_WAY_SIZE, "with a policy of firewalld's that has "
                                          "--add-port=%u/%s, as firewalld.policies(5) shows",
                 service->port, service_protocol(service));
    else if (strcmp(place->table, "firewalld") == 0)
        firewalls_way_into_firewalld(way, service);
    else if (strcmp(place->table, "docker-bridges") == 0)
        firewalls_way_into_docker(way, mark);
    else if (find_table(place->family, place->table).is_owned)
        snprintf(way, FIREWALLS_WAY_SIZE,
                 "with the program that owns the table: only it can change the table; nft list "
                 "table %s %.40s names it", place->family, place->table);
    else if (mark != 0)
        snprintf(way, FIREWALLS_WAY_SIZE,
                 "nft insert rule %s %.60s %.60s meta mark and 0x%x == 0x%x accept", place->family,
                 place->table, place->chain, mark, mark);
    else
        snprintf(way, FIREWALLS_WAY_SIZE, "nft insert rule %s %.60s %.60s %s dport %u accept",
                 place->family, place->table, place->chain, service_protocol(service),
                 service->port);
    return way;
}

/* ---- chains that drop --------------------------------------------------- */

/* The chain INPUT of iptables-nft jumps to Portsmith's chain at its top, unless Portsmith uses
 * iptables-legacy: only then does a drop there matter. */
static void report_chain(const struct chain *chain, const struct config *config,
                         warning_taker *report, void *data)
{
    const char *family = family_name(chain->family);
    const struct firewalls_place place = {family, chain->table, chain->name, "input"};
    static const struct service ssh = {IPPROTO_TCP, 22};
    char what[160], way[FIREWALLS_WAY_SIZE], advice[FIREWALLS_WAY_SIZE + 100];

    if (!drops_matter(config) && chain->family != NFPROTO_INET &&
        strcmp(chain->table, "filter") == 0 && strcmp(chain->name, "INPUT") == 0) {
        if (config->backend == BACKEND_LEGACY)
            report(data, "iptables-nft's INPUT drops by default, and a grant made with "
                         "iptables-legacy opens nothing there", "set Backend = iptables-nft");
        return;
    }
    snprintf(what, sizeof what,
             "the nftables chain %s %.40s %.40s drops by default, and a grant opens nothing there",
             family, chain->table, chain->name);
    snprintf(advice, sizeof advice,
             "for each service that Shut names it is safe to accept it in that chain: %s",
             firewalls_way_in(way, &place, config->shut_count > 0 ? &config->shut[0] : &ssh,
                              config->accept_mark));
    report(data, what, advice);
}

/* Keeps it: what is said of it may take another question, and the answer to this one ends with
 * that. */
static void take_chain(void *into, struct span answer)
{
    const struct span found = attributes_of(answer), hook = netlink_find(found, NFTA_CHAIN_HOOK);
    const char *table = attribute_text(found, NFTA_CHAIN_TABLE);
    const char *name = attribute_text(found, NFTA_CHAIN_NAME);
    struct chains *chains = into;
    struct chain *chain = &chains->items[chains->count];
    struct nfgenmsg header;

    if (chains->count == CHAINS_MAX || !table || !name || strlen(table) >= sizeof chain->table ||
        strlen(name) >= sizeof chain->name ||
        !is_number(hook, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_IN) ||
        !is_number(found, NFTA_CHAIN_POLICY, NF_DROP))
        return;
    memcpy(&header, answer.bytes, sizeof header);
    if (header.nfgen_family != NFPROTO_INET && header.nfgen_family != NFPROTO_IPV4 &&
        header.nfgen_family != NFPROTO_IPV6)
        return;
    chain->family = header.nfgen_family;
    strcpy(chain->table, table);
    strcpy(chain->name, name);
    chains->count++;
}

/* Where nftables cannot be asked there are none. */
static void find_chains(struct chains *chains)
{
    const struct nfgenmsg about = {.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0};
    int fd = netlink_open(NETLINK_NETFILTER);
    union question q;

    netlink_begin(&q, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, NLM_F_DUMP);
    netlink_put(&q, &about, sizeof about);
    netlink_ask(&fd, &q, take_chain, chains);
    if (fd >= 0)
        close(fd);
}

/* ---- forwarding, sessions ----------------------------------------------- */

static bool sends_on(const struct config *config, enum family family)
{
    for (size_t i = 0; i < config->profile_count; i++)
        for (unsigned j = 0; j < config->profiles[i].policy->destination_count; j++)
            if (address_family(&config->profiles[i].policy->destinations[j].address) == family)
                return true;
    return false;
}

/* What a profile sends on, or Forward lets through, arrives only where the kernel forwards. */
void firewalls_find_forwarding(const struct config *config, warning_taker *report, void *data)
{
    if ((config->forward || sends_on(config, IPV4)) &&
        kernel_switch_is_off("/proc/sys/net/ipv4/ip_forward"))
        report(data, "this host forwards no IPv4, and what a knock opens to other hosts does not "
                     "reach them", "set net.ipv4.ip_forward = 1 with sysctl");
    if (sends_on(config, IPV6) && kernel_switch_is_off("/proc/sys/net/ipv6/conf/all/forwarding"))
        report(data, "this host forwards no IPv6, and what a knock opens to other hosts does not "
                     "reach them", "set net.ipv6.conf.all.forwarding = 1 with sysctl");
}

void firewalls_find_strays(const struct config *config, warning_taker *report, void *data)
{
    char what[200];
    struct error why;

    if (!config_shuts_tcp(config) || kernel_finds_sockets(&why))
        return;
    snprintf(what, sizeof what,
             "a valid SYN cookie opens shut ports of TCP, because a segment of a session "
             "cannot be told from others (%.60s)", why.text);
    report(data, what, "portsmith-trust(7) tells more");
}

void firewalls_find(const struct config *config, warning_taker *report, void *data)
{
    struct chains chains = {.count = 0};

    firewalls_find_forwarding(config, report, data);
    if (drops_matter(config) && drops_find(config, report, data))
        return;
    find_chains(&chains);
    for (unsigned i = 0; i < chains.count; i++)
        report_chain(&chains.items[i], config, report, data);
}
