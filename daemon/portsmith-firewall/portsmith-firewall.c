/* portsmith-firewall(8): closes all ports but those named; first on trial, so that
 * nobody locks himself out for longer than a minute. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/privilege/capability.h"
#include "common/text/command.h"
#include "common/text/timespan.h"
#include "daemon/config/config.h"
#include "daemon/config/pidfile.h"
#include "daemon/config/trial.h"
#include "daemon/host/listeners.h"
#include "daemon/portsmith-firewall/closing.h"
#include "daemon/portsmith-firewall/enforce.h"
#include "daemon/portsmith-firewall/keeper.h"
#include "daemon/portsmith-firewall/login.h"
#include "daemon/portsmith-firewall/saved.h"
#include "privsep/xtables/bell.h"

enum {
    TRIAL_SECONDS = 60,
    BOOT_PATIENCE = 60, /* seconds that the boot tries for; the network waits */
    LOOK_MS = 2000,     /* between looks of the keeper where no bell rings */
    PAUSE_MS = 1000,    /* between looks in any case */
};

static const char usage[] =
    "usage: portsmith-firewall [-c FILE] COMMAND [OPTION...]\n"
    "\n"
    "  try [--allow SERVICE]... [--timeout SPAN] [--force]\n"
    "                     close all other ports, on trial\n"
    "  confirm            keep what is on trial, and for each boot\n"
    "  show               print what is closed, and for how long\n"
    "  restore            remove all of it, so that all is as before\n"
    "  enforce            put in force what was confirmed; the boot does it\n"
    "\n"
    "options of try:\n"
    "  --allow SERVICE    leave this open\n"
    "  --timeout SPAN     how long the trial lasts unless confirmed (60s)\n"
    "  --force            even if no further ssh login gets in\n"
    "\n"
    "  -c, --config FILE  instead of " CONFIG_FILE "\n"
    "  -h, --help         print this and exit\n"
    "  -V, --version      print the version and exit\n"
    "\n"
    "SERVICE is tcp/PORT or udp/PORT, or several with commas between.\n";

/* What every command starts from. */
struct job {
    struct config config;
    struct xtables xtables;
    struct plan plan; /* as it is; without a trial whose time has passed */
    bool has_leftovers; /* of such a trial */
};

/* ---- beginning ------------------------------------------------------------- */

/* A host may have no portsmithd, so no portsmith.conf. With one that is broken, what
 * removes the rules, and what closes the ports at boot, go on. */
static bool read_config(struct config *c, const char *path, bool *is_broken, struct error *why)
{
    if (config_read_main(c, path, why))
        return true;
    if (errno == ENOENT && strcmp(path, CONFIG_FILE) == 0)
        return true;
    if (!is_broken)
        return false;
    *is_broken = true;
    command_warn("warning: %s; going on without", why->text);
    return true;
}

/* The configuration, and the lock until the end of the process. 0 or an exit status.
 * `is_broken`, which is false before: to go on with a broken one; else NULL. */
static int begin(struct config *c, const char *config_file, bool *is_broken)
{
    struct error why;

    if (!capability_check(CAPABILITY_FIREWALL, &why))
        return command_fail(EXIT_FAILURE, why.text);
    if (!read_config(c, config_file, is_broken, &why))
        return command_fail(EX_CONFIG, why.text);
    return saved_lock(c, &why) >= 0 ? 0 : command_fail(EXIT_FAILURE, why.text);
}

static bool read_plan(struct job *job, struct error *why)
{
    if (!saved_read(&job->plan, &job->config, why))
        return false;
    job->has_leftovers =
        job->plan.on_trial && clock_wall_ns() / NSEC_PER_SEC >= job->plan.until;
    job->plan.on_trial = job->plan.on_trial && !job->has_leftovers;
    return true;
}

static int begin_job(struct job *job, const char *config_file, bool *is_broken)
{
    struct error why;
    int status = begin(&job->config, config_file, is_broken);

    if (status != 0)
        return status;
    if (!read_plan(job, &why) ||
        !helper_probe_choose(&job->xtables, job->config.backend, &why))
        return command_fail(EXIT_FAILURE, why.text);
    return 0;
}

/* Before what puts rules in force. If it cannot be had, sessions go on, and the ACKs of
 * strangers pass with theirs. */
static void find_sessions(struct job *job)
{
    struct error why;

    if (!helper_probe_sessions(&job->xtables, &why))
        command_warn("warning: whoever has a valid SYN cookie gets in at closed ports of TCP, "
                     "since a segment of a session cannot be told: %.300s", why.text);
}

