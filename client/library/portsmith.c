#include "client/library/portsmith.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/bundle.h"
#include "client/compose.h"
#include "client/counter.h"
#include "client/identity.h"
#include "client/server.h"
#include "common/clock.h"
#include "common/printable.h"

struct portsmith {
    char *directory;       /* of the last counter */
    struct server *server; /* NULL: none was read */
    struct bundle *bundle; /* holds `server`; NULL if that is from a server file */
    portsmith_signer *sign;
    void *context;
    char value[SSH_KEY_LINE_SIZE]; /* that portsmith_get has returned */
    struct error error;
};

_Static_assert((int)PORTSMITH_OPEN == ACTION_OPEN && (int)PORTSMITH_CLOSE == ACTION_CLOSE &&
                   (int)PORTSMITH_DATAGRAM_MAX >= DATAGRAM_MAX &&
                   (int)PORTSMITH_SIGNATURE_MAX == SIGNATURE_SIZE + AUTHENTICATOR_SIZE,
               "the interface knows no names but its own");

/* ---- objects ------------------------------------------------------------- */

struct portsmith *portsmith_new(const char *directory)
{
    struct portsmith *p = sodium_init() < 0 ? NULL : calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->directory = strdup(directory ? directory : "");
    if (p->directory)
        return p;
    free(p);
    return NULL;
}

/* Takes another server in the place of the one that was read before. */
static void replace_server(struct portsmith *p, struct server *server, struct bundle *bundle)
{
    if (p->bundle)
        bundle_free(p->bundle);
    else
        server_free(p->server);
    p->server = server;
    p->bundle = bundle;
}

void portsmith_free(struct portsmith *p)
{
    if (!p)
        return;
    replace_server(p, NULL, NULL);
    free(p->directory);
    free(p);
}

const char *portsmith_error(const struct portsmith *p)
{
    return p ? p->error.text : "out of memory, or libsodium cannot be started";
}

/* What a function returns: 0, or -1 with the reason, which may quote what the caller gave. */
static int conclude(struct portsmith *p, bool done)
{
    if (done)
        p->error.text[0] = '\0';
    printable(p->error.text);
    return done ? 0 : -1;
}

static bool has_server(struct portsmith *p)
{
    return p->server || error_set(&p->error, "no server was read: read a server file or a bundle "
                                             "first");
}

/* ---- reading ------------------------------------------------------------- */

int portsmith_read_server(struct portsmith *p, const char *path)
{
    struct server *server = path ? server_new(&p->error) : NULL;
    bool done = server && server_read(server, path, &p->error);

    if (!path)
        error_set(&p->error, "no path of a server file was given");
    if (done)
        replace_server(p, server, NULL);
    else
        server_free(server);
    return conclude(p, done);
}

static int take_bundle(struct portsmith *p, struct bundle *bundle)
{
    if (bundle)
        replace_server(p, &bundle->server, bundle);
    return conclude(p, bundle);
}

int portsmith_read_bundle(struct portsmith *p, const char *path)
{
    if (path)
        return take_bundle(p, bundle_read(path, &p->error));
    return conclude(p, error_set(&p->error, "no path of a bundle was given"));
}

int portsmith_parse_bundle(struct portsmith *p, const void *text, size_t size)
{
    if (text)
        return take_bundle(p, bundle_parse(text, size, &p->error));
    return conclude(p, error_set(&p->error, "no text of a bundle was given"));
}

/* ---- what is asked ------------------------------------------------------- */

static bool set_services(void *server, const char *value, struct error *why)
{
    ((struct server *)server)->service_count = 0;
    return value[0] == '\0' || settings_each_word(value, server_add_service, server, why);
}

static bool set_identity(void *into, const char *value, struct error *why)
{
    const struct server *server = into;

    if (server->has_ssh_key)
        return error_set(why, "this server knows you by an ssh key: it takes no Identity");
    return server_set_identity(into, value, why);
}

static const struct setting settings[] = {
    {"Service", set_services, false},
    {"Window", server_set_window, false},
    {"Address", server_set_address, false},
    {"Identity", set_identity, false},
};

/* A value that is refused may have been stored in part. */
static bool set_one(struct portsmith *p, const struct setting *setting, const char *value)
{
    struct server *changed = server_new(&p->error);
    bool done;

    if (!changed)
        return false;
    *changed = *p->server;
    done = setting->set(changed, value, &p->error);
    if (done)
        *p->server = *changed;
    server_free(changed);
    return done;
}

/* A value may be longer than a line of a file, as a path is. */
static bool set(struct portsmith *p, const char *key, const char *value)
{
    if (!key || !value)
        return error_set(&p->error, "a key and a value are wanted, such as Service and tcp/22");
    if (!has_server(p))
        return false;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (strcasecmp(settings[i].key, key) == 0)
            return set_one(p, &settings[i], value);
    return error_set(&p->error, "'%.100s' cannot be set: Service, Window, Address and Identity can",
                     key);
}

int portsmith_set(struct portsmith *p, const char *key, const char *value)
{
    return conclude(p, set(p, key, value));
}

static const char *get(struct portsmith *p, const char *key)
{
    const struct server *server = p->server;

    if (strcasecmp(key, "Name") == 0)
        return p->bundle ? p->bundle->name : "";
    if (strcasecmp(key, "Host") == 0)
        return server->host;
    if (strcasecmp(key, "Transport") == 0)
        return transport_name(server->transport);
    if (strcasecmp(key, "SSHKey") == 0)
        return server->has_ssh_key ? ssh_key_format(&server->ssh_key, p->value) : "";
    if (strcasecmp(key, "Port") == 0) {
        snprintf(p->value, sizeof p->value, "%u", server->port);
        return p->value;
    }
    error_set(&p->error, "'%.100s' cannot be got: Name, Host, Port, Transport and SSHKey can", key);
    return NULL;
}

