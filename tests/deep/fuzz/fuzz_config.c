/* The files that portsmithd reads: portsmith.conf, a profile, the server's key and, where
 * there are four, another profile, parted by lines of "%%". What is read and printed is
 * read again as the same. */
#include "fuzz.h"

#include <sys/stat.h>

#include "daemon/config/config.h"
#include "privsep/helper/policy.h"
#include "privsep/prepare/receive.h"

static const char *const files[] = {"/run/main.conf", "/run/d/client.conf", "/run/d/server.key",
                                    "/run/d/other.conf"};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    REQUIRE(mkdir("/run/d", 0755) == 0);
    return 0;
}

/* What config_print or profile_print says; the caller frees it. */
static char *print_config(const struct config *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    REQUIRE(out);
    config_print(c, out);
    REQUIRE(fclose(out) == 0);
    return text;
}

static char *print_profile(const struct profile *p)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    REQUIRE(out);
    profile_print(p, out);
    REQUIRE(fclose(out) == 0);
    return text;
}

/* In our directory and for a user that every host has, but otherwise as read. */
static void write_back_main(struct config *c)
{
    char *text, *again_text;
    struct config again;
    struct error why;

    strcpy(c->profile_directory, "/run/d");
    strcpy(c->user, "nobody");
    strcpy(c->witness_user, "daemon");
    text = print_config(c);
    fuzz_write_text(files[0], text);
    REQUIRE(config_read_main(&again, files[0], &why));
    again_text = print_config(&again);
    REQUIRE(strcmp(text, again_text) == 0);
    free(text);
    free(again_text);
}

static bool check_main(void)
{
    struct config c;
    struct error why = {""};

    if (!config_read_main(&c, files[0], &why)) {
        REQUIRE(strncmp(why.text, files[0], strlen(files[0])) == 0);
        return false;
    }
    REQUIRE(c.port != 0 && c.interface_count > 0 && c.window > 0 && c.window <= c.max_window);
    REQUIRE(c.max_grants > 0 && c.max_grants <= MAX_GRANTS_MOST);
    write_back_main(&c);
    return true;
}

/* Each destination is of a service that is opened. */
static void check_destinations(const struct profile *p)
{
    for (unsigned i = 0; i < p->policy->destination_count; i++)
        REQUIRE(helper_policy_permits_service(p->policy, &p->policy->destinations[i].service));
}

static void check_profile(void)
{
    struct profile_draft draft, again;
    const struct profile *p = &draft.profile;
    struct error why = {""};
    char *text, *again_text;

    if (!profile_read(&draft, files[1], "client", NULL, &why)) {
        REQUIRE(strncmp(why.text, files[1], strlen(files[1])) == 0);
        return;
    }
    check_destinations(p);
    text = print_profile(p);
    fuzz_write_text("/run/again.conf", text);
    REQUIRE(profile_read(&again, "/run/again.conf", "client", NULL, &why));
    again_text = print_profile(&again.profile);
    REQUIRE(strcmp(text, again_text) == 0 && p->port == again.profile.port);
    REQUIRE(memcmp(&draft.policy, &again.policy, sizeof draft.policy) == 0);
    free(text);
    free(again_text);
}

/* What is sent to the helper is what that accepts. */
static void check_complete(const struct profile *p)
{
    struct helper_profile message = {0};

    memcpy(&message, p->policy, helper_profile_size(p->policy));
    REQUIRE(helper_policy_accepts(&message));
    REQUIRE(p->port != 0 && !sodium_is_zero(p->envelope_key, KEY_SIZE));
    check_destinations(p);
}

/* Unchanged files are the same configuration; a removed profile leaves the others. */
static void check_again(struct config *c)
{
    struct error why = {""};
    struct config *again = config_load_again(files[0], c, &why);
    size_t before = c->profile_count;

    REQUIRE(again && memcmp(again->fingerprint, c->fingerprint, sizeof c->fingerprint) == 0);
    strcpy(again->user, "another");
    REQUIRE(!config_load_again(files[0], again, &why));
    config_free(again);
    config_lock(c);
    REQUIRE(unlink(files[1]) == 0 && config_forget_removed_profiles(c) == 1);
    REQUIRE(c->profile_count == before - 1 && !config_find_profile(c, "client"));
    REQUIRE(before == 1 || config_find_profile(c, "other"));
    REQUIRE(config_forget_removed_profiles(c) == 0);
}

static void check_whole(void)
{
    struct error why = {""};
    struct config *c = config_load(files[0], &why);

    if (!c) {
        REQUIRE(strncmp(why.text, "/run/", 5) == 0);
        return;
    }
    REQUIRE(c->profile_count == 1u + (access(files[3], F_OK) == 0));
    for (size_t i = 0; i < c->profile_count; i++)
        check_complete(&c->profiles[i]);
    free(print_config(c));
    check_again(c);
    config_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    struct stat key;

    unlink(files[3]);
    for (size_t i = 0; i < COUNT_OF(files); i++)
        if (i < 3 || in.size > 0)
            fuzz_write_part(files[i], input_part(&in));
    if (stat(files[2], &key) == 0 && key.st_size == 0)
        REQUIRE(unlink(files[2]) == 0); /* so there are servers without a key, too */
    check_profile();
    if (check_main())
        check_whole();
    return 0;
}
