#include "people.h"

#include "common/log.h"
#include "privsep/helper/words.h"

static const struct helper_profile profile = {.name = "home"};
static struct policy_entry entry;
static const struct policy policy = {.setup.profile_count = 1, .setup.max_skew = 30,
                                     .entries = &entry};
static struct words words;

static int start(void **state)
{
    (void)state;
    words = (struct words){.policy = &policy};
    entry = (struct policy_entry){.key_id = {1}, .profile = &profile};
    return 0;
}

/* What was logged, with a line's beginning up to "test[PID]: ". */
static struct {
    int standard_error, read_end;
    char text[4096];
} logged;

static void begin_log(void)
{
    int ends[2];

    logged.standard_error = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(logged.standard_error >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    logged.read_end = ends[0];
    log_open("test", true, false);
}

static void end_log(void)
{
    ssize_t n;

    dup2(logged.standard_error, STDERR_FILENO);
    close(logged.standard_error);
    n = read(logged.read_end, logged.text, sizeof logged.text - 1);
    close(logged.read_end);
    logged.text[n > 0 ? n : 0] = '\0';
}

/* The one line that is logged of an event, without its beginning; or nothing. */
static const char *said(const struct helper_event *event)
{
    const char *line;

    begin_log();
    helper_words_say(&words, event);
    end_log();
    logged.text[strcspn(logged.text, "\n")] = '\0';
    line = strstr(logged.text, "]: ");
    return line ? line + strlen("]: ") : "";
}

static struct helper_event event_of(enum verdict verdict, enum refusal refusal)
{
    return (struct helper_event){.kind = EVENT_VERDICT, .verdict = verdict, .refusal = refusal,
                                 .key_id = {1}, .address = address_of("192.0.2.7"),
                                 .observed = address_of("192.0.2.7"), .service_count = 2,
                                 .services = {service_of("tcp/22"), service_of("udp/53")},
                                 .left = 30, .ahead = -95};
}

static void what_is_granted_is_said(void **state)
{
    struct helper_event event = event_of(VERDICT_OPENED, REFUSAL_PLAIN);

    (void)state;
    assert_string_equal(said(&event), "home: opened tcp/22 udp/53 for 192.0.2.7 for 30 s");
    event.verdict = VERDICT_EXTENDED;
    event.is_cut = event.is_address_signed = true;
    assert_string_equal(said(&event), "home: extended tcp/22 udp/53 for 192.0.2.7 for 30 s, cut to "
                                      "the maximum (address signed)");
    event.observed = address_of("198.51.100.1");
    assert_string_equal(said(&event), "home: extended tcp/22 udp/53 for 192.0.2.7 for 30 s, cut to "
                                      "the maximum (address signed; the knock came from "
                                      "198.51.100.1)");
    event.verdict = VERDICT_CLOSED;
    event.ended_count = 1;
    event.use = USE_NONE;
    assert_string_equal(said(&event), "home: closed tcp/22 udp/53 for 192.0.2.7; the knock came "
                                      "from 198.51.100.1; no connection came");
}

static void each_refusal_has_its_words(void **state)
{
    static const struct {
        enum verdict verdict;
        enum refusal refusal;
        const char *words;
    } cases[] = {
        {VERDICT_EXPIRED_PROFILE, REFUSAL_OF_TIME, "the profile has expired"},
        {VERDICT_BEHIND, REFUSAL_OF_CLOCK, "its clock is 95 s behind this host's; allowed 30"},
        {VERDICT_AHEAD, REFUSAL_UNNOTED,
         "its clock is 95 s ahead of this host's; allowed 30; not all like it could be noted: "
         "whoever recorded this knock could use it: prefer a signed address"},
        {VERDICT_REPEATED, REFUSAL_KEPT,
         "it was refused before, when its clock was ahead of this host's, and never counts"},
        {VERDICT_REPEATED, REFUSAL_DAMAGED,
         "the record of its knocks was damaged: it stays out until it is added anew, with a new "
         "key"},
        {VERDICT_REPEATED, REFUSAL_OF_FLOOR,
         "older than the moment from which this profile counts; if its clock is behind, it is "
         "heard in 30 s"},
        {VERDICT_REPEATED, REFUSAL_SINCE_AHEAD,
         "it knocked while its clock was ahead of this host's; it is heard in 30 s, or once it is "
         "added anew, with a new key"},
        {VERDICT_REPEATED, REFUSAL_USED,
         "already used, or older than the last eight knocks: a repeat, a replay or a second device "
         "with this key"},
        {VERDICT_OVERTAKEN, REFUSAL_CLOSED_SINCE, "the client has closed since it made this knock"},
        {VERDICT_OVERTAKEN, REFUSAL_OPENED_SINCE,
         "the client has opened it since it made this knock"},
        {VERDICT_ADDRESS_DENIED, REFUSAL_UNSIGNED, "this profile wants the address signed"},
        {VERDICT_ADDRESS_DENIED, REFUSAL_LINK_LOCAL,
         "no door is opened to a link-local address, which another host can have on another link: "
         "let the client connect from a global or unique local address"},
        {VERDICT_ADDRESS_DENIED, REFUSAL_OF_ADDRESS, "this profile does not permit this address"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct helper_event event = event_of(cases[i].verdict, cases[i].refusal);
        char expected[512];

        snprintf(expected, sizeof expected, "home: refused for 192.0.2.7: %s; it was for tcp/22 "
                                            "udp/53", cases[i].words);
        assert_string_equal(said(&event), expected);
    }
}

/* And is not said to be what the knock was for. */
static void a_service_that_is_refused_is_named(void **state)
{
    struct helper_event event = event_of(VERDICT_SERVICE_DENIED, REFUSAL_OF_SERVICE);

    (void)state;
    event.service_count = 1;
    assert_string_equal(said(&event), "home: refused for 192.0.2.7: tcp/22 is not in this profile");
    event.verdict = VERDICT_NO_DESTINATION;
    event.refusal = REFUSAL_OF_DESTINATION;
    assert_string_equal(said(&event), "home: refused for 192.0.2.7: this profile names no IPv4 host "
                                      "behind tcp/22");
}

static void of_strangers_nothing_is_believed(void **state)
{
    struct helper_event event = event_of(VERDICT_UNKNOWN_PROFILE, REFUSAL_PLAIN);

    (void)state;
    event.key_id[0] = 9;
    event.service_count = 0;
    assert_string_equal(said(&event), "unknown: refused for 192.0.2.7: no such profile");
}

static void each_end_has_its_words(void **state)
{
    static const char *const ends[] = {
        [END_USED_UP] = "it has had its connections; it was used",
        [END_UNCOUNTED] = "its connections could not be counted; it was used",
        [END_WINDOW] = "the window is over; it was used",
        [END_CLOSED] = "closed by an admin; it was used",
        [END_KILLED] = "closed by an admin, with its connections; it was used",
        [END_FORBIDDEN] = "it is no longer permitted; it was used",
        [END_STOPPED] = "portsmithd stops; it was used",
    };
    struct helper_event event = event_of(VERDICT_NONE, REFUSAL_PLAIN);
    char expected[256];

    (void)state;
    event.kind = EVENT_ENDED;
    event.service_count = event.ended_count = 1;
    event.use = USE_SOME;
    event.used = 1;
    for (event.end = END_USED_UP; event.end <= END_STOPPED; event.end++) {
        snprintf(expected, sizeof expected, "home: tcp/22 for 192.0.2.7 has ended: %s",
                 ends[event.end]);
        assert_string_equal(said(&event), expected);
    }
    event.end = END_STOPPED;
    event.key_id[0] = 9;
    assert_string_equal(said(&event), "a removed profile: tcp/22 for 192.0.2.7 has ended: "
                                      "portsmithd stops; it was used");
}

static void of_several_that_ended_the_used_are_named(void **state)
{
    struct grant grant = {.service = {6, 22}, .is_counted = 1};
    struct helper_event event = event_of(VERDICT_NONE, REFUSAL_PLAIN);

    (void)state;
    event.kind = EVENT_ENDED;
    event.end = END_WINDOW;
    event.service_count = 0;
    helper_event_add_end(&event, &grant);
    grant.service.port = 80;
    helper_event_add_end(&event, &grant);
    assert_string_equal(said(&event), "home: tcp/22 tcp/80 for 192.0.2.7 have ended: the window is "
                                      "over; no connection came");
    grant.service.port = 81;
    grant.is_counted = 0;
    helper_event_add_end(&event, &grant);
    assert_string_equal(said(&event), "home: tcp/22 tcp/80 tcp/81 for 192.0.2.7 have ended: the "
                                      "window is over; whether a connection came is not known "
                                      "here");
    grant.service.port = 82;
    grant.used = 1;
    helper_event_add_end(&event, &grant);
    assert_string_equal(said(&event), "home: tcp/22 tcp/80 tcp/81 tcp/82 for 192.0.2.7 have ended: "
                                      "the window is over; used: tcp/82");
}

/* What has no room is left out, as is its use. */
static void more_ends_than_an_event_holds_are_counted(void **state)
{
    struct helper_event event = {.kind = EVENT_ENDED};
    struct grant grant = {.used = 1};

    (void)state;
    for (grant.service.port = 1; grant.service.port <= 300; grant.service.port++)
        helper_event_add_end(&event, &grant);
    assert_int_equal(event.service_count, POLICY_SERVICES);
    assert_int_equal(event.used, UINT16_MAX);
    assert_int_equal(event.ended_count, UINT8_MAX);
}

/* One event for those of a profile and an address that ended for the same reason. */
static void what_ends_together_is_one_line(void **state)
{
    struct grant ended[] = {
        {.key_id = {1}, .address = address_of("192.0.2.8"), .service = {6, 22}, .is_counted = 1},
        {.key_id = {1}, .address = address_of("192.0.2.7"), .service = {6, 80}, .is_counted = 1},
        {.key_id = {9}, .address = address_of("192.0.2.7"), .service = {6, 22}, .is_counted = 1},
        {.key_id = {1}, .address = address_of("192.0.2.7"), .service = {6, 22}, .is_counted = 1},
        {.key_id = {1}, .address = address_of("192.0.2.7"), .service = {6, 81}, .is_counted = 1,
         .connections = 1, .used = 1},
    };
    static const char *const expected[] = {
        "home: tcp/81 for 192.0.2.7 has ended: it has had its connections; it was used\n",
        "home: tcp/22 tcp/80 for 192.0.2.7 have ended: the window is over; no connection came\n",
        "home: tcp/22 for 192.0.2.8 has ended: the window is over; no connection came\n",
        ("a removed profile: tcp/22 for 192.0.2.7 has ended: the window is over; no connection "
         "came\n"),
    };
    const char *line = logged.text;

    (void)state;
    begin_log();
    helper_events_tell_ends(&words, ended, COUNT_OF(ended), END_NONE);
    end_log();
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        line = strstr(line, "]: ");
        assert_non_null(line);
        line += strlen("]: ");
        assert_memory_equal(line, expected[i], strlen(expected[i]));
    }
    assert_null(strstr(line, "]: "));
}

static void a_move_is_said(void **state)
{
    struct helper_event event = event_of(VERDICT_NONE, REFUSAL_PLAIN);

    (void)state;
    event.kind = EVENT_MOVED;
    event.service_count = event.ended_count = 1;
    event.use = USE_NONE;
    assert_string_equal(said(&event), "home: no longer open for 192.0.2.7: a newer knock moved the "
                                      "profile's one grant; no connection came");
}

static void what_is_wrong_at_large_is_said(void **state)
{
    const struct helper_event lost = {.kind = EVENT_NEWS_LOST}, crowded = {.kind = EVENT_CROWDED};

    (void)state;
    assert_string_equal(said(&lost), "more connections were made than could be counted: grants that "
                                     "admit only so many end, and whether others are used is not "
                                     "known");
    assert_string_equal(said(&crowded), "more than 200 live grants, a rule each: GrantStore = set "
                                        "would serve better, see portsmith.conf(5)");
}

static void many_lines_of_a_kind_are_counted(void **state)
{
    const struct helper_event opened = event_of(VERDICT_OPENED, REFUSAL_PLAIN);
    const struct helper_event refused = event_of(VERDICT_EXPIRED_PROFILE, REFUSAL_PLAIN);

    (void)state;
    for (int i = 0; i < REFUSALS_LOGGED; i++)
        assert_string_not_equal(said(&refused), "");
    assert_string_equal(said(&refused), "");
    assert_int_equal(words.throttle.refusals[VERDICT_EXPIRED_PROFILE].left_out, 1);
    for (int i = 0; i < LINES_LOGGED; i++)
        assert_string_not_equal(said(&opened), "");
    assert_string_equal(said(&opened), "");
    assert_int_equal(entry.told.left_out, 1);
}

#define FRESH(test) cmocka_unit_test_setup(test, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(what_is_granted_is_said),
        FRESH(each_refusal_has_its_words),
        FRESH(a_service_that_is_refused_is_named),
        FRESH(of_strangers_nothing_is_believed),
        FRESH(each_end_has_its_words),
        FRESH(of_several_that_ended_the_used_are_named),
        FRESH(more_ends_than_an_event_holds_are_counted),
        FRESH(what_ends_together_is_one_line),
        FRESH(a_move_is_said),
        FRESH(what_is_wrong_at_large_is_said),
        FRESH(many_lines_of_a_kind_are_counted),
    };

    return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
