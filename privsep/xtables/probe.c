/* Finds the programs of iptables on this host, and tries what they and the kernel can. */
#include "privsep/xtables/probe.h"

#include <errno.h>
#include <limits.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/linux/kernel.h"
#include "privsep/backend.h"
#include "privsep/netlink.h"
#include "privsep/xtables/ipset.h"
#include "privsep/xtables/ipsetorder.h"
#include "privsep/xtables/restore.h"
#include "privsep/xtables/text.h"

#define LIMIT \
    "-m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 3 --hashlimit-mode srcip " \
    "--hashlimit-htable-size 8 --hashlimit-name psprobe"

/* The restore programs, in order of preference. Plain names come last: what such a program is, is
 * told by what the link points to (BACKEND_AUTO). */
static const struct {
    enum backend backend;
    const char *paths[FAMILIES];
} programs[] = {
    {BACKEND_NFT, {"/usr/sbin/iptables-nft-restore", "/usr/sbin/ip6tables-nft-restore"}},
    {BACKEND_NFT, {"/sbin/iptables-nft-restore", "/sbin/ip6tables-nft-restore"}},
    {BACKEND_LEGACY, {"/usr/sbin/iptables-legacy-restore", "/usr/sbin/ip6tables-legacy-restore"}},
    {BACKEND_LEGACY, {"/sbin/iptables-legacy-restore", "/sbin/ip6tables-legacy-restore"}},
    {BACKEND_AUTO, {"/usr/sbin/iptables-restore", "/usr/sbin/ip6tables-restore"}},
    {BACKEND_AUTO, {"/sbin/iptables-restore", "/sbin/ip6tables-restore"}},
};

enum { PROGRAMS = sizeof programs / sizeof *programs, REMEDY_SIZE = 300, SAID_SIZE = 130,
       LINKS_MAX = 40 /* as the kernel has it */ };

/* Everything that rules.c and firewall.c write, by table, with the name by which an admin
 * knows it, and the kernel's module for it. */
static const struct feature {
    const char *name, *module, *table, *rule;
    int families;    /* bit 0 IPv4, bit 1 IPv6 */
    unsigned wishes; /* 0: always in use */
} features[] = {
    {"addrtype match", "xt_addrtype", "mangle",
     "-m addrtype --dst-type LOCAL,BROADCAST,MULTICAST -j RETURN", 1, 0},
    {"addrtype match", "xt_addrtype", "mangle", "-m addrtype --dst-type LOCAL,ANYCAST -j RETURN", 2,
     0},
    {"addrtype match", "xt_addrtype", "mangle", "-i lo -m addrtype --src-type LOCAL -j RETURN", 3,
     0},
    {"addrtype match", "xt_addrtype", "mangle",
     "-m addrtype ! --dst-type LOCAL -m addrtype --dst-type LOCAL --limit-iface-in -j RETURN", 3,
     0},
    {"tcp match", "xt_tcpudp", "mangle",
     "-p tcp -m tcp --dport 1 --tcp-flags ACK,RST NONE -j DROP", 3, 0},
    {"MARK target", "xt_mark", "mangle", "-p udp -m udp --dport 1 -j MARK --set-xmark 0x1/0x1", 3,
     0},
    {"mark match", "xt_mark", "filter", "-p udp -m mark --mark 0x1/0x1 -j DROP", 3, 0},
    {"REJECT target", "ipt_REJECT", "filter",
     "-p tcp -m tcp --dport 1 -j REJECT --reject-with tcp-reset", 1, 0},
    {"REJECT target", "ip6t_REJECT", "filter",
     "-p tcp -m tcp --dport 1 -j REJECT --reject-with tcp-reset", 2, 0},
    {"conntrack match", "xt_conntrack", "mangle",
     "-m conntrack --ctstate DNAT --ctorigdstport 1 -j DROP", 3, 0},
    {"conntrack match", "xt_conntrack", "filter", "-m conntrack --ctstate NEW,UNTRACKED -j ACCEPT",
     3, 0},
    {"comment match", "xt_comment", "filter", "-m comment --comment x -j RETURN", 3, 0},
    {"time match", "xt_time", "mangle", "-m time --datestart 2030-01-01T00:00:00 -j RETURN", 3,
     PROBE_TRIAL},
    {"time match", "xt_time", "filter", "-m time --datestop 2030-01-01T00:00:00 -j ACCEPT", 3,
     PROBE_DEADLINES},
    {"set match", "xt_set", "mangle", "-m set --match-set " PROBE_SCRATCH " src,dst -j RETURN", 3,
     PROBE_SETS},
    {"set match", "xt_set", "filter", "-m set --match-set " PROBE_SCRATCH " src,dst -j ACCEPT", 3,
     PROBE_SETS},
    {"hashlimit match", "xt_hashlimit", "mangle", "-p tcp " LIMIT " -j RETURN", 3, PROBE_LIMITS},
    {"hashlimit match", "xt_hashlimit", "filter", "-p tcp " LIMIT " -j RETURN", 3, PROBE_LIMITS},
    {"hashlimit match", "xt_hashlimit", "nat", "-p tcp " LIMIT " -j RETURN", 3,
     PROBE_LIMITS | PROBE_SENDS_ON},
    {"cgroup match", "xt_cgroup", "mangle", "-m cgroup --path / -j RETURN", 3, PROBE_SESSIONS},
    {"policy match", "xt_policy", "mangle", "-m policy --dir in --pol ipsec -j RETURN", 3,
     PROBE_SESSIONS},
    {"DNAT target", "xt_nat", "nat", "-p tcp -j DNAT --to-destination 192.0.2.1:1", 1,
     PROBE_SENDS_ON},
    {"DNAT target", "xt_nat", "nat", "-p tcp -j DNAT --to-destination [2001:db8::1]:1", 2,
     PROBE_SENDS_ON},
};

