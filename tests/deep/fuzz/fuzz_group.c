/* The bundle of a group: what is read is written as what is read again, whatever is sealed is opened
 * by the right key alone, and nothing else is opened. */
#include "fuzz.h"

#include "common/text/keys.h"
#include "daemon/portsmith-profile/groupbundle.h"

static const char path[] = "/run/web.group";
static const uint8_t onetime[KEY_SIZE] = {1, 2, 3}, other[KEY_SIZE] = {4}, server[KEY_SIZE] = {5};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

static struct group_bundle write_back(const struct group_bundle *bundle)
{
    char text[GROUP_TEXT_SIZE];
    struct group_bundle again;
    struct error why;

    fuzz_write(path, text, group_bundle_format(bundle, text));
    REQUIRE(group_bundle_read(&again, path, &why));
    REQUIRE(strcmp(again.name, bundle->name) == 0);
    REQUIRE(memcmp(again.public_key, bundle->public_key, KEY_SIZE) == 0);
    REQUIRE(memcmp(again.sealed, bundle->sealed, GROUP_SEALED_SIZE) == 0);
    return again;
}

/* A bundle with the name that was read, each bit of which counts. */
static void check_sealing(const char *name, size_t bit)
{
    uint8_t public_key[KEY_SIZE], secret[KEY_SIZE];
    struct group_bundle bundle;
    struct error why;

    REQUIRE(key_server_public(public_key, onetime));
    REQUIRE(group_bundle_seal(&bundle, name, server, public_key, &why));
    bundle = write_back(&bundle);
    REQUIRE(!group_bundle_open(&bundle, secret, other, path, &why));
    REQUIRE(group_bundle_open(&bundle, secret, onetime, path, &why));
    REQUIRE(memcmp(secret, server, KEY_SIZE) == 0);
    bundle.sealed[bit / 8 % GROUP_SEALED_SIZE] ^= (uint8_t)(1 << bit % 8);
    REQUIRE(!group_bundle_open(&bundle, secret, onetime, path, &why));
    REQUIRE(!group_bundle_seal(&bundle, name, server, (uint8_t[KEY_SIZE]){0}, &why));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint8_t secret[KEY_SIZE], public_key[KEY_SIZE];
    struct error why = {""};
    struct group_bundle bundle;

    fuzz_write(path, bytes, size);
    if (!group_bundle_read(&bundle, path, &why)) {
        REQUIRE(strncmp(why.text, path, sizeof path - 1) == 0);
        return 0;
    }
    write_back(&bundle);
    if (group_bundle_open(&bundle, secret, onetime, path, &why))
        REQUIRE(key_server_public(public_key, secret) &&
                memcmp(public_key, bundle.public_key, KEY_SIZE) == 0);
    check_sealing(bundle.name, size);
    return 0;
}
