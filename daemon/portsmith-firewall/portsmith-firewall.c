/* portsmith-firewall(8): shuts all ports but those named. They are shut on trial first, so
 * that nobody locks himself out for longer than a minute. */
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
#include "common/libc.h"
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
    BOOT_PATIENCE = 60, /* seconds for which the boot tries; the network waits for it */
    LOOK_MS = 2000,     /* between two looks of the keeper, where no bell rings */
    PAUSE_MS = 1000,    /* between two looks of the keeper at least */
};

static const char usage[] =
    "usage: portsmith-firewall [-c FILE] COMMAND [OPTION...]\n"
    "\n"
    "  try [--allow SERVICE]... [--timeout SPAN] [--force]\n"
    "                     shut all other ports, on trial\n"
    "  confirm            keep what is on trial, and for each boot\n"
    "  show               print what is shut, and for how long\n"
    "  remove             remove all of it, so that all is as before\n"
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
    "SERVICE is tcp/PORT or udp/PORT, or several with commas between.\n"
    "\n"
    "For example: portsmith-firewall try --allow tcp/80,tcp/443 --timeout 5m\n"
    "The manual is portsmith-firewall(8).\n";

/* What every command starts from. */
struct job {
    struct config config;
    struct enforcer enforcer;
    struct plan plan;   /* what is shut now; a trial whose time has passed is left out */
    bool has_leftovers; /* the files still name a trial whose time has passed */
};

/* ---- beginning ------------------------------------------------------------- */

/* Reads the configuration, and takes the lock, which lasts until the process ends. Returns 0 or
 * an exit status. A host may have no portsmithd, and so no portsmith.conf. Commands that remove
 * the rules, or shut the ports at boot, go on where it is broken: they hand over `is_broken`,
 * false before, which becomes true then. Other commands hand over NULL. */
static int begin(struct config *c, const char *config_file, bool *is_broken)
{
    struct error why;

    if (!capability_check(CAPABILITY_FIREWALL, &why))
        return command_fail(EXIT_FAILURE, why.text);
    if (!config_read_main(c, config_file, &why) &&
        (errno != ENOENT || strcmp(config_file, CONFIG_FILE) != 0)) {
        if (!is_broken)
            return command_fail(EX_CONFIG, why.text);
        *is_broken = true;
        command_warn("warning: %s; going on without", why.text);
    }
    return saved_lock(c, &why) >= 0 ? 0 : command_fail(EXIT_FAILURE, why.text);
}

/* Reads what is shut now. */
static bool read_plan(struct job *job, struct error *why)
{
    if (!saved_read(&job->plan, &job->config, why))
        return false;
    job->has_leftovers =
        job->plan.on_trial && clock_wall_ns() / NSEC_PER_SEC >= job->plan.until;
    job->plan.on_trial = job->plan.on_trial && !job->has_leftovers;
    return true;
}

/* Begins, and reads what is shut now. Returns 0 or an exit status. */
static int begin_job(struct job *job, const char *config_file, bool *is_broken)
{
    struct error why;
    int status = begin(&job->config, config_file, is_broken);

    if (status == 0 && !read_plan(job, &why))
        status = command_fail(EXIT_FAILURE, why.text);
    return status;
}

/* Finds the back end: to put something in force, or only to look. Returns 0 or an exit status. */
static int find_backend(struct job *job, bool to_change)
{
    struct error why;

    return enforce_choose(&job->enforcer, &job->config, to_change, &why)
               ? 0
               : command_fail(EXIT_FAILURE, why.text);
}

/* Finds out whether rules can tell segments of sessions; called before rules are put in force.
 * If they cannot, ACKs of strangers pass with those of sessions, so that sessions go on. */
static void find_sessions(struct job *job)
{
    struct error why;

    if (!enforce_find_sessions(&job->enforcer, &why))
        command_warn("warning: a valid SYN cookie opens shut ports of TCP, because a segment of a "
                     "session cannot be told from others: %.300s", why.text);
}

/* Makes the firewall and the files as planned, or leaves both as they were. */
static bool change(struct job *job, const struct plan *plan, struct error *why)
{
    const struct plan before = job->plan;
    struct error unused;

    if (saved_write(plan, &job->config, why) &&
        enforce_plan(&job->enforcer, plan, &before, why) == RESTORE_DONE) {
        job->plan = *plan;
        return true;
    }
    saved_write(&before, &job->config, &unused);
    return false;
}

/* ---- in the background --------------------------------------------------------- */

/* Makes a process in the background that is tied to no terminal. Returns what fork(2) returns:
 * 0 in that process. */
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

