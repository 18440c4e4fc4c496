#include "daemon/host/firewalls.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/kernel.h"
#include "daemon/host/drops.h"
#include "privsep/backend.h"

enum { NAME_SIZE = NFT_TABLE_MAXNAMELEN };

struct search {
    const struct config *config;
    warning_taker *report;
    void *data;
};

static const char *family_name(uint8_t family)
{
    return family == NFPROTO_INET ? "inet" : family == NFPROTO_IPV6 ? "ip6" : "ip";
}

static bool is_text(const struct nlattr *attribute)
{
    return attribute && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0;
}

/* Whether the attribute is a number of 32 bits, which nftables sends in network order, and that
 * one. */
static bool is_number(const struct nlattr *attribute, uint32_t wanted)
{
    return attribute && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0 &&
           ntohl(mnl_attr_get_u32(attribute)) == wanted;
}

/* Notes an attribute by its type. The types of tables and hooks end before those of chains. */
static int collect(const struct nlattr *attribute, void *data)
{
    const struct nlattr **found = data;
    int type = mnl_attr_get_type(attribute);

    if (type <= NFTA_CHAIN_MAX)
        found[type] = attribute;
    return MNL_CB_OK;
}

/* ---- asking ------------------------------------------------------------- */

/* Asks nftables, about one table unless that is NULL, and calls `take`, handing on `data`, for
 * each message of the answer. Where nftables cannot be asked there is no answer. */
static void ask(uint16_t type, uint16_t flags, uint8_t family, const char *table, mnl_cb_t take,
                void *data)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    char question[64 + NAME_SIZE]; /* two headers of 16 and 4 bytes before the name */
    struct nlmsghdr *message = mnl_nlmsg_put_header(question);
    unsigned sequence = (unsigned)time(NULL);
    struct nfgenmsg *header;
    char answer[16384];
    ssize_t n;

    if (!socket)
        return;
    message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = sequence;
    header = mnl_nlmsg_put_extra_header(message, sizeof *header);
    header->nfgen_family = family;
    header->version = NFNETLINK_V0;
    if (table)
        mnl_attr_put_strz(message, NFTA_TABLE_NAME, table);
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
        mnl_socket_sendto(socket, message, message->nlmsg_len) >= 0)
        while ((n = mnl_socket_recvfrom(socket, answer, sizeof answer)) > 0)
            if (mnl_cb_run(answer, (size_t)n, sequence, mnl_socket_get_portid(socket), take,
                           data) <= MNL_CB_STOP)
                break;
    mnl_socket_close(socket);
}

/* ---- a way in ----------------------------------------------------------- */

struct table {
    bool is_there, is_owned;
};

static int note_table(const struct nlmsghdr *message, void *data)
{
    const struct nlattr *found[NFTA_CHAIN_MAX + 1] = {0};
    struct table *table = data;

    table->is_there = mnl_attr_parse(message, sizeof(struct nfgenmsg), collect, found) >= 0;
    table->is_owned = found[NFTA_TABLE_OWNER] != NULL;
    return MNL_CB_OK;
}


static struct table find_table(const char *family, const char *name)
{
    uint8_t number = strcmp(family, "inet") == 0  ? NFPROTO_INET
                     : strcmp(family, "ip6") == 0 ? NFPROTO_IPV6
                                                  : NFPROTO_IPV4;
    struct table table = {0};

    if (strlen(name) < NAME_SIZE)
        ask(NFT_MSG_GETTABLE, NLM_F_ACK, number, name, note_table, &table);
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

static bool is_at_input(const struct nlattr *hook)
{
    const struct nlattr *found[NFTA_CHAIN_MAX + 1] = {0};

    return hook && mnl_attr_parse_nested(hook, collect, found) >= 0 &&
           is_number(found[NFTA_HOOK_HOOKNUM], NF_INET_LOCAL_IN);
}

/* The chain INPUT of iptables-nft jumps to Portsmith's chain at its top, unless Portsmith uses
 * iptables-legacy: only then does a drop there matter. */
static void report_chain(const struct search *search, uint8_t family, const char *table,
                         const char *chain)
{
    const struct config *config = search->config;
    const struct firewalls_place place = {family_name(family), table, chain, "input"};
    static const struct service ssh = {IPPROTO_TCP, 22};
    char what[160], way[FIREWALLS_WAY_SIZE], advice[FIREWALLS_WAY_SIZE + 100];

    if (!drops_matter(config) && family != NFPROTO_INET && strcmp(table, "filter") == 0 &&
        strcmp(chain, "INPUT") == 0) {
        if (config->backend != BACKEND_LEGACY)
            return;
        search->report(search->data,
                       "iptables-nft's INPUT drops by default, and a grant made with "
                       "iptables-legacy opens nothing there", "set Backend = iptables-nft");
        return;
    }
    snprintf(what, sizeof what,
             "the nftables chain %s %.40s %.40s drops by default, and a grant opens nothing there",
             family_name(family), table, chain);
    snprintf(advice, sizeof advice,
             "for each service that Shut names it is safe to accept it in that chain: %s",
             firewalls_way_in(way, &place, config->shut_count > 0 ? &config->shut[0] : &ssh,
                              config->accept_mark));
    search->report(search->data, what, advice);
}

static int take_chain(const struct nlmsghdr *message, void *data)
{
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *found[NFTA_CHAIN_MAX + 1] = {0};
    const struct search *search = data;

    if (mnl_attr_parse(message, sizeof *header, collect, found) < 0)
        return MNL_CB_OK;
    if (is_text(found[NFTA_CHAIN_TABLE]) && is_text(found[NFTA_CHAIN_NAME]) &&
        is_at_input(found[NFTA_CHAIN_HOOK]) && is_number(found[NFTA_CHAIN_POLICY], NF_DROP) &&
        (header->nfgen_family == NFPROTO_INET || header->nfgen_family == NFPROTO_IPV4 ||
         header->nfgen_family == NFPROTO_IPV6))
        report_chain(search, header->nfgen_family, mnl_attr_get_str(found[NFTA_CHAIN_TABLE]),
                     mnl_attr_get_str(found[NFTA_CHAIN_NAME]));
    return MNL_CB_OK;
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
    struct search search = {.config = config, .report = report, .data = data};

    firewalls_find_forwarding(config, report, data);
    if (drops_matter(config) && drops_find(config, report, data))
        return;
    ask(NFT_MSG_GETCHAIN, NLM_F_DUMP, NFPROTO_UNSPEC, NULL, take_chain, &search);
}
