/* Above each rule stands what nft(8) prints for it. */
#include "daemon/portsmith-firewall/closedtable.h"

#include <endian.h>
#include <netinet/in.h>
#include <stdio.h>

#include "common/clock.h"
#include "privsep/nftables/expression.h"
#include "privsep/nftables/tablewriter.h"

/* Behind the filter chains of others (0; firewalld's 10; security's 50), which so count, log and
 * answer what they refuse as they would without this one. */
enum { BEHIND_OTHERS = 200 };

#define TABLE CLOSED_TABLE
#define INPUT CLOSED_TABLE_INPUT
#define CONFIRMED CLOSED_TABLE_CONFIRMED
#define CLOSED CLOSED_TABLE_CLOSED
#define ICMP4 "icmp4"
#define ICMP6 "icmp6"

#define RULE(w, chain, ...) \
    expression_write_rule(w, TABLE, chain, \
                          (const struct expression[]){__VA_ARGS__, EXPRESSION_END})

#define PROTOCOL(number) META(NFT_META_L4PROTO), IS_U8(number)
#define VERSION(number) META(NFT_META_NFPROTO), IS_U8(number)
/* Of fe80::/10, which is the source (8) or the destination (24) of an IPv6 packet. */
#define LINK_LOCAL(from) \
    PAYLOAD_AT(NFT_PAYLOAD_NETWORK_HEADER, from, 16, 0), MASK_ADDRESS(0xff, 0xc0), \
        IS_ADDRESS(0xfe, 0x80)

enum { OF_FLAGS = 13, ACK = 0x10, SYN_ACK_RST = 0x16 };
#define ACK_ALONE \
    TCP, PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, OF_FLAGS, 1, 0), MASK_U8(SYN_ACK_RST), IS_U8(ACK)

/* Each set's number in the batch. */
enum { OF_ICMP4 = 1, OF_ICMP6, OF_TRIAL, OF_CONFIRMED };

const char *closed_table_trial(char name[static CLOSED_TABLE_TRIAL_SIZE], int64_t until)
{
    snprintf(name, CLOSED_TABLE_TRIAL_SIZE, "trial-%lld", (long long)until);
    return name;
}

static void write_types(struct netwriter *w, const char *set, uint32_t id, uint32_t type,
                        const uint8_t *types, size_t count)
{
    tablewriter_constants(w, TABLE,
                          &(struct tablewriter_set){.name = set, .flags = NFT_SET_CONSTANT,
                                                    .key_type = type, .key_size = 1,
                                                    .room = (uint32_t)count, .id = id},
                          types);
}

/* Of ICMP, what hosts cannot do without: the types that ruleset.c names. */
static void write_icmp(struct netwriter *w)
{
    static const uint8_t of4[] = {3, 8, 11, 12};
    static const uint8_t of6[] = {1,   2,   3,   4,   128, 129, 130, 131, 132, 133, 134, 135,
                                  136, 141, 142, 143, 148, 149, 151, 152, 153};

    write_types(w, ICMP4, OF_ICMP4, TYPE_ICMP, of4, sizeof of4);
    write_types(w, ICMP6, OF_ICMP6, TYPE_ICMP6, of6, sizeof of6);
}

/* Packets that hosts cannot do without; see ruleset.c. */
static void write_needed(struct netwriter *w, const char *chain)
{
    /* iif "lo" accept */
    RULE(w, chain, META(NFT_META_IIF), IS(1), ACCEPT);
    /* ct state established,related accept */
    RULE(w, chain, STATE_AMONG(ESTABLISHED | RELATED), ACCEPT);
    /* icmp type @icmp4 accept */
    RULE(w, chain, VERSION(NFPROTO_IPV4), PROTOCOL(IPPROTO_ICMP),
         PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, 0), IN_SET(ICMP4), ACCEPT);
    /* meta nfproto ipv4 udp sport 67 udp dport 68 accept */
    RULE(w, chain, VERSION(NFPROTO_IPV4), PROTOCOL(IPPROTO_UDP),
         PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, 0), IS_PORT(67),
         PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 0), IS_PORT(68), ACCEPT);
    /* icmpv6 type @icmp6 accept */
    RULE(w, chain, VERSION(NFPROTO_IPV6), PROTOCOL(IPPROTO_ICMPV6),
         PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, 0), IN_SET(ICMP6), ACCEPT);
    /* ip6 saddr fe80::/10 ip6 daddr fe80::/10 udp dport 546 accept */
    RULE(w, chain, VERSION(NFPROTO_IPV6), LINK_LOCAL(8), LINK_LOCAL(24), PROTOCOL(IPPROTO_UDP),
         PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 0), IS_PORT(546), ACCEPT);
}

