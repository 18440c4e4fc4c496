#include "check.h"

#include "daemon/portsmith-firewall/ruleset.h"
#include "privsep/xtables/probe.h"

enum { TEXT_SIZE = 8192 };

static const struct plan nothing;

static struct plan plan_of(const char *confirmed, const char *trial)
{
    struct plan plan = {.is_confirmed = confirmed != NULL, .on_trial = trial != NULL,
                        .until = 1764060000};
    struct error why;

    assert_true(!confirmed || ruleset_allow(&plan.confirmed, confirmed, &why));
    assert_true(!trial || ruleset_allow(&plan.trial, trial, &why));
    return plan;
}

/* What the host can tell. */
static bool tells_sessions;

static const char *written(const struct plan *plan, enum family family, bool has_jump)
{
    static char text[TEXT_SIZE];
    FILE *out = fmemopen(text, sizeof text, "w");

    assert_non_null(out);
    ruleset_write(out, plan, family, has_jump, tells_sessions);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_has(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("no '%s' in:\n%s", line, text);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' in:\n%s", part, text);
}

static void a_trial_ends_a_second_before(void **state)
{
    const struct plan plan = plan_of(NULL, "tcp/22");
    const char *text = written(&plan, IPV4, false);

    (void)state;
    assert_has(text, "\n-A portsmith-firewall -m time --datestop 2025-11-25T08:39:59"
                     " -j portsmith-trial\n");
    assert_has(text, "\n-A portsmith-trial -p tcp -m tcp --dport 22 -j ACCEPT\n"
                     "-A portsmith-trial -j DROP\n");
    assert_lacks(text, "-A portsmith-firewall -j DROP");
    assert_lacks(text, "-X");
    assert_lacks(text, "-D");
}

static void what_is_confirmed_stands_behind_a_trial(void **state)
{
    const struct plan plan = plan_of("udp/53", "tcp/22");
    const char *text = written(&plan, IPV6, false);

    (void)state;
    assert_has(text, "\n-A portsmith-firewall -p udp -m udp --dport 53 -j ACCEPT\n"
                     "-A portsmith-firewall -j DROP\n");
    assert_true(strstr(text, "-j portsmith-trial") < strstr(text, "-A portsmith-firewall -i lo"));
}

static void nothing_confirmed_has_a_deadline(void **state)
{
    const struct plan plan = plan_of("tcp/22 tcp/80", NULL);
    const char *text = written(&plan, IPV4, true);

    (void)state;
    assert_lacks(text, "datestop");
    assert_has(text, "\n-X portsmith-trial\n");
    /* It becomes the last one again. */
    assert_has(text, "\n-D INPUT -j portsmith-firewall\n-A INPUT -j portsmith-firewall\nCOMMIT\n");
}

static void each_family_has_its_icmp(void **state)
{
    const struct plan plan = plan_of("tcp/22", NULL);
    const char *text = written(&plan, IPV4, false);

    (void)state;
    assert_has(text, "-p icmp -m icmp --icmp-type 3 -j ACCEPT\n");
    assert_lacks(text, "icmpv6");
    text = written(&plan, IPV6, false);
    assert_has(text, "--icmpv6-type 2 -j ACCEPT\n");
    assert_has(text, "--icmpv6-type 135 -j ACCEPT\n");
    assert_has(text, "--icmpv6-type 136 -j ACCEPT\n");
    assert_lacks(text, "-m icmp ");
}

/* Where sessions cannot be told apart they go on. */
static void segments_of_sessions_pass(void **state)
{
    static const char any_ack[] = "--tcp-flags SYN,ACK,RST ACK -m conntrack --ctstate NEW -j ACCEPT";
    const struct plan plan = plan_of("tcp/22", NULL);
    const char *text;

    (void)state;
    for (enum family family = IPV4; family < FAMILIES; family++) {
        text = written(&plan, family, false);
        assert_has(text, any_ack);
        assert_lacks(text, "-m cgroup");
        tells_sessions = true;
        text = written(&plan, family, false);
        tells_sessions = false;
        assert_lacks(text, any_ack);
        assert_has(text, "-A portsmith-firewall -p tcp -m cgroup --path / -j ACCEPT\n"
                         "-A portsmith-firewall -p tcp -m cgroup ! --path / -j ACCEPT\n");
        assert_has(text, "-m policy --dir in --pol ipsec -j ACCEPT\n");
    }
}

static void checks_ask_for_what_there_should_be(void **state)
{
    const struct plan plan = plan_of("tcp/22", "tcp/80");
    char text[TEXT_SIZE] = "";
    FILE *out = fmemopen(text, sizeof text, "w");

    (void)state;
    assert_non_null(out);
    ruleset_write_checks(out, &plan);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "*filter\n-C INPUT -j portsmith-firewall\n"
                              "-C portsmith-firewall -m time --datestop 2025-11-25T08:39:59"
                              " -j portsmith-trial\n"
                              "-C portsmith-trial -j DROP\n-C portsmith-firewall -j DROP\nCOMMIT\n");
}

static void services_are_kept_in_order_and_once(void **state)
{
    struct plan plan = nothing;
    struct error why;

    (void)state;
    assert_true(ruleset_allow(&plan.trial, "udp/53,tcp/80 tcp/22", &why));
    assert_true(ruleset_allow(&plan.trial, "tcp/80", &why));
    assert_int_equal(plan.trial.count, 3);
    assert_int_equal(plan.trial.allow[0].port, 22);
    assert_false(ruleset_allow(&plan.trial, "ssh", &why));
    assert_false(ruleset_allow(&plan.trial, "tcp/0", &why));
}

static void there_is_an_end_to_services(void **state)
{
    struct plan plan = nothing;
    struct error why;
    char word[16];

    (void)state;
    for (int i = 1; i <= SHUT_SERVICES; i++) {
        snprintf(word, sizeof word, "tcp/%d", i);
        assert_true(ruleset_allow(&plan.trial, word, &why));
    }
    assert_false(ruleset_allow(&plan.trial, "tcp/1000", &why));
    assert_int_equal(plan.trial.count, SHUT_SERVICES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trial_ends_a_second_before),
        cmocka_unit_test(what_is_confirmed_stands_behind_a_trial),
        cmocka_unit_test(nothing_confirmed_has_a_deadline),
        cmocka_unit_test(each_family_has_its_icmp),
        cmocka_unit_test(segments_of_sessions_pass),
        cmocka_unit_test(checks_ask_for_what_there_should_be),
        cmocka_unit_test(services_are_kept_in_order_and_once),
        cmocka_unit_test(there_is_an_end_to_services),
    };

    return cmocka_run_group_tests_name("ruleset", tests, NULL, NULL);
}