enum { FEATURES = sizeof features / sizeof *features };

/* Puts where a link leads in the place of its absolute path. False: it is none. */
static bool follow_link(char path[static PATH_MAX])
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target);
    char *from = n > 0 && target[0] == '/' ? path : strrchr(path, '/') + 1;

    if (n <= 0 || (size_t)(from - path) + (size_t)n >= PATH_MAX)
        return false;
    memcpy(from, target, (size_t)n);
    from[n] = '\0';
    return true;
}

/* Returns which back end a plain name stands for, as the name of the multi-call binary behind its
 * links tells. That binary may be missing at the moment, and then realpath(3) need not tell its
 * path. A name that leads to no such binary is of the old package, which had legacy alone. */
static enum backend backend_behind(const char *path)
{
    char target[PATH_MAX];

    snprintf(target, sizeof target, "%s", path);
    for (int links = 0; links < LINKS_MAX && follow_link(target); links++)
        ;
    return strstr(strrchr(target, '/'), "nft") ? BACKEND_NFT : BACKEND_LEGACY;
}

const char *probe_program(enum backend backend, enum family family)
{
    for (size_t i = 0; i < PROGRAMS; i++) {
        const char *path = programs[i].paths[family];

        if (access(path, X_OK) != 0)
            continue;
        if (programs[i].backend == backend ||
            (programs[i].backend == BACKEND_AUTO && backend_behind(path) == backend))
            return path;
    }
    return NULL;
}

static enum backend backend_of_this_host(void)
{
    struct stat link;

    for (size_t i = 0; i < PROGRAMS; i++)
        if (programs[i].backend == BACKEND_AUTO && lstat(programs[i].paths[IPV4], &link) == 0)
            return backend_behind(programs[i].paths[IPV4]);
    return probe_program(BACKEND_NFT, IPV4) ? BACKEND_NFT : BACKEND_LEGACY;
}

static FILE *open_legacy_names(enum family family)
{
    return fopen(family == IPV6 ? "/proc/net/ip6_tables_names" : "/proc/net/ip_tables_names", "re");
}

bool probe_has_nat(enum backend backend, enum family family)
{
    FILE *names = backend == BACKEND_LEGACY ? open_legacy_names(family) : NULL;
    char name[32]; /* XT_TABLE_MAXNAMELEN */
    bool found = backend == BACKEND_NFT;

    while (names && !found && fscanf(names, "%31s", name) == 1)
        found = strcmp(name, "nat") == 0;
    if (names)
        fclose(names);
    return found;
}

bool probe_legacy_in_use(enum family family)
{
    FILE *names = open_legacy_names(family);
    int first;

    if (!names)
        return false;
    first = fgetc(names);
    fclose(names);
    return first != EOF;
}

/* Only whether there is an answer counts. */
static void ignore(void *into, struct span answer)
{
    (void)into;
    (void)answer;
}

