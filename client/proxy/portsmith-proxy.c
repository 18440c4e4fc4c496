/* portsmith-proxy(1): a SOCKS proxy that knocks. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/paths.h"
#include "client/proxy/proxy.h"
#include "client/proxy/proxyconf.h"
#include "common/log.h"
#include "common/linux/process.h"

static const char help[] =
    "usage: portsmith-proxy [options]\n"
    "\n"
    "A SOCKS proxy, at 127.0.0.1:1080 and [::1]:1080 unless configured otherwise. If a\n"
    "connection goes to one of your servers, it knocks first and waits for the port.\n"
    "\n"
    "  --config FILE  instead of ~/.config/portsmith/proxy.ini\n"
    "  -h, --help     print this\n"
    "  -v             log what is knocked at\n"
    "  -V, --version  print the version\n"
    "\n"
    "For example: portsmith-proxy --config ./proxy.ini\n"
    "The manual is portsmith-proxy(1).\n";

struct options {
    const char *config; /* the argument of --config; NULL: the option is not given */
    const char *print;  /* not NULL: the text of --help or --version, and nothing else is to do */
    bool verbose;
};

enum { OPTION_CONFIG = 256 };

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {0},
};

static int options_read(struct options *o, int argc, char **argv)
{
    int option;

    *o = (struct options){0};
    while ((option = getopt_long(argc, argv, "hvV", long_options, NULL)) != -1) {
        if (option == 'h')
            o->print = help;
        else if (option == 'V')
            o->print = "portsmith-proxy " PORTSMITH_VERSION "\n";
        else if (option == OPTION_CONFIG)
            o->config = optarg;
        else if (option == 'v')
            o->verbose = true;
        else /* getopt_long has said what is wrong */
            return cli_point_to_help();
        if (o->print)
            return EXIT_SUCCESS;
    }
    if (optind < argc)
        return cli_usage_error("'%s' is unexpected", argv[optind]);
    return EXIT_SUCCESS;
}

/* The proxy holds keys and passwords, and never runs a program that could gain privileges. */
static bool harden(struct error *why)
{
    if (!process_forbid_core_dumps(why))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(why, "cannot set no_new_privs: %s", strerror(errno));
    if (geteuid() == 0)
        log_warnx("running as root, which is not needed: give it a user of its own");
    return true;
}

/* Reads the file. If none was named and there is none at the usual place, the defaults hold. */
static bool read_config(struct proxy_config *config, const struct options *o, struct error *why)
{
    char directory[PATH_MAX], path[PATH_MAX];

    if (o->config)
        return proxyconf_read(config, o->config, why);
    if (!path_config_directory(directory, why) || !path_join(path, directory, "proxy", ".ini", why))
        return false;
    return proxyconf_read(config, path, why) || errno == ENOENT;
}

static int run(const struct options *o)
{
    struct error why;
    struct proxy_config *config;
    int status;

    log_open("portsmith-proxy", true, o->verbose);
    if (!harden(&why))
        return cli_failure(EXIT_FAILURE, &why);
    config = proxyconf_new(&why);
    if (!config)
        return cli_failure(EXIT_FAILURE, &why);
    status = read_config(config, o, &why) ? proxy_serve(config, &why) : EX_CONFIG;
    if (status != EXIT_SUCCESS)
        cli_failure(status, &why);
    proxyconf_free(config);
    return status;
}

int main(int argc, char **argv)
{
    struct options o;
    int status;

    cli_hold_standard();
    if (sodium_init() < 0)
        errx(EXIT_FAILURE, "libsodium cannot be initialized");
    /* libuv looks names up on at most half of its threads at one time. So many threads leave the
     * knocks enough even if name servers are slow. */
    setenv("UV_THREADPOOL_SIZE", "16", 0);
    status = options_read(&o, argc, argv);
    if (status != EXIT_SUCCESS)
        return status;
    if (!o.print)
        return run(&o);
    fputs(o.print, stdout);
    if (fflush(stdout) != 0) {
        warn("standard output");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
