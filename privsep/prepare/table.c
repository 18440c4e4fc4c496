/* Above each rule stands what nft(8) prints for it. */
#include "privsep/prepare/table.h"

#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "common/clock.h"
#include "privsep/nftables/batch.h"
#include "privsep/nftables/expression.h"
#include "privsep/nftables/table.h"
#include "privsep/nftables/tablewriter.h"
#include "privsep/prepare/rules.h"

/* Behind connection tracking (-200), which puts fragments together and knows states; before mangle
 * (-150). */
enum { BEFORE_MANGLE = -160, MANGLE = -150 };
/* Before the chains of others that change destinations (-100). */
enum { BEFORE_DNAT = -101 };

#define SHUT "shut"
#define HERE "here"

/* ---- vocabulary ---------------------------------------------------------- */

/* What is under way. */
struct making {
    struct netwriter *w;
    const struct helper_setup *setup;
    const struct table_form *form;
    uint64_t trial_end; /* nanoseconds since the epoch; 0: none */
};

#define RULE(m, chain, ...) \
    expression_write_rule((m)->w, TABLE_NAME, chain, \
                          (const struct expression[]){__VA_ARGS__, EXPRESSION_END})

/* meta l4proto . th dport @shut */
#define TO_SHUT_PORT SERVICE_AT(0), IN_SET(SHUT)

/* ip saddr . meta l4proto . th dport; ip6 saddr . … */
#define OF_CLIENT4 \
    META(NFT_META_NFPROTO), IS_U8(NFPROTO_IPV4), PAYLOAD_AT(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, 0), \
        SERVICE_AT(1)
#define OF_CLIENT6 \
    META(NFT_META_NFPROTO), IS_U8(NFPROTO_IPV6), PAYLOAD_AT(NFT_PAYLOAD_NETWORK_HEADER, 8, 16, 0), \
        SERVICE_AT(4)

/* fib daddr type; fib daddr . iif type */
#define DESTINATION FIB_TYPE(NFTA_FIB_F_DADDR)
#define DESTINATION_BY_INTERFACE FIB_TYPE(NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF)

/* A segment of a session has one of these flags set; one without them may begin a session. */
enum { OF_FLAGS = 13, ACK = 0x10, ACK_OR_RST = 0x14 };
#define NOT_TCP META(NFT_META_L4PROTO), IS_NOT_U8(IPPROTO_TCP)
#define FLAGS \
    TCP, PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, OF_FLAGS, 1, 0), MASK_U8(ACK_OR_RST)

/* ---- sets, chains -------------------------------------------------------- */

/* Elements that have ended take room until the kernel collects them, which is once a second. The
 * limit is there for nft(8), which reads no elements with one into a set without. */
static void write_sets_of_grants(const struct making *m)
{
    static const struct expression budget[] = {LIMIT_WEEKLY(3), COUNTER, EXPRESSION_END};
    static const struct {
        uint32_t key_type, key_size, data_type, data_size;
    } of[FAMILIES] = {{TYPE_OF_THREE(TYPE_ADDRESS4, TYPE_PROTOCOL, TYPE_PORT), 12,
                       TYPE_OF_TWO(TYPE_ADDRESS4, TYPE_PORT), 8},
                      {TYPE_OF_THREE(TYPE_ADDRESS6, TYPE_PROTOCOL, TYPE_PORT), 24,
                       TYPE_OF_TWO(TYPE_ADDRESS6, TYPE_PORT), 20}};
    const bool in_use[TABLE_SETS] = {[TABLE_GRANTS] = true, [TABLE_COUNTED] = m->form->counts,
                                     [TABLE_SENDING] = m->setup->sends_on};

    for (enum table_set set = 0; set < TABLE_SETS; set++)
        for (enum family family = IPV4; family < FAMILIES && in_use[set]; family++) {
            const bool is_map = set == TABLE_SENDING;

            tablewriter_set(m->w, TABLE_NAME, &(struct tablewriter_set){
                .name = table_sets[set][family],
                .flags = NFT_SET_TIMEOUT | (is_map ? NFT_SET_MAP : 0) |
                         (set == TABLE_COUNTED ? NFT_SET_EXPR : 0),
                .key_type = of[family].key_type, .key_size = of[family].key_size,
                .data_type = is_map ? of[family].data_type : 0,
                .data_size = of[family].data_size,
                .room = 2 * m->setup->max_grants,
                .id = (unsigned)FAMILIES * set + family + 1,
                .each = set == TABLE_COUNTED ? budget : NULL});
        }
}

