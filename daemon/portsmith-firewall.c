/* portsmith-firewall(8): closes all ports but those named; first on trial, so that
 * nobody locks himself out for longer than a minute. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "enforce.h"
#include "log.h"
#include "login.h"
#include "pidfile.h"
#include "saved.h"
#include "timespan.h"

enum {
    EXIT_USAGE = 2,
    TRIAL_SECONDS = 60,
    BOOT_PATIENCE = 60, /* seconds that the boot tries for; the network waits */
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

static int fail(int status, const char *reason)
{
    fprintf(stderr, "portsmith-firewall: %s\n", reason);
    return status;
}

static int misused(const char *reason)
{
    fprintf(stderr, "portsmith-firewall: %s; see portsmith-firewall --help\n", reason);
    return EXIT_USAGE;
}

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
    fprintf(stderr, "portsmith-firewall: warning: %s; going on without\n", why->text);
    return true;
}

/* The configuration, and the lock until the end of the process. 0 or an exit status.
 * `is_broken`, which is false before: to go on with a broken one; else NULL. */
static int begin(struct config *c, const char *config_file, bool *is_broken)
{
    struct error why;

    if (geteuid() != 0)
        return fail(EXIT_FAILURE, "only root may do this; try it with sudo");
    if (!read_config(c, config_file, is_broken, &why))
        return fail(EX_CONFIG, why.text);
    return saved_lock(c, &why) >= 0 ? 0 : fail(EXIT_FAILURE, why.text);
}

static int begin_job(struct job *job, const char *config_file, bool *is_broken)
{
    struct error why;
    int status = begin(&job->config, config_file, is_broken);

    if (status != 0)
        return status;
    if (!saved_read(&job->plan, &job->config, &why) ||
        !helper_probe_choose(&job->xtables, job->config.backend, &why))
        return fail(EXIT_FAILURE, why.text);
    job->has_leftovers =
        job->plan.on_trial && clock_wall_ns() / NSEC_PER_SEC >= job->plan.until;
    job->plan.on_trial = job->plan.on_trial && !job->has_leftovers;
    return 0;
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

/* ---- the sweeper ------------------------------------------------------------- */

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

/* The rules are dead by now, unless the clock was set back. */
static int sweep(struct job *job)
{
    const struct plan trial = job->plan;
    struct plan plan;
    struct error why;

    if (saved_lock(&job->config, &why) < 0 || !saved_read(&job->plan, &job->config, &why))
        fatalx("the trial's rules are dead, but not removed: %s", why.text);
    if (!is_to_be_swept(job, &trial))
        return EXIT_SUCCESS;
    plan = job->plan;
    plan.on_trial = false;
    if (enforce_plan(&job->xtables, &plan, NULL, &why) != RESTORE_DONE ||
        !saved_write(&plan, &job->config, &why))
        fatalx("the trial's rules are dead, but not removed: %s", why.text);
    log_info("the trial was not confirmed: rolled back");
    return EXIT_SUCCESS;
}

/* The kernel ends the trial in any case; this only removes what is left of it. */
static void start_sweeper(struct job *job, int64_t end_ns)
{
    pid_t child = detach();

    if (child < 0)
        fprintf(stderr, "portsmith-firewall: warning: no process can be started to remove the "
                        "trial's rules at its end (%s); they are dead then, unless the clock is "
                        "set back, and portsmith-firewall enforce removes them\n",
                strerror(errno));
    if (child != 0)
        return;
    wait_until_boot_time(end_ns);
    _exit(sweep(job));
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
            return EXIT_USAGE;
        if (!take_trial_option(trial, option, &why))
            return fail(EXIT_USAGE, why.text);
    }
    return optind == argc ? 0 : misused("too many arguments; expected --allow before a service");
}

static bool has_service(const struct service *services, unsigned count, const struct service *s)
{
    for (unsigned i = 0; i < count; i++)
        if (service_compare(&services[i], s) == 0)
            return true;
    return false;
}

/* Whether the next ssh login, to the port of this one, would still get in: as anybody,
 * or by a knock. */
static bool leaves_ssh_a_way(const struct trial *trial, const struct config *c, struct error *why)
{
    struct service ssh = {.protocol = IPPROTO_TCP};

    if (!login_find_ssh_port(&ssh.port) ||
        has_service(trial->rules.allow, trial->rules.count, &ssh))
        return true;
    if (has_service(c->close, c->close_count, &ssh) && pidfile_owner(c->run_directory) != 0)
        return true;
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
        return fail(EXIT_FAILURE, why.text);
    plan = job.plan;
    plan.on_trial = true;
    plan.trial = trial.rules;
    end_ns = clock_boot_ns() + (int64_t)trial.seconds * NSEC_PER_SEC;
    plan.until = clock_wall_ns() / NSEC_PER_SEC + trial.seconds;
    if (!change(&job, &plan, &why))
        return fail(EXIT_FAILURE, why.text);
    start_sweeper(&job, end_ns);
    printf("Open to everybody: ");
    print_services(&trial.rules);
    printf(". All else is closed, for %u s.\n"
           "See from elsewhere that you still get in; then: portsmith-firewall confirm\n",
           trial.seconds);
    return EXIT_SUCCESS;
}

