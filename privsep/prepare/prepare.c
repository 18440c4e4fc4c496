#include "privsep/prepare/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/libc.h"
#include "common/log.h"
#include "privsep/helper/elements.h"
#include "privsep/helper/events.h"
#include "privsep/prepare/budgets.h"
#include "privsep/prepare/compile.h"
#include "privsep/prepare/confine.h"
#include "privsep/prepare/establish.h"
#include "privsep/prepare/host.h"
#include "privsep/prepare/lock.h"
#include "privsep/prepare/news.h"
#include "privsep/prepare/receive.h"
#include "privsep/prepare/release.h"
#include "privsep/prepare/repair.h"
#include "privsep/prepare/rules.h"
#include "privsep/prepare/table.h"
#include "privsep/prepare/takeover.h"

struct preparation {
    struct policy policy;
    struct xtables xtables;
    struct marks marks;
    struct grants grants;
    struct compiling plan;
    /* With iptables: */
    struct rules rules[FAMILIES];
    struct firewall *firewall; /* NULL with BACKEND_NFTABLES */
    /* With BACKEND_NFTABLES: */
    struct table_form form;
    struct elements elements;
};

/* ---- the process -------------------------------------------------------- */

/* Keeps the numbers that the helper's descriptors get from being given to others before. */
static void reserve(void)
{
    for (int fd = HELPER_FD_MARKS; fd <= HELPER_FD_LOCK; fd++)
        if (dup3(STDIN_FILENO, fd, O_CLOEXEC) != fd)
            fatal("cannot reserve descriptors");
}

static void begin_process(void)
{
    const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};

    if (close_range(HELPER_FD_TABLE + 1, ~0u, 0) != 0)
        fatal("cannot close what was inherited");
    for (int fd = HELPER_FD_SUPERVISOR; fd <= HELPER_FD_TABLE; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
            fatalx("portsmith-prepare is started by portsmithd, never by hand");
    reserve();
    /* Only the end of the supervisor's socket ends the helper. A Ctrl-C, or a service manager's
     * signal to all processes, must not end it first. */
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    setsid();
    if (sodium_init() < 0)
        fatalx("libsodium cannot be initialised");
}

/* The lock that iptables-legacy takes. The helper, which opens no path, sees by these whether it is
 * still the same file. */
