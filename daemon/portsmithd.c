/* portsmithd(8): options, and the way into the background. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "log.h"
#include "neighbours.h"
#include "notify.h"
#include "pair.h"
#include "pidfile.h"
#include "supervisor.h"

enum {
    EXIT_USAGE = 2,
    EXIT_CONFIGURATION = 78,
    POLL_MS = 50,
    RELEASE_PATIENCE_MS = 5000,
};

static const char usage[] =
    "usage: portsmithd [-dftT] [-c file] [--trace]\n"
    "       portsmithd --release [-c file]\n"
    "\n"
    "  -c, --config FILE   read FILE instead of /etc/portsmith.conf\n"
    "  -f, --foreground    stay in the foreground and log to standard error\n"
    "  -d, --debug         log more\n"
    "  -t, --test          check the configuration and exit\n"
    "  -T, --print         check the configuration, print what is in effect, exit\n"
    "      --trace         log of each knock that opens how long which step took\n"
    "      --release       open the ports that Close shut: remove all rules, exit\n"
    "  -h, --help          show this and exit\n"
    "  -V, --version       show the version and exit\n"
    "\n"
    "The manual is portsmithd(8).\n";

struct options {
    struct supervisor_options supervisor;
    bool test, print, release;
};

static _Noreturn void refuse_usage(void)
{
    fputs("Try 'portsmithd --help'.\n", stderr);
    exit(EXIT_USAGE);
}

static void read_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"config", required_argument, NULL, 'c'}, {"foreground", no_argument, NULL, 'f'},
        {"debug", no_argument, NULL, 'd'},        {"test", no_argument, NULL, 't'},
        {"print", no_argument, NULL, 'T'},        {"release", no_argument, NULL, 'R'},
        {"trace", no_argument, NULL, 'r'},        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "c:fdtThV", names, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->supervisor.config_path = optarg;
            break;
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
        case 'h':
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        case 'V':
            puts("portsmithd " PORTSMITH_VERSION);
            exit(EXIT_SUCCESS);
        default:
            refuse_usage();
        }
    }
    if (optind < argc) {
        fprintf(stderr, "portsmithd: unexpected argument '%s'\n", argv[optind]);
        refuse_usage();
    }
}

static _Noreturn void refuse_configuration(const struct error *why)
{
    fprintf(stderr, "portsmithd: %s\n", why->text);
    exit(EXIT_CONFIGURATION);
}

static void print_warning(void *unused, const char *what, const char *advice)
{
    (void)unused;
    fprintf(stderr, "portsmithd: warning: %s: %s\n", what, advice);
}

static bool is_root(void)
{
    if (geteuid() == 0)
        return true;
    fputs("portsmithd: it must be run by root\n", stderr);
    return false;
}

/* One that was told to stop a moment ago may still be removing its grants. */
static bool is_running(const struct config *config, int patience_ms)
{
    pid_t owner = pidfile_owner(config->run_directory);

    for (int waited = 0; owner != 0 && waited < patience_ms; waited += POLL_MS) {
        poll(NULL, 0, POLL_MS);
        owner = pidfile_owner(config->run_directory);
    }
    if (owner != 0)
        fprintf(stderr, "portsmithd: already running as pid %ld\n", (long)owner);
    return owner != 0;
}

/* The firewall must open again even when the configuration is broken: of it only
 * the run directory matters, to see whether a daemon runs. */
static int release(const struct options *options)
{
    const struct pair_logging logging = {.foreground = true};
    struct config config;
    struct error why;

    if (!config_read_main(&config, options->supervisor.config_path, &why))
        fprintf(stderr, "portsmithd: warning: %s; going on with %s\n", why.text,
                config.run_directory);
    if (is_running(&config, RELEASE_PATIENCE_MS)) {
        fputs("portsmithd: stop it first\n", stderr);
        return EXIT_FAILURE;
    }
    return pair_release(&logging) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void leave_terminal(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (setsid() < 0 || chdir("/") != 0 || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
        dup2(nothing, STDOUT_FILENO) < 0 || dup2(nothing, STDERR_FILENO) < 0)
        fatal("cannot go into the background");
    close(nothing);
}

/* Returns in the background process; the starting one waits until the daemon
 * serves, so that its exit status tells whether it does. */
static void go_into_background(struct supervisor_options *options)
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
    if (read(ready[0], &byte, 1) == 1)
        exit(EXIT_SUCCESS);
    fputs("portsmithd: it did not start: the reason is in the system log, or run it with -f\n",
          stderr);
    exit(waitpid(daemon, &status, 0) == daemon && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                    : EXIT_FAILURE);
}

/* A daemon in the background has another working directory. Symbolic links are
 * not resolved: none is followed when it is read, either. */
static const char *make_absolute(char absolute[static PATH_MAX], const char *path)
{
    char directory[PATH_MAX];

    if (path[0] == '/' || !getcwd(directory, sizeof directory) ||
        strlen(directory) + 1 + strlen(path) >= PATH_MAX)
        return path;
    return strcat(strcat(strcpy(absolute, directory), "/"), path);
}

static bool forbid_core_dumps(void)
{
    static const struct rlimit none = {0, 0};

    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0;
}

/* Nothing of what it was started with is needed, some of it would do harm, and all
 * would be handed on to the sniffer: wipes the environment, closes descriptors
 * beyond standard error, and sees to it that no file of ours becomes one of those
 * three. */
static bool forget_the_starter(void)
{
    int nothing;

    for (char **variable = environ; *variable; variable++)
        explicit_bzero(*variable, strlen(*variable));
    signal(SIGCHLD, SIG_DFL); /* ignored, no end of a child would be told */
    umask(022);
    if (clearenv() != 0 || close_range(STDERR_FILENO + 1, ~0u, 0) != 0)
        return false;
    do
        nothing = open("/dev/null", O_RDWR);
    while (nothing >= 0 && nothing <= STDERR_FILENO);
    return nothing >= 0 && close(nothing) == 0;
}

int main(int argc, char **argv)
{
    struct options options = {.supervisor = {.config_path = CONFIG_FILE, .ready = -1}};
    struct supervisor_options *supervisor = &options.supervisor;
    struct config *config;
    struct error why;
    char path[PATH_MAX];

    notify_read_environment();
    supervisor->in_journal = log_standard_error_is_the_journal();
    if (!forget_the_starter() || sodium_init() < 0 || !forbid_core_dumps())
        fatal("cannot initialise");
    read_options(&options, argc, argv);
    if (!options.test && !options.print && !is_root())
        return EXIT_FAILURE;
    if (options.release)
        return release(&options);
    supervisor->config_path = make_absolute(path, supervisor->config_path);
    config = config_load(supervisor->config_path, &why);
    if (!config)
        refuse_configuration(&why);
    if (options.print)
        config_print(config, stdout);
    if (options.print || options.test) {
        neighbours_find(config, print_warning, NULL);
        return EXIT_SUCCESS;
    }
    if (is_running(config, 0))
        return EXIT_FAILURE;
    log_open("portsmithd", supervisor->foreground && !supervisor->in_journal, supervisor->debug);
    if (!supervisor->foreground)
        go_into_background(supervisor);
    return supervisor_run(supervisor, config);
}
