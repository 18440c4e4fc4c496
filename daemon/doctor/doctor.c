#include "daemon/doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/privilege/capability.h"
#include "common/text/command.h"
#include "common/text/timekeeping.h"
#include "common/text/timespan.h"
#include "daemon/ask/ask.h"
#include "daemon/ask/report.h"
#include "daemon/config/pidfile.h"
#include "daemon/config/trial.h"
#include "daemon/doctor/bootrules.h"
#include "daemon/doctor/doctorfirewall.h"
#include "daemon/doctor/doctorgroup.h"
#include "daemon/doctor/findings.h"
#include "daemon/host/copies.h"
#include "daemon/host/drops.h"
#include "daemon/host/firewalls.h"
#include "daemon/host/links.h"
#include "daemon/host/origin.h"
#include "daemon/host/vrf.h"

struct doctor {
    const char *path;
    char *const *statuses; /* files, of other members of the group */
    size_t status_count;
    struct findings found;
    struct config *loaded;       /* the whole configuration; NULL where it is broken */
    struct config main;          /* as much of a broken configuration as can be read */
    const struct config *config; /* one of these two */
    bool is_running; /* portsmithd is */
    bool has_status; /* portsmithd told its status */
    struct control_status status;
};

#define PROBLEM FINDING_PROBLEM
#define NOTE FINDING_NOTE

/* Shows the log, whoever started portsmithd; without systemd it is in syslog. */
#define JOURNAL "journalctl -t portsmithd -t portsmith-sniffer -t portsmith-prepare " \
                "-t portsmith-helper -t portsmith-witness"

/* ---- configuration and daemon ------------------------------------------- */

static void read_configuration(struct doctor *d)
{
    struct error why, unused;

    d->loaded = config_load(d->path, &why);
    d->config = d->loaded ? d->loaded : &d->main;
    if (!d->loaded) {
        config_read_main(&d->main, d->path, &unused);
        findings_begin(&d->found, "configuration");
        findings_add(&d->found, PROBLEM,
                     "fix it, check with portsmithd -t, then portsmithctl reload; a "
                     "portsmithd that runs goes on with what it read before", "%s", why.text);
    }
}

static enum ask_result ask_status(struct doctor *d, struct error *why)
{
    static const struct control_request request = {.verb = CONTROL_STATUS};
    static struct control_reply reply;
    enum ask_result result = ask(d->config, &request, &reply, why);

    d->has_status = result == ASK_DONE;
    d->status = reply.status;
    d->is_running = pidfile_owner(d->config->run_directory) != 0;
    return result;
}

static void examine_roster(struct doctor *d)
{
    const struct config *c = d->loaded;
    char date[DATE_TEXT_SIZE];

    if (c->roster_trouble.text[0] != '\0')
        findings_add(&d->found, PROBLEM, "mend that, then run portsmithctl reload; until then the "
                     "roster that was used last stays in force", "%s", c->roster_trouble.text);
    if (c->roster.version != 0 && c->roster.not_after <= clock_wall_ns() / NSEC_PER_SEC)
        findings_add(&d->found, PROBLEM, "bring a newer one, then run portsmithctl reload; if there "
                     "is none, sign one with a later NotAfter",
                     "the roster was good until %s (NotAfter): the knocks of its profiles are "
                     "refused", date_format(c->roster.not_after, date));
}

/* Compares the configuration as it is read now with what portsmithd has in force. */
static void examine_configuration(struct doctor *d)
{
    if (!d->loaded)
        return;
    findings_begin(&d->found, "configuration");
    if (d->has_status && memcmp(d->status.fingerprint, d->loaded->fingerprint,
                                sizeof d->status.fingerprint) != 0)
        findings_add(&d->found, PROBLEM, "run portsmithctl reload",
                     "it has changed since portsmithd read it, and is not in force");
    examine_roster(d);
    if (d->loaded->profile_count == 0)
        findings_add(&d->found, NOTE, "make one: portsmith-profile create NAME --open tcp/22",
                     "there is no profile, so nobody can knock");
    warning_of_old_words(&d->loaded->notes, findings_take_note, &d->found);
    origin_find(d->loaded, d->path, findings_take_problem, &d->found);
}