/* Makes firewall and files as planned, or neither. */
static bool change(struct job *job, const struct plan *plan, struct error *why)
{
    const struct plan before = job->plan;
    struct error unused;

    if (saved_write(plan, &job->config, why) &&
        enforce_plan(&job->xtables, plan, &before, why) == RESTORE_DONE) {
        job->plan = *plan;
        return true;
    }
    saved_write(&before, &job->config, &unused);
    return false;
}

/* ---- in the background --------------------------------------------------------- */

/* A process in the background that is tied to no terminal: 0 there, as of fork(2). */
static pid_t detach(void)
{
    sigset_t none;
    pid_t child = fork();

    if (child != 0)
        return child;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    close_range(0, ~0u, 0);
    if (chdir("/") != 0 || open("/dev/null", O_RDWR) != STDIN_FILENO ||
        dup(STDIN_FILENO) != STDOUT_FILENO || dup(STDIN_FILENO) != STDERR_FILENO)
        _exit(EXIT_FAILURE);
    log_open("portsmith-firewall", false, false);
    return 0;
}

/* ---- the sweeper ------------------------------------------------------------- */

static void wait_until_boot_time(int64_t ns)
{
    const struct timespec end = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};

    while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &end, NULL) == EINTR)
        ;
}

/* Whether its rules are still there, in any family. */
static bool has_rules_of(const struct job *job, const struct plan *trial)
{
    struct plan alone = *trial;
    bool found = false;

    alone.is_confirmed = false;
    for (int family = IPV4; family < FAMILIES; family++)
        found |= job->xtables.in_use[family] &&
                 enforce_looks_intact(&job->xtables, family, &alone);
    return found;
}

/* Not where it was confirmed, or removed, or another has begun. Its file alone does not
 * tell: others clear the run directory, too. */
static bool is_to_be_swept(const struct job *job, const struct plan *trial)
{
    return job->plan.on_trial ? job->plan.until == trial->until : has_rules_of(job, trial);
}

static bool sweep(struct job *job, struct error *why)
{
    const struct plan trial = job->plan;
    struct plan plan;

    if (saved_lock(&job->config, why) < 0 || !saved_read(&job->plan, &job->config, why))
        return false;
    if (!is_to_be_swept(job, &trial))
        return true;
    plan = job->plan;
    plan.on_trial = false;
    if (enforce_plan(&job->xtables, &plan, NULL, why) != RESTORE_DONE ||
        !saved_write(&plan, &job->config, why))
        return false;
    log_info("the trial was not confirmed: rolled back");
    return true;
}

/* The kernel ends the trial in any case; this only removes what is left of it. */
static void start_sweeper(struct job *job, int64_t end_ns)
{
    struct error why;
    pid_t child = detach();

    if (child < 0)
        command_warn("warning: no process can be started to remove the trial's rules at its end "
                     "(%s); they are dead then, unless the clock is set back, and "
                     "portsmith-firewall enforce removes them", strerror(errno));
    if (child != 0)
        return;
    wait_until_boot_time(end_ns);
    /* The rules are dead by now, unless the clock was set back. */
    if (!sweep(job, &why))
        fatalx("the trial's rules are dead, but not removed: %s; portsmith-firewall enforce removes "
               "them", why.text);
    _exit(EXIT_SUCCESS);
}

/* ---- the keeper ---------------------------------------------------------------- */

static bool is_intact(const struct job *job)
{
    for (int family = IPV4; family < FAMILIES; family++)
        if (job->xtables.in_use[family] &&
            !enforce_looks_intact(&job->xtables, family, &job->plan))
            return false;
    return true;
}

/* RESTORE_DONE also where nothing was to be done. */
static enum restore_result put_back(const struct job *job, const struct bell_ringer *ringer)
{
    static struct log_limit done, failed;
    enum restore_result result;
    char who[80] = "";
    struct error why;

    if (is_intact(job))
        return RESTORE_DONE;
    if (ringer->pid != 0)
        snprintf(who, sizeof who, " (the last to change nftables was %s, pid %u)", ringer->name,
                 ringer->pid);
    result = enforce_plan(&job->xtables, &job->plan, NULL, &why);
    if (result == RESTORE_DONE)
        log_warnx_limited(&done, LINES_A_MINUTE, "another program removed rules of "
                          "portsmith-firewall%s: they are put back", who);
    else
        log_warnx_limited(&failed, 1, "another program removed rules of portsmith-firewall%s, and "
                          "they cannot be put back: %s", who, why.text);
    return result;
}

