#include "client/identity.h"

#include <errno.h>
#include <sodium.h>

#include "client/paths.h"
#include "common/text/keys.h"

bool identity_create(const char *path, uint8_t public_key[static KEY_SIZE], struct error *why)
{
    uint8_t secret[KEY_SIZE], signing[SIGNING_KEY_SIZE];
    bool made;

    randombytes_buf(secret, sizeof secret);
    key_expand_client(signing, secret);
    crypto_sign_ed25519_sk_to_pk(public_key, signing);
    made = key_file_create(path, secret, why);
    if (!made && errno == EEXIST)
        error_set(why, "%s: exists already and is never overwritten; see it with "
                       "'portsmith-knock pubkey', or move it away", path);
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(signing, sizeof signing);
    return made;
}

struct identity *identity_of_secret(const uint8_t secret[static KEY_SIZE], struct error *why)
{
    struct identity *identity = sodium_malloc(sizeof *identity);

    if (!identity) {
        error_set(why, "out of memory");
        return NULL;
    }
    key_expand_client(identity->signing, secret);
    crypto_sign_ed25519_sk_to_pk(identity->public_key, identity->signing);
    return identity;
}

struct identity *identity_read(const char *path, struct error *why)
{
    struct identity *identity;
    uint8_t secret[KEY_SIZE];
    char real[PATH_MAX];

    errno = 0;
    if (!path_follow(real, path, why) || !key_file_read(real, secret, why)) {
        if (errno == ENOENT)
            error_set(why, "%s: there is no such identity; make one with 'portsmith-knock keygen'",
                      path);
        return NULL;
    }
    identity = identity_of_secret(secret, why);
    sodium_memzero(secret, sizeof secret);
    return identity;
}

void identity_free(struct identity *identity)
{
    sodium_free(identity);
}
