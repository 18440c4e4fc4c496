#include "daemon/portsmith-profile/groupbundle.h"

#include <stdio.h>
#include <string.h>

#include "common/text/keys.h"
#include "common/text/settings.h"

enum { SEALED_TEXT_SIZE = (GROUP_SEALED_SIZE + 2) / 3 * 4 + 1 };

bool group_bundle_seal(struct group_bundle *bundle, const char *name,
                       const uint8_t secret[static KEY_SIZE],
                       const uint8_t onetime[static KEY_SIZE], struct error *why)
{
    *bundle = (struct group_bundle){.has_public_key = true, .has_sealed = true};
    strcpy(bundle->name, name);
    if (!key_server_public(bundle->public_key, secret))
        return error_set(why, "the server's key cannot be used");
    return crypto_box_seal(bundle->sealed, secret, KEY_SIZE, onetime) == 0 ||
           error_set(why, "not a one-time key: expected the one that group join printed on the new "
                          "host");
}

size_t group_bundle_format(const struct group_bundle *bundle, char text[static GROUP_TEXT_SIZE])
{
    char key[KEY_TEXT_SIZE], sealed[SEALED_TEXT_SIZE];

    sodium_bin2base64(sealed, sizeof sealed, bundle->sealed, sizeof bundle->sealed,
                      sodium_base64_VARIANT_ORIGINAL);
    return (size_t)snprintf(text, GROUP_TEXT_SIZE,
                            "# The key of a group's servers, sealed for one new member. There, run"
                            "\n# 'portsmith-profile group join FILE', then delete this.\n"
                            "[Group]\nName = %s\nPublicKey = %s\nSealedKey = %s\n",
                            bundle->name, key_format(bundle->public_key, key), sealed);
}

/* ---- reading ------------------------------------------------------------- */

static bool set_name(void *into, const char *value, struct error *why)
{
    struct group_bundle *b = into;

    return config_group_parse(b->name, value, why);
}

static bool set_public_key(void *into, const char *value, struct error *why)
{
    struct group_bundle *b = into;

    b->has_public_key = true;
    return key_parse(b->public_key, value, why);
}

static bool set_sealed(void *into, const char *value, struct error *why)
{
    struct group_bundle *b = into;
    char again[SEALED_TEXT_SIZE];
    size_t size = 0;

    b->has_sealed = sodium_base642bin(b->sealed, sizeof b->sealed, value, strlen(value), NULL,
                                      &size, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
                    size == sizeof b->sealed;
    sodium_bin2base64(again, sizeof again, b->sealed, sizeof b->sealed,
                      sodium_base64_VARIANT_ORIGINAL);
    return (b->has_sealed && strcmp(again, value) == 0) ||
           error_set(why, "not a sealed key: expected %d characters of base64 (%d bytes)",
                     SEALED_TEXT_SIZE - 1, GROUP_SEALED_SIZE);
}

static const struct setting settings[] = {
    {"Name", set_name, false},
    {"PublicKey", set_public_key, false},
    {"SealedKey", set_sealed, false},
};

static const struct settings_table table = {"Group", settings, sizeof settings / sizeof *settings,
                                            NULL, NULL};

bool group_bundle_read(struct group_bundle *bundle, const char *path, struct error *why)
{
    const char *missing;

    *bundle = (struct group_bundle){0};
    if (!settings_read(path, FILE_SECRET, &table, bundle, NULL, why))
        return false;
    missing = bundle->name[0] == '\0'   ? "Name"
            : !bundle->has_public_key ? "PublicKey"
            : !bundle->has_sealed     ? "SealedKey"
                                      : NULL;
    return !missing || error_set(why, "%s: %s is missing from [Group]: copy the whole file", path,
                                 missing);
}

bool group_bundle_open(const struct group_bundle *bundle, uint8_t secret[static KEY_SIZE],
                       const uint8_t onetime_secret[static KEY_SIZE], const char *path,
                       struct error *why)
{
    uint8_t onetime[KEY_SIZE], public_key[KEY_SIZE];

    if (!key_server_public(onetime, onetime_secret) ||
        crypto_box_seal_open(secret, bundle->sealed, sizeof bundle->sealed, onetime,
                             onetime_secret) != 0)
        return error_set(why, "%s: sealed for another one-time key than this host has now, or "
                              "damaged: have it made again, for the key that group join prints "
                              "here", path);
    if (key_server_public(public_key, secret) &&
        memcmp(public_key, bundle->public_key, KEY_SIZE) == 0)
        return true;
    sodium_memzero(secret, KEY_SIZE);
    return error_set(why, "%s: its key is not the one of its PublicKey: somebody changed it; have "
                          "it made again", path);
}