static void examine_rules(struct doctor *d)
{
    static const char find_it[] = "find that program and stop it: where its name is known it is "
                                  "in the log: " JOURNAL;

    if (d->status.rules == HELPER_RULES_MISSING)
        findings_add(&d->found, PROBLEM, find_it, "its rules are not in force: another program "
                     "removed them, and they are not put back yet");
    else if (d->status.rules == HELPER_RULES_CONTESTED)
        findings_add(&d->found, PROBLEM, find_it, "another program keeps removing its rules: they "
                     "are put back, but are not in force for seconds");
    else if (d->status.rules == HELPER_RULES_UNKNOWN)
        findings_add(&d->found, PROBLEM, "its log says why: " JOURNAL,
                     "whether its rules are in force is not known: the firewall could not be read "
                     "or changed");
}

static void examine_daemon(struct doctor *d, enum ask_result result, const struct error *why)
{
    char keep[TRIAL_KEEP_SIZE], advice[FINDING_SIZE];

    findings_begin(&d->found, "daemon");
    if (!d->is_running)
        findings_add(&d->found, PROBLEM,
                     "portsmithd --trial 15m as long as you have not got in by a knock, then "
                     "systemctl enable --now portsmithd; if it does not stay, portsmithd -f says "
                     "why",
                     "portsmithd does not run with this configuration, so no knock opens anything");
    else if (result != ASK_DONE)
        findings_add(&d->found, PROBLEM, "see its log, and restart it", "%s", why->text);
    else if (!d->status.sniffer || !d->status.helper || !d->status.witness ||
             d->status.families == 0)
        findings_add(&d->found, PROBLEM, "its log says why: " JOURNAL,
                     "the sniffer, the helper or the witness does not run: portsmithd is "
                     "starting them again (%s)",
                     d->status.trouble[0] ? d->status.trouble : "see the log");
    else
        examine_rules(d);
    if (!d->has_status || d->status.trial_left == 0)
        return;
    snprintf(advice, sizeof advice, "log in from elsewhere by a knock, then keep it: %s",
             trial_keep(d->path, keep));
    findings_add(&d->found, NOTE, advice,
                 "what it shuts is on trial: in %u s nothing is shut any more",
                 d->status.trial_left);
}

/* ---- the host ------------------------------------------------------------ */

static void examine_clock(struct doctor *d)
{
    char skew[TIMESPAN_TEXT_SIZE];

    findings_begin(&d->found, "clock");
    if (timekeeping_is_synchronised() || !d->config->skew_checked)
        return;
    findings_add(&d->found, PROBLEM,
                 "run chronyd, ntpd or systemd-timesyncd (timedatectl set-ntp true); on a host "
                 "that can have none, set MaxSkew = off",
                 "nothing keeps this host's clock right: once it is off by more than %s (MaxSkew), "
                 "no knock is accepted", timespan_format(d->config->max_skew, skew));
}

/* Examines the interface that the configuration names as number `i`. */
static void examine_link(struct doctor *d, const struct link *links, size_t count, unsigned i)
{
    const char *name = d->config->interfaces[i];
    const struct link *link = links_by_name(links, count, name);
    const struct control_interface *status = NULL;
    char advice[FINDING_SIZE];

    if (d->has_status && i < d->status.interface_count &&
        strcmp(d->status.interfaces[i].name, name) == 0)
        status = &d->status.interfaces[i];
    snprintf(advice, sizeof advice, "bring it up: ip link set dev %s up; or look at the cable or "
                                    "the other side", name);
    if (!link)
        findings_add(&d->found, PROBLEM, "bring it up, or name another one in Interface; ip link "
                     "shows what there is", "%s does not exist", name);
    else if (!link->is_up)
        findings_add(&d->found, PROBLEM, advice, "%s is down or has no carrier", name);
    else if (status && status->unsupported)
        findings_add(&d->found, PROBLEM, "take it out of Interface, and name one there that its "
                     "packets come by as well, such as the device that carries a tunnel",
                     "%s has a link type that is not supported: portsmithd does not watch it",
                     name);
    else if (link->received == 0)
        findings_add(&d->found, PROBLEM, "see whether traffic comes in by another interface (ip -s "
                     "link), and name that one in Interface",
                     "%s has not received a single packet", name);
    else if (status && !status->captured)
        findings_add(&d->found, PROBLEM, "its log says why: " JOURNAL,
                     "%s is there, but portsmithd does not watch it", name);
}

