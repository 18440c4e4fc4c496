#include "bundle.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "keys.h"
#include "paths.h"

enum {
    SERVICES_TEXT_SIZE = sizeof "Open =\n" + (size_t)REQUEST_SERVICES * SERVICE_TEXT_SIZE,
    TRANSPORT_TEXT_SIZE = sizeof "Transport = tcp-syn\n",
    SERVER_FILE_SIZE = 512, /* all lines, each at its longest */
};

_Static_assert(SERVER_HOST_SIZE + SERVER_NAME_SIZE + SERVICES_TEXT_SIZE + TRANSPORT_TEXT_SIZE +
                       2 * KEY_TEXT_SIZE + 64 < SERVER_FILE_SIZE, "every line fits");

static bool set_name(void *into, const char *value, struct error *why)
{
    struct bundle *b = into;

    if (!server_name_is_valid(value))
        return error_set(why, "'%s' cannot be the name of a server", value);
    strcpy(b->name, value);
    return true;
}

static bool set_secret(void *into, const char *value, struct error *why)
{
    struct bundle *b = into;

    b->has_secret = true;
    return key_parse(b->secret, value, why);
}

/* A profile may permit more services than one knock can name: then the knock
 * names none, which asks for all. */
static bool add_service(void *into, const char *word, struct error *why)
{
    struct bundle *b = into;
    struct service service;

    if (!service_parse(&service, word, why))
        return false;
    b->opens_all = b->opens_all || !server_add_service(&b->server, word, why);
    return true;
}

static bool set_open(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_service, into, why);
}

static const struct setting settings[] = {
    {"Name", set_name, false},
    {"Host", server_set_host, false},
    {"Port", server_set_port, false},
    {"Transport", server_set_transport, false},
    {"PublicKey", server_set_public_key, false},
    {"Open", set_open, true},
    {"PresharedKey", server_set_preshared, false},
    {"PrivateKey", set_secret, false},
};

static bool is_complete(const struct bundle *b, const char *path, struct error *why)
{
    const char *missing = b->name[0] == '\0'         ? "Name"
                        : b->server.host[0] == '\0'  ? "Host"
                        : b->server.port == 0        ? "Port"
                        : !b->server.has_public_key  ? "PublicKey"
                        : !b->has_secret             ? "PrivateKey"
                                                     : NULL;

    return !missing || error_set(why, "%s: %s is missing from [Bundle]", path, missing);
}

struct bundle *bundle_read(const char *path, struct error *why)
{
    struct bundle *bundle = sodium_malloc(sizeof *bundle);

    if (!bundle) {
        error_set(why, "out of memory");
        return NULL;
    }
    memset(bundle, 0, sizeof *bundle);
    if (!settings_read(path, FILE_SECRET, "Bundle", settings, sizeof settings / sizeof *settings,
                       bundle, why) ||
        !is_complete(bundle, path, why)) {
        bundle_free(bundle);
        return NULL;
    }
    return bundle;
}

void bundle_free(struct bundle *bundle)
{
    sodium_free(bundle);
}

/* ---- unpacking ----------------------------------------------------------- */

static const char *format_services(const struct bundle *b, char text[static SERVICES_TEXT_SIZE])
{
    char service[SERVICE_TEXT_SIZE];

    text[0] = '\0';
    if (b->opens_all || b->server.service_count == 0)
        return text;
    strcpy(text, "Open =");
    for (size_t i = 0; i < b->server.service_count; i++) {
        strcat(text, " ");
        strcat(text, service_format(&b->server.services[i], service));
    }
    return strcat(text, "\n");
}

/* UDP is what is sent where nothing else is said. */
static const char *format_transport(const struct bundle *b, char text[static TRANSPORT_TEXT_SIZE])
{
    if (b->server.transport == TRANSPORT_UDP)
        return "";
    snprintf(text, TRANSPORT_TEXT_SIZE, "Transport = %s\n", transport_name(b->server.transport));
    return text;
}

/* Wiped by the caller: it may hold a pre-shared key. Returns its size. */
static size_t format_server_file(char text[static SERVER_FILE_SIZE], const struct bundle *b)
{
    char services[SERVICES_TEXT_SIZE], public_key[KEY_TEXT_SIZE], preshared[KEY_TEXT_SIZE] = "";
    char transport[TRANSPORT_TEXT_SIZE];
    bool has = b->server.has_preshared;
    int size;

    if (has)
        key_format(b->server.preshared, preshared);
    size = snprintf(text, SERVER_FILE_SIZE,
                    "[Server]\nHost = %s\nPort = %u\n%sPublicKey = %s\n%s%s%s%sIdentity = %s.key\n",
                    b->server.host, b->server.port, format_transport(b, transport),
                    key_format(b->server.public_key, public_key), format_services(b, services),
                    has ? "PresharedKey = " : "", preshared, has ? "\n" : "", b->name);
    sodium_memzero(preshared, sizeof preshared);
    return (size_t)size;
}

static bool create_server_file(const char *path, const struct bundle *b, struct error *why)
{
    char text[SERVER_FILE_SIZE];
    bool made = file_create(path, 0600, text, format_server_file(text, b), why);

    sodium_memzero(text, sizeof text);
    return made;
}

static bool explain_existing(struct error *why, const char *path)
{
    if (errno == EEXIST)
        error_set(why, "%s: exists already and is never overwritten; move it away, or give the "
                       "bundle another Name", path);
    return false;
}

bool bundle_unpack(const struct bundle *bundle, const char *directory, char key[static PATH_MAX],
                   char conf[static PATH_MAX], struct error *why)
{
    if (!path_join(key, directory, bundle->name, ".key", why) ||
        !path_join(conf, directory, bundle->name, ".conf", why) ||
        !file_make_directory(directory, 0700, why))
        return false;
    if (!key_file_create(key, bundle->secret, why))
        return explain_existing(why, key);
    if (!create_server_file(conf, bundle, why)) {
        explain_existing(why, conf);
        unlink(key);
        return false;
    }
    return true;
}