static bool hold_xtables_lock(struct error *why)
{
    int directory = open("/run", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int lock = directory < 0 ? -1 : openat(directory, "xtables.lock", O_PATH | O_CLOEXEC);
    bool held = lock >= 0 &&
                dup3(lock, HELPER_FD_XTABLES_LOCK, O_CLOEXEC) == HELPER_FD_XTABLES_LOCK &&
                dup3(directory, HELPER_FD_XTABLES_DIRECTORY, O_CLOEXEC) ==
                    HELPER_FD_XTABLES_DIRECTORY;

    if (!held)
        error_set(why, "cannot open the xtables lock: %s", strerror(errno));
    if (lock >= 0)
        close(lock);
    if (directory >= 0)
        close(directory);
    return held;
}

/* ---- grants, firewall, marks -------------------------------------------- */

static bool establish_table(struct preparation *p, struct error *why)
{
    int error;

    p->elements.find_left = budgets_left;
    error = elements_establish(&p->elements, &p->grants);

    return error == 0 || error_set(why, "the nftables table inet " TABLE_NAME ": %s",
                                   error == EPERM ? "another process owns it" : strerror(error));
}

static bool establish(struct preparation *p, struct error *why)
{
    if (p->xtables.backend == BACKEND_NFTABLES)
        return establish_table(p, why);
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (p->xtables.in_use[family] &&
            !establish_first(p->firewall, family, &p->rules[family], p->xtables.has_nat[family],
                             &p->grants, why))
            return false;
    return true;
}

/* Takes over what the last helper granted and policy still permits. What ended while there was no
 * helper is told too. Without a table nothing is open, but the ports are shut. */
static bool take_over_grants(struct preparation *p, struct error *why)
{
    struct events events = {.witness = HELPER_FD_WITNESS, .news = HELPER_FD_NEWS};
    struct grants *grants = &p->grants;
    const int64_t now = clock_boot_ns();
    struct error unused;
    size_t ended, live;

    if (!helper_grants_create(grants, HELPER_FD_RUN, p->policy.setup.max_grants, now, why)) {
        establish(p, &unused);
        return false;
    }
    ended = helper_grants_expire(grants, now);
    live = grants->count;
    if (p->xtables.backend == BACKEND_NFTABLES)
        budgets_note(grants);
    helper_grants_keep_permitted(grants, &p->policy);
    if (!establish(p, why))
        return false;
    helper_events_end(&events, grants->items + live, ended, END_NONE);
    helper_events_end(&events, grants->items + grants->count, live - grants->count, END_FORBIDDEN);
    if (grants->count > 0)
        log_info("took over %zu live grant%s", grants->count, grants->count == 1 ? "" : "s");
    return true;
}

static bool open_marks(struct preparation *p, struct error *why)
{
    const struct policy *policy = &p->policy;

    if (!helper_marks_open(&p->marks, HELPER_FD_STATE, policy->entries[0].key_id,
                           sizeof *policy->entries, policy->setup.profile_count, clock_wall_us(),
                           helper_policy_skew(policy), why))
        return false;
    helper_marks_tell_lost(&p->marks, policy);
    return true;
}

static const struct plan *begin_plan(struct preparation *p, struct error *why)
{
    const struct policy *policy = &p->policy;
    struct netwriter table = {.bytes = NULL}, over = {.bytes = NULL};
    struct ingredients ingredients = {policy, &p->xtables, p->rules, &p->form, &table, &over, 0};
    const struct plan *plan;

    if (p->xtables.backend == BACKEND_NFTABLES)
        ingredients.over_head = table_write(&table, &policy->setup, &p->form);
    if (p->form.is_owned)
        table_write_over(&over, &policy->setup);
    for (enum family family = IPV4; family < FAMILIES && table.size == 0; family++)
        rules_make(&p->rules[family], family, &policy->setup, policy->destinations,
                   policy->destination_count, p->xtables.tells_sessions[family]);
    plan = plan_begin(&p->plan, HELPER_FD_PLAN, &ingredients, why);
    free(table.bytes);
    free(over.bytes);
    return plan;
}

static bool open_firewall(struct preparation *p, struct error *why)
{
    const struct plan *plan = begin_plan(p, why);

    if (plan && p->xtables.backend == BACKEND_NFTABLES)
        elements_open(&p->elements, HELPER_FD_TABLE, plan);
    else if (plan)
        p->firewall = helper_firewall_open(plan);
    return plan != NULL;
}

static int compare_services(const void *a, const void *b)
{
    return service_compare(a, b);
}

/* Has the kernel tell of connections to the services that some profile opens, each named once. */
static bool open_news(const struct policy *policy, struct error *why)
{
    const size_t profiles = policy->setup.profile_count;
    struct service *all = calloc(profiles * POLICY_SERVICES + 1, sizeof *all);
    size_t count = 0, kept = 0;

    if (!all)
        return error_set(why, "no memory for the services of %zu profiles", profiles);
    for (size_t i = 0; i < profiles; i++)
        for (size_t j = 0; j < policy->entries[i].profile->service_count; j++)
            all[count++] = policy->entries[i].profile->services[j];
    qsort(all, count, sizeof *all, compare_services);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || service_compare(&all[kept - 1], &all[i]) != 0)
            all[kept++] = all[i];
    news_open(HELPER_FD_NEWS, all, kept);
    free(all);
    return true;
}

/* ---- becoming the helper ------------------------------------------------ */

static bool leave_open(int fd)
{
    return fcntl(fd, F_SETFD, 0) == 0;
}

/* Leaves open what the helper needs, and nothing of what only this program does. Landlock rules, if
 * the kernel has them, are left open already. */
static bool hand_over(struct preparation *p)
{
    static const int always[] = {HELPER_FD_SUPERVISOR, HELPER_FD_SNIFFER, HELPER_FD_NEWS,
                                 HELPER_FD_WITNESS, HELPER_FD_PLAN, HELPER_FD_LOCK};

    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (!leave_open(always[i]))
            return false;
    if (p->xtables.backend == BACKEND_LEGACY &&
        (!leave_open(HELPER_FD_XTABLES_LOCK) || !leave_open(HELPER_FD_XTABLES_DIRECTORY)))
        return false;
    if (p->xtables.backend == BACKEND_NFTABLES && !leave_open(HELPER_FD_TABLE))
        return false;
    return dup2(p->marks.fd, HELPER_FD_MARKS) >= 0 && dup2(p->grants.file, HELPER_FD_GRANTS) >= 0;
}

