/* A roster: the last lines of portsmith.conf, the text of the roster that is wanted, that of the one
 * that was used last, and the bytes of a file that stands in for the first of both, parted by lines
 * of "%%". Both texts are signed here. What a roster gives is within the host's bounds, and what was
 * used once is used again. */
#include "fuzz.h"

#include "common/text/keys.h"
#include "daemon/config/config.h"
#include "daemon/config/roster.h"
#include "daemon/config/rosterfile.h"
#include "privsep/helper/policy.h"
#include "privsep/prepare/receive.h"

#define MAIN "/run/main.conf"
#define SITE "/run/d/roster"
#define KEPT "/run/s/roster"

static uint8_t signing[SIGNING_KEY_SIZE];
static char head[256];

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static const uint8_t seed[KEY_SIZE] = {3}, server[KEY_SIZE] = {7}, secret[KEY_SIZE] = {9};
    uint8_t public_key[KEY_SIZE];
    char key[KEY_TEXT_SIZE];
    struct error why;

    (void)count, (void)arguments;
    fuzz_enter();
    REQUIRE(mkdir("/run/d", 0755) == 0 && mkdir("/run/s", 0755) == 0);
    REQUIRE(key_file_create("/run/d/server.key", server, &why));
    REQUIRE(key_file_create("/run/d/fleet.secret", secret, &why));
    crypto_sign_seed_keypair(public_key, signing, seed);
    snprintf(head, sizeof head,
             "[Portsmith]\nPort = 1\nProfileDirectory = /run/d\nStateDirectory = /run/s\n"
             "RosterKey = %s\nUser = nobody\nWitnessUser = daemon\n", key_format(public_key, key));
    return 0;
}

static void write_main(struct input rest)
{
    char text[4096];
    size_t size = strlen(head), more = rest.size < sizeof text - size ? rest.size
                                                                      : sizeof text - size;

    memcpy(text, head, size);
    if (more > 0)
        memcpy(text + size, rest.bytes, more);
    fuzz_write(MAIN, text, size + more);
}

/* Signs the text, unless there is none: then there is no such file. */
static void write_signed(const char *path, struct input text)
{
    struct rosterfile file;
    struct error why;

    unlink(path);
    if (text.size == 0)
        return;
    REQUIRE(rosterfile_sign(&file, (const char *)text.bytes, text.size, signing, &why));
    fuzz_write(path, file.bytes, file.size);
    free(file.bytes);
}

static void check_profile(const struct config *c, const struct profile *p)
{
    struct helper_profile policy = {0};

    memcpy(&policy, p->policy, helper_profile_size(p->policy));
    REQUIRE(helper_policy_accepts(&policy));
    REQUIRE(!roster_revokes(&c->roster, policy.signer.public_key));
    REQUIRE(config_find_profile(c, policy.name) == p);
    if (!p->is_of_roster)
        return;
    REQUIRE(p->has_preshared && policy.expires > 0 && policy.expires <= c->roster.not_after);
    for (unsigned i = 0; i < policy.service_count; i++) {
        unsigned at = 0;

        while (at < c->roster_service_count &&
               service_compare(&c->roster_services[at].service, &policy.services[i]) != 0)
            at++;
        REQUIRE(at < c->roster_service_count);
    }
    for (unsigned i = 0; i < policy.destination_count; i++) {
        unsigned at = 0;

        REQUIRE(helper_policy_permits_service(&policy, &policy.destinations[i].service));
        while (at < c->roster_service_count &&
               (c->roster_services[at].port != policy.destinations[i].port ||
                !address_equal(&c->roster_services[at].address, &policy.destinations[i].address)))
            at++;
        REQUIRE(at < c->roster_service_count);
    }
}

static void check_again(struct config *c)
{
    struct error why = {""};
    struct config *again;

    REQUIRE(rosterfile_keep(c, &why) && !c->roster_to_keep.bytes);
    again = config_load_again(MAIN, c, &why);
    REQUIRE(!again == (c->roster_trouble.text[0] != '\0'));
    if (again) {
        REQUIRE(!again->roster_to_keep.bytes);
        REQUIRE(memcmp(again->fingerprint, c->fingerprint, sizeof c->fingerprint) == 0);
    }
    config_free(again);
    config_forget_removed_profiles(c);
}

/* Of the texts themselves, whoever may sign them. */
static void check_text(struct input text)
{
    char *copy = input_text(&text);
    struct error why = {""};
    struct roster roster;

    if (*copy && !roster_read(&roster, copy, strlen(copy), "text", NULL, NULL, NULL, &why))
        REQUIRE(strncmp(why.text, "text:", 5) == 0);
    if (*copy)
        roster_free(&roster);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    struct input rest = input_part(&in), site = input_part(&in), kept = input_part(&in);
    struct error why = {""};
    struct config *c;

    check_text(site);
    write_main(rest);
    write_signed(SITE, site);
    write_signed(KEPT, kept);
    if (in.size > 0)
        fuzz_write_part(SITE, in);
    fuzz_write_text("/run/d/own.conf",
                    "[Profile]\nPublicKey = A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"
                    "Open = tcp/22\n");
    c = config_load(MAIN, &why);
    if (!c) {
        REQUIRE(strncmp(why.text, "/run/", 5) == 0);
        return 0;
    }
    for (size_t i = 0; i < c->profile_count; i++)
        check_profile(c, &c->profiles[i]);
    check_again(c);
    config_free(c);
    return 0;
}
