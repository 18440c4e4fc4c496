#include "daemon/portsmith-profile/enrol.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/file.h"
#include "common/text/command.h"
#include "common/text/keys.h"
#include "daemon/config/directory.h"
#include "daemon/portsmith-profile/qrcode.h"

bool enrol_host_is_valid(const char *host)
{
    size_t n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%");

    return n > 0 && n < ENROL_HOST_SIZE && host[n] == '\0' && host[0] != '-';
}

void enrol_server_name(char name[static POLICY_NAME_SIZE], const char *host)
{
    struct address unused;
    bool is_address = address_parse(&unused, host);
    size_t n = is_address ? strlen(host) : strcspn(host, ".");

    if (n >= POLICY_NAME_SIZE)
        n = POLICY_NAME_SIZE - 1;
    for (size_t i = 0; i < n; i++)
        name[i] = (char)(is_address && strchr(".:", host[i]) ? '-' : tolower(host[i]));
    name[n] = '\0';
    if (!enrol_server_is_valid(name))
        strcpy(name, "server");
}

bool enrol_server_is_valid(const char *name)
{
    static const char *const commands[] = {"export", "import", "keygen", "list",
                                           "pubkey", "show"};

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i]) == 0)
            return false;
    return profile_name_is_valid(name) && name[0] != '-';
}

bool enrol_set_host(struct enrolment *e, const char *host, struct error *why)
{
    struct address address;

    if (!enrol_host_is_valid(host))
        return error_set(why, "--host: '%.200s' is not a host name or an address", host);
    if (address_parse_scoped(&address, host) &&
        (!address_is_unicast(&address) || address_is_link_local(&address)))
        return error_set(why, "--host: no client can knock at '%s': give a name or another address "
                              "of this host", host);
    strcpy(e->host, host);
    return true;
}

bool enrol_set_server(struct enrolment *e, const char *name, struct error *why)
{
    if (!enrol_server_is_valid(name))
        return error_set(why, "--server: a server's name has 1 to 32 of a-z, 0-9 and -, does not "
                              "start with - and is no command of portsmith-knock");
    strcpy(e->server, name);
    return true;
}

bool enrol_complete(struct enrolment *e, struct error *why)
{
    char host[ENROL_HOST_SIZE] = "";

    if (e->host[0] == '\0') {
        if (gethostname(host, sizeof host - 1) != 0 || !enrol_host_is_valid(host))
            return error_set(why, "this host has no usable name: give --host");
        strcpy(e->host, host);
        if (!strchr(host, '.'))
            command_warn("clients are told that the server is called '%s'; if they cannot find it "
                         "by that, give --host", host);
    }
    if (e->server[0] == '\0')
        enrol_server_name(e->server, e->host);
    return true;
}

/* ---- files that hold secrets, composed in locked memory ---------------------- */

typedef void compose(FILE *out, const struct enrolment *e, const struct config *c);

static bool compose_into(char text[static ENROL_TEXT_SIZE], size_t *size, compose *write,
                         const struct enrolment *e, const struct config *c)
{
    FILE *out = fmemopen(text, ENROL_TEXT_SIZE, "w");
    bool whole;

    if (!out)
        return false;
    setvbuf(out, NULL, _IONBF, 0); /* no second copy in stdio's buffer */
    write(out, e, c);
    *size = (size_t)ftell(out);
    whole = !ferror(out);
    return fclose(out) == 0 && whole;
}

static bool compose_file(const char *path, compose *write, const struct enrolment *e,
                         const struct config *c, struct error *why)
{
    char *text = sodium_malloc(ENROL_TEXT_SIZE);
    size_t size;
    bool made;

    if (text && compose_into(text, &size, write, e, c))
        made = file_create(path, 0600, text, size, why);
    else
        made = error_set(why, "%s: %s", path, strerror(errno));
    sodium_free(text);
    return made;
}

static void print_key(FILE *out, const char *name, const uint8_t key[static KEY_SIZE])
{
    char text[KEY_TEXT_SIZE];

    fprintf(out, "%s = %s\n", name, key_format(key, text));
    sodium_memzero(text, sizeof text);
}

static void compose_profile(FILE *out, const struct enrolment *e, const struct config *c)
{
    (void)c;
    profile_print(&e->draft.profile, out);
    if (e->draft.profile.has_preshared)
        print_key(out, "PresharedKey", e->draft.preshared);
}

/* Writes how [Server] and [Bundle] begin. A client sends UDP unless it is told otherwise. */
static void compose_place(FILE *out, const struct enrolment *e, const struct config *c)
{
    const unsigned port = e->draft.profile.port != 0 ? e->draft.profile.port : c->port;
    enum transport transport = TRANSPORT_UDP;

    while (!(c->transports & 1u << transport))
        transport++;
    fprintf(out, "Host = %s\n", e->host);
    if (c->group[0] != '\0')
        fprintf(out, "Member = %s\n", c->member);
    for (unsigned i = 0; i < c->peer_count; i++)
        fprintf(out, "Member = %s\n", c->peers[i]);
    fprintf(out, "Port = %u\n", port);
    if (transport != TRANSPORT_UDP)
        fprintf(out, "Transport = %s\n", transport_name(transport));
    print_key(out, "PublicKey", c->server_public);
}

static void compose_bundle_without_key(FILE *out, const struct enrolment *e, const struct config *c)
{
    const struct profile *p = &e->draft.profile;

    fprintf(out, "[Bundle]\nName = %s\n", e->server);
    compose_place(out, e, c);
    profile_print_services("Service", p->policy->services, p->policy->service_count, out);
    if (p->has_preshared)
        print_key(out, "PresharedKey", e->draft.preshared);
}