/* Waits until somebody may have removed something; not for long where `again` says that
 * what is removed could not be put back. */
static void await_change(int bell, bool again, struct bell_ringer *ringer)
{
    struct pollfd fd = {.fd = bell, .events = POLLIN};

    poll(NULL, 0, PAUSE_MS);
    poll(&fd, 1, again ? 0 : bell < 0 ? LOOK_MS - PAUSE_MS : -1);
    if (bell >= 0)
        helper_bell_rang(bell, NULL, 0, ringer);
}

/* Nor could `restore`, which would be undone. */
static void end_unless_found(void)
{
    if (!keeper_can_be_found())
        fatalx("what was confirmed is no longer put back when another program removes it: nobody "
               "finds this process, as " KEEPER_FILE " was removed; portsmith-firewall enforce "
               "starts another");
}

/* What is on trial goes on beside what is confirmed, until its own end; alone it is not
 * kept. Ends when nothing is confirmed. */
static void keep(struct job *job)
{
    static struct log_limit said;
    struct bell_ringer ringer = {0};
    struct error why;
    int bell = job->xtables.backend == BACKEND_NFT ? helper_bell_open(&why) : -1;

    for (;;) {
        enum restore_result result = RESTORE_BUSY;
        int lock = saved_lock(&job->config, &why);

        end_unless_found();
        if (lock < 0 || !read_plan(job, &why))
            log_warnx_limited(&said, 1, "what was confirmed cannot be read: %s", why.text);
        else if (!job->plan.is_confirmed)
            return;
        else
            result = put_back(job, &ringer);
        if (lock >= 0)
            close(lock);
        await_change(bell, result == RESTORE_BUSY || result == RESTORE_UNKNOWN, &ringer);
    }
}

static void start_keeper(struct job *job)
{
    struct error why;
    pid_t child = detach();

    if (child < 0)
        command_warn("warning: no process can be started to put the rules back when another "
                     "program removes them (%s); portsmith-firewall enforce does that",
                     strerror(errno));
    if (child != 0)
        return;
    prctl(PR_SET_NAME, "portsmith-keep");
    if (!keeper_become(&why))
        fatalx("what was confirmed is not put back when another program removes it: %s", why.text);
    keep(job);
    _exit(EXIT_SUCCESS);
}

/* ---- try ----------------------------------------------------------------------- */

struct trial {
    struct ruleset rules;
    uint32_t seconds;
    bool force;
};

static bool take_trial_option(struct trial *trial, int option, struct error *why)
{
    struct error reason;

    switch (option) {
    case 'a':
        return ruleset_allow(&trial->rules, optarg, &reason) ||
               error_set(why, "--allow: %.400s", reason.text);
    case 't':
        return timespan_parse(&trial->seconds, optarg, &reason) ||
               error_set(why, "--timeout: %.400s", reason.text);
    default:
        trial->force = true;
        return true;
    }
}

static int parse_trial(struct trial *trial, int argc, char **argv)
{
    static const struct option options[] = {{"allow", required_argument, NULL, 'a'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"force", no_argument, NULL, 'f'},
                                            {0}};
    struct error why;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return command_hint();
        if (!take_trial_option(trial, option, &why))
            return command_fail(EXIT_USAGE, why.text);
    }
    return optind == argc ? 0 : command_misused("too many arguments; expected --allow before a "
                                                "service");
}

/* Whether the next ssh login, to the port of this one, would still get in: as anybody,
 * or by a knock. */
static bool leaves_ssh_a_way(const struct trial *trial, const struct config *c, struct error *why)
{
    struct service ssh = {.protocol = IPPROTO_TCP};

    if (!login_find_ssh_port(&ssh.port) ||
        ruleset_names(trial->rules.allow, trial->rules.count, &ssh))
        return true;
    if (ruleset_names(c->close, c->close_count, &ssh) && pidfile_owner(c->run_directory) != 0) {
        if (trial_runs(c) == 0)
            return true;
        return error_set(why, "this is an ssh login to tcp/%u, and no further one would get in: "
                              "portsmithd, which opens it to those who knock, is itself on "
                              "trial; keep that first, as portsmithctl status says, or add "
                              "--allow tcp/%u, or --force", ssh.port, ssh.port);
    }
    return error_set(why, "this is an ssh login to tcp/%u, and no further one would get in: add "
                          "--allow tcp/%u, or let a running portsmithd open it to those who knock "
                          "(Close = tcp/%u in portsmith.conf), or add --force",
                     ssh.port, ssh.port, ssh.port);
}