static void examine_interfaces(struct doctor *d)
{
    static struct link links[LINKS_MAX];
    size_t count = links_find(links);
    bool is_any = strcmp(d->config->interfaces[0], "any") == 0;

    findings_begin(&d->found, "interfaces");
    for (unsigned i = 0; i < d->config->interface_count && !is_any; i++)
        examine_link(d, links, count, i);
    vrf_find(d->config, findings_take_problem, &d->found);
    for (size_t i = 0; i < count; i++)
        if (links[i].has_default_route && !links_is_watched(&links[i], d->config))
            findings_add(&d->found, PROBLEM, "add it to Interface in portsmith.conf, or set "
                         "Interface = any; then portsmithctl reload",
                         "the default route goes by %s, which Interface does not name: a knock "
                         "that comes in by it is not seen", links[i].name);
}

/* Examines whether a directory is there, root's alone, and has room. `forbidden` are the bits of
 * its mode that let others in, `mode` is what it should be, for the advice. */
static void examine_directory(struct doctor *d, const char *path, mode_t forbidden,
                              const char *mode)
{
    char advice[FINDING_SIZE], init[CONFIG_INIT_SIZE];
    struct statvfs space;
    struct stat s;

    if (stat(path, &s) != 0) {
        snprintf(advice, sizeof advice, "run %.400s", config_init_command(d->path, init));
        findings_add(&d->found, PROBLEM, advice, "%s: %s", path, strerror(errno));
        return;
    }
    if (!S_ISDIR(s.st_mode) || s.st_uid != 0 || (s.st_mode & forbidden)) {
        snprintf(advice, sizeof advice, "run: chown root:root %s; chmod %s %s", path, mode, path);
        findings_add(&d->found, PROBLEM, advice, "%s: is not root's alone", path);
    }
    if (statvfs(path, &space) != 0)
        return;
    if (space.f_flag & ST_RDONLY)
        findings_add(&d->found, PROBLEM, "mount it for writing: a knock that cannot be recorded is "
                     "refused", "%s: is on a file system that is read-only", path);
    else if (space.f_bfree == 0 && space.f_blocks > 0)
        findings_add(&d->found, PROBLEM, "make room: a knock that cannot be recorded is refused",
                     "%s: no space is left on its file system", path);
}

/* ---- knocks --------------------------------------------------------------- */

static void tell_nothing_seen(struct doctor *d)
{
    char advice[FINDING_SIZE];

    snprintf(advice, sizeof advice,
             "if one was sent, it was stopped on its way: let it through to port %u in the "
             "router's or the provider's firewall (rules of this host do not matter, it is seen "
             "before them), and compare Host, Port and Transport in the client's file",
             d->config->port);
    findings_add(&d->found, NOTE, advice,
                 "no packet that could be a knock has come in, in the %u s that portsmithd runs",
                 d->status.uptime);
}

/* The sniffer hands knocks on that are out of time, so that the log can explain them: the helper
 * refuses these, and they are told of as untimely. */