static const char *program_of(const struct preparation *p)
{
    if (p->xtables.backend == BACKEND_NFTABLES)
        return PORTSMITH_HELPER "-nftables";
    return p->policy.setup.grant_store == GRANT_STORE_SET ? PORTSMITH_HELPER "-sets"
                                                          : PORTSMITH_HELPER;
}

/* The ports are shut before the marks are read: whatever is wrong with those, this host's ports
 * are not left open for it. */
static int become_helper(struct preparation *p)
{
    char *const argv[] = {strdupa("portsmith-helper"), NULL}, *const environment[] = {NULL};
    const char *program = program_of(p);
    struct error why;

    if (open_news(&p->policy, &why) && take_over_grants(p, &why) && open_marks(p, &why) &&
        plan_end(&p->plan, &p->policy, &p->marks, &why)) {
        if (p->firewall)
            helper_firewall_close(p->firewall);
        if (hand_over(p))
            execve(program, argv, environment);
        error_set(&why, "cannot execute %s: %s", program, strerror(errno));
    }
    log_warnx("%s", why.text);
    return HELPER_EXIT_FAILURE;
}

static int prepare(struct preparation *p)
{
    const struct helper_setup *setup = &p->policy.setup;
    const bool is_legacy = p->xtables.backend == BACKEND_LEGACY;
    struct error why;

    if ((is_legacy && !hold_xtables_lock(&why)) || !open_firewall(p, &why)) {
        log_warnx("%s", why.text);
        return HELPER_EXIT_FAILURE;
    }
    if (p->xtables.backend == BACKEND_NFT &&
        (probe_legacy_in_use(IPV4) || probe_legacy_in_use(IPV6)))
        log_warnx("iptables-legacy has tables on this host too: a grant opens nothing that they "
                  "drop; move those rules, or set Backend = iptables-legacy");
    if (!helper_confine(&p->xtables, setup->grant_store == GRANT_STORE_SET, &why)) {
        log_warnx("%s", why.text);
        return HELPER_EXIT_UNUSABLE;
    }
    return become_helper(p);
}

/* Says what this host lacks, and returns the exit status: to the log, or in a try to who has it
 * tried. */
static int refuse(const struct helper_setup *setup, const struct error *why, int status)
{
    if (setup->mode != HELPER_PROBE ||
        send(HELPER_FD_SUPERVISOR, why->text, strlen(why->text), MSG_NOSIGNAL) < 0)
        log_warnx("%s", why->text);
    return status;
}

int helper_prepare(void)
{
    static const int exit_statuses[] = {[PROBE_UNUSABLE] = HELPER_EXIT_UNUSABLE,
                                        [PROBE_MISSING] = HELPER_EXIT_MISSING,
                                        [PROBE_UNDECIDED] = HELPER_EXIT_FAILURE};
    static struct preparation p;
    const struct helper_setup *setup = &p.policy.setup;
    enum probe_result probed;
    struct error why;

    begin_process();
    if (!helper_policy_receive(&p.policy, HELPER_FD_SUPERVISOR, &why))
        fatalx("%s", why.text);
    log_open("portsmith-prepare", setup->foreground, setup->debug);
    if (setup->mode == HELPER_RELEASE)
        return helper_release_all(setup->backend, HELPER_FD_TABLE);
    if (setup->mode == HELPER_RELEASE_OTHER)
        return helper_release_other(setup->backend, HELPER_FD_TABLE);
    /* Only now no other helper is at the table of nf_tables. */
    if (setup->mode == HELPER_RUN && !helper_marks_lock(HELPER_FD_STATE, &why)) {
        log_warnx("%s", why.text);
        return HELPER_EXIT_FAILURE;
    }
    probed = host_probe(&p.policy, &p.xtables, &p.form, &why);
    if (probed != PROBE_USABLE)
        return refuse(setup, &why, exit_statuses[probed]);
    if (!host_can_tell_usage(&p.policy, &why))
        return refuse(setup, &why, HELPER_EXIT_UNUSABLE);
    if (setup->mode == HELPER_PROBE)
        return HELPER_EXIT_OK;
    host_find_sessions(setup, &p.xtables, &p.form);
    return prepare(&p);
}