static void compose_bundle(FILE *out, const struct enrolment *e, const struct config *c)
{
    const struct profile *p = &e->draft.profile;

    compose_bundle_without_key(out, e, c);
    if (p->ssh_key)
        fprintf(out, "SSHKey = %s\n", p->ssh_key);
    else if (!sodium_is_zero(e->client_secret, KEY_SIZE))
        print_key(out, "PrivateKey", e->client_secret);
}

void enrol_print_server(const struct enrolment *e, const struct config *c)
{
    const struct profile *p = &e->draft.profile;

    printf("# Profile '%s'. The client keeps these lines as ~/.config/portsmith/%s.conf%s\n",
           p->policy->name, e->server, p->has_preshared ? ", mode 600" : "");
    puts("[Server]");
    compose_place(stdout, e, c);
    if (p->policy->service_count <= REQUEST_SERVICES)
        profile_print_services("Service", p->policy->services, p->policy->service_count, stdout);
    else
        printf("# No Service line: one knock names at most %d services, or none to open them "
               "all.\n", REQUEST_SERVICES);
    if (p->ssh_key)
        printf("SSHKey = %s\n", p->ssh_key);
    if (p->has_preshared)
        print_key(stdout, "PresharedKey", e->draft.preshared);
}

bool enrol_write_bundle(const struct enrolment *e, const struct config *c, const char *path,
                        struct error *why)
{
    return compose_file(path, compose_bundle, e, c, why);
}

bool enrol_print_code(const struct enrolment *e, const struct config *c, struct error *why)
{
    char *text = sodium_malloc(ENROL_TEXT_SIZE);
    size_t size;
    bool printed;

    if (text && compose_into(text, &size, compose_bundle_without_key, e, c))
        printed = qrcode_print(text, why);
    else
        printed = error_set(why, "no QR code can be made: %s", strerror(errno));
    sodium_free(text);
    return printed;
}

/* ---- the server's side ------------------------------------------------------- */

bool enrol_remove(const struct config *c, const char *name, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];

    if (unlink(config_profile_path(c, name, path)) != 0)
        return errno == ENOENT
                   ? error_set(why, "%s: there is no profile '%s'%s", c->profile_directory, name,
                               c->roster_key_count > 0 ? "; one of the roster is revoked there"
                                                       : "")
                   : error_set(why, "%s: %s", path, strerror(errno));
    if (!file_sync_directory_of(path))
        return error_set(why, "%s: removed, but not durably: %s", path, strerror(errno));
    return true;
}

static bool refuse_name(const struct enrolment *e, const char *path, struct error *why)
{
    return error_set(why, "%s: the profile '%s' exists already; revoke it first, or take another "
                          "name", path, e->draft.policy.name);
}

static bool write_profile(const struct enrolment *e, const struct config *c, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE], init[CONFIG_INIT_SIZE];

    config_profile_path(c, e->draft.policy.name, path);
    if (compose_file(path, compose_profile, e, c, why))
        return true;
    if (errno == EEXIST)
        return refuse_name(e, path, why);
    if (errno == ENOENT)
        return error_set(why, "%s: no such directory; run %s", c->profile_directory,
                         config_init_command(e->config_file, init));
    return false;
}

/* Whether *c would take the profile. What that fills in stays out of the file. */
static bool fits(struct config *c, const struct enrolment *e, const char *path, struct error *why)
{
    struct profile_draft *draft = sodium_malloc(sizeof *draft);
    bool ok;

    if (!draft)
        return error_set(why, "%s: %s", path, strerror(errno));
    *draft = e->draft;
    ok = directory_complete(c, draft, path, why);
    sodium_free(draft);
    return ok;
}

struct config *enrol_prepare(const struct enrolment *e, int *status, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
    struct config *c = config_load(e->config_file, why);
    bool ok;

    *status = EX_CONFIG;
    if (!c)
        return NULL;
    config_profile_path(c, e->draft.policy.name, path);
    if (config_find_profile(c, e->draft.policy.name)) {
        *status = EXIT_FAILURE;
        ok = refuse_name(e, path, why);
    } else {
        ok = fits(c, e, path, why);
    }
    if (ok)
        return c;
    config_free(c);
    return NULL;
}

/* Reads the whole configuration, which has all these profiles. NULL with the reason. */
static struct config *load_with(const struct enrolment *all, size_t count, struct error *why)
{
    struct config *c = config_load(all->config_file, why);

    for (size_t i = 0; c && i < count; i++)
        if (!config_find_profile(c, all[i].draft.policy.name)) {
            config_free(c);
            error_set(why, "the roster revokes the key of the profile '%s': the client needs a new "
                           "one", all[i].draft.policy.name);
            return NULL;
        }
    return c;
}

struct config *enrol_add(const struct enrolment *all, size_t count, int *status,
                         struct error *why)
{
    struct config alone, *whole = NULL;
    struct error unused;
    size_t written = 0;

    *status = EX_CONFIG;
    if (!config_read_main(&alone, all->config_file, why))
        return NULL;
    *status = EXIT_FAILURE;
    while (written < count && write_profile(&all[written], &alone, why))
        written++;
    if (written == count) {
        *status = EX_CONFIG;
        whole = load_with(all, count, why);
    }
    while (!whole && written > 0)
        enrol_remove(&alone, all[--written].draft.policy.name, &unused);
    return whole;
}
