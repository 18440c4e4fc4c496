/* The files that portsmithd reads: portsmith.conf, a profile and the server's key,
 * parted by lines of "%%". What is read and printed is read again as the same. */
#include "fuzz.h"

#include "config.h"

static const char *const files[] = {"/run/main.conf", "/run/d/client.conf", "/run/d/server.key"};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    REQUIRE(mkdir("/run/d", 0755) == 0);
    return 0;
}

/* Writes the parts of the input to the files; a missing part is empty. */
static void write_files(const uint8_t *bytes, size_t size)
{
    static const char parting[] = "%%\n";
    const uint8_t *end = bytes + size;

    for (size_t i = 0; i < COUNT_OF(files); i++) {
        const uint8_t *part = bytes;
        const uint8_t *next = memmem(bytes, (size_t)(end - bytes), parting, sizeof parting - 1);

        bytes = next ? next : end;
        fuzz_write(files[i], part, (size_t)(bytes - part));
        bytes += next ? sizeof parting - 1 : 0;
    }
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
    text = print_config(c);
    fuzz_write_text(files[0], text);
    REQUIRE(config_read_main(&again, files[0], &why));
    again_text = print_config(&again);
    REQUIRE(strcmp(text, again_text) == 0);
    free(text);
    free(again_text);
}

/* Of the numbers; the rest is printed whatever it is. */
static bool profiles_are_equal(const struct profile *a, const struct profile *b)
{
    return a->port == b->port && a->window == b->window && a->max_window == b->max_window &&
           a->max_grants == b->max_grants && a->connections == b->connections &&
           a->expires == b->expires && a->hours_count == b->hours_count &&
           a->service_count == b->service_count && a->prefix_count == b->prefix_count;
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

static void check_profile(void)
{
    struct profile_draft draft, again;
    const struct profile *p = &draft.profile;
    struct error why = {""};
    char *text, *again_text;

    if (!profile_read(&draft, files[1], "client", &why)) {
        REQUIRE(strncmp(why.text, files[1], strlen(files[1])) == 0);
        return;
    }
    REQUIRE(p->service_count > 0);
    text = print_profile(p);
    fuzz_write_text("/run/again.conf", text);
    REQUIRE(profile_read(&again, "/run/again.conf", "client", &why));
    again_text = print_profile(&again.profile);
    REQUIRE(strcmp(text, again_text) == 0 && profiles_are_equal(p, &again.profile));
    free(text);
    free(again_text);
}

/* What the helper gets of it must be what helper_policy_receive accepts. */
static void check_whole(void)
{
    struct error why = {""};
    struct config *c = config_load(files[0], &why);

    if (!c) {
        REQUIRE(strncmp(why.text, "/run/", 5) == 0);
        return;
    }
    REQUIRE(c->profile_count == 1);
    REQUIRE(c->profiles->port != 0 && c->profiles->window > 0);
    REQUIRE(c->profiles->window <= c->profiles->max_window && c->profiles->max_grants > 0);
    REQUIRE(!sodium_is_zero(c->profiles->envelope_key, KEY_SIZE));
    config_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    write_files(bytes, size);
    check_profile();
    if (check_main())
        check_whole();
    return 0;
}
