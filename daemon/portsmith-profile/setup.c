#include "daemon/portsmith-profile/setup.h"

#include <errno.h>
#include <pwd.h>
#include <sodium.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/file.h"
#include "common/text/command.h"
#include "common/text/keys.h"
#include "daemon/host/origin.h"
#include "daemon/host/warning.h"

#define USERADD "/usr/sbin/useradd"

enum { RANDOM_PORT_FIRST = 10000, RANDOM_PORT_LAST = 32767 }; /* below ephemeral ports */

static void announce(bool made, const char *kind, const char *what)
{
    printf("%s %s %s\n", made ? "made" : "kept", kind, what);
}

/* ---- the configuration file -------------------------------------------------- */

static const char introduction[] =
    "# Portsmith's configuration; portsmith.conf(5) tells more. A line that begins\n"
    "# with # is a comment; options that are commented out show their defaults.\n"
    "# Check it with `portsmithd -t`, and have it read again with `portsmithctl reload`.\n"
    "\n"
    "[Portsmith]\n"
    "# The network interfaces to watch for knocks, or `any` for all of them.\n";

static const char before_port[] =
    "\n"
    "# The port that knocks are sent to. Nothing listens there, and to the outside it\n"
    "# looks like any other unused port.\n";

static const char before_close[] =
    "\n"
    "# The services to keep shut, as tcp/PORT or udp/PORT, until a knock opens them.\n"
    "# Connections that stand when Portsmith starts are never cut.\n";

static const char rest[] =
    "\n"
    "# How knocks may come: `udp`, `tcp-syn` for networks that drop UDP, `icmp` (echo\n"
    "# requests, which the kernel answers), or several of them.\n"
    "#Transports = udp\n"
    "\n"
    "# What a shut port does with a packet: `drop` says nothing, `reset` refuses the\n"
    "# connection. Choose what the host's other unused ports do.\n"
    "#ShutWith = drop\n"
    "\n"
    "# Whether grants also accept what this host only forwards, to hosts behind it and\n"
    "# to containers.\n"
    "#Forward = no\n"
    "\n"
    "# What makes the rules: `iptables-nft`, `iptables-legacy`, `nftables` (a table of\n"
    "# Portsmith's own, without iptables), or `auto` for the iptables that is here, and\n"
    "# for nftables where there is none.\n"
    "#Backend = auto\n"
    "\n"
    "# Only with nftables: bits to set in the packet mark of each new packet that a grant lets\n"
    "# through, for other firewalls to accept. None is set by default.\n"
    "#AcceptMark = 0x100\n"
    "\n"
    "# How far a client's clock may be from this host's, either way. `off` is for\n"
    "# hosts without a reliable clock: a knock still counts only once, but one that was\n"
    "# held back counts however late it comes.\n"
    "#MaxSkew = 5m\n"
    "\n"
    "# How long a knock opens a port for, and the longest that a client may ask for.\n"
    "# Profiles can set their own.\n"
    "#Window = 30s\n"
    "#MaxWindow = 10m\n"
    "\n"
    "# What grants are kept as: `rules` (one for each, which `iptables -S` shows), `set`\n"
    "# (elements of an ipset: for sites with hundreds of grants at a time), or `auto`\n"
    "# for rules if they can end by themselves. Only with iptables.\n"
    "#GrantStore = auto\n"
    "\n"
    "# How many grants there may be at one time, all clients together.\n"
    "#MaxGrants = 1000\n"
    "\n"
    "# The user that the packet-reading process runs as. It must not be root.\n"
    "#User = portsmith\n"
    "\n"
    "# The user that the process runs as which writes the log. It must be another one.\n"
    "#WitnessUser = portsmith-witness\n"
    "\n"
    "# The group whose members may ask portsmithctl who is in, and close grants, as\n"
    "# root may.\n"
    "#ControlGroup = adm\n"
    "\n"
    "# Profiles and the server's key; what must outlive a reboot; what must not.\n"
    "#ProfileDirectory = /etc/portsmith.d\n"
    "#StateDirectory = /var/lib/portsmith\n"
    "#RunDirectory = /run/portsmith\n"
    "\n"
    "# The counters, for node_exporter's textfile collector. None is written by default.\n"
    "#MetricsFile = /var/lib/prometheus/node-exporter/portsmith.prom\n"
    "\n"
    "# Only for hosts that share one server key: the group's name, the name that clients\n"
    "# knock at this host by, and those of the other hosts. This host is of no group by default.\n"
    "#Group = web\n"
    "#Member = a.example.org\n"
    "#Peers = b.example.org c.example.org\n";