/* Whether the trial's rules are still there, in any family. */
static bool has_rules_of(const struct job *job, const struct plan *trial)
{
    struct plan alone = *trial;
    bool found = false;

    alone.is_confirmed = false;
    for (enum family family = IPV4; family < FAMILIES; family++)
        found |= job->enforcer.in_use[family] &&
                 enforce_looks_intact(&job->enforcer, family, &alone);
    return found;
}

/* Removes the rules and the file of the trial that this process was started for. A trial that was
 * confirmed or removed, and another that has begun since, are left alone. A missing file alone
 * does not say that the trial is over, as other programs clear the run directory, too. */
static bool sweep(struct job *job, struct error *why)
{
    const struct plan trial = job->plan;
    struct plan plan;

    if (saved_lock(&job->config, why) < 0 || !saved_read(&job->plan, &job->config, why))
        return false;
    if (job->plan.on_trial ? job->plan.until != trial.until : !has_rules_of(job, &trial))
        return true;
    plan = job->plan;
    plan.on_trial = false;
    if (enforce_plan(&job->enforcer, &plan, NULL, why) != RESTORE_DONE ||
        !saved_write(&plan, &job->config, why))
        return false;
    log_info("the trial was not confirmed: rolled back");
    return true;
}

/* Starts a process that removes what is left of the trial at its end, `end_ns` of CLOCK_BOOTTIME
 * in nanoseconds. The kernel ends the trial in any case, as its rules have a deadline. */
static void start_sweeper(struct job *job, int64_t end_ns)
{
    const struct timespec end = {.tv_sec = end_ns / NSEC_PER_SEC,
                                 .tv_nsec = (long)(end_ns % NSEC_PER_SEC)};
    struct error why;
    pid_t child = detach();

    if (child < 0)
        command_warn("warning: no process can be started to remove the trial's rules at its end "
                     "(%s); they are dead then, unless the clock is set back, and "
                     "portsmith-firewall enforce removes them", strerror(errno));
    if (child != 0)
        return;
    while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &end, NULL) == EINTR)
        ;
    /* The rules are dead by now, unless the clock was set back. */
    if (!sweep(job, &why))
        fatalx("the trial has ended, but its rules could not be removed: %s; portsmith-firewall "
               "enforce removes them", why.text);
    _exit(EXIT_SUCCESS);
}

/* ---- the keeper ---------------------------------------------------------------- */

/* Whether every family in use has all that is to be shut. */
static bool is_intact(const struct job *job)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (job->enforcer.in_use[family] &&
            !enforce_looks_intact(&job->enforcer, family, &job->plan))
            return false;
    return true;
}

/* Ends a keeper whose file was removed: portsmith-firewall remove could not find and end it, and
 * it would undo what remove does. */
static void end_unless_found(void)
{
    if (!keeper_can_be_found())
        fatalx("what was confirmed is no longer put back when another program removes it: "
               KEEPER_FILE ", by which this process is found, was removed; portsmith-firewall "
               "enforce starts another");
}

/* Puts the rules back if any is missing. The result is RESTORE_DONE where none is missing. */
static enum restore_result put_back(const struct job *job, const struct bell_ringer *ringer)
{
    static struct log_limit done, failed;
    enum restore_result result;
    char who[80] = "";
    struct error why;

    if (is_intact(job))
        return RESTORE_DONE;
    end_unless_found(); /* that which removed them may be such a remove */
    if (ringer->pid != 0)
        snprintf(who, sizeof who, " (the last to change nftables was %s, pid %u)", ringer->name,
                 ringer->pid);
    result = enforce_plan(&job->enforcer, &job->plan, NULL, &why);
    if (result == RESTORE_DONE)
        log_warnx_limited(&done, LINES_A_MINUTE, "another program removed rules of "
                          "portsmith-firewall%s: they are put back", who);
    else
        log_warnx_limited(&failed, 1, "another program removed rules of portsmith-firewall%s, and "
                          "they cannot be put back: %s", who, why.text);
    return result;
}

/* Looks after what is confirmed, and after a trial beside it, until nothing is confirmed. Looks
 * again when the bell says that another program has changed nftables, or after a while where
 * there is no bell; and soon where what is missing could not be put back. */