/* What the kernel says to a question about nf_tables, for which it may load the module: 0 or an
 * errno. */
static int ask_nftables(void)
{
    static const struct nfgenmsg about = {.version = NFNETLINK_V0};
    int fd = netlink_open(NETLINK_NETFILTER);
    union question q;
    int error;

    netlink_begin(&q, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, NLM_F_ACK);
    netlink_put(&q, &about, sizeof about);
    error = netlink_ask(&fd, &q, ignore, NULL);
    if (fd >= 0)
        close(fd);
    return error;
}

/* Whether that is the answer of a kernel without nf_tables, or without nfnetlink. */
static bool is_of_none(int answer)
{
    return answer == EINVAL || answer == EOPNOTSUPP;
}

const char *probe_program_in_use(enum backend backend, enum family family)
{
    if (backend == BACKEND_LEGACY ? !probe_legacy_in_use(family) : is_of_none(ask_nftables()))
        return NULL;
    return probe_program(backend, family);
}

static bool applies(const struct feature *feature, enum family family, unsigned wishes)
{
    return (feature->families & (1 << family)) && (feature->wishes & ~wishes) == 0;
}

/* Writes a chain with the features of one table. `only` is the one feature that the chain is to
 * have; -1: all; FEATURES: none. */
static void write_chain(FILE *out, const char *table, enum family family, unsigned wishes, int only)
{
    fprintf(out, "*%s\n:" PROBE_SCRATCH " - [0:0]\n", table);
    for (int i = 0; i < FEATURES; i++)
        if (strcmp(features[i].table, table) == 0 && applies(&features[i], family, wishes) &&
            (only < 0 || only == i))
            fprintf(out, "-A " PROBE_SCRATCH " %s\n", features[i].rule);
    fputs("COMMIT\n", out);
}

static void write_chains(FILE *out, enum family family, unsigned wishes, int only)
{
    write_chain(out, "mangle", family, wishes, only);
    write_chain(out, "filter", family, wishes, only);
    if (wishes & PROBE_SENDS_ON)
        write_chain(out, "nat", family, wishes, only);
}

/* The chains go again once all of them were taken. */
static void write_removal(FILE *out, unsigned wishes)
{
    static const char *const tables[] = {"mangle", "filter", "nat"};

    for (size_t i = 0; i < (wishes & PROBE_SENDS_ON ? 3 : 2); i++)
        fprintf(out, "*%s\n:" PROBE_SCRATCH " - [0:0]\n-X " PROBE_SCRATCH "\nCOMMIT\n", tables[i]);
}

static enum restore_result try_features(const char *path, enum family family, unsigned wishes,
                                        int only, struct error *why)
{
    struct text text;

    text_begin(&text);
    write_chains(text.out, family, wishes, only);
    write_removal(text.out, wishes);
    return restore_run_once(path, &text, why);
}

/* What was refused may have left some of the chains. */
static void remove_scratch(const char *path, unsigned wishes)
{
    struct error unused;
    struct text text;

    text_begin(&text);
    write_removal(text.out, wishes);
    restore_run_once(path, &text, &unused);
}

/* Whether a transaction was refused, by iptables or by the kernel. */
static bool is_refused(enum restore_result result)
{
    return result == RESTORE_REFUSED || result == RESTORE_IMPOSSIBLE;
}

static bool says(const struct error *reason, const char *words)
{
    return strstr(reason->text, words) != NULL;
}

/* Takes the first line of what iptables said out of a reason (restore.h), without its name and
 * version: so short that what is said besides has room. */
static const char *what_it_said(const struct error *reason, char said[static SAID_SIZE])
{
    static const char *const versions[] = {" (nf_tables): ", " (legacy): "};
    const char *at = strstr(reason->text, ": ");

    at = at ? at + strlen(": ") : reason->text;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        const char *end = strstr(at, versions[i]);

        if (end && strcspn(at, "|") > (size_t)(end - at))
            at = end + strlen(versions[i]);
    }
    at += strspn(at, "|");
    snprintf(said, SAID_SIZE, "%.*s", (int)strcspn(at, "|"), at);
    return said;
}

