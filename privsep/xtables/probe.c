/* Finds the programs of iptables on this host, and tries what they and the kernel can. */
#include "privsep/xtables/probe.h"

#include <errno.h>
#include <limits.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/kernel.h"
#include "privsep/backend.h"
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

enum { PROGRAMS = sizeof programs / sizeof *programs };

/* Everything that rules.c and firewall.c write, by table, with the name by which an admin
 * knows it. */
static const struct feature {
    const char *name, *table, *rule;
    int families;    /* bit 0 IPv4, bit 1 IPv6 */
    unsigned wishes; /* 0: always in use */
} features[] = {
    {"addrtype match", "mangle", "-m addrtype --dst-type LOCAL,BROADCAST,MULTICAST -j RETURN", 1,
     0},
    {"addrtype match", "mangle", "-m addrtype --dst-type LOCAL,ANYCAST -j RETURN", 2, 0},
    {"addrtype match", "mangle", "-i lo -m addrtype --src-type LOCAL -j RETURN", 3, 0},
    {"addrtype match", "mangle",
     "-m addrtype ! --dst-type LOCAL -m addrtype --dst-type LOCAL --limit-iface-in -j RETURN", 3,
     0},
    {"tcp match", "mangle", "-p tcp -m tcp --dport 1 --tcp-flags ACK,RST NONE -j DROP", 3, 0},
    {"MARK target", "mangle", "-p udp -m udp --dport 1 -j MARK --set-xmark 0x1/0x1", 3, 0},
    {"mark match", "filter", "-p udp -m mark --mark 0x1/0x1 -j DROP", 3, 0},
    {"REJECT target", "filter", "-p tcp -m tcp --dport 1 -j REJECT --reject-with tcp-reset", 3, 0},
    {"conntrack match", "mangle", "-m conntrack --ctstate DNAT --ctorigdstport 1 -j DROP", 3, 0},
    {"conntrack match", "filter", "-m conntrack --ctstate NEW,UNTRACKED -j ACCEPT", 3, 0},
    {"comment match", "filter", "-m comment --comment x -j RETURN", 3, 0},
    {"time match", "mangle", "-m time --datestart 2030-01-01T00:00:00 -j RETURN", 3, PROBE_TRIAL},
    {"time match", "filter", "-m time --datestop 2030-01-01T00:00:00 -j ACCEPT", 3,
     PROBE_DEADLINES},
    {"set match", "mangle", "-m set --match-set " PROBE_SCRATCH " src,dst -j RETURN",
     3, PROBE_SETS},
    {"set match", "filter", "-m set --match-set " PROBE_SCRATCH " src,dst -j ACCEPT",
     3, PROBE_SETS},
    {"hashlimit match", "mangle", "-p tcp " LIMIT " -j RETURN", 3, PROBE_LIMITS},
    {"hashlimit match", "filter", "-p tcp " LIMIT " -j RETURN", 3, PROBE_LIMITS},
    {"hashlimit match", "nat", "-p tcp " LIMIT " -j RETURN", 3, PROBE_LIMITS | PROBE_SENDS_ON},
    {"cgroup match", "mangle", "-m cgroup --path / -j RETURN", 3, PROBE_SESSIONS},
    {"policy match", "mangle", "-m policy --dir in --pol ipsec -j RETURN", 3, PROBE_SESSIONS},
    {"DNAT target", "nat", "-p tcp -j DNAT --to-destination 192.0.2.1:1", 1, PROBE_SENDS_ON},
    {"DNAT target", "nat", "-p tcp -j DNAT --to-destination [2001:db8::1]:1", 2, PROBE_SENDS_ON},
};

enum { FEATURES = sizeof features / sizeof *features };

/* Returns which back end a plain name stands for, as the name of the multi-call binary behind its
 * links tells. That binary may be missing at the moment: realpath(3) tells its path all the
 * same. A name that leads to no such binary is of the old package, which had legacy alone. */
static enum backend backend_behind(const char *path)
{
    char target[PATH_MAX];
    const char *name;