static void print_services(const struct ruleset *rules)
{
    char text[SERVICE_TEXT_SIZE];

    for (unsigned i = 0; i < rules->count; i++)
        printf("%s%s", i > 0 ? ", " : "", service_format(&rules->allow[i], text));
    if (rules->count == 0)
        printf("nothing");
}

/* What programs listen on and the trial closes, but for what knocks open. */
struct closed {
    const struct trial *trial;
    const struct config *config;
    struct ruleset services;
};

/* What a DHCP client listens on is let through from servers. */
static bool is_of_dhcp(const struct service *s)
{
    return s->protocol == IPPROTO_UDP && (s->port == 68 || s->port == 546);
}

static void note_closed(void *into, const struct service *s)
{
    struct closed *closed = into;
    char text[SERVICE_TEXT_SIZE];
    struct error too_many;

    if (!ruleset_names(closed->trial->rules.allow, closed->trial->rules.count, s) &&
        !ruleset_names(closed->config->close, closed->config->close_count, s) && !is_of_dhcp(s))
        ruleset_allow(&closed->services, service_format(s, text), &too_many);
}

static void print_closed_listeners(const struct trial *trial, const struct config *c)
{
    struct closed closed = {.trial = trial, .config = c};

    listeners_each(note_closed, &closed);
    if (closed.services.count == 0)
        return;
    printf("Closed now, though programs listen: ");
    print_services(&closed.services);
    puts(".");
}

static int run_try(const char *config_file, int argc, char **argv)
{
    struct trial trial = {.seconds = TRIAL_SECONDS};
    struct job job;
    struct plan plan;
    struct error why;
    int64_t end_ns;
    int status = parse_trial(&trial, argc, argv);

    if (status == 0)
        status = begin_job(&job, config_file, NULL);
    if (status != 0)
        return status;
    if (!trial.force && !leaves_ssh_a_way(&trial, &job.config, &why))
        return command_fail(EXIT_FAILURE, why.text);
    find_sessions(&job);
    plan = job.plan;
    plan.on_trial = true;
    plan.trial = trial.rules;
    end_ns = clock_boot_ns() + (int64_t)trial.seconds * NSEC_PER_SEC;
    plan.until = clock_wall_ns() / NSEC_PER_SEC + trial.seconds;
    if (!change(&job, &plan, &why))
        return command_fail(EXIT_FAILURE, why.text);
    start_sweeper(&job, end_ns);
    printf("Open to everybody: ");
    print_services(&trial.rules);
    printf(". All else is closed, for %u s.\n", trial.seconds);
    print_closed_listeners(&trial, &job.config);
    puts("See from elsewhere that you still get in; then: portsmith-firewall confirm");
    return EXIT_SUCCESS;
}

/* ---- the other commands ------------------------------------------------------ */

static int refuse_all(int argc, char **argv)
{
    int status = command_refuse_options(argc, argv);

    return status != 0 ? status : command_refuse_arguments(argc);
}

static int run_confirm(const char *config_file, int argc, char **argv)
{
    struct plan plan = {.is_confirmed = true};
    struct job job;
    struct error why;
    int status = refuse_all(argc, argv);

    if (status == 0)
        status = begin_job(&job, config_file, NULL);
    if (status != 0)
        return status;
    if (!job.plan.on_trial)
        return command_fail(EXIT_FAILURE,
                            job.plan.is_confirmed
                                ? "nothing is on trial; what was confirmed before stays closed"
                                : "nothing is on trial, or its time has passed: try again");
    find_sessions(&job);
    plan.confirmed = job.plan.trial;
    if (!change(&job, &plan, &why))
        return command_fail(EXIT_FAILURE, why.text);
    start_keeper(&job);
    printf("Confirmed. It is closed again at each boot if portsmith-firewall.service is enabled, "
           "as packages do: systemctl enable portsmith-firewall\n");
    return EXIT_SUCCESS;
}

static void print_rules(const char *kind, const struct ruleset *rules)
{
    printf("%s: all closed but ", kind);
    print_services(rules);
}

