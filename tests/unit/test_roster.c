#include "check.h"

#include <sodium.h>

#include "common/clock.h"
#include "common/text/keys.h"
#include "daemon/config/config.h"
#include "daemon/config/roster.h"
#include "daemon/config/rosterfile.h"
#include "sshlines.h"

/* In the scratch directory: */
#define MAIN "portsmith.conf"
#define SITE "profiles/roster"
#define KEPT "state/roster"

static char directory[256]; /* of the scratch, absolute */

static const uint8_t fleet_secret[KEY_SIZE] = {9, 9, 9};
static uint8_t fleet_keys[2][KEY_SIZE], fleet_signing[2][SIGNING_KEY_SIZE];

static const char *client_key(uint32_t number, char text[static KEY_TEXT_SIZE])
{
    uint8_t seed[KEY_SIZE] = {1, (uint8_t)number}, public[KEY_SIZE], signing[SIGNING_KEY_SIZE];

    crypto_sign_seed_keypair(public, signing, seed);
    return key_format(public, text);
}

/* portsmith.conf, with `keys` of the two fleet keys, and then `rest`. */
static void write_main(unsigned keys, const char *rest)
{
    char text[4096], key[KEY_TEXT_SIZE];
    size_t size = (size_t)snprintf(
        text, sizeof text,
        "[Portsmith]\nPort = 4000\nUser = nobody\nWitnessUser = daemon\n"
        "ProfileDirectory = %s/profiles\nStateDirectory = %s/state\nRunDirectory = %s/run\n",
        directory, directory, directory);

    for (unsigned i = 0; i < 2; i++)
        if (keys & 1u << i)
            size += (size_t)snprintf(text + size, sizeof text - size, "RosterKey = %s\n",
                                     key_format(fleet_keys[i], key));
    snprintf(text + size, sizeof text - size, "%s", rest);
    scratch_write_text(MAIN, 0644, text);
}

static void write_profile(const char *name, uint32_t number, const char *rest)
{
    char text[512], path[64], key[KEY_TEXT_SIZE];

    snprintf(path, sizeof path, "profiles/%s.conf", name);
    snprintf(text, sizeof text, "[Profile]\nPublicKey = %s\nOpen = tcp/22\n%s",
             client_key(number, key), rest);
    scratch_write_text(path, 0600, text);
}

/* A roster of this version that is good until `until`, then `rest`, signed with the fleet key. */
static void write_roster_until(unsigned key, unsigned version, const char *until, const char *rest)
{
    char text[8192];
    struct rosterfile file;
    struct error why;
    size_t size = (size_t)snprintf(text, sizeof text, "[Roster]\nVersion = %u\nNotAfter = %s\n%s",
                                   version, until, rest);

    assert_done(rosterfile_sign(&file, text, size, fleet_signing[key], &why), why);
    scratch_write(SITE, 0644, file.bytes, file.size);
    free(file.bytes);
}

static void write_roster(unsigned version, const char *rest)
{
    write_roster_until(0, version, "2100-12-31", rest);
}

/* A section of a profile, in a static buffer. */
static const char *section(const char *name, uint32_t number, const char *rest)
{
    static char texts[4][512];
    static unsigned next;
    char *text = texts[next++ % 4], key[KEY_TEXT_SIZE];

    snprintf(text, sizeof *texts, "[Profile %s]\nPublicKey = %s\n%s", name,
             client_key(number, key), rest);
    return text;
}

static const char *revocation(uint32_t number)
{
    static char text[KEY_TEXT_SIZE + 16];
    char key[KEY_TEXT_SIZE];

    snprintf(text, sizeof text, "Revoke = %s\n", client_key(number, key));
    return text;
}

static const char *join(const char *a, const char *b)
{
    static char text[2048];
    char both[2048];

    snprintf(both, sizeof both, "%s%s", a, b);
    return strcpy(text, both);
}

