/* portsmithd(8): options, and the way into the background. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/libc.h"
#include "common/log.h"
#include "common/privilege/capability.h"
#include "common/linux/process.h"
#include "common/text/command.h"
#include "daemon/config/config.h"
#include "daemon/config/pidfile.h"
#include "daemon/config/trial.h"
#include "daemon/host/firewalls.h"
#include "daemon/host/origin.h"
#include "daemon/host/savedtable.h"
#include "daemon/host/tracking.h"
#include "daemon/host/vrf.h"
#include "daemon/host/warning.h"
#include "daemon/portsmith-firewall/closing.h"
#include "daemon/supervisor/notify.h"
#include "daemon/supervisor/pair.h"
#include "daemon/supervisor/supervisor.h"

enum {
    POLL_MS = 50,
    RELEASE_PATIENCE_MS = 5000,
};

static const char usage[] =
    "usage: portsmithd [-dftT] [-c file] [--trace] [--trial span]\n"
    "       portsmithd --release [-c file]\n"
    "\n"
    "  -c, --config FILE   read FILE instead of /etc/portsmith.conf\n"
    "  -f, --foreground    stay in the foreground and log to standard error\n"
    "  -d, --debug         log more\n"
    "  -t, --test          check the configuration and this host, and exit\n"
    "  -T, --print         check the configuration, print what is in effect, exit\n"
    "      --trace         log of each knock that opens how long which step took\n"
    "      --trial SPAN    shut ports for so long, such as 15m, and then undo all,\n"
    "                      unless portsmithd is started without --trial by then\n"
    "      --release       open all shut ports: remove all rules, exit; refused\n"
    "                      while portsmith-firewall shuts one of them to everybody\n"
    "  -h, --help          show this and exit\n"
    "  -V, --version       show the version and exit\n"
    "\n"
    "For example: portsmithd --trial 15m\n"
    "The manual is portsmithd(8).\n";

struct options {
    struct supervisor_options supervisor;
    bool test, print, release;
};

static bool read_trial(struct supervisor_options *options, const char *span)
{
    struct error why;
    uint32_t seconds;

    if (!trial_parse_span(&seconds, span, &why)) {
        command_warn("--trial: %s", why.text);
        return false;
    }
    options->trial_end = clock_boot_ns() + (int64_t)seconds * NSEC_PER_SEC;
    return true;
}

static bool take_option(void *into, int option)
{
    struct options *options = into;

    switch (option) {
    case 'f':
        options->supervisor.foreground = true;
        break;
    case 'd':
        options->supervisor.debug = true;
        break;
    case 't':
        options->test = true;
        break;
    case 'T':
        options->print = true;
        break;
    case 'R':
        options->release = true;
        break;
    case 'r':
        options->supervisor.trace = true;
        break;
    case 'y':
        return read_trial(&options->supervisor, optarg);
    default:
        break;
    }
    return true;
}

/* False when the program is to end, with *status. */
static bool read_options(struct options *options, int argc, char **argv, int *status)
{
    static const struct option names[] = {COMMAND_OPTIONS,
                                          {"foreground", no_argument, NULL, 'f'},
                                          {"debug", no_argument, NULL, 'd'},
                                          {"test", no_argument, NULL, 't'},
                                          {"print", no_argument, NULL, 'T'},
                                          {"release", no_argument, NULL, 'R'},
                                          {"trace", no_argument, NULL, 'r'},
                                          {"trial", required_argument, NULL, 'y'},
                                          {0}};
    struct command_line line = {.usage = usage,
                                .letters = "c:fdtThV",
                                .options = names,
                                .config_file = CONFIG_FILE,
                                .take = take_option,
                                .into = options};

    if (!command_read(&line, argc, argv, status))
        return false;
    options->supervisor.config_path = line.config_file;
    if (optind == argc)
        return true;
    *status = command_misused("unexpected argument '%s'", argv[optind]);
    return false;
}

/* Whether another portsmithd runs; says so. One that was told to stop a moment ago may still be
 * removing its grants: `patience_ms` is how long to wait for its end. */
static bool is_running(const struct config *config, int patience_ms)
{
    pid_t owner = pidfile_owner(config->run_directory);

    for (int waited = 0; owner != 0 && waited < patience_ms; waited += POLL_MS) {
        poll(NULL, 0, POLL_MS);
        owner = pidfile_owner(config->run_directory);
    }
    if (owner != 0)
        command_warn("already running as pid %ld", (long)owner);
    return owner != 0;
}

/* Removes all rules, and returns an exit status. The firewall must open again even where the
 * configuration is broken. Only the directories and Shut are used of it, to see whether another
 * portsmithd runs, and whether portsmith-firewall would keep everybody out then. */
