#include "check.h"

#include <sys/stat.h>

#include "common/clock.h"
#include "daemon/portsmith-firewall/closing.h"
#include "daemon/portsmith-firewall/saved.h"

/* Both directories are the scratch one's; Shut is tcp/22, tcp/443. */
static struct config here(void)
{
    struct config c = {.shut = {{6, 22}, {6, 443}}, .shut_count = 2};
    char *directory = get_current_dir_name();

    assert_non_null(directory);
    snprintf(c.state_directory, sizeof c.state_directory, "%s/state", directory);
    snprintf(c.run_directory, sizeof c.run_directory, "%s/run", directory);
    assert_true(mkdir(c.state_directory, 0700) == 0 && mkdir(c.run_directory, 0755) == 0);
    free(directory);
    return c;
}

/* What was confirmed and what is on trial, until so many seconds from now; NULL: none. */
static void save(const struct config *c, const char *confirmed, const char *trial, int seconds)
{
    struct plan plan = {.is_confirmed = confirmed != NULL, .on_trial = trial != NULL,
                        .until = clock_wall_ns() / NSEC_PER_SEC + seconds};
    struct error why;

    assert_true(!confirmed || ruleset_allow(&plan.confirmed, confirmed, &why));
    assert_true(!trial || ruleset_allow(&plan.trial, trial, &why));
    assert_true(saved_write(&plan, c, &why));
}

static void a_release_is_refused_by_what_keeps_everybody_out(void **state)
{
    static const struct {
        const char *confirmed, *trial;
        int seconds;
        const char *refused, *noted; /* what the text has; NULL: not so */
    } cases[] = {
        {NULL, NULL, 0, NULL, NULL},
        {"tcp/80", NULL, 0, "tcp/22, tcp/443", NULL},
        {"tcp/22,tcp/80", NULL, 0, "tcp/443 would be shut", NULL},
        {"tcp/22,tcp/443,udp/53", NULL, 0, NULL, "all but tcp/22, tcp/443, udp/53"},
        {NULL, "tcp/80", 60, "on trial", NULL},
        {NULL, "tcp/80", -1, NULL, NULL}, /* over */
        {NULL, "tcp/22,tcp/443", 60, NULL, "all but tcp/22, tcp/443"},
        {"tcp/22,tcp/443", "tcp/22", 60, "tcp/443 would be shut", NULL},
        {"tcp/22", "tcp/22,tcp/443", 60, "tcp/443 would be shut", NULL}, /* after the trial */
        {"tcp/22,tcp/443", "tcp/22,tcp/80,tcp/443", 60, NULL, "all but tcp/22, tcp/443"},
    };
    const struct config c = here();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error note;

        save(&c, cases[i].confirmed, cases[i].trial, cases[i].seconds);
        assert_int_equal(closing_permits_release(&c, &note), cases[i].refused == NULL);
        if (cases[i].refused) {
            assert_non_null(strstr(note.text, cases[i].refused));
            assert_non_null(strstr(note.text, "portsmith-firewall remove first"));
        } else if (cases[i].noted) {
            assert_string_equal(strstr(note.text, "all but"), cases[i].noted);
        } else {
            assert_string_equal(note.text, "");
        }
    }
}

static void what_cannot_be_read_keeps_nobody_from_opening(void **state)
{
    const struct config c = here();
    struct error note;

    (void)state;
    save(&c, "tcp/80", NULL, 0);
    assert_int_equal(truncate("state/firewall", 3), 0);
    assert_true(closing_permits_release(&c, &note));
    assert_non_null(strstr(note.text, "is not known"));
    assert_non_null(strstr(note.text, "portsmith-firewall remove"));
}

static void a_long_list_is_cut_and_says_so(void **state)
{
    struct ruleset services = {.count = 0};
    char text[CLOSING_TEXT_SIZE];

    (void)state;
    assert_string_equal(closing_format(&services, text), "nothing");
    while (services.count < SHUT_SERVICES) {
        services.allow[services.count] = (struct service){17, (uint16_t)(65000 + services.count)};
        services.count++;
        closing_format(&services, text);
        assert_true(strlen(text) < sizeof text);
    }
    assert_memory_equal(text, "udp/65000, udp/65001, ", 22);
    assert_string_equal(text + strlen(text) - 5, ", ...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_release_is_refused_by_what_keeps_everybody_out,
                                        scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_keeps_nobody_from_opening,
                                        scratch_enter, scratch_leave),
        cmocka_unit_test(a_long_list_is_cut_and_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
