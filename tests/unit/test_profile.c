/* The keys of a profile's file, one by one; test_config reads whole files. */
#include "check.h"

#include "daemon/config/profilekeys.h"
#include "sshlines.h"

static struct profile_draft draft;
static struct error why;

static const struct profile_key *find_key(const char *name)
{
    const struct profile_key *key = profile_keys;

    while (key->option && strcmp(key->setting.key, name) != 0)
        key++;
    if (!key->option)
        fail_msg("there is no key %s", name);
    return key;
}

static bool takes(const char *name, const char *value)
{
    return find_key(name)->setting.set(&draft, value, &why);
}

static void assert_taken(const char *name, const char *value)
{
    if (!takes(name, value))
        fail_msg("%s = %s: %s", name, value, why.text);
}

/* After lines with these values, the key is printed as `expected`. */
static void assert_printed(const char *name, const char *const *values, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    profile_begin(&draft);
    for (; *values; values++)
        assert_taken(name, *values);
    find_key(name)->print(&draft.profile, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

#define PRINTED(key, expected, ...) \
    assert_printed(key, (const char *const[]){__VA_ARGS__, NULL}, expected)

static void each_key_is_printed_as_it_is_read(void **state)
{
    (void)state;
    PRINTED("Open",
            "Open = udp/53\nOpen = tcp/22 -> 192.168.1.10:22\nOpen = tcp/22 -> [fd00::1]:2\n",
            "udp/53", "tcp/22 -> 192.168.1.10:22 tcp/22 -> [fd00::1]:2");
    PRINTED("Window", "Window = 1m\n", "60s");
    PRINTED("MaxWindow", "MaxWindow = 2h\n", "120m");
    PRINTED("Address", "Address = signed 10.0.0.0/8 2001:db8::/32\n", "signed",
            "10.0.0.0/8 2001:db8::/32");
    PRINTED("Port", "Port = 4000\n", "4000");
    PRINTED("Expires", "Expires = 2027-01-31\n", "2027-01-31");
    PRINTED("MaxGrants", "MaxGrants = 3\n", "3");
    PRINTED("Connections", "Connections = 8\n", "8");
    PRINTED("PublicKey", "PublicKey = " PLAIN_LINE " me@home\n", PLAIN_LINE "  me@home");
    PRINTED("PublicKey", "PublicKey = " SECURITY_LINE "\n", SECURITY_LINE);
    PRINTED("Require", "", "pin"); /* of no security key */
}

/* Nothing else would be printed for what no line says. */
static void no_day_before_the_epoch_is_never(void **state)
{
    (void)state;
    profile_begin(&draft);
    assert_false(takes("Expires", "1969-12-31"));
    assert_string_equal(why.text, "'1969-12-31' is before 1970");
    assert_taken("Expires", "1970-01-01");
}

/* The helper refuses what is not zero. */
static void nothing_but_values_is_written(void **state)
{
    struct profile_draft again;

    (void)state;
    profile_begin(&draft);
    memset(&again, 0xff, sizeof again);
    profile_begin(&again);
    for (int i = 0; i < 2; i++) {
        assert_taken("Open", "tcp/80 tcp/22");
        assert_taken("Open", "udp/53");
    }
    assert_taken("Open", "tcp/443 -> 192.168.1.10:22");
    assert_taken("Hours", "Mon 08:00-09:00");
    assert_taken("Hours", "Mon 10:00-11:00");
    assert_taken("Hours", "Mon 07:00-12:00"); /* of three one is left */
    again.policy.service_count = 4;
    for (uint8_t i = 0; i < 4; i++) {
        again.policy.services[i].protocol = draft.policy.services[i].protocol;
        again.policy.services[i].port = draft.policy.services[i].port;
    }
    again.policy.destination_count = 1;
    again.policy.destinations[0].service.protocol = 6;
    again.policy.destinations[0].service.port = 443;
    again.policy.destinations[0].port = 22;
    again.policy.destinations[0].address = draft.policy.destinations[0].address;
    again.policy.hours_count = 1;
    again.policy.hours[0] = draft.policy.hours[0];
    assert_memory_equal(&draft.policy, &again.policy, sizeof draft.policy);
}

static void days_and_times_are_understood(void **state)
{
    (void)state;
    PRINTED("Hours", "Hours = Mon 08:00-18:00\n", "Mon 08:00-18:00");
    PRINTED("Hours", "Hours = Mon 08:00-18:00\nHours = Tue 08:00-18:00\n", "mon-TUE  08:00-18:00");
    PRINTED("Hours", "Hours = Mon 00:00-24:00\nHours = Sun 00:00-24:00\n", "Sun-Mon 00:00-24:00");
    PRINTED("Hours", "Hours = Mon 00:00-06:30\nHours = Sun 22:00-24:00\n", "Sun 22:00-06:30");
    PRINTED("Hours", "Hours = Fri 22:00-24:00\n", "Fri 22:00-00:00");
}

static void hours_that_touch_are_one(void **state)
{
    (void)state;
    PRINTED("Hours", "Hours = Wed 08:00-20:00\n", "Wed 12:00-20:00", "Wed 08:00-09:00",
            "Wed 09:00-12:00");
    PRINTED("Hours", "Hours = Wed 08:00-09:00\nHours = Wed 09:01-10:00\nHours = Thu 08:00-10:00\n",
            "Thu 08:00-10:00", "Wed 09:01-10:00", "Wed 08:00-09:00");
}

static void other_hours_are_refused(void **state)
{
    static const char *const wrong[] = {
        "", "Mon", "Mon ", "08:00-18:00", "Mon08:00-18:00", "Monday 08:00-18:00", "Mon-08:00-18:00",
        "Mon 8:00-18:00", "Mon 08:00", "Mon 08:00-18:00 ", "Mon 08:60-18:00", "Mon 08:00-24:01",
        "Mon 24:00-08:00", "Mon 08:00-08:00", "Mon 08:00-18:00, Tue 08:00-18:00", "Mon 08.00-18.00",
        "Mon 0\xc2:00-18:00"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        profile_begin(&draft);
        if (takes("Hours", wrong[i]))
            fail_msg("'%s' was taken", wrong[i]);
        assert_non_null(strstr(why.text, "08:00-18:00 (UTC)"));
    }
}

static void there_is_room_for_so_many_hours(void **state)
{
    char line[] = "Mon 00:00-00:01";

    (void)state;
    profile_begin(&draft);
    for (int i = 0; i < POLICY_HOURS; i++) {
        snprintf(line, sizeof line, "Mon %02d:%02d-%02d:%02d", i / 2, i % 2 * 30, i / 2,
                 i % 2 * 30 + 1);
        assert_taken("Hours", line);
    }
    assert_int_equal(draft.policy.hours_count, POLICY_HOURS);
    assert_false(takes("Hours", "Tue 08:00-09:00"));
    assert_non_null(strstr(why.text, "more than 32 ranges"));
    assert_taken("Hours", "Mon 00:00-24:00");
    assert_int_equal(draft.policy.hours_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_is_printed_as_it_is_read),
        cmocka_unit_test(no_day_before_the_epoch_is_never),
        cmocka_unit_test(nothing_but_values_is_written),
        cmocka_unit_test(days_and_times_are_understood),
        cmocka_unit_test(hours_that_touch_are_one),
        cmocka_unit_test(other_hours_are_refused),
        cmocka_unit_test(there_is_room_for_so_many_hours),
    };

    return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