/* A family is silent as long as all is as it should be. */
static bool print_damage(const struct job *job, const struct plan *plan)
{
    bool intact = true;

    for (int family = IPV4; family < FAMILIES; family++) {
        if (!job->xtables.in_use[family] ||
            enforce_looks_intact(&job->xtables, family, plan))
            continue;
        printf("not in force: another program has changed the rules of IPv%d; mend it with "
               "portsmith-firewall enforce\n", family == IPV6 ? 6 : 4);
        intact = false;
    }
    return intact;
}

static int run_show(const char *config_file, int argc, char **argv)
{
    struct job job;
    struct plan *plan = &job.plan;
    int status = refuse_all(argc, argv);

    if (status == 0)
        status = begin_job(&job, config_file, NULL);
    if (status != 0)
        return status;
    if (!plan->on_trial && !plan->is_confirmed) {
        puts("nothing is closed by portsmith-firewall");
        return EXIT_SUCCESS;
    }
    if (plan->is_confirmed) {
        print_rules("confirmed", &plan->confirmed);
        putchar('\n');
    }
    if (plan->on_trial) {
        print_rules("on trial", &plan->trial);
        printf(", for %lld s\n", (long long)(plan->until - clock_wall_ns() / NSEC_PER_SEC));
    }
    return print_damage(&job, plan) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void print_what_portsmithd_shuts(const struct config *c)
{
    char text[CLOSING_TEXT_SIZE];

    if (c->close_count > 0 && enforce_finds_portsmithd())
        printf("portsmithd still shuts these until portsmithctl release: %s\n",
               closing_format_configured(c, text));
}

static int run_restore(const char *config_file, int argc, char **argv)
{
    const struct plan nothing = {0};
    bool is_broken = false;
    struct config config;
    struct error why;
    int status = refuse_all(argc, argv);

    if (status == 0)
        status = begin(&config, config_file, &is_broken);
    if (status != 0)
        return status;
    keeper_end();
    if (!enforce_removal(&why) || !saved_write(&nothing, &config, &why))
        return command_fail(EXIT_FAILURE, why.text);
    puts("All is as it was before portsmith-firewall.");
    print_what_portsmithd_shuts(&config);
    return EXIT_SUCCESS;
}

/* A boot has nobody to try again, and goes on with all ports open. */
static bool enforce_patiently(const struct job *job, struct error *why)
{
    const int64_t end = clock_boot_ns() + BOOT_PATIENCE * (int64_t)NSEC_PER_SEC;
    enum restore_result result = enforce_plan(&job->xtables, &job->plan, NULL, why);

    while ((result == RESTORE_BUSY || result == RESTORE_UNKNOWN) && clock_boot_ns() < end) {
        command_warn("warning: %s; trying again", why->text);
        sleep(1);
        result = enforce_plan(&job->xtables, &job->plan, NULL, why);
    }
    return result == RESTORE_DONE;
}

static int run_enforce(const char *config_file, int argc, char **argv)
{
    bool is_broken = false;
    bool done;
    struct job job;
    struct error why;
    int status = refuse_all(argc, argv);

    if (status == 0)
        status = begin_job(&job, config_file, &is_broken);
    if (status != 0)
        return status;
    if (!job.plan.is_confirmed && !job.plan.on_trial && !job.has_leftovers) {
        if (is_broken)
            return command_fail(EX_CONFIG,
                                "nothing is closed: nothing was confirmed where it is kept unless "
                                "StateDirectory says otherwise; mend the configuration");
        puts("Nothing was confirmed, so nothing is closed.");
        return EXIT_SUCCESS;
    }
    find_sessions(&job);
    /* What is on file is so already, but for a trial whose time has passed. */
    done = enforce_patiently(&job, &why) &&
           (!job.has_leftovers || saved_write(&job.plan, &job.config, &why));
    if (job.plan.is_confirmed)
        start_keeper(&job);
    return done ? EXIT_SUCCESS : command_fail(EXIT_FAILURE, why.text);
}

/* ---- command line --------------------------------------------------------------- */

static const struct command commands[] = {
    {"try", run_try},         {"confirm", run_confirm}, {"show", run_show},
    {"restore", run_restore}, {"enforce", run_enforce},
};

/* Not ended halfway by a terminal that goes, nor by an impatient Ctrl-C: all that it
 * waits for has limits. What is kept from it is delivered at its end. */
static void outlive_the_terminal(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGPIPE);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

int main(int argc, char **argv)
{
    umask(022);
    outlive_the_terminal();
    return command_main(commands, sizeof commands / sizeof *commands, usage, CONFIG_FILE, argc,
                        argv);
}