static int release(const struct options *options)
{
    const struct pair_options once = {.foreground = true};
    struct config config;
    struct error why;
    bool permitted;

    if (!config_read_main(&config, options->supervisor.config_path, &why))
        command_warn("warning: %s; going on with %s", why.text, config.run_directory);
    if (is_running(&config, RELEASE_PATIENCE_MS))
        return command_fail(EXIT_FAILURE, "stop it first");
    permitted = closing_permits_release(&config, &why);
    if (why.text[0] != '\0')
        command_warn("%s", why.text);
    return permitted && pair_release(BACKEND_AUTO, &once) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* False, having said what to do, where another portsmithd is in the way. A portsmithd on trial
 * gives way to one that is to stay. */
static bool has_place(const struct supervisor_options *options, const struct config *config)
{
    pid_t on_trial = trial_runs(config);
    char keep[TRIAL_KEEP_SIZE];
    struct error why;

    if (on_trial != 0 && options->trial_end == 0) {
        if (trial_take_over(config, on_trial, &why))
            return true;
        command_warn("%s", why.text);
        return false;
    }
    if (!is_running(config, 0))
        return true;
    if (on_trial != 0)
        command_warn("it is on trial already; to keep it: %s; to end it: portsmithctl release",
                     trial_keep(options->config_path, keep));
    else if (options->trial_end != 0)
        command_warn("its ports are shut for good, so there is nothing to try; to open them: "
                     "portsmithctl release");
    return false;
}

/* Says why portsmithd does not start, and returns an exit status. It goes to the log as well, as
 * at boot nobody reads what a daemon prints. */
static int refuse(const struct supervisor_options *options, const char *reason)
{
    log_warnx("%s", reason);
    if (!options->foreground)
        command_warn("%s", reason);
    return EX_CONFIG;
}

/* Looks whether this host can do what the configuration asks for. 0, or an exit status, with what
 * is missing in *why. */
static int look_at_host(const struct supervisor_options *options, const struct config *config,
                        struct error *why)
{
    const struct pair_options once = {.foreground = true, .trial_end = options->trial_end};

    switch (pair_probe(config, &once, why)) {
    case PAIR_STARTED:
        return 0;
    case PAIR_FAILED:
        return EXIT_FAILURE;
    default:
        return EX_CONFIG;
    }
}

/* Whether a start would fail for what this host lacks. It is looked for before portsmithd goes into
 * the background, so that the terminal is told. */
static bool is_vain(const struct supervisor_options *options, const struct config *config,
                    struct error *why)
{
    return look_at_host(options, config, why) == EX_CONFIG;
}

/* Whether a trial makes sense: 0, or an exit status. */
static int check_trial(const struct supervisor_options *options, const struct config *config)
{
    struct error reason;

    if (config->shut_count == 0) {
        error_set(&reason, "%s shuts no port, so there is nothing to try: add Shut = tcp/22, or "
                           "whatever is to be shut", options->config_path);
        return refuse(options, reason.text);
    }
    if (config->profile_count == 0)
        return refuse(options, "there is no profile, so nobody could knock: add one first, with "
                               "portsmith-profile add");
    return is_vain(options, config, &reason) ? refuse(options, reason.text) : 0;
}

/* Whether portsmithd is to start now: 0, or an exit status. What was tried and not kept may have
 * locked everybody out: without another trial, or the admin's own word, it is not done again. */
static int find_place(const struct supervisor_options *options, const struct config *config)
{
    struct error why;
    pid_t unused;

    if (!tracking_check(config, NULL, NULL, &why)) /* the pair's start tells the rest */
        return refuse(options, why.text);
    if (trial_runs(config) != 0 && options->trial_end == 0 && is_vain(options, config, &why))
        return refuse(options, why.text); /* the portsmithd on trial goes on */
    if (!has_place(options, config))
        return EXIT_FAILURE;
    if (options->trial_end != 0)
        return check_trial(options, config);
    if (trial_find_marker(config, &unused) == TRIAL_NONE)
        return 0;
    error_set(&why, "a trial has ended without being kept, so portsmithd does not start; try "
                    "again with portsmithd --trial 15m, or, to shut ports without, remove %s/trial",
              config->state_directory);
    return refuse(options, why.text);
}

/* Notes this host beside the server's key, if none is noted, and warns if another one is.
 * portsmithd.service lets nothing be written to /etc, which is no reason not to start. */
static void note_host(const struct config *config, const char *path)
{
    char init[CONFIG_INIT_SIZE];
    struct error why;

    if (!origin_put_missing(config, &why))
        log_warnx("this host is not noted beside the server key, so that a copy of the key on "
                  "another host would not be told of: %s; where that can be written, run: %s",
                  why.text, config_init_command(path, init));
    origin_find(config, path, warning_log, NULL);
}

static void leave_terminal(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (setsid() < 0 || chdir("/") != 0 || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
        dup2(nothing, STDOUT_FILENO) < 0 || dup2(nothing, STDERR_FILENO) < 0)
        fatal("cannot go into the background");
    close(nothing);
}

/* Returns in a process in the background. The process that was started waits until the one in
 * the background serves, so that its exit status tells whether that does. */
static void go_into_background(struct supervisor_options *options, const struct config *config)
{
    int ready[2];
    int status = 0;
    pid_t daemon;
    char byte;

    if (pipe2(ready, O_CLOEXEC) != 0)
        fatal("cannot make a pipe");
    daemon = fork();
    if (daemon < 0)
        fatal("cannot fork");
    if (daemon == 0) {
        close(ready[0]);
        leave_terminal();
        options->ready = ready[1];
        return;
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) == 1) {
        if (options->trial_end != 0)
            trial_announce(config, options->config_path, options->trial_end);
        exit(EXIT_SUCCESS);
    }
    command_warn("it did not start: the reason is in the system log, or run it with -f");
    exit(waitpid(daemon, &status, 0) == daemon && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                    : EXIT_FAILURE);
}