    if (!realpath(path, target) && errno != ENOENT)
        return BACKEND_AUTO;
    name = strrchr(target, '/') + 1;
    return strstr(name, "nft") ? BACKEND_NFT : BACKEND_LEGACY;
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

const char *probe_program_in_use(enum backend backend, enum family family)
{
    if (backend == BACKEND_LEGACY && !probe_legacy_in_use(family))
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

void probe_write(FILE *out, enum family family, unsigned wishes)
{
    write_chains(out, family, wishes, -1);
}

static enum restore_result try_features(const char *path, enum family family, unsigned wishes,
                                        int only, struct error *why)
{
    struct text text;

    text_begin(&text);
    write_chains(text.out, family, wishes, only);
    return restore_run_once(path, &text, why);
}

static void remove_scratch(const char *path, unsigned wishes)
{
    static const char *const tables[] = {"mangle", "filter", "nat"};
    struct error unused;
    struct text text;

    text_begin(&text);
    for (size_t i = 0; i < (wishes & PROBE_SENDS_ON ? 3 : 2); i++)
        fprintf(text.out, "*%s\n:" PROBE_SCRATCH " - [0:0]\n-X " PROBE_SCRATCH "\nCOMMIT\n",
                tables[i]);
    restore_run_once(path, &text, &unused);
}

static const char *remedy(const struct feature *feature)
{
    return feature->wishes & PROBE_TRIAL
               ? "load or install it; without it a trial could not end by itself. To be let in "
                 "again all the same, start without --trial after systemd-run "
                 "--on-active=15min portsmithctl release"
               : "load or install it";
}

/* Whether a transaction was refused, by iptables or by the kernel. */
static bool is_refused(enum restore_result result)
{
    return result == RESTORE_REFUSED || result == RESTORE_IMPOSSIBLE;
}

/* Tries feature by feature which one does not work, and names it in *why. Returns false. */
static bool name_missing(const char *path, enum family family, unsigned wishes, struct error *why)
{
    struct error reason = *why;

    if (try_features(path, family, wishes, FEATURES, &reason) == RESTORE_REFUSED)
        return error_set(why, "not even an empty chain can be made (%.350s); are the kernel's "
                              "tables there, and may this process change them?", reason.text);
    for (int i = 0; i < FEATURES; i++)
        if (applies(&features[i], family, wishes) &&
            is_refused(try_features(path, family, wishes, i, &reason)))
            return error_set(why, "the %s does not work here (%.250s); %s",
                             features[i].name, reason.text, remedy(&features[i]));
    return error_set(why, "%.400s", reason.text);
}

static enum probe_result try_rules(const char *path, enum family family, unsigned wishes,
                                   struct error *why)
{
    enum restore_result result = try_features(path, family, wishes, -1, why);

    for (int again = 0; again < 3 && result != RESTORE_DONE && !is_refused(result); again++)
        result = try_features(path, family, wishes, -1, why);
    /* Where another program owns the table, even a chain without rules is refused. That has
     * nothing to do with features, and ends with that program. */
    if (result == RESTORE_IMPOSSIBLE &&
        try_features(path, family, wishes, FEATURES, why) == RESTORE_IMPOSSIBLE)
        result = RESTORE_BUSY;
    if (is_refused(result))
        name_missing(path, family, wishes, why);
    remove_scratch(path, wishes);
    return result == RESTORE_DONE ? PROBE_USABLE
           : is_refused(result)   ? PROBE_UNUSABLE
                                  : PROBE_UNDECIDED;
}

/* Tries the rules of one family. With PROBE_SETS they refer to a set, which must be there. */
static enum probe_result try_family(const char *path, enum family family, unsigned wishes,
                                    struct error *why)
{
    enum probe_result result;
    struct ipset_order create, destroy;
    struct ipset set;
    int error;

    if (!(wishes & PROBE_SETS))
        return try_rules(path, family, wishes, why);
    ipset_order_create(&create, PROBE_SCRATCH, family, 1);
    ipset_order_destroy(&destroy, PROBE_SCRATCH);
    ipset_open(&set);
    ipset_run(&set, destroy.bytes, destroy.size);
    error = ipset_run(&set, create.bytes, create.size);
    if (ipset_is_done(error, PROBE_SCRATCH, why))
        result = try_rules(path, family, wishes, why);
    else if (error == EINVAL || error == EOPNOTSUPP || error == IPSET_ERR_FIND_TYPE)
        result = PROBE_UNUSABLE; /* the kernel has no such sets: trying again does not help */
    else
        result = PROBE_UNDECIDED;
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

static bool find_program(struct xtables *found, enum family family, struct error *why)
{
    found->paths[family] = probe_program(found->backend, family);
    return found->paths[family] ||
           error_set(why, "%s is not installed (no %s-restore for IPv%d that can be run); install "
                          "iptables", backend_name(found->backend), backend_name(found->backend),
                     family == IPV6 ? 6 : 4);
}

bool probe_choose(struct xtables *found, enum backend wanted, struct error *why)
{
    choose_backend(found, wanted);
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (found->in_use[family] && !find_program(found, family, why))
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
        if (!find_program(found, family, why))
            return PROBE_MISSING;
        found->has_nat[family] = probe_has_nat(found->backend, family);
        result = try_family(found->paths[family], family, wishes, why);
    }
    return result;
}

bool probe_sessions(struct xtables *found, struct error *why)
{
    bool finds = kernel_finds_sockets(why), all = finds;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        found->tells_sessions[family] =
            finds && found->in_use[family] &&
            try_rules(found->paths[family], family, PROBE_SESSIONS, why) == PROBE_USABLE;
        all &= found->tells_sessions[family] || !found->in_use[family];
    }
    return all;
}