static int enter(void **state)
{
    static const uint8_t server_secret[KEY_SIZE] = {7, 7, 7, 7};
    struct error why;

    if (sodium_init() < 0 || scratch_enter(state) != 0 || !getcwd(directory, sizeof directory))
        return -1;
    for (unsigned i = 0; i < 2; i++)
        crypto_sign_seed_keypair(fleet_keys[i], fleet_signing[i],
                                 (const uint8_t[KEY_SIZE]){3, (uint8_t)i});
    if (mkdir("profiles", 0700) != 0 ||
        !key_file_create("profiles/server.key", server_secret, &why) ||
        !key_file_create("profiles/fleet.secret", fleet_secret, &why))
        return -1;
    write_main(1, "RosterServices = tcp/22 tcp/443\n");
    return 0;
}

static void assert_says(const struct error *why, const char *expected)
{
    if (!strstr(why->text, expected))
        fail_msg("said '%s', not '%s'", why->text, expected);
}

static struct config *load(void)
{
    struct error why;
    struct config *c = config_load(MAIN, &why);

    if (!c)
        fail_msg("refused: %s", why.text);
    return c;
}

/* Loads, and uses what was loaded, as portsmithd does. */
static struct config *use(void)
{
    struct config *c = load();
    struct error why;

    assert_done(rosterfile_keep(c, &why), why);
    return c;
}

static void assert_load_refused(const char *expected)
{
    struct error why = {""};

    if (config_load(MAIN, &why))
        fail_msg("loaded, but '%s' was to be refused", expected);
    assert_says(&why, expected);
}

/* A reload is refused, and a start goes on with what was used before, which has version 5. */
static void assert_not_used(const struct config *in_use, const char *expected)
{
    struct error why = {""};
    struct config *c = config_load_again(MAIN, in_use, &why);

    if (c)
        fail_msg("used, but '%s' was to be refused", expected);
    assert_says(&why, expected);
    c = load();
    assert_says(&c->roster_trouble, expected);
    assert_int_equal(c->roster.version, 5);
    assert_non_null(config_find_profile(c, "laptop"));
    assert_int_equal(c->port_count, 1);
    assert_null(c->roster_to_keep.bytes);
    config_free(c);
}

/* ---- the text --------------------------------------------------------------- */

static bool count(void *data, struct roster_profile *p, const char *place, struct error *why)
{
    (void)p, (void)place, (void)why;
    ++*(unsigned *)data;
    return true;
}

static void assert_text_refused(const char *text, const char *expected)
{
    struct error why = {""};
    struct roster roster;
    char copy[2048];
    unsigned all = 0;

    strcpy(copy, text);
    if (roster_read(&roster, copy, strlen(copy), "r", count, &all, NULL, &why))
        fail_msg("read, but '%s' was to be refused", expected);
    assert_says(&why, expected);
    roster_free(&roster);
}