/* Says what keeps even a chain without rules from being made, for which iptables has the reason. */
static bool name_missing_tables(enum backend backend, enum family family,
                                const struct error *reason, struct error *why)
{
    const int version = family == IPV6 ? 6 : 4;
    const int answer = ask_nftables();
    char said[SAID_SIZE];

    what_it_said(reason, said);
    if (answer == EPERM)
        return error_set(why, "this process may not change the tables of %s (%s): run it as root, "
                              "with CAP_NET_ADMIN where the network namespace was made",
                         backend_name(backend), said);
    if (backend == BACKEND_LEGACY && says(reason, "unable to initialize"))
        return error_set(why, "this kernel has no tables of iptables-legacy for IPv%d (%s): load "
                              "their modules, such as %s, or install a kernel that has them",
                         version, said, family == IPV6 ? "ip6table_mangle" : "iptable_mangle");
    if (backend == BACKEND_NFT && (says(reason, strerror(EOPNOTSUPP)) || is_of_none(answer)))
        return error_set(why, "this kernel has no tables of nf_tables for IPv%d (%s): load the "
                              "module nf_tables, or install a kernel with CONFIG_NF_TABLES_IPV%d",
                         version, said, version);
    return error_set(why, "%s cannot even make an empty chain for IPv%d (%s): fix what it says "
                          "there", backend_name(backend), version, said);
}

/* What is to be done about a feature that does not work. RHEL has no xt_time in any package. */
static void name_remedy(const struct feature *feature, const struct error *reason,
                        char remedy[static REMEDY_SIZE])
{
    const bool is_of_time = strcmp(feature->module, "xt_time") == 0;

    if (says(reason, "Couldn't load"))
        snprintf(remedy, REMEDY_SIZE, "install all of iptables, as that file of it is missing");
    else
        snprintf(remedy, REMEDY_SIZE, "load the kernel's module %s, or install it%s",
                 feature->module,
                 is_of_time ? "" : " (RHEL and its like: the package kernel-modules-extra)");
    if (feature->wishes & PROBE_TRIAL)
        strcat(remedy, ", as a trial could not end by itself; to be let in again without, start "
                       "without --trial after systemd-run --on-active=15min portsmithctl release");
}

/* Another program owns the table, which ends with that program. */
static enum probe_result tell_owner(struct error *why)
{
    const struct error reason = *why;

    error_set(why, "another program keeps a table of iptables-nft for itself (%.300s): end it",
              reason.text);
    return PROBE_UNDECIDED;
}

/* Tries feature by feature which one does not work, and names it in *why. */
static void name_missing_feature(const char *path, enum family family, unsigned wishes,
                                 struct error *why)
{
    struct error reason = *why;
    char remedy[REMEDY_SIZE], said[SAID_SIZE];

    for (int i = 0; i < FEATURES; i++)
        if (applies(&features[i], family, wishes) &&
            is_refused(try_features(path, family, wishes, i, &reason))) {
            name_remedy(&features[i], &reason, remedy);
            error_set(why, "the %s does not work here (%s): %s", features[i].name,
                      what_it_said(&reason, said), remedy);
            return;
        }
    error_set(why, "all that Portsmith uses does not work together (%s): fix what it says there",
              what_it_said(&reason, said));
}

/* Says in *why what keeps rules from being made that were refused, for which *why has the reason.
 * Where even a chain without rules cannot be made it is no feature. */
static enum probe_result find_missing(const struct xtables *with, enum family family,
                                      unsigned wishes, struct error *why)
{
    const char *path = with->paths[family];
    struct error reason;
    enum restore_result empty = try_features(path, family, wishes, FEATURES, &reason);

    if (empty == RESTORE_DONE) {
        name_missing_feature(path, family, wishes, why);
        return PROBE_UNUSABLE;
    }
    *why = reason;
    if (!is_refused(empty))
        return PROBE_UNDECIDED;
    if (empty == RESTORE_IMPOSSIBLE && says(&reason, strerror(EPERM)))
        return tell_owner(why);
    name_missing_tables(with->backend, family, &reason, why);
    return PROBE_UNUSABLE;
}

static enum probe_result try_rules(const struct xtables *with, enum family family, unsigned wishes,
                                   struct error *why)
{
    const char *path = with->paths[family];
    enum restore_result result = try_features(path, family, wishes, -1, why);
    enum probe_result probed;

    for (int again = 0; again < 3 && result != RESTORE_DONE && !is_refused(result); again++)
        result = try_features(path, family, wishes, -1, why);
    if (result == RESTORE_DONE)
        return PROBE_USABLE;
    probed = is_refused(result) ? find_missing(with, family, wishes, why) : PROBE_UNDECIDED;
    remove_scratch(path, wishes);
    return probed;
}