static void write_constants(const struct making *m)
{
    /* To this host itself, or to everybody: what is only passing through is not ours to shut. */
    static const uint32_t here[] = {RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST};
    const uint32_t first = (unsigned)FAMILIES * TABLE_SETS + 1;

    tablewriter_services(m->w, TABLE_NAME, SHUT, first, m->setup->shut, m->setup->shut_count);
    tablewriter_constants(m->w, TABLE_NAME,
                          &(struct tablewriter_set){
                              .name = HERE, .flags = NFT_SET_CONSTANT, .key_type = TYPE_OF_ADDRESS,
                              .key_size = sizeof *here, .room = sizeof here / sizeof *here,
                              .id = first + 1},
                          here);
}

/* A chain that the kernel calls; the others are tablewriter_chain's. */
static void write_base_chain(const struct making *m, const char *name, const char *type,
                             unsigned hook, int priority)
{
    tablewriter_base_chain(m->w, TABLE_NAME, name, type, hook, priority);
}

static void write_chains(const struct making *m)
{
    write_base_chain(m, "prerouting", "filter", NF_INET_PRE_ROUTING, BEFORE_MANGLE);
    tablewriter_chain(m->w, TABLE_NAME, "arriving");
    tablewriter_chain(m->w, TABLE_NAME, "door");
    write_base_chain(m, "input", "filter", NF_INET_LOCAL_IN, MANGLE);
    tablewriter_chain(m->w, TABLE_NAME, "delivered");
    if (m->form->tells_sessions)
        tablewriter_chain(m->w, TABLE_NAME, "stray");
    write_base_chain(m, "forward", "filter", NF_INET_FORWARD, MANGLE);
    if (m->setup->accept_mark) {
        tablewriter_chain(m->w, TABLE_NAME, "open");
        tablewriter_chain(m->w, TABLE_NAME, "granted");
    }
    if (m->setup->sends_on)
        write_base_chain(m, "sending", "nat", NF_INET_PRE_ROUTING, BEFORE_DNAT);
}

/* ---- rules --------------------------------------------------------------- */

/* The kernel ends a trial even where nobody is left who could. */
static void write_trial_end(const struct making *m, const char *chain)
{
    /* meta time >= "2026-11-30 12:00:00" accept */
    if (m->trial_end)
        RULE(m, chain, META(NFT_META_TIME_NS), NETWORK_ORDER_U64,
             IS_AT_LEAST_U64(htobe64(m->trial_end)), ACCEPT);
}

/* Loopback is never shut; but what only pretends to come over it is. */
static void write_loopback(const struct making *m, const char *chain)
{
    /* iif "lo" fib saddr type local accept */
    RULE(m, chain, META(NFT_META_IIF), IS(1), FIB_TYPE(NFTA_FIB_F_SADDR), IS(RTN_LOCAL), ACCEPT);
}

/* SYNPROXY wants the SYNs that are not tracked. */
static uint32_t new_states(const struct making *m)
{
    return m->setup->has_synproxy ? NEW : NEW | UNTRACKED;
}