static void a_wrong_text_is_refused_with_its_line(void **state)
{
#define HEAD "[Roster]\nVersion = 1\nNotAfter = 2030-01-01\n"
    char text[2048];

    (void)state;
    assert_text_refused("#\n",
                        "r: expected the section [Roster] first, with lines 'Version = ...'");
    assert_text_refused("Version = 1\n", "r:1: expected the line [Roster] before this one");
    assert_text_refused("[Roster]\nVersion = 1\n", "r: expected the section [Roster] first");
    assert_text_refused("[Roster\n", "r:1: expected a section such as [Name]");
    assert_text_refused("[Rooster]\n", "r:1: expected the section [Roster] or [Profile NAME]");
    for (const char *const *wrong = (const char *const[]){"0", "07", "-1", "x", "1234567890123456",
                                                          "1x", NULL};
         *wrong; wrong++) {
        snprintf(text, sizeof text, "[Roster]\nVersion = %s\n", *wrong);
        assert_text_refused(text, "r:2: Version: '");
    }
    assert_text_refused("[Roster]\nNotAfter = 1960-01-01\n", "is before 1970");
    assert_text_refused("[Roster]\nNotAfter = soon\n", "'soon' is not a date");
    assert_text_refused("[Roster]\nRevoke = x\n", "r:2: Revoke: not a key");
    assert_text_refused("[Roster]\nRevoke = ssh-rsa AAAA\n", "r:2: Revoke: ");
    assert_text_refused(HEAD "Version = 2\n", "r:4: Version is given a second time");
    assert_text_refused(HEAD "[Roster]\n", "r:4: a second section [Roster]");
    assert_text_refused("[Profile a]\n", "r:1: expected the section [Roster] first");
    assert_text_refused(HEAD "[Profile A]\n", "r:4: a profile's name has 1 to 32");
    assert_text_refused(HEAD "[Profile a]\nOpen = tcp/22\n",
                        "r: [Profile a]: expected a line 'PublicKey");
    snprintf(text, sizeof text, HEAD "%s", section("a", 1, "[Profile b]\n"));
    assert_text_refused(text, "[Profile a]: expected a line 'Open");
    snprintf(text, sizeof text, HEAD "%s", section("a", 1, "PresharedKey = x\n"));
    assert_text_refused(text, "r:6: unknown key 'PresharedKey' in [Profile]");
    snprintf(text, sizeof text, HEAD "%s", section("a", 1, "revoke = x\n"));
    assert_text_refused(text, "r:6: Revoke belongs in [Roster], above this section");
    snprintf(text, sizeof text, HEAD "%s", section("a", 1, "Group = Web\n"));
    assert_text_refused(text, "r:6: Group: 'Web' is not the name of a group");
    snprintf(text, sizeof text, HEAD "%s",
             section("a", 1, "Group = a b c d e f g h i j k l m n o p q\n"));
    assert_text_refused(text, "more than 16 groups");
    snprintf(text, sizeof text, HEAD "%s%s", section("a", 1, "Open = tcp/1\n"),
             section("a", 2, "Open = tcp/1\n"));
    assert_text_refused(text, "r: two profiles are called 'a'");
    snprintf(text, sizeof text, HEAD "%s%s", section("a", 1, "Open = tcp/1\n"),
             section("b", 1, "Open = tcp/1\n"));
    assert_text_refused(text, "have the same key");
    snprintf(text, sizeof text, HEAD "%s[Roster]\n", section("a", 1, "Open = tcp/1\n"));
    assert_text_refused(text, "r:7: a second section [Roster]");
}

static void the_head_alone_is_read_where_nobody_takes_profiles(void **state)
{
    char text[] = HEAD "Revoke = " PLAIN_LINE "\n[Profile a]\nnonsense\n";
    struct roster roster;
    struct error why;

    (void)state;
    assert_done(roster_read(&roster, text, sizeof text - 1, "r", NULL, NULL, NULL, &why), why);
    assert_int_equal(roster.version, 1);
    assert_int_equal(roster.revoked_count, 1);
    assert_true(roster_revokes(&roster, roster.revoked[0]));
    assert_false(roster_revokes(&roster, fleet_secret));
    roster_free(&roster);
}

static void a_zero_byte_ends_no_text(void **state)
{
    char text[] = HEAD "\0\n[Profile a]\n";
    struct roster roster;
    struct error why;

    (void)state;
    assert_false(roster_read(&roster, text, sizeof text - 1, "r", NULL, NULL, NULL, &why));
    assert_says(&why, "r:4: the line holds a zero byte");
    roster_free(&roster);
}

/* ---- at a host -------------------------------------------------------------- */

static void a_profile_of_the_roster_is_as_one_of_a_file(void **state)
{
    uint8_t preshared[KEY_SIZE];
    char text[KEY_TEXT_SIZE + 32], key[KEY_TEXT_SIZE];
    const struct profile *p;
    struct config *c, *file;

    (void)state;
    write_roster(5, section("laptop", 1, "Open = tcp/22 tcp/80\nPort = 4001\n"
                                         "Expires = 2150-01-01\n"));
    c = use();
    p = config_find_profile(c, "laptop");
    assert_non_null(p);
    assert_true(p->is_of_roster && p->has_preshared);
    assert_int_equal(p->policy->service_count, 1); /* tcp/80 is not in RosterServices */
    assert_int_equal(p->policy->services[0].port, 22);
    assert_int_equal(p->policy->expires, c->roster.not_after);
    assert_int_equal(c->port_count, 2);
    /* A file with the derived key gives the same envelope key, and comes first. */
    roster_preshared(preshared, fleet_secret, p->policy->signer.public_key);
    snprintf(text, sizeof text, "PresharedKey = %s\n", key_format(preshared, key));
    write_profile("desk", 1, text);
    file = load();
    assert_int_equal(file->profile_count, 1);
    assert_memory_equal(file->profiles[0].envelope_key, p->envelope_key, KEY_SIZE);
    assert_false(file->profiles[0].is_of_roster);
    config_free(file);
    config_free(c);
}

