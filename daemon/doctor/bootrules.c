#include "daemon/doctor/bootrules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/host/nftables.h"
#include "daemon/host/savedtable.h"

/* The files that netfilter-persistent, iptables-services, and the scripts of OpenRC and of Arch
 * load at boot. */
static const char *const iptables_files[] = {
    "/etc/iptables/rules.v4",     "/etc/iptables/rules.v6",
    "/etc/sysconfig/iptables",    "/etc/sysconfig/ip6tables",
    "/etc/iptables/rules-save",   "/etc/iptables/rules6-save",
    "/etc/iptables/iptables.rules", "/etc/iptables/ip6tables.rules",
};

static const char *const nftables_files[] = {
    "/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft",
};

enum { TABLE_SIZE = 140 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Whether the text stands in a line of the file that is no comment. */
static bool file_has(const char *path, const char *text)
{
    FILE *in = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    bool found = false;

    while (in && !found && getline(&line, &room, in) >= 0)
        found = line[strspn(line, " \t")] != '#' && strstr(line, text);
    free(line);
    if (in)
        fclose(in);
    return found;
}

/* ---- iptables' -------------------------------------------------------------- */

static void examine_iptables_file(struct findings *f, const char *path)
{
    char advice[FINDING_SIZE];

    if (!file_has(path, "--match-set portsmith"))
        return;
    snprintf(advice, sizeof advice,
             "take Portsmith's rules out, which portsmithd and portsmith-firewall make again: sed "
             "-i /portsmith/d %s", path);
    findings_add(f, FINDING_NOTE, advice,
                 "%s names a set of Portsmith's: while portsmithd does not run, none of its rules "
                 "can be loaded, and at a boot the policy is then ACCEPT", path);
}

/* ---- nftables' -------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* Whether one of the ruleset's chains is Portsmith's, made by iptables-nft. */
static bool has_our_chain(const json_t *all)
{
    const json_t *item;
    size_t i;

    json_array_foreach(all, i, item) {
        const json_t *chain = json_object_get(item, "chain");

        if (strcmp(text_of(chain, "name"), "portsmith") == 0 ||
            strcmp(text_of(chain, "name"), "portsmith-firewall") == 0)
            return true;
    }
    return false;
}

/* Whether iptables-nft makes a table of that name. */
static bool is_of_iptables(const char *family, const char *name)
{
    static const char *const names[] = {"filter", "mangle", "nat", "raw", "security"};

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return strcmp(family, "ip") == 0 || strcmp(family, "ip6") == 0;
    return false;
}

/* Whether the file is loaded on this host: it makes a table that is there, and not iptables'.
 * `table` names that one then. */
static bool is_in_use(const char *path, const json_t *all, char table[static TABLE_SIZE])
{
    const json_t *item;
    size_t i;

    json_array_foreach(all, i, item) {
        const json_t *object = json_object_get(item, "table");

        if (!object || is_of_iptables(text_of(object, "family"), text_of(object, "name")))
            continue;
        snprintf(table, TABLE_SIZE, "table %.20s %.100s", text_of(object, "family"),
                 text_of(object, "name"));
        if (file_has(path, table))
            return true;
    }
    return false;
}

static void examine_nftables_file(struct findings *f, const char *path, const json_t *all)
{
    char table[TABLE_SIZE], advice[FINDING_SIZE];

    if (file_has(path, "chain portsmith")) {
        snprintf(advice, sizeof advice,
                 "take the tables out that iptables makes (ip and ip6: filter, mangle, nat), "
                 "until nft -c -f %s says nothing", path);
        findings_add(f, FINDING_PROBLEM, advice,
                     "%s holds Portsmith's rules as nft list ruleset prints them: nft cannot load "
                     "that again, and so loads none of it, the host's own tables neither", path);
    } else if (has_our_chain(all) && is_in_use(path, all, table)) {
        snprintf(advice, sizeof advice, "save only the host's own tables: nft list %s", table);
        findings_add(f, FINDING_NOTE, advice,
                     "nft list ruleset also prints Portsmith's rules, which are iptables': saved "
                     "to %s that could not be loaded again, and would take the host's own tables "
                     "with it", path);
    }
}

void bootrules_examine(struct findings *f)
{
    struct error unused;
    json_t *ruleset = nftables_read(&unused);
    const json_t *all = json_object_get(ruleset, "nftables");

    findings_begin(f, "boot");
    for (size_t i = 0; i < COUNT(iptables_files); i++)
        examine_iptables_file(f, iptables_files[i]);
    for (size_t i = 0; i < COUNT(nftables_files); i++)
        examine_nftables_file(f, nftables_files[i], all);
    savedtable_find(findings_take_problem, f);
    json_decref(ruleset);
}