/* The path as it is from the root, as portsmithd in the background has another working directory.
 * Symbolic links are not resolved: none is followed when the file is read, either. */
static const char *make_absolute(char absolute[static PATH_MAX], const char *path)
{
    char directory[PATH_MAX];

    if (path[0] == '/' || !getcwd(directory, sizeof directory) ||
        strlen(directory) + 1 + strlen(path) >= PATH_MAX)
        return path;
    return strcat(strcat(strcpy(absolute, directory), "/"), path);
}

/* Wipes the environment, shuts the descriptors beyond standard error, and makes sure that no
 * file opened later takes the place of one of the first three. portsmithd needs nothing that it
 * was started with, and some of it would do harm. */
static bool forget_the_starter(void)
{
    int nothing;

    for (char **variable = environ; *variable; variable++)
        explicit_bzero(*variable, strlen(*variable));
    signal(SIGCHLD, SIG_DFL); /* if it were ignored, no child's end would be told */
    umask(022);
    if (clearenv() != 0 || close_range(STDERR_FILENO + 1, ~0u, 0) != 0)
        return false;
    do
        nothing = open("/dev/null", O_RDWR);
    while (nothing >= 0 && nothing <= STDERR_FILENO);
    return nothing >= 0 && close(nothing) == 0;
}

/* Says what is to be said of the configuration, which was read, and of this host. Returns an exit
 * status. */
static int check(const struct options *options, const struct config *config)
{
    struct error why;
    int status;

    if (options->print)
        config_print(config, stdout);
    warning_of_old_words(&config->notes, warning_print, NULL);
    firewalls_find(config, warning_print, NULL);
    firewalls_find_strays(config, warning_print, NULL);
    savedtable_find(warning_print, NULL);
    vrf_find(config, warning_print, NULL);
    origin_find(config, options->supervisor.config_path, warning_print, NULL);
    if (config->roster_trouble.text[0] != '\0')
        return command_fail(EX_CONFIG, config->roster_trouble.text);
    if (!tracking_check(config, warning_print, NULL, &why))
        return command_fail(EX_CONFIG, why.text);
    if (!options->test)
        return EXIT_SUCCESS;
    if (!capability_check(CAPABILITY_DAEMON, &why)) {
        command_warn("the configuration is right; what this host can do was not looked at: %s",
                     why.text);
        return EXIT_SUCCESS;
    }
    status = look_at_host(&options->supervisor, config, &why);
    return status == 0 ? EXIT_SUCCESS : command_fail(status, why.text);
}

int main(int argc, char **argv)
{
    struct options options = {.supervisor = {.ready = -1}};
    struct supervisor_options *supervisor = &options.supervisor;
    struct config *config;
    struct error why;
    char path[PATH_MAX];
    int status;

    notify_read_environment();
    supervisor->in_journal = log_standard_error_is_the_journal();
    if (!forget_the_starter() || sodium_init() < 0 || !process_forbid_core_dumps(&why))
        fatal("cannot initialise");
    if (!read_options(&options, argc, argv, &status))
        return status;
    if (!options.test && !options.print && !capability_check(CAPABILITY_DAEMON, &why))
        return command_fail(EXIT_FAILURE, why.text);
    if (options.release)
        return release(&options);
    supervisor->config_path = make_absolute(path, supervisor->config_path);
    config = config_load(supervisor->config_path, &why);
    if (!config)
        return command_fail(EX_CONFIG, why.text);
    if (options.print || options.test)
        return check(&options, config);
    log_open("portsmithd", supervisor->foreground && !supervisor->in_journal, supervisor->debug);
    status = find_place(supervisor, config);
    if (status != 0)
        return status;
    note_host(config, supervisor->config_path);
    if (!supervisor->foreground)
        go_into_background(supervisor, config);
    return supervisor_run(supervisor, config);
}
