#include "neighbours.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct search {
    const struct config *config;
    neighbours_report *report;
    void *data;
};

static const char *family_name(uint8_t family)
{
    return family == NFPROTO_INET ? "inet" : family == NFPROTO_IPV6 ? "ip6" : "ip";
}

static int collect(const struct nlattr *attribute, void *data)
{
    const struct nlattr **found = data;
    int type = mnl_attr_get_type(attribute);

    if (type <= NFTA_CHAIN_MAX)
        found[type] = attribute;
    return MNL_CB_OK;
}

static bool is_at_input(const struct nlattr *hook)
{
    const struct nlattr *found[NFTA_CHAIN_MAX + 1] = {0};

    return hook && mnl_attr_parse_nested(hook, collect, found) >= 0 && found[NFTA_HOOK_HOOKNUM] &&
           ntohl(mnl_attr_get_u32(found[NFTA_HOOK_HOOKNUM])) == NF_INET_LOCAL_IN;
}

static bool drops_by_default(const struct nlattr *policy)
{
    return policy && ntohl(mnl_attr_get_u32(policy)) == NF_DROP;
}

/* The chain that iptables-nft calls INPUT: ours jumps from it, at the top. */
static bool is_iptables_input(uint8_t family, const char *table, const char *chain)
{
    return family != NFPROTO_INET && strcmp(table, "filter") == 0 && strcmp(chain, "INPUT") == 0;
}

static void advise(const struct search *search, uint8_t family, const char *table,
                   const char *chain)
{
    const struct config *config = search->config;
    char what[160], advice[320], service[SERVICE_TEXT_SIZE] = "tcp/22";
    const struct service *first = &config->close[0];

    if (is_iptables_input(family, table, chain)) {
        if (config->backend != BACKEND_LEGACY)
            return;
        search->report(search->data,
                       "iptables-nft's INPUT drops by default, and a grant made with "
                       "iptables-legacy opens nothing there", "set Backend = nft");
        return;
    }
    if (config->close_count > 0)
        service_format(first, service);
    snprintf(what, sizeof what,
             "the nftables chain %s %.40s %.40s drops by default, and a grant opens nothing there",
             family_name(family), table, chain);
    snprintf(advice, sizeof advice,
             "for each service that Close names it is safe to accept it in that chain, as in "
             "nft insert rule %s %.40s %.40s %.3s dport %s accept",
             family_name(family), table, chain, service, service + 4);
    search->report(search->data, what, advice);
}

static int take_chain(const struct nlmsghdr *message, void *data)
{
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *found[NFTA_CHAIN_MAX + 1] = {0};
    const struct search *search = data;

    if (mnl_attr_parse(message, sizeof *header, collect, found) < 0)
        return MNL_CB_OK;
    if (found[NFTA_CHAIN_TABLE] && found[NFTA_CHAIN_NAME] && is_at_input(found[NFTA_CHAIN_HOOK]) &&
        drops_by_default(found[NFTA_CHAIN_POLICY]) &&
        (header->nfgen_family == NFPROTO_INET || header->nfgen_family == NFPROTO_IPV4 ||
         header->nfgen_family == NFPROTO_IPV6))
        advise(search, header->nfgen_family, mnl_attr_get_str(found[NFTA_CHAIN_TABLE]),
               mnl_attr_get_str(found[NFTA_CHAIN_NAME]));
    return MNL_CB_OK;
}

static bool ask_for_chains(struct mnl_socket *socket, unsigned sequence)
{
    char buffer[64]; /* two headers of 16 and 4 bytes */
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *header;

    message->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message->nlmsg_seq = sequence;
    header = mnl_nlmsg_put_extra_header(message, sizeof *header);
    header->nfgen_family = NFPROTO_UNSPEC;
    header->version = NFNETLINK_V0;
    return mnl_socket_sendto(socket, message, message->nlmsg_len) >= 0;
}

static bool is_off(const char *path)
{
    FILE *file = fopen(path, "re");
    int first = file ? fgetc(file) : EOF;

    if (file)
        fclose(file);
    return first == '0';
}

static bool sends_on(const struct config *config, bool ipv4)
{
    for (size_t i = 0; i < config->profile_count; i++)
        for (unsigned j = 0; j < config->profiles[i].destination_count; j++)
            if (address_is_ipv4(&config->profiles[i].destinations[j].address) == ipv4)
                return true;
    return false;
}

/* What a profile sends on, or Forward lets through, arrives only where the kernel forwards. */
void neighbours_find_forwarding(const struct config *config, neighbours_report *report,
                                void *data)
{
    if ((config->forward || sends_on(config, true)) && is_off("/proc/sys/net/ipv4/ip_forward"))
        report(data, "this host forwards no IPv4, and what a knock opens to other hosts does not "
                     "reach them", "set net.ipv4.ip_forward = 1 with sysctl");
    if (sends_on(config, false) && is_off("/proc/sys/net/ipv6/conf/all/forwarding"))
        report(data, "this host forwards no IPv6, and what a knock opens to other hosts does not "
                     "reach them", "set net.ipv6.conf.all.forwarding = 1 with sysctl");
}

void neighbours_find(const struct config *config, neighbours_report *report, void *data)
{
    struct search search = {.config = config, .report = report, .data = data};
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    unsigned sequence = (unsigned)time(NULL);
    char answer[16384];
    ssize_t n;

    neighbours_find_forwarding(config, report, data);
    if (!socket)
        return;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 && ask_for_chains(socket, sequence))
        while ((n = mnl_socket_recvfrom(socket, answer, sizeof answer)) > 0)
            if (mnl_cb_run(answer, (size_t)n, sequence, mnl_socket_get_portid(socket), take_chain,
                           &search) <= MNL_CB_STOP)
                break;
    mnl_socket_close(socket);
}
