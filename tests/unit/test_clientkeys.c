#include "check.h"

#include "clientkeys.h"
#include "people.h"

enum { MANY = 403 }; /* shares of different sizes */

static struct profile profiles[MANY];
static struct server_key server;

/* Every third with a pre-shared key. */
static void make_profiles(void)
{
    memset(profiles, 0, sizeof profiles);
    for (uint32_t i = 0; i < MANY; i++) {
        struct person person;

        person_make(&person, i);
        memcpy(profiles[i].public_key, person.public_key, KEY_SIZE);
        profiles[i].has_preshared = i % 3 == 0;
        if (profiles[i].has_preshared)
            memset(profiles[i].envelope_key, (int)(i % 250) + 1, KEY_SIZE);
    }
}

static void check_key(uint32_t i)
{
    uint8_t preshared[KEY_SIZE], expected[KEY_SIZE];
    struct person person;

    person_make(&person, i);
    memset(preshared, (int)(i % 250) + 1, sizeof preshared);
    assert_true(envelope_key_of_client(expected, person.signing, server.public,
                                       i % 3 == 0 ? preshared : NULL));
    assert_memory_equal(profiles[i].envelope_key, expected, KEY_SIZE);
}

static void every_client_has_the_same_key(void **state)
{
    static const size_t counts[] = {0, 1, 2, 199, 200, 201, MANY};
    size_t unusable;

    (void)state;
    for (size_t n = 0; n < COUNT_OF(counts); n++) {
        make_profiles();
        assert_true(clientkeys_make(profiles, counts[n], &server, &unusable));
        for (uint32_t i = 0; i < counts[n]; i++)
            check_key(i);
        for (size_t i = counts[n]; i < MANY; i++)
            if (!profiles[i].has_preshared)
                assert_true(sodium_is_zero(profiles[i].envelope_key, KEY_SIZE));
    }
}

/* Wherever it is, and whatever follows it. */
static void the_first_unusable_key_is_told(void **state)
{
    static const size_t places[] = {0, 99, 100, 101, 201, 302, MANY - 1};
    size_t unusable;

    (void)state;
    for (size_t n = 0; n < COUNT_OF(places); n++) {
        make_profiles();
        for (size_t i = places[n]; i < MANY; i += 150)
            memset(profiles[i].public_key, 0, KEY_SIZE);
        assert_false(clientkeys_make(profiles, MANY, &server, &unusable));
        assert_int_equal(unusable, places[n]);
    }
    make_profiles();
    memset(profiles[7].public_key, 0, KEY_SIZE);
    assert_false(clientkeys_make(profiles, 10, &server, &unusable));
    assert_int_equal(unusable, 7);
}

static int start(void **state)
{
    (void)state;
    if (sodium_init() < 0)
        return -1;
    memset(server.secret, 9, sizeof server.secret);
    return key_server_public(server.public, server.secret) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_client_has_the_same_key),
        cmocka_unit_test(the_first_unusable_key_is_told),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