const char *portsmith_get(struct portsmith *p, const char *key)
{
    const char *value = has_server(p) ? get(p, key ? key : "") : NULL;

    return conclude(p, value) == 0 ? value : NULL;
}

/* ---- knocking ------------------------------------------------------------ */

void portsmith_sign(struct portsmith *p, portsmith_signer *sign, void *context)
{
    p->sign = sign;
    p->context = context;
    conclude(p, true);
}

static bool check_call(struct portsmith *p, int action, const void *datagram, size_t size)
{
    if (action != PORTSMITH_OPEN && action != PORTSMITH_CLOSE)
        return error_set(&p->error, "%d is no action: PORTSMITH_OPEN and PORTSMITH_CLOSE are",
                         action);
    if (!datagram || size < PORTSMITH_DATAGRAM_MAX)
        return error_set(&p->error, "a datagram wants room for PORTSMITH_DATAGRAM_MAX bytes, "
                                    "which is %d", PORTSMITH_DATAGRAM_MAX);
    if (p->directory[0] == '\0')
        return error_set(&p->error, "portsmith_new was given no directory for the last counter");
    if (!has_server(p))
        return false;
    return !p->server->has_ssh_key || p->sign ||
           error_set(&p->error, "this server knows you by an ssh key: portsmith_sign wants a "
                                "function that signs by it");
}

/* Has the request name the address that connections leave from, as portsmith_knock says. */
static bool name_source(struct portsmith *p, struct request *request, const char *source)
{
    struct address address;

    if (!source)
        return true;
    if (!address_parse_scoped(&address, source))
        return error_set(&p->error, "'%.100s' is no IP address: expected the one that connections "
                                    "leave from, or NULL", source);
    if (p->server->address.source == ADDRESS_AUTO && address_is_global(&address)) {
        request->has_address = true;
        request->address = address;
    }
    return true;
}

static struct identity *find_identity(struct portsmith *p)
{
    if (p->server->identity[0] != '\0')
        return identity_read(p->server->identity, &p->error);
    if (p->bundle->has_secret)
        return identity_of_secret(p->bundle->secret, &p->error);
    error_set(&p->error, "the bundle holds no identity: set Identity to the path of yours");
    return NULL;
}

static struct knocker *make_knocker(struct portsmith *p)
{
    struct identity *identity;
    struct knocker *knocker;

    if (p->server->has_ssh_key)
        return knocker_new(NULL, p->server, &p->error);
    identity = find_identity(p);
    knocker = identity ? knocker_new(identity, p->server, &p->error) : NULL;
    identity_free(identity);
    return knocker;
}

/* The caller's function may give anything. */
static bool sign_by_caller(struct portsmith *p, const struct knocker *k,
                           const uint8_t encoded[static REQUEST_SIZE], struct signature *signature)
{
    int more = k->signer.form == SIGNER_SECURITY_KEY ? AUTHENTICATOR_SIZE : 0, given;
    uint8_t blob[SSH_BLOB_SIZE], answer[PORTSMITH_SIGNATURE_MAX] = {0};

    envelope_ssh_blob(blob, k->server_public, encoded);
    given = p->sign(p->context, blob, sizeof blob, answer);
    if (given <= 0)
        return error_set(&p->error, "the function that signs has refused");
    if (given != SIGNATURE_SIZE + more)
        return error_set(&p->error, "the function that signs gave %d bytes, and a signature by "
                                    "this key has %d", given, SIGNATURE_SIZE + more);
    *signature = (struct signature){0};
    memcpy(signature->bytes, answer, SIGNATURE_SIZE);
    memcpy(signature->authenticator, answer + SIGNATURE_SIZE, (size_t)more);
    return envelope_verify(signature, &k->signer, k->server_public, encoded) ||
           error_set(&p->error, "the function that signs has not signed by the key of SSHKey");
}

static bool sign(struct portsmith *p, const struct knocker *k, const struct request *request,
                 struct signature *signature)
{
    uint8_t encoded[REQUEST_SIZE];

    request_encode(encoded, request);
    if (k->signer.form != SIGNER_NATIVE)
        return sign_by_caller(p, k, encoded, signature);
    envelope_sign(signature, k->signing, k->server_public, encoded);
    return true;
}

/* The datagram's size, or 0 with the reason. */
static size_t make_datagram(struct portsmith *p, int action, const char *source, uint8_t *datagram,
                            struct error *warning)
{
    struct request request = knock_request(p->server, (enum action)action);
    struct knocker *knocker = name_source(p, &request, source) &&
                                      knock_name_member(&request, p->server, &p->error)
                                  ? make_knocker(p)
                                  : NULL;
    struct signature signature;
    size_t made = 0;

    if (knocker &&
        counter_take(p->directory, clock_wall_us(), 1, &request.counter, warning, &p->error) &&
        sign(p, knocker, &request, &signature))
        made = knock_seal(datagram, knocker, &request, &signature);
    knocker_free(knocker);
    return made;
}

int portsmith_knock(struct portsmith *p, int action, const char *source, void *datagram,
                    size_t size)
{
    struct error warning;
    size_t made = 0;

    if (check_call(p, action, datagram, size))
        made = make_datagram(p, action, source, datagram, &warning);
    if (conclude(p, made > 0) != 0)
        return -1;
    p->error = warning;
    return (int)made;
}