/* Most packets come to a port that is not shut: that is asked first. */
static void write_prerouting(const struct making *m)
{
    write_trial_end(m, "prerouting");
    /* meta l4proto . th dport @shut jump arriving */
    RULE(m, "prerouting", TO_SHUT_PORT, JUMP("arriving"));
    /* ct state new,untracked jump open */
    if (m->setup->accept_mark)
        RULE(m, "prerouting", STATE_AMONG(new_states(m)), JUMP("open"));
}

/* What comes by a device of a VRF comes a second time, from that (vrf_l3_rcv). It would be counted
 * twice. What a process in the VRF sends to its own host comes from there alone. */
static void write_second_pass(const struct making *m, const char *chain)
{
    /* meta iifkind "vrf" accept */
    RULE(m, chain, META(NFT_META_IIFKIND), IS_TEXT("vrf"), ACCEPT);
}

/* Goes on only with what may begin something. TCP is shut without state: a segment of a live
 * session has ACK or RST set. That a rule looks at connections matters: only with one that does,
 * whether it is reached or not, the kernel puts fragments together before prerouting. Otherwise a
 * SYN in two fragments would pass the rules that shut its port. */
static void write_beginnings(const struct making *m, const char *chain)
{
    /* tcp flags rst,ack return */
    RULE(m, chain, FLAGS, IS_NOT_U8(0), RETURN);
    /* meta l4proto != tcp ct state established return */
    RULE(m, chain, NOT_TCP, STATE_AMONG(ESTABLISHED), RETURN);
}

static void write_arriving(const struct making *m)
{
    write_beginnings(m, "arriving");
    write_second_pass(m, "arriving");
    write_loopback(m, "arriving");
    /* fib daddr type @here goto door */
    RULE(m, "arriving", DESTINATION, IN_SET(HERE), GOTO("door"));
    /* By the table of the interface's VRF. */
    /* fib daddr . iif type local goto door */
    RULE(m, "arriving", DESTINATION_BY_INTERFACE, IS(RTN_LOCAL), GOTO("door"));
}

/* Grants accept. That of a counted one spends its tokens with the lookup: nothing may be asked
 * behind it. */
static void write_grants(const struct making *m, const char *chain)
{
    const struct expression verdict =
        m->setup->accept_mark ? (struct expression)GOTO("granted") : (struct expression)ACCEPT;
    const enum table_set last = m->form->counts ? TABLE_COUNTED : TABLE_GRANTS;

    for (enum table_set set = TABLE_GRANTS; set <= last; set++) {
        /* ip saddr . meta l4proto . th dport @grants4 accept */
        RULE(m, chain, OF_CLIENT4, IN_SET(table_sets[set][IPV4]), verdict);
        /* ip6 saddr . meta l4proto . th dport @grants6 accept */
        RULE(m, chain, OF_CLIENT6, IN_SET(table_sets[set][IPV6]), verdict);
    }
}

static void write_door(const struct making *m)
{
    write_grants(m, "door");
    if (!m->setup->shut_with_reset) {
        /* drop */
        RULE(m, "door", DROP);
        return;
    }
    /* meta l4proto tcp reject with tcp reset */
    RULE(m, "door", TCP, REJECT_WITH_RESET);
    /* reject */
    RULE(m, "door", REJECT);
}

/* An ACK that belongs to no session, to the port that was knocked for, where DNAT led to another.
 * Such a connection is known to the kernel for as long as it lives: there would be no way back. */
static void write_translated(const struct making *m, const char *chain, const char *next)
{
    /* tcp flags ack / rst,ack ct state new ct status dnat
     * meta l4proto . ct original proto-dst @shut goto NEXT */
    RULE(m, chain, FLAGS, IS_U8(ACK), STATE_AMONG(NEW), CT(NFT_CT_STATUS), MASK(IPS_DST_NAT),
         IS_NOT(0), META(NFT_META_L4PROTO), CT_ORIGINAL_AT(NFT_CT_PROTO_DST, 1), IN_SET(SHUT),
         GOTO(next));
}