static void the_host_bounds_what_the_roster_grants(void **state)
{
    char all[2048];
    struct config *c;

    (void)state;
    write_main(1, "RosterServices = tcp/22 tcp/2222 -> 192.0.2.1:22\nRosterServices = tcp/2223\n"
                  "RosterProfiles = ops-* phone\nGroup = web\nMember = a\n");
    snprintf(all, sizeof all, "%s%s%s%s",
             section("ops-a", 1, "Open = tcp/22 -> 192.0.2.1:22\nOpen = tcp/23 -> 192.0.2.1:23\n"
                                 "Open = tcp/2222 -> 192.0.2.1:22\n"
                                 "Open = tcp/2223 -> 192.0.2.1:22\n"
                                 "Group = mail web\nExpires = 2031-01-01\n"),
             section("ops-b", 2, "Open = tcp/22\nGroup = mail\n"),
             section("phone", 3, "Open = tcp/80 tcp/2222\n"
                                 "Open = tcp/22 -> 192.0.2.1:22 tcp/2222 -> 192.0.2.1:23\n"),
             section("other", 4, "Open = tcp/22\n"));
    write_roster(5, all);
    c = load();
    assert_int_equal(c->profile_count, 1);
    assert_string_equal(c->profiles[0].policy->name, "ops-a");
    assert_int_equal(c->profiles[0].policy->service_count, 1);
    assert_int_equal(c->profiles[0].policy->destination_count, 1);
    assert_int_equal(c->profiles[0].policy->services[0].port, 2222);
    assert_int_equal(c->profiles[0].policy->destinations[0].service.port, 2222);
    assert_true(c->profiles[0].policy->expires < c->roster.not_after);
    config_free(c);
}

static void files_come_before_the_roster_and_revocations_before_both(void **state)
{
    struct config *c, *again;
    struct error why;

    (void)state;
    write_profile("desk", 1, "");
    write_profile("lost", 2, "");
    write_roster(5, join(section("desk", 3, "Open = tcp/443\n"),
                         section("alpha", 4, "Open = tcp/443\n")));
    c = use();
    assert_int_equal(c->profile_count, 3);
    assert_string_equal(c->profiles[0].policy->name, "alpha");
    assert_int_equal(config_find_profile(c, "desk")->policy->services[0].port, 22);
    config_free(c);
    /* The key of a file's profile is revoked, and so the roster's of that name counts. */
    write_roster(6, join(revocation(1), section("desk", 3, "Open = tcp/443\n")));
    c = load();
    assert_int_equal(c->profile_count, 2);
    assert_int_equal(c->revoked_count, 1);
    assert_int_equal(config_find_profile(c, "desk")->policy->services[0].port, 443);
    assert_non_null(config_find_profile(c, "lost"));
    /* So are those of the roster itself. */
    write_roster(6, join(revocation(3), section("new", 3, "Open = tcp/443\n")));
    again = load();
    assert_null(config_find_profile(again, "new"));
    assert_int_equal(again->profile_count, 2);
    config_free(again);
    /* A broken file elsewhere does not keep a revoked client in. */
    write_roster(7, join(revocation(2), section("desk", 3, "Open = tcp/443\n")));
    scratch_write_text("profiles/broken.conf", 0644, "nonsense\n");
    assert_null(config_load_again(MAIN, c, &why));
    assert_int_equal(config_forget_removed_profiles(c), 1);
    assert_null(config_find_profile(c, "lost"));
    assert_non_null(config_find_profile(c, "desk"));
    config_free(c);
}

