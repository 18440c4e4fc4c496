/* A file of authorized_keys: what is read of it makes profiles of valid names that can be printed
 * and read again, and errors name the file. */
#include "fuzz.h"

#include "daemon/portsmith-profile/authorized.h"

static const char path[] = "/run/authorized_keys";

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

static void check_key(const struct authorized_key *key)
{
    static struct profile_draft draft;
    char name[POLICY_NAME_SIZE];
    struct error why;

    authorized_name(name, key);
    REQUIRE(profile_name_is_valid(name));
    profile_begin(&draft);
    /* There may be more prefixes than a profile has room for. */
    if (!authorized_apply(key, &draft, &why))
        return;
    REQUIRE((draft.policy.prefix_count > 0) == (key->address[0] != '\0'));
    REQUIRE((draft.policy.expires != 0) == (key->expires[0] != '\0'));
    REQUIRE(draft.profile.ssh_key && draft.policy.signer.form == key->key.form);
    REQUIRE(!key->require || draft.says_required);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct authorized_key *keys;
    struct error why = {""};
    size_t count;

    fuzz_write(path, bytes, size);
    if (!authorized_read(&keys, &count, path, &why)) {
        REQUIRE(!keys && strncmp(why.text, path, sizeof path - 1) == 0);
        return 0;
    }
    REQUIRE(count > 0 && count <= AUTHORIZED_KEYS_MAX);
    for (size_t i = 0; i < count; i++)
        check_key(&keys[i]);
    free(keys);
    return 0;
}