static void keep(struct job *job)
{
    static struct log_limit said;
    struct bell_ringer ringer = {0};
    struct error why;
    int bell = job->enforcer.backend != BACKEND_LEGACY ? bell_open(&why) : -1;
    struct pollfd fd = {.fd = bell, .events = POLLIN};

    for (;;) {
        enum restore_result result = RESTORE_BUSY;
        int lock = saved_lock(&job->config, &why);
        bool again;

        end_unless_found();
        if (lock < 0 || !read_plan(job, &why))
            log_warnx_limited(&said, 1, "what was confirmed cannot be read: %s", why.text);
        else if (!job->plan.is_confirmed)
            return;
        else
            result = put_back(job, &ringer);
        if (lock >= 0)
            close(lock);
        again = result == RESTORE_BUSY || result == RESTORE_UNKNOWN;
        poll(NULL, 0, PAUSE_MS);
        poll(&fd, 1, again ? 0 : bell < 0 ? LOOK_MS - PAUSE_MS : -1);
        if (bell >= 0)
            bell_rang(bell, NULL, 0, &ringer);
    }
}

/* Starts the keeper in the background, in place of one that runs. */
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

/* Reads the options of try. Returns 0 or EXIT_USAGE. */
static int parse_trial(struct trial *trial, int argc, char **argv)
{
    static const struct option options[] = {{"allow", required_argument, NULL, 'a'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"force", no_argument, NULL, 'f'},
                                            {0}};
    struct error why;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'a':
            if (!ruleset_allow(&trial->rules, optarg, &why))
                return command_misused("--allow: %s", why.text);
            break;
        case 't':
            if (!timespan_parse(&trial->seconds, optarg, &why))
                return command_misused("--timeout: %s", why.text);
            break;
        case 'f':
            trial->force = true;
            break;
        default:
            return command_hint();
        }
    return optind == argc ? 0 : command_misused("too many arguments; expected --allow before a "
                                                "service");
}

/* Whether the next ssh login, to the port of this one, would still get in, either as anybody
 * does or by a knock. True if this is no ssh login. */
static bool leaves_ssh_a_way(const struct trial *trial, const struct job *job, struct error *why)
{
    struct service ssh = {.protocol = IPPROTO_TCP};
    const struct config *c = &job->config;

    if (!login_find_ssh_port(&ssh.port) ||
        ruleset_names(trial->rules.allow, trial->rules.count, &ssh))
        return true;
    if (ruleset_names(c->shut, c->shut_count, &ssh) && pidfile_owner(c->run_directory) != 0) {
        if (trial_runs(c) != 0)
            return error_set(why, "this is an ssh login to tcp/%u, and no further one would get "
                                  "in: portsmithd, which opens it to those who knock, is itself on "
                                  "trial; keep that first, as portsmithctl status says, or add "
                                  "--allow tcp/%u, or --force", ssh.port, ssh.port);
        return enforce_lets_knocks_in(&job->enforcer) ||
               error_set(why, "this is an ssh login to tcp/%u, and no further one would get in: "
                              "with nftables only a packet mark tells what a knock opens; set "
                              "AcceptMark in portsmith.conf and restart portsmithd, or add "
                              "--allow tcp/%u, or --force", ssh.port, ssh.port);
    }
    return error_set(why, "this is an ssh login to tcp/%u, and no further one would get in: add "
                          "--allow tcp/%u, or let a running portsmithd open it to those who knock "
                          "(Shut = tcp/%u in portsmith.conf), or add --force",
                     ssh.port, ssh.port, ssh.port);
}

/* Says so where no knock opens what is shut. */
static void warn_of_knocks(const struct job *job)
{
    if (!enforce_lets_knocks_in(&job->enforcer) && job->config.shut_count > 0)
        command_warn("warning: a knock opens a port that is shut here only if AcceptMark is set in "
                     "portsmith.conf: with nftables, a packet that one table drops is dropped");
}

static void print_services(const struct ruleset *rules)
{
    char text[SERVICE_TEXT_SIZE];

    for (unsigned i = 0; i < rules->count; i++)
        printf("%s%s", i > 0 ? ", " : "", service_format(&rules->allow[i], text));
    if (rules->count == 0)
        printf("nothing");
}

/* The services that programs listen on and the trial shuts, but for those that knocks open. */
struct shut {
    const struct trial *trial;
    const struct job *job;
    struct ruleset services;
};

/* Notes a service that a program listens on, if the trial shuts it. The ports of DHCP clients
 * are open to DHCP servers. */
static void note_shut(void *into, const struct service *s)
{
    struct shut *shut = into;
    const struct config *config = &shut->job->config;
    bool opens = enforce_lets_knocks_in(&shut->job->enforcer) &&
                 ruleset_names(config->shut, config->shut_count, s);
    bool is_of_dhcp = s->protocol == IPPROTO_UDP && (s->port == 68 || s->port == 546);
    char text[SERVICE_TEXT_SIZE];
    struct error too_many;

    if (!ruleset_names(shut->trial->rules.allow, shut->trial->rules.count, s) &&
        !opens && !is_of_dhcp)
        ruleset_allow(&shut->services, service_format(s, text), &too_many);
}

