/* The bundle that a client imports: what it is unpacked to must be read as what it
 * said. */
#include "fuzz.h"

#include "bundle.h"
#include "identity.h"

static const char path[] = "/run/client.bundle";

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

static void check_identity(const struct bundle *bundle, const char *key)
{
    struct error why;
    struct identity *identity = identity_read(key, &why);

    REQUIRE(identity);
    REQUIRE(memcmp(identity->signing, bundle->secret, KEY_SIZE) == 0); /* the seed comes first */
    identity_free(identity);
}

static void check_server(const struct bundle *bundle, const char *conf, const char *key)
{
    const struct server *said = &bundle->server;
    struct error why;
    struct server *server = server_new(&why);

    REQUIRE(server && server_read(server, conf, &why));
    REQUIRE(strcmp(server->host, said->host) == 0 && server->port == said->port);
    REQUIRE(strcmp(server->identity, key) == 0);
    REQUIRE(memcmp(server->public_key, said->public_key, KEY_SIZE) == 0);
    REQUIRE(server->has_preshared == said->has_preshared);
    REQUIRE(memcmp(server->preshared, said->preshared, KEY_SIZE) == 0);
    REQUIRE(server->service_count == (bundle->opens_all ? 0 : said->service_count));
    for (size_t i = 0; i < server->service_count; i++)
        REQUIRE(service_compare(&server->services[i], &said->services[i]) == 0);
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
    REQUIRE(strncmp(key, "/run/config/", 12) == 0 && !strchr(key + 12, '/'));
    check_identity(bundle, key);
    check_server(bundle, conf, key);
    REQUIRE(unlink(key) == 0 && unlink(conf) == 0);
    bundle_free(bundle);
    return 0;
}