/* Makes the set that is tried. Another process may be trying its own just now. A set that stays was
 * left by a process that was killed. 0 or an errno. */
static int make_set(struct ipset *set, enum family family)
{
    enum { TRIES = 50, WAIT_MS = 20 };
    struct ipset_order create, destroy;
    int error;

    ipset_order_create(&create, PROBE_SCRATCH, family, 1);
    ipset_order_destroy(&destroy, PROBE_SCRATCH);
    error = ipset_run(set, create.bytes, create.size);
    for (int i = 0; error == EEXIST && i < TRIES; i++) {
        poll(NULL, 0, WAIT_MS);
        error = ipset_run(set, create.bytes, create.size);
    }
    if (error == EEXIST) {
        ipset_run(set, destroy.bytes, destroy.size);
        error = ipset_run(set, create.bytes, create.size);
    }
    return error;
}

/* Tries the rules of one family. With PROBE_SETS they refer to a set, which must be there. */
static enum probe_result try_family(const struct xtables *with, enum family family,
                                    unsigned wishes, struct error *why)
{
    enum probe_result result;
    struct ipset_order destroy;
    struct ipset set;
    int error;

    if (!(wishes & PROBE_SETS))
        return try_rules(with, family, wishes, why);
    ipset_order_destroy(&destroy, PROBE_SCRATCH);
    ipset_open(&set);
    error = make_set(&set, family);
    if (ipset_is_done(error, PROBE_SCRATCH, why))
        result = try_rules(with, family, wishes, why);
    else if (error == EINVAL || error == EOPNOTSUPP || error == IPSET_ERR_FIND_TYPE)
        result = PROBE_UNUSABLE; /* the kernel has no such sets: trying again does not help */
    else
        result = PROBE_UNDECIDED;
    if (error == 0)
        ipset_run(&set, destroy.bytes, destroy.size);
    ipset_close(&set);
    return result;
}

void probe_families(struct xtables *found)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    found->in_use[IPV4] = true;
    found->in_use[IPV6] = fd >= 0 || errno != EAFNOSUPPORT;
    if (fd >= 0)
        close(fd);
}

static void choose_backend(struct xtables *found, enum backend wanted)
{
    probe_families(found);
    found->backend = wanted == BACKEND_AUTO ? backend_of_this_host() : wanted;
}

/* Whether any iptables is on this host, of either back end and for either family. */
static bool has_any_program(void)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (probe_program(BACKEND_NFT, family) || probe_program(BACKEND_LEGACY, family))
            return true;
    return false;
}

static bool find_program(struct xtables *found, enum backend wanted, enum family family,
                         struct error *why)
{
    const char *name = backend_name(found->backend);

    found->paths[family] = probe_program(found->backend, family);
    if (found->paths[family])
        return true;
    if (wanted == BACKEND_AUTO && !has_any_program())
        return error_set(why, "iptables is not installed: install the package iptables");
    return error_set(why, "%s is not installed (no %s-restore for IPv%d that can be run): install "
                          "the package iptables", name, name, family == IPV6 ? 6 : 4);
}

bool probe_choose(struct xtables *found, enum backend wanted, struct error *why)
{
    choose_backend(found, wanted);
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (found->in_use[family] && !find_program(found, wanted, family, why))
            return false;
    return true;
}

enum probe_result probe_xtables(struct xtables *found, enum backend wanted, unsigned wishes,
                                struct error *why)
{
    enum probe_result result = PROBE_USABLE;

    choose_backend(found, wanted);
    for (enum family family = IPV4; family < FAMILIES && result == PROBE_USABLE; family++) {
        if (!found->in_use[family])
            continue;
        if (!find_program(found, wanted, family, why))
            return PROBE_MISSING;
        found->has_nat[family] = probe_has_nat(found->backend, family);
        result = try_family(found, family, wishes, why);
    }
    return result;
}

bool probe_sessions(struct xtables *found, struct error *why)
{
    bool finds = kernel_finds_sockets(why), all = finds;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        found->tells_sessions[family] =
            finds && found->in_use[family] &&
            try_rules(found, family, PROBE_SESSIONS, why) == PROBE_USABLE;
        all &= found->tells_sessions[family] || !found->in_use[family];
    }
    return all;
}
