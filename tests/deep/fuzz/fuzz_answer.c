/* What an app answers: a key that the profile can be printed with and read again, or a reason. */
#include "fuzz.h"

#include "daemon/portsmith-profile/answer.h"

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

/* As the file of the profile says it. */
static void read_again(const struct profile_draft *draft)
{
    static struct profile_draft again;
    struct settings_notes notes = {0};
    char key[SSH_KEY_LINE_SIZE];
    struct error why;

    profile_begin(&again);
    sodium_bin2base64(key, sizeof key, draft->policy.signer.public_key, KEY_SIZE,
                      sodium_base64_VARIANT_ORIGINAL);
    REQUIRE(profile_set(&again, "a file", "PublicKey",
                        draft->profile.ssh_key ? draft->profile.ssh_key : key, &notes, &why));
    REQUIRE(memcmp(&again.policy.signer, &draft->policy.signer, sizeof again.policy.signer) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct profile_draft draft;
    struct error why = {""};
    FILE *in;

    if (size == 0)
        return 0;
    in = fmemopen((void *)(uintptr_t)bytes, size, "r");
    REQUIRE(in);
    profile_begin(&draft);
    if (answer_read(&draft, in, &why))
        read_again(&draft);
    else
        REQUIRE(strncmp(why.text, "standard input: ", 16) == 0);
    fclose(in);
    return 0;
}