static void print_shut_listeners(const struct trial *trial, const struct job *job)
{
    struct shut shut = {.trial = trial, .job = job};

    listeners_each(note_shut, &shut);
    if (shut.services.count == 0)
        return;
    printf("Shut now, though programs listen: ");
    print_services(&shut.services);
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
    if (status == 0)
        status = find_backend(&job, true);
    if (status != 0)
        return status;
    if (!trial.force && !leaves_ssh_a_way(&trial, &job, &why))
        return command_fail(EXIT_FAILURE, why.text);
    warn_of_knocks(&job);
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
    printf(". All else is shut, for %u s.\n", trial.seconds);
    print_shut_listeners(&trial, &job);
    puts("See from elsewhere that you still get in; then: portsmith-firewall confirm");
    return EXIT_SUCCESS;
}

/* ---- the other commands ------------------------------------------------------ */

/* For a command without options and arguments of its own: 0 or EXIT_USAGE. */
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
                                ? "nothing is on trial; what was confirmed before stays shut"
                                : "nothing is on trial, or its time has passed: try again");
    status = find_backend(&job, true);
    if (status != 0)
        return status;
    find_sessions(&job);
    plan.confirmed = job.plan.trial;
    if (!change(&job, &plan, &why))
        return command_fail(EXIT_FAILURE, why.text);
    start_keeper(&job);
    printf("Confirmed. It is shut again at each boot if portsmith-firewall.service is enabled, "
           "as packages do: systemctl enable portsmith-firewall\n");
    return EXIT_SUCCESS;
}

/* Names each family in which something is missing. True if there is none. */
static bool print_damage(const struct job *job, const struct plan *plan)
{
    bool intact = true;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        if (!job->enforcer.in_use[family] ||
            enforce_looks_intact(&job->enforcer, family, plan))
            continue;
        printf("not in force: another program has changed the rules of IPv%d; fix it with "
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
        puts("nothing is shut by portsmith-firewall");
        return EXIT_SUCCESS;
    }
    status = find_backend(&job, false);
    if (status != 0)
        return status;
    if (plan->is_confirmed) {
        printf("confirmed: all shut but ");
        print_services(&plan->confirmed);
        putchar('\n');
    }
    if (plan->on_trial) {
        printf("on trial: all shut but ");
        print_services(&plan->trial);
        printf(", for %lld s\n", (long long)(plan->until - clock_wall_ns() / NSEC_PER_SEC));
    }
    return print_damage(&job, plan) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_remove(const char *config_file, int argc, char **argv)
{
    const struct plan nothing = {0};
    char text[CLOSING_TEXT_SIZE];
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
    if (config.shut_count > 0 && enforce_finds_portsmithd())
        printf("portsmithd still shuts these until portsmithctl release: %s\n",
               closing_format_configured(&config, text));
    return EXIT_SUCCESS;
}

/* Tries for BOOT_PATIENCE seconds: nobody is there at boot to try again, and without this all
 * ports would stay open. */
static bool enforce_patiently(const struct job *job, struct error *why)
{
    const int64_t end = clock_boot_ns() + BOOT_PATIENCE * (int64_t)NSEC_PER_SEC;
    enum restore_result result = enforce_plan(&job->enforcer, &job->plan, NULL, why);

    while ((result == RESTORE_BUSY || result == RESTORE_UNKNOWN) && clock_boot_ns() < end) {
        command_warn("warning: %s; trying again", why->text);
        sleep(1);
        result = enforce_plan(&job->enforcer, &job->plan, NULL, why);
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
                                "nothing is shut: nothing was confirmed where it is kept unless "
                                "StateDirectory says otherwise; fix the configuration");
        puts("Nothing was confirmed, so nothing is shut.");
        return EXIT_SUCCESS;
    }
    status = find_backend(&job, true);
    if (status != 0)
        return status;
    find_sessions(&job);
    /* The files are as the plan is, unless they hold a trial whose time has passed. */
    done = enforce_patiently(&job, &why) &&
           (!job.has_leftovers || saved_write(&job.plan, &job.config, &why));
    if (job.plan.is_confirmed)
        start_keeper(&job);
    return done ? EXIT_SUCCESS : command_fail(EXIT_FAILURE, why.text);
}

/* ---- command line --------------------------------------------------------------- */

static const struct command commands[] = {
    {"try", run_try, NULL},       {"confirm", run_confirm, NULL}, {"show", run_show, NULL},
    {"remove", run_remove, NULL}, {"enforce", run_enforce, NULL}, {"restore", run_remove, "remove"},
};

/* Keeps the program from being ended halfway, by a terminal that closes or by an impatient
 * Ctrl-C. All its waits have limits, so it ends soon by itself. */
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