static void write_input(const struct making *m)
{
    write_trial_end(m, "input");
    /* meta l4proto . th dport @shut jump delivered */
    RULE(m, "input", TO_SHUT_PORT, JUMP("delivered"));
    if (m->form->tells_sessions)
        write_translated(m, "input", "stray");
}

/* What is delivered to this host although prerouting could not tell: it is local by another table
 * than `local`, that of a VRF or one that a routing rule leads to; or it came in fragments, which
 * the kernel leaves alone where it is told not to track them before it would put them together
 * (NF_IP_PRI_CONNTRACK_DEFRAG, priority -400). */
static void write_delivered(const struct making *m)
{
    /* tcp flags ack / rst,ack ct state != established goto stray */
    if (m->form->tells_sessions)
        RULE(m, "delivered", FLAGS, IS_U8(ACK), CT(NFT_CT_STATE), IS_NOT(ESTABLISHED),
             GOTO("stray"));
    write_beginnings(m, "delivered");
    write_loopback(m, "delivered");
    /* ct state untracked goto door */
    RULE(m, "delivered", STATE_AMONG(UNTRACKED), GOTO("door"));
    /* fib daddr type != @here goto door */
    RULE(m, "delivered", DESTINATION, NOT_IN_SET(HERE), GOTO("door"));
}

/* An ACK that belongs to no session opens one where the listener takes it for the answer to a SYN
 * cookie. The connection of one that does need not be known to the kernel: it may be older than its
 * first look at connections, or have slept for longer than it remembers.
 *
 * The first rule matches what has an established socket here, and no listener: the kernel looks for
 * that one before the hook input (tcp_v4_early_demux), and without one the number cannot be loaded.
 * What came by IPsec's transport mode is not looked up (xfrm4_transport_finish). */
static void write_stray(const struct making *m)
{
    /* meta cgroup >= 0 accept */
    RULE(m, "stray", META(NFT_META_CGROUP), IS_AT_LEAST(0), ACCEPT);
    /* meta ipsec exists accept */
    RULE(m, "stray", META(NFT_META_SECPATH), IS_U8(1), ACCEPT);
    write_loopback(m, "stray");
    /* goto door */
    RULE(m, "stray", GOTO("door"));
}

static void write_forward(const struct making *m)
{
    write_trial_end(m, "forward");
    write_translated(m, "forward", "door");
}

/* What the ports that are not shut here are knocked for: another table drops what comes to them,
 * but for the mark. What passes through this host is opened with Forward alone. */
static void write_open(const struct making *m)
{
    write_second_pass(m, "open");
    write_loopback(m, "open");
    /* fib daddr type != @here fib daddr . iif type != local return */
    if (!m->setup->forward)
        RULE(m, "open", DESTINATION, NOT_IN_SET(HERE), DESTINATION_BY_INTERFACE, IS_NOT(RTN_LOCAL),
             RETURN);
    write_grants(m, "open");
}

/* What is not tracked (NOTRACK) has no state that tells what begins a connection: of TCP the flags
 * do. The rest of such a connection is for the host's own rules, as that of a tracked one is. */
static void write_granted(const struct making *m)
{
    /* tcp flags rst,ack ct state untracked accept */
    RULE(m, "granted", FLAGS, IS_NOT_U8(0), STATE_AMONG(UNTRACKED), ACCEPT);
    /* ct state new,untracked meta mark set meta mark | 0x00000100 */
    RULE(m, "granted", STATE_AMONG(new_states(m)), META(NFT_META_MARK),
         MASK_AND_SET(~m->setup->accept_mark, m->setup->accept_mark), SET_META(NFT_META_MARK));
    /* accept */
    RULE(m, "granted", ACCEPT);
}