static void a_roster_that_cannot_be_used_leaves_the_one_before(void **state)
{
    const char *laptop = section("laptop", 1, "Open = tcp/22\n");
    struct config *c;
    struct rosterfile file;
    struct error why;
    char good[1024], text[1024];

    (void)state;
    snprintf(good, sizeof good, "%s", laptop);
    write_roster(5, good);
    assert_done(rosterfile_read(&file, SITE, (const uint8_t(*)[KEY_SIZE])fleet_keys, 1, &why), why);
    c = use();
    assert_non_null(config_find_profile(c, "laptop"));

    snprintf(text, sizeof text, "%s%s", good, section("b", 2, "Open = tcp/22\n"));
    write_roster(5, text);
    assert_not_used(c, "roster: another roster of Version 5 was used here: raise Version");
    write_roster(4, good);
    assert_not_used(c, "roster: Version 4 is below 5, which was used here");
    write_roster_until(0, 6, "2020-02-29", good);
    assert_not_used(c, "roster: it was good until 2020-02-29 (NotAfter)");
    write_roster_until(1, 6, "2100-12-31", good);
    assert_not_used(c, "roster: signed with another fleet key than is known here, or cut short");
    scratch_write(SITE, 0644, file.bytes, file.size - 1);
    assert_not_used(c, "or cut short or changed since");
    file.bytes[file.size - 1] = ' ';
    scratch_write(SITE, 0644, file.bytes, file.size);
    assert_not_used(c, "or cut short or changed since");
    file.bytes[file.size - 1] = '\n';
    file.bytes[30] ^= 1;
    scratch_write(SITE, 0644, file.bytes, file.size);
    assert_not_used(c, "or cut short or changed since");
    scratch_write(SITE, 0644, file.bytes, 20);
    assert_not_used(c, "roster: not a roster that this release knows");
    scratch_write(SITE, 0666, file.bytes, file.size);
    assert_not_used(c, "roster: mode 0666 is too open");
    assert_int_equal(unlink(SITE), 0);
    assert_not_used(c, "roster: No such file or directory; RosterKey asks for it");
    snprintf(text, sizeof text, "%s%s", good,
             section("b", 2, "Open = tcp/22\nPort = 9\nNew = 1\n"));
    write_roster(6, text);
    assert_not_used(c, "unknown key 'New' in [Profile]");
    snprintf(text, sizeof text, "%s%s", good, section("b", 2, "Open = tcp/22\nWindow = 1h\n"));
    write_roster(6, text);
    assert_not_used(c, "roster: [Profile b]: Window (1h) is longer than MaxWindow (10m)");
    free(file.bytes);
    config_free(c);
}

/* A start must not let those in again whom the reload before it has shut out. */
static void a_roster_that_cannot_be_used_still_revokes_at_a_start(void **state)
{
    char text[1024];
    struct config *c;

    (void)state;
    write_profile("lost", 2, "");
    write_profile("desk", 4, "");
    write_roster(5, section("laptop", 1, "Open = tcp/22\n"));
    config_free(use());
    snprintf(text, sizeof text, "%s", revocation(1));
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", revocation(2),
             section("b", 3, "Open = tcp/22\nNew = 1\n"));
    write_roster(6, text);
    c = load();
    assert_says(&c->roster_trouble, "unknown key 'New' in [Profile]");
    assert_int_equal(c->roster.version, 5);
    assert_int_equal(c->profile_count, 1);
    assert_string_equal(c->profiles[0].policy->name, "desk");
    config_free(c);
    write_roster_until(0, 7, "2020-12-31", revocation(2));
    c = load();
    assert_says(&c->roster_trouble, "it was good until 2020-12-31 (NotAfter)");
    assert_int_equal(c->roster.version, 5);
    assert_int_equal(c->profile_count, 2);
    assert_string_equal(c->profiles[0].policy->name, "desk");
    assert_string_equal(c->profiles[1].policy->name, "laptop");
    config_free(c);
    /* One that is older than the last says nothing. */
    write_roster(4, text);
    c = load();
    assert_int_equal(c->profile_count, 3);
    config_free(c);
}