/* Segments of sessions that connection tracking does not know; see ruleset.c. The cgroup is that of
 * a socket, and cannot be loaded where there is none: the kernel looks for it before the hook
 * (tcp_v4_early_demux). */
static void write_sessions(struct netwriter *w, const char *chain, bool tells_sessions)
{
    if (!tells_sessions) {
        /* tcp flags ack / syn,rst,ack ct state new accept */
        RULE(w, chain, ACK_ALONE, STATE_AMONG(NEW), ACCEPT);
        return;
    }
    /* meta l4proto tcp meta cgroup >= 0 accept */
    RULE(w, chain, TCP, META(NFT_META_CGROUP), IS_AT_LEAST(0), ACCEPT);
    /* tcp flags ack / syn,rst,ack meta ipsec exists accept */
    RULE(w, chain, ACK_ALONE, META(NFT_META_SECPATH), IS_U8(1), ACCEPT);
}

/* Writes a chain that lets through what is needed and allowed, and drops the rest. The set of what
 * is allowed has the chain's name. */
static void write_chain(struct netwriter *w, const char *chain, uint32_t set,
                        const struct ruleset *rules, const struct closed_table_means *means)
{
    const uint32_t mark = means->accept_mark;

    if (rules->count > 0)
        tablewriter_services(w, TABLE, chain, set, rules->allow, rules->count);
    tablewriter_chain(w, TABLE, chain);
    write_needed(w, chain);
    write_sessions(w, chain, means->tells_sessions);
    /* What accepts in portsmithd's table does so there alone. */
    /* meta mark & 0x00000100 == 0x00000100 accept */
    if (mark != 0)
        RULE(w, chain, META(NFT_META_MARK), MASK(mark), IS(mark), ACCEPT);
    /* meta l4proto . th dport @confirmed accept */
    if (rules->count > 0)
        RULE(w, chain, SERVICE_AT(0), IN_SET(chain), ACCEPT);
    /* goto closed */
    RULE(w, chain, GOTO(CLOSED));
}

void closed_table_write(struct netwriter *w, const struct plan *plan,
                        const struct closed_table_means *means)
{
    const uint64_t end = (uint64_t)plan->until * NSEC_PER_SEC;
    char trial[CLOSED_TABLE_TRIAL_SIZE];

    if (!plan->on_trial && !plan->is_confirmed) {
        tablewriter_remove(w, TABLE);
        return;
    }
    tablewriter_replace(w, TABLE, 0);
    write_icmp(w);
    tablewriter_chain(w, TABLE, CLOSED);
    /* drop */
    RULE(w, CLOSED, DROP);
    tablewriter_base_chain(w, TABLE, INPUT, "filter", NF_INET_LOCAL_IN, BEHIND_OTHERS);
    if (plan->on_trial) {
        closed_table_trial(trial, plan->until);
        write_chain(w, trial, OF_TRIAL, &plan->trial, means);
        /* meta time < "2026-11-30 12:00:00" jump trial-1796040000 */
        RULE(w, INPUT, META(NFT_META_TIME_NS), NETWORK_ORDER_U64, IS_BELOW_U64(htobe64(end)),
             JUMP(trial));
    }
    if (plan->is_confirmed) {
        write_chain(w, CONFIRMED, OF_CONFIRMED, &plan->confirmed, means);
        /* jump confirmed */
        RULE(w, INPUT, JUMP(CONFIRMED));
    }
}
