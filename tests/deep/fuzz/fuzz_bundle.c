/* The bundle that a client imports: what it is unpacked to must be read as what it
 * said, and what is exported then must be read as the same. */
#include "fuzz.h"

#include "client/bundle.h"
#include "client/identity.h"

static const char path[] = "/run/client.bundle";

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

static void check_services(const struct server *a, const struct server *b)
{
    REQUIRE(a->service_count == b->service_count);
    for (size_t i = 0; i < a->service_count; i++)
        REQUIRE(service_compare(&a->services[i], &b->services[i]) == 0);
}

static void check_same_ssh_key(const struct ssh_key *a, const struct ssh_key *b)
{
    REQUIRE(a->form == b->form && a->blob_size == b->blob_size);
    REQUIRE(memcmp(a->blob, b->blob, a->blob_size) == 0);
}

/* All but the identity and the agent. */
static void check_same(const struct server *a, const struct server *b)
{
    REQUIRE(a->has_ssh_key == b->has_ssh_key);
    if (a->has_ssh_key)
        check_same_ssh_key(&a->ssh_key, &b->ssh_key);
    REQUIRE(strcmp(a->host, b->host) == 0 && a->port == b->port && a->window == b->window);
    REQUIRE(memcmp(a->public_key, b->public_key, KEY_SIZE) == 0);
    REQUIRE(a->transport == b->transport && a->has_preshared == b->has_preshared);
    REQUIRE(memcmp(a->preshared, b->preshared, KEY_SIZE) == 0);
    REQUIRE(a->address.source == b->address.source);
    REQUIRE(a->address.source != ADDRESS_GIVEN ||
            address_equal(&a->address.given, &b->address.given));
    REQUIRE(a->member_count == b->member_count);
    REQUIRE(memcmp(a->members, b->members, sizeof a->members) == 0);
    check_services(a, b);
}

/* `identity`: of the server, to be exported too; or NULL. */
static void check_export(const char *name, const struct server *server, bool secret,
                         const struct identity *identity)
{
    char text[BUNDLE_TEXT_SIZE];
    struct error why;
    struct bundle *out = bundle_of_server(name, server, secret, identity, &why), *in;

    REQUIRE(out && out->has_secret == (identity != NULL));
    REQUIRE(secret || (!out->server.has_preshared && !out->server.has_ssh_key));
    fuzz_write(path, text, bundle_format(out, text));
    in = bundle_read(path, &why);
    REQUIRE(in && strcmp(in->name, name) == 0 && in->has_secret == out->has_secret);
    REQUIRE(memcmp(in->secret, out->secret, KEY_SIZE) == 0);
    check_same(&in->server, &out->server);
    bundle_free(in);
    bundle_free(out);
}

static void check_identity(const struct bundle *bundle, const char *key)
{
    struct error why;
    struct identity *identity = identity_read(key, &why);

    REQUIRE(!identity_read("/run/config/nobody", &why) && strstr(why.text, "nobody"));
    REQUIRE(identity);
    REQUIRE(memcmp(identity->signing, bundle->secret, KEY_SIZE) == 0); /* the seed comes first */
    identity_free(identity);
}

static void check_server(const struct bundle *bundle, const char *conf, const char *key)
{
    struct error why;
    struct server *server = server_new(&why);
    struct identity *identity = bundle->has_secret ? identity_read(key, &why) : NULL;

    REQUIRE(server && server_read(server, conf, &why));
    REQUIRE(strcmp(server->identity, bundle->has_secret           ? key
                                     : bundle->server.has_ssh_key ? ""
                                                                  : "/run/config/identity") == 0);
    REQUIRE((server->agent[0] != '\0') == (bundle->server.agent[0] != '\0'));
    check_same(server, &bundle->server);
    check_export(bundle->name, server, false, NULL);
    if (identity || server->has_ssh_key)
        check_export(bundle->name, server, true, identity);
    identity_free(identity);
    server_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char key[PATH_MAX], conf[PATH_MAX];
    struct error why = {""};
    struct bundle *bundle;

    fuzz_write(path, bytes, size);
    bundle = bundle_read(path, &why);
    if (!bundle) {
        REQUIRE(strncmp(why.text, path, sizeof path - 1) == 0);
        return 0;
    }
    REQUIRE(bundle_unpack(bundle, "/run/config", key, conf, &why));
    REQUIRE(!bundle_unpack(bundle, "/run/config", key, conf, &why)); /* never over what is there */
    REQUIRE(strncmp(key, "/run/config/", 12) == 0 && !strchr(key + 12, '/'));
    if (bundle->has_secret)
        check_identity(bundle, key);
    check_server(bundle, conf, key);
    REQUIRE(!bundle->has_secret || unlink(key) == 0);
    REQUIRE(rmdir("/run/config") != 0 && unlink(conf) == 0);
    REQUIRE(rmdir("/run/config") == 0); /* there was nothing else */
    bundle_free(bundle);
    return 0;
}