static void without_one_before_a_bad_roster_is_an_error(void **state)
{
    (void)state;
    assert_load_refused("roster: No such file or directory; RosterKey asks for it");
    write_roster_until(0, 5, "2020-02-29", "");
    assert_load_refused("it was good until 2020-02-29");
    assert_int_equal(unlink("profiles/fleet.secret"), 0);
    assert_load_refused("fleet.secret: No such file or directory; copy the one there");
    write_main(0, "RosterServices = tcp/22\n");
    assert_load_refused("RosterServices is only for a roster");
    write_main(0, "RosterProfiles = a\n");
    assert_load_refused("RosterProfiles is only for a roster");
    write_main(1, "");
    assert_load_refused("RosterKey needs a line 'RosterServices = ...'");
    write_main(3, "RosterKey = x\n");
    assert_load_refused("RosterKey: not a key");
    write_main(1, "RosterServices = -> 192.0.2.1:22\n");
    assert_load_refused("RosterServices: expected a service before '->'");
    write_main(1, "RosterServices = tcp/22 ->\n");
    assert_load_refused("RosterServices: expected a destination after '->'");
    write_main(1, "RosterProfiles = Ops\n");
    assert_load_refused("RosterProfiles: 'Ops' is not a name of profiles");
}

static void one_that_was_used_stays_even_past_its_day(void **state)
{
    struct rosterfile file;
    struct config *c, *again;
    struct error why;

    (void)state;
    write_roster_until(0, 5, "2020-02-29", section("laptop", 1, "Open = tcp/22\n"));
    assert_done(rosterfile_read(&file, SITE, (const uint8_t(*)[KEY_SIZE])fleet_keys, 1, &why), why);
    assert_int_equal(mkdir("state", 0700), 0);
    scratch_write(KEPT, 0600, file.bytes, file.size);
    free(file.bytes);
    c = load();
    again = config_load_again(MAIN, c, &why);
    assert_non_null(again);
    assert_true(config_find_profile(again, "laptop")->policy->expires <
                clock_wall_ns() / NSEC_PER_SEC);
    config_free(again);
    config_free(c);
}

static void fleet_keys_are_changed_side_by_side(void **state)
{
    struct error why;
    struct config *c;

    (void)state;
    write_roster(5, "");
    c = load();
    scratch_write_text("state", 0600, "");
    assert_false(rosterfile_keep(c, &why)); /* there is no directory for it */
    assert_non_null(c->roster_to_keep.bytes);
    config_free(c);
    assert_int_equal(unlink("state"), 0);
    config_free(use());
    write_main(2, "RosterServices = tcp/22\n");
    write_roster_until(1, 6, "2100-12-31", "");
    assert_load_refused("state/roster: signed with another fleet key than is known here");
    write_main(3, "RosterServices = tcp/22\n");
    config_free(use());
    write_main(2, "RosterServices = tcp/22\n");
    c = load();
    assert_int_equal(c->roster.version, 6);
    config_free(c);
}

static void what_is_too_large_is_not_signed(void **state)
{
    struct rosterfile file;
    char *text = calloc(1, ROSTER_FILE_MAX);
    struct error why;

    (void)state;
    assert_non_null(text);
    assert_false(rosterfile_sign(&file, text, ROSTER_FILE_MAX, fleet_signing[0], &why));
    assert_says(&why, "a roster has 16777216 bytes at most");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_text_is_refused_with_its_line),
        cmocka_unit_test(the_head_alone_is_read_where_nobody_takes_profiles),
        cmocka_unit_test(a_zero_byte_ends_no_text),
        cmocka_unit_test_setup_teardown(a_profile_of_the_roster_is_as_one_of_a_file, enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(the_host_bounds_what_the_roster_grants, enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(files_come_before_the_roster_and_revocations_before_both,
                                        enter, scratch_leave),
        cmocka_unit_test_setup_teardown(a_roster_that_cannot_be_used_leaves_the_one_before, enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(a_roster_that_cannot_be_used_still_revokes_at_a_start,
                                        enter, scratch_leave),
        cmocka_unit_test_setup_teardown(without_one_before_a_bad_roster_is_an_error, enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(one_that_was_used_stays_even_past_its_day, enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(fleet_keys_are_changed_side_by_side, enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_not_signed, enter, scratch_leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