static void examine_counters(struct doctor *d)
{
    const struct counters *c = &d->status.counters;
    uint64_t refused = report_refused(&d->status) - d->status.verdicts[VERDICT_AHEAD] -
                       d->status.verdicts[VERDICT_BEHIND];

    if (c->captured == c->foreign)
        tell_nothing_seen(d);
    if (c->garbage > c->foreign && c->authentic == 0)
        findings_add(&d->found, NOTE,
                     "if one was a knock, its sender has another PublicKey or PresharedKey than "
                     "this server's, or its profile is not here: compare portsmith-profile show "
                     "with portsmith-knock show",
                     "%" PRIu64 " packets came to the knock port, and none was a knock for this "
                     "server", c->garbage - c->foreign);
    if (c->merged > 0)
        findings_add(&d->found, NOTE,
                     "the first of each was read, which is enough where the network duplicates "
                     "packets; if the kernel merged them, this ends it: ethtool -K INTERFACE "
                     "rx-udp-gro-forwarding off rx-gro-list off",
                     "%" PRIu64 " packets held several knocks, merged into one", c->merged);
    if (c->elsewhere > 0)
        findings_add(&d->found, NOTE,
                     "if these clients do not get in, their network translates addresses, and "
                     "--address observed lets them in; the log names both addresses",
                     "%" PRIu64 " knocks signed another address than they came from; ports "
                     "open to the signed one", c->elsewhere);
    if (c->untimely > 0)
        findings_add(&d->found, NOTE, "compare date -u here and on the client's machine; the log "
                     "says whose clock was off, and by how much",
                     "%" PRIu64 " knocks were refused, as the clock that made them is too far from "
                     "this one", c->untimely);
    if (refused > 0)
        findings_add(&d->found, NOTE, "portsmithctl status counts them by reason, and the log says "
                     "whose they were", "%" PRIu64 " requests were refused", refused);
    if (c->dropped > 0)
        findings_add(&d->found, NOTE, "a flood at the knock port: another Port makes it stop for a "
                     "while", "%" PRIu64 " packets found the capture's buffer full", c->dropped);
}

/* Where portsmithd has never run, the back end is not chosen yet. */
static void examine_copies(struct doctor *d)
{
    static struct copies copies;
    const enum backend backend = d->config->backend_in_use;

    findings_begin(&d->found, "copies");
    if (backend == BACKEND_AUTO)
        findings_add(&d->found, NOTE, "start portsmithd, which chooses the back end",
                     "whether knocks at a shared address are copied is not known here");
    else if (copies_find(&copies, d->config, backend, findings_take_problem, &d->found))
        copies_check(&copies, findings_take_problem, &d->found);
}

/* ---- the whole ------------------------------------------------------------- */

/* The order of the checks is that of the findings. */
static void examine(struct doctor *d)
{
    enum backend backend;
    enum ask_result result;
    struct error why;

    read_configuration(d);
    result = ask_status(d, &why);
    examine_configuration(d);
    examine_daemon(d, result, &why);
    examine_clock(d);
    examine_interfaces(d);
    findings_begin(&d->found, "state");
    examine_directory(d, d->config->state_directory, S_IRWXG | S_IRWXO, "700");
    if (d->is_running)
        examine_directory(d, d->config->run_directory, S_IWGRP | S_IWOTH, "755");
    backend = d->config->backend;
    if (backend == BACKEND_AUTO && d->has_status) /* in use; now another one might be chosen */
        backend = d->status.backend;
    (d->loaded ? d->loaded : &d->main)->backend_in_use = backend;
    if (drops_matter(d->config)) /* it is not chosen yet */
        backend = BACKEND_NFTABLES;
    doctorfirewall_examine(&d->found, d->config, backend, d->is_running);
    bootrules_examine(&d->found);
    findings_begin(&d->found, "knocks");
    if (d->has_status)
        examine_counters(d);
    if ((d->has_status && d->status.group[0] != '\0') || d->status_count > 0)
        doctorgroup_examine(&d->found, d->config, d->has_status ? &d->status : NULL, d->statuses,
                            d->status_count);
    if (d->loaded && d->config->shared_count > 0)
        examine_copies(d);
    config_free(d->loaded);
}

int doctor_run(const char *path, bool json, char *const *statuses, size_t count)
{
    static struct doctor d;
    struct error why;

    if (!capability_check(CAPABILITY_FIREWALL, &why))
        return command_fail(EXIT_FAILURE, why.text);
    if (sodium_init() < 0)
        return command_fail(EXIT_FAILURE, "libsodium cannot be initialized");
    d = (struct doctor){.path = path, .statuses = statuses, .status_count = count};
    examine(&d);
    if (!json)
        findings_print(&d.found);
    else if (findings_print_json(&d.found) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    if (command_finish(EXIT_SUCCESS) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    return findings_problems(&d.found) ? EXIT_PROBLEMS : EXIT_SUCCESS;
}
