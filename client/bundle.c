#include "client/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/paths.h"
#include "common/file.h"
#include "common/text/keys.h"

/* The line of a secret key at its longest, which is that of PresharedKey. */
enum { KEY_LINE_SIZE = sizeof "PresharedKey = \n" + KEY_TEXT_SIZE };

static bool set_name(void *into, const char *value, struct error *why)
{
    struct bundle *b = into;

    if (!server_name_is_valid(value))
        return error_set(why, "'%s' cannot be the name of a server: expected at most 64 letters, "
                              "digits, . _ and -, the first a letter or a digit", value);
    strcpy(b->name, value);
    return true;
}

static bool set_secret(void *into, const char *value, struct error *why)
{
    struct bundle *b = into;

    b->has_secret = true;
    return key_parse(b->secret, value, why);
}

/* A profile may permit more services than one knock can name. Then the knock names none, which
 * asks for all. */
static bool add_service(void *into, const char *word, struct error *why)
{
    struct bundle *b = into;
    struct service service;

    if (!service_parse(&service, word, why))
        return false;
    b->opens_all = b->opens_all || !server_add_service(&b->server, word, why);
    return true;
}

static bool set_service(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_service, into, why);
}

static const struct setting settings[] = {
    SERVER_SETTINGS(set_service),
    {"Name", set_name, false},
    {"PrivateKey", set_secret, false},
};

static const struct settings_table table = {"Bundle", settings, sizeof settings / sizeof *settings,
                                            server_old_words, NULL};

static struct bundle *bundle_new(struct error *why)
{
    struct bundle *bundle = sodium_malloc(sizeof *bundle);

    if (bundle)
        memset(bundle, 0, sizeof *bundle);
    else
        error_set(why, "out of memory");
    return bundle;
}

void bundle_free(struct bundle *bundle)
{
    sodium_free(bundle);
}

static bool read_into(struct bundle *b, int fd, const char *path, struct error *why)
{
    struct stat s;

    if (!settings_read_from(fcntl(fd, F_DUPFD_CLOEXEC, 0), path, &table, b, &b->server.notes,
                            why))
        return false;
    if (b->name[0] == '\0')
        return error_set(why, "%s: Name is missing from [Bundle]", path);
    if (!server_check(&b->server, path, "Bundle", why))
        return false;
    if (b->has_secret && b->server.has_ssh_key)
        return error_set(why, "%s: SSHKey and PrivateKey exclude each other", path);
    if (b->opens_all)
        b->server.service_count = 0;
    if (!b->has_secret && !b->server.has_preshared)
        return true;
    /* Nobody else can read what comes through a pipe. */
    return (fstat(fd, &s) == 0 && !S_ISREG(s.st_mode)) || file_check(fd, path, FILE_SECRET, why);
}

struct bundle *bundle_read_from(int fd, const char *path, struct error *why)
{
    struct bundle *bundle = bundle_new(why);

    if (bundle && !read_into(bundle, fd, path, why)) {
        bundle_free(bundle);
        bundle = NULL;
    }
    close(fd);
    return bundle;
}

struct bundle *bundle_read(const char *path, struct error *why)
{
    char real[PATH_MAX];
    int fd = path_follow(real, path, why) ? file_open(real, FILE_CONFIGURATION, why) : -1;

    return fd < 0 ? NULL : bundle_read_from(fd, real, why);
}

/* What reads settings reads a descriptor. */
struct bundle *bundle_parse(const void *text, size_t size, struct error *why)
{
    int ends[2];
    bool written;

    if (size > BUNDLE_FILE_MAX) {
        error_set(why, "bundle: %zu bytes, and a bundle has %d at most", size, BUNDLE_FILE_MAX);
        return NULL;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        error_set(why, "bundle: %s", strerror(errno));
        return NULL;
    }
    written = file_write_all(ends[1], text, size);
    close(ends[1]);
    if (written)
        return bundle_read_from(ends[0], "bundle", why);
    error_set(why, "bundle: %s", strerror(errno));
    close(ends[0]);
    return NULL;
}

/* ---- packing ------------------------------------------------------------- */