/* Makes the configuration file. False with the reason; errno is EEXIST if it is there. */
static bool make_configuration(const char *path, const struct config *wishes, struct error *why)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    unsigned port = wishes->port;
    bool made;

    if (!out)
        return error_set(why, "%s: %s", path, strerror(errno));
    if (port == 0)
        port = RANDOM_PORT_FIRST + randombytes_uniform(RANDOM_PORT_LAST - RANDOM_PORT_FIRST + 1);
    fputs(introduction, out);
    for (unsigned i = 0; i < wishes->interface_count; i++)
        fprintf(out, "Interface = %s\n", wishes->interfaces[i]);
    if (wishes->interface_count == 0)
        fputs("#Interface = any\n", out);
    fprintf(out, "%sPort = %u\n%s", before_port, port, before_close);
    profile_print_services("Shut", wishes->shut, wishes->shut_count, out);
    if (wishes->shut_count == 0)
        fputs("#Shut = tcp/22   (an example: as it is, no port is shut)\n", out);
    fputs(rest, out);
    made = fclose(out) == 0 ? file_create(path, 0644, text, size, why)
                            : error_set(why, "%s: %s", path, strerror(errno));
    free(text);
    return made;
}

static bool set_up_configuration(const char *path, const struct setup *setup, struct error *why)
{
    bool made = make_configuration(path, &setup->wishes, why);

    if (!made && errno != EEXIST)
        return false;
    announce(made, "configuration", path);
    if (!made && setup->any)
        command_warn("%s: kept as it is; --interface, --port and --shut go into a new file only: "
                     "edit this one", path);
    return true;
}

/* ---- directories, key, user --------------------------------------------------- */

static bool set_up_directory(const char *path, mode_t mode, struct error *why)
{
    bool there = access(path, F_OK) == 0;

    if (!file_make_directory(path, mode, why))
        return false;
    announce(!there, "directory", path);
    return true;
}

static bool set_up_key(const struct config *c, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
    uint8_t secret[KEY_SIZE];
    bool made;

    config_key_path(c, path);
    if (c->group[0] != '\0' && access(path, F_OK) != 0)
        return true; /* check_whole says how a member gets it */
    randombytes_buf(secret, sizeof secret);
    made = key_file_create(path, secret, why);
    sodium_memzero(secret, sizeof secret);
    if (!made && errno != EEXIST)
        return false;
    announce(made, "server key", path);
    return !made || origin_put(c, why);
}

/* Makes a user that the sniffer or the witness becomes, by useradd(8), unless it is there. */
static bool set_up_user(char *name, struct error *why)
{
    char *arguments[] = {(char[]){USERADD}, (char[]){"--system"}, (char[]){"--user-group"},
                         (char[]){"--no-create-home"}, (char[]){"--home-dir"},
                         (char[]){"/nonexistent"}, (char[]){"--shell"},
                         (char[]){"/usr/sbin/nologin"}, name, NULL};
    char *environment[] = {NULL};
    int status = -1;
    pid_t pid;

    if (getpwnam(name)) {
        announce(false, "user", name);
        return true;
    }
    errno = posix_spawn(&pid, USERADD, NULL, NULL, arguments, environment);
    if (errno != 0)
        return error_set(why, "%s: %s; add the system user '%s' by hand", USERADD,
                         strerror(errno), name);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        return error_set(why, "%s could not add the user '%s'", USERADD, name);
    announce(true, "user", name);
    return true;
}

/* Reads the whole configuration, as what was made and what was kept must work together. Beside a
 * key that was kept no host may be noted; that it cannot be noted now keeps nothing else back. */
static int check_whole(const char *config_file, struct error *why)
{
    struct config *c = config_load(config_file, why);
    char key[KEY_TEXT_SIZE];
    struct error unnoted;

    if (!c)
        return EX_CONFIG;
    if (!origin_put_missing(c, &unnoted))
        warning_print(NULL, "this host is not noted beside the server key", unnoted.text);
    origin_find(c, config_file, warning_print, NULL);
    printf("The port to knock at is %u. Let UDP to it through where a provider or a router has a "
           "firewall.\nThe server's public key is %s\n", c->port,
           key_format(c->server_public, key));
    config_free(c);
    return EXIT_SUCCESS;
}

int setup_run(const char *config_file, const struct setup *setup, struct error *why)
{
    struct config c;

    if (!set_up_configuration(config_file, setup, why))
        return EXIT_FAILURE;
    if (!config_read_main(&c, config_file, why))
        return EX_CONFIG;
    if (!set_up_directory(c.profile_directory, 0700, why) ||
        !set_up_directory(c.state_directory, 0700, why) ||
        !set_up_directory(c.run_directory, 0755, why) || !set_up_key(&c, why) ||
        !set_up_user(c.user, why) || !set_up_user(c.witness_user, why))
        return EXIT_FAILURE;
    return check_whole(config_file, why);
}