/* ---- the other commands ------------------------------------------------------ */

/* For commands without options or arguments of their own. */
static int refuse_arguments(int argc, char **argv)
{
    static const struct option none[] = {{0}};

    if (getopt_long(argc, argv, "", none, NULL) != -1)
        return EXIT_USAGE;
    return optind == argc ? 0 : misused("too many arguments");
}

static int run_confirm(const char *config_file, int argc, char **argv)
{
    struct plan plan = {.is_confirmed = true};
    struct job job;
    struct error why;
    int status = refuse_arguments(argc, argv);

    if (status == 0)
        status = begin_job(&job, config_file, NULL);
    if (status != 0)
        return status;
    if (!job.plan.on_trial)
        return fail(EXIT_FAILURE, "nothing is on trial, or its time has passed: try again");
    plan.confirmed = job.plan.trial;
    if (!change(&job, &plan, &why))
        return fail(EXIT_FAILURE, why.text);
    printf("Confirmed. For each boot, once: systemctl enable portsmith-firewall\n");
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
    int status = refuse_arguments(argc, argv);

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

static int run_restore(const char *config_file, int argc, char **argv)
{
    const struct plan nothing = {0};
    bool is_broken = false;
    struct config config;
    struct error why;
    int status = refuse_arguments(argc, argv);

    if (status == 0)
        status = begin(&config, config_file, &is_broken);
    if (status != 0)
        return status;
    if (!enforce_removal(&why) || !saved_write(&nothing, &config, &why))
        return fail(EXIT_FAILURE, why.text);
    puts("All is as it was before portsmith-firewall.");
    return EXIT_SUCCESS;
}

/* A boot has nobody to try again, and goes on with all ports open. */
static bool enforce_patiently(const struct job *job, struct error *why)
{
    const int64_t end = clock_boot_ns() + BOOT_PATIENCE * (int64_t)NSEC_PER_SEC;
    enum restore_result result = enforce_plan(&job->xtables, &job->plan, NULL, why);

    while (result != RESTORE_DONE && result != RESTORE_REFUSED && clock_boot_ns() < end) {
        fprintf(stderr, "portsmith-firewall: warning: %s; trying again\n", why->text);
        sleep(1);
        result = enforce_plan(&job->xtables, &job->plan, NULL, why);
    }
    return result == RESTORE_DONE;
}

static int run_enforce(const char *config_file, int argc, char **argv)
{
    bool is_broken = false;
    struct job job;
    struct error why;
    int status = refuse_arguments(argc, argv);

    if (status == 0)
        status = begin_job(&job, config_file, &is_broken);
    if (status != 0)
        return status;
    if (!job.plan.is_confirmed && !job.plan.on_trial && !job.has_leftovers) {
        if (is_broken)
            return fail(EX_CONFIG, "nothing is closed: nothing was confirmed where it is kept "
                                   "unless StateDirectory says otherwise; mend the configuration");
        puts("Nothing was confirmed, so nothing is closed.");
        return EXIT_SUCCESS;
    }
    /* What is on file is so already, but for a trial whose time has passed. */
    if (enforce_patiently(&job, &why) &&
        (!job.has_leftovers || saved_write(&job.plan, &job.config, &why)))
        return EXIT_SUCCESS;
    return fail(EXIT_FAILURE, why.text);
}

/* ---- command line --------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*run)(const char *config_file, int argc, char **argv);
} commands[] = {
    {"try", run_try},         {"confirm", run_confirm}, {"show", run_show},
    {"restore", run_restore}, {"enforce", run_enforce},
};

static int run_command(const char *config_file, int argc, char **argv, char *program)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, argv[0]) != 0)
            continue;
        argv[0] = program;
        optind = 0; /* glibc: start afresh */
        return commands[i].run(config_file, argc, argv);
    }
    fprintf(stderr, "portsmith-firewall: '%s' is not a command\n", argv[0]);
    return misused("expected try, confirm, show, restore or enforce");
}

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

static int finish(int status)
{
    if (fflush(stdout) == 0)
        return status;
    perror("portsmith-firewall: standard output");
    return status != 0 ? status : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {0}};
    const char *config_file = CONFIG_FILE;
    int option;

    umask(022);
    outlive_the_terminal();
    while ((option = getopt_long(argc, argv, "+c:hV", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config_file = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return finish(EXIT_SUCCESS);
        case 'V':
            puts("portsmith-firewall " PORTSMITH_VERSION);
            return finish(EXIT_SUCCESS);
        default:
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return misused("expected a command");
    return finish(run_command(config_file, argc - optind, argv + optind, argv[0]));
}