struct bundle *bundle_of_server(const char *name, const struct server *server, bool secret,
                                const struct identity *identity, struct error *why)
{
    struct bundle *bundle = bundle_new(why);

    if (!bundle)
        return NULL;
    strcpy(bundle->name, name);
    bundle->server = *server;
    bundle->server.agent[0] = '\0'; /* is of this machine */
    bundle->has_secret = identity != NULL;
    if (identity)
        memcpy(bundle->secret, identity->signing, sizeof bundle->secret); /* the seed is first */
    if (!secret) {
        bundle->server.has_ssh_key = bundle->server.has_preshared = false;
        sodium_memzero(bundle->server.preshared, sizeof bundle->server.preshared);
    }
    return bundle;
}

/* Writes the line "NAME = KEY", or nothing unless `has`. The caller wipes the line, and all text
 * that it becomes part of. Returns `line`. */
static const char *format_key(char line[static KEY_LINE_SIZE], const char *name, bool has,
                              const uint8_t key[static KEY_SIZE])
{
    char text[KEY_TEXT_SIZE];

    line[0] = '\0';
    if (has)
        snprintf(line, KEY_LINE_SIZE, "%s = %s\n", name, key_format(key, text));
    sodium_memzero(text, sizeof text);
    return line;
}

static const char secret_comment[] =
    "# This holds an identity, which is secret. Read it with 'portsmith-knock import',\n"
    "# then delete it. Two devices with one identity can shut each other out: use it on one.\n";
static const char agent_comment[] =
    "# This holds a secret, PresharedKey. Read it with 'portsmith-knock import', then delete it.\n"
    "# To knock, that device needs the key of SSHKey in its ssh-agent.\n";
static const char public_comment[] =
    "# This holds no identity: it is for a device with one of its own. There, run\n"
    "# 'portsmith-knock keygen' and 'portsmith-knock import'; the server's admin adds it.\n";

_Static_assert(sizeof secret_comment + sizeof "[Bundle]\nName = \n" + SERVER_NAME_SIZE +
                       SERVER_TEXT_SIZE + KEY_LINE_SIZE + KEY_LINE_SIZE < BUNDLE_TEXT_SIZE &&
                   sizeof public_comment <= sizeof secret_comment + KEY_LINE_SIZE &&
                   sizeof agent_comment <= sizeof secret_comment,
               "every line fits");

size_t bundle_format(const struct bundle *b, char text[static BUNDLE_TEXT_SIZE])
{
    char server[SERVER_TEXT_SIZE], preshared[KEY_LINE_SIZE], secret[KEY_LINE_SIZE];

    server_format(&b->server, server);
    snprintf(text, BUNDLE_TEXT_SIZE, "%s[Bundle]\nName = %s\n%s%s%s",
             b->has_secret           ? secret_comment
             : b->server.has_ssh_key ? agent_comment
                                     : public_comment,
             b->name, server,
             format_key(preshared, "PresharedKey", b->server.has_preshared, b->server.preshared),
             format_key(secret, "PrivateKey", b->has_secret, b->secret));
    sodium_memzero(preshared, sizeof preshared);
    sodium_memzero(secret, sizeof secret);
    return strlen(text);
}

/* ---- unpacking ----------------------------------------------------------- */

static bool create_server_file(const char *path, const struct bundle *b, struct error *why)
{
    char text[BUNDLE_TEXT_SIZE], server[SERVER_TEXT_SIZE], preshared[KEY_LINE_SIZE];
    bool has_agent = b->server.agent[0] != '\0', made;
    int size;

    server_format(&b->server, server);
    size = snprintf(text, sizeof text, "[Server]\n%s%s%s%s%s%s%s%s", server,
                    format_key(preshared, "PresharedKey", b->server.has_preshared,
                               b->server.preshared),
                    b->has_secret ? "Identity = " : "", b->has_secret ? b->name : "",
                    b->has_secret ? ".key\n" : "", has_agent ? "IdentityAgent = " : "",
                    b->server.agent, has_agent ? "\n" : "");
    made = file_create(path, 0600, text, (size_t)size, why);
    sodium_memzero(preshared, sizeof preshared);
    sodium_memzero(text, sizeof text);
    return made;
}

static bool refuse_existing(struct error *why, const char *path)
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
    if (bundle->has_secret && !key_file_create(key, bundle->secret, why))
        return refuse_existing(why, key);
    if (!create_server_file(conf, bundle, why)) {
        refuse_existing(why, conf);
        if (bundle->has_secret)
            unlink(key);
        return false;
    }
    return true;
}