/* No other host's traffic that only comes by is sent astray. */
static void write_sending(const struct making *m)
{
    const char *const *maps = table_sets[TABLE_SENDING];

    /* fib daddr type local dnat ip to ip saddr . meta l4proto . th dport map @sending4 */
    RULE(m, "sending", DESTINATION, IS(RTN_LOCAL), OF_CLIENT4, MAPPED_BY(maps[IPV4]),
         DNAT(NFPROTO_IPV4, 1));
    /* fib daddr . iif type local dnat ip to ip saddr . meta l4proto . th dport map @sending4 */
    RULE(m, "sending", DESTINATION_BY_INTERFACE, IS(RTN_LOCAL), OF_CLIENT4, MAPPED_BY(maps[IPV4]),
         DNAT(NFPROTO_IPV4, 1));
    /* fib daddr type local dnat ip6 to ip6 saddr . meta l4proto . th dport map @sending6 */
    RULE(m, "sending", DESTINATION, IS(RTN_LOCAL), OF_CLIENT6, MAPPED_BY(maps[IPV6]),
         DNAT(NFPROTO_IPV6, 4));
    /* fib daddr . iif type local dnat ip6 to ip6 saddr . meta l4proto . th dport map @sending6 */
    RULE(m, "sending", DESTINATION_BY_INTERFACE, IS(RTN_LOCAL), OF_CLIENT6, MAPPED_BY(maps[IPV6]),
         DNAT(NFPROTO_IPV6, 4));
}

void table_write_over(struct netwriter *w, const struct helper_setup *setup)
{
    tablewriter_table(w, TABLE_NAME, TABLE_OWNED);
    tablewriter_remove_rules(w, TABLE_NAME);
    for (enum table_set set = 0; set < TABLE_SETS; set++)
        for (enum family family = IPV4; family < FAMILIES; family++)
            tablewriter_destroy_set(w, TABLE_NAME, table_sets[set][family]);
    tablewriter_destroy_set(w, TABLE_NAME, SHUT);
    tablewriter_destroy_set(w, TABLE_NAME, HERE);
    tablewriter_destroy_chain(w, TABLE_NAME, "stray");
    tablewriter_destroy_chain(w, TABLE_NAME, "open");
    tablewriter_destroy_chain(w, TABLE_NAME, "granted");
    if (!setup->sends_on)
        tablewriter_destroy_chain(w, TABLE_NAME, "sending");
}

size_t table_write(struct netwriter *w, const struct helper_setup *setup,
                   const struct table_form *form)
{
    const struct making m = {w, setup, form,
                             (uint64_t)rules_trial_second(setup) * NSEC_PER_SEC};
    const size_t before = w->size;
    size_t head;

    tablewriter_replace(w, TABLE_NAME, form->is_owned ? TABLE_OWNED : 0);
    head = w->size - before;
    write_sets_of_grants(&m);
    write_constants(&m);
    write_chains(&m);
    write_prerouting(&m);
    write_arriving(&m);
    write_door(&m);
    write_input(&m);
    write_delivered(&m);
    if (form->tells_sessions)
        write_stray(&m);
    write_forward(&m);
    if (setup->accept_mark) {
        write_open(&m);
        write_granted(&m);
    }
    if (setup->sends_on)
        write_sending(&m);
    return head;
}

/* What cannot be flushed, as the table has no such chain, is not ours. */
bool table_release(int fd, struct error *why)
{
    static struct netwriter w;
    int error;

    batch_begin(&w);
    batch_message(&w, NFT_MSG_DELRULE, 0);
    netwriter_text(&w, NFTA_RULE_TABLE, TABLE_NAME);
    netwriter_text(&w, NFTA_RULE_CHAIN, "door");
    netwriter_end(&w);
    batch_message(&w, NFT_MSG_DELTABLE, 0);
    netwriter_text(&w, NFTA_TABLE_NAME, TABLE_NAME);
    netwriter_end(&w);
    error = batch_send(&w, fd);
    return error == 0 || error == ENOENT || error == EOPNOTSUPP || error == ENOTSOCK ||
           error_set(why, "the nftables table inet " TABLE_NAME ": %s",
                     error == EPERM ? "another process owns it" : strerror(error));
}
