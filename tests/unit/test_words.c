#include "people.h"

#include "common/clock.h"
#include "common/log.h"
#include "daemon/witness/words.h"

static const struct helper_profile profile = {.name = "home"};
static struct client client;
static const struct clients clients = {.items = &client, .count = 1, .max_skew = 30};
static struct words words;

static int start(void **state)
{
    (void)state;
    words = (struct words){.clients = &clients};
    client = (struct client){.key_id = {1}, .profile = &profile};
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

/* The one line that was logged, without its beginning; or nothing. */
static const char *end_line(void)
{
    const char *line;

    end_log();
    logged.text[strcspn(logged.text, "\n")] = '\0';
    line = strstr(logged.text, "]: ");
    return line ? line + strlen("]: ") : "";
}

static const char *said_of(const struct helper_event *event, const struct ending *closed)
{
    begin_log();
    words_say_verdict(&words, event, closed);
    return end_line();
}

static const char *said(const struct helper_event *event)
{
    return said_of(event, NULL);
}

static const char *said_of_end(const struct ending *ending)
{
    begin_log();
    words_say_end(&words, ending);
    return end_line();
}

static const char *said_of_removal(uint32_t removals, const struct bell_ringer *ringer)
{
    begin_log();
    words_say_removal(removals, ringer);
    return end_line();
}

static struct ending ending_of(enum grant_end end, enum was_used use)
{
    const struct ended ended = {.service = service_of("tcp/22"), .use = use};
    struct ending ending = {.key_id = {1}, .address = address_of("192.0.2.7"), .end = end};

    ending_add(&ending, &ended);
    return ending;
}

enum { WALL = 1000 * USEC_PER_SEC };

static struct helper_event event_of(enum verdict verdict)
{
    return (struct helper_event){.kind = EVENT_VERDICT, .verdict = verdict, .key_id = {1},
                                 .address = address_of("192.0.2.7"),
                                 .observed = address_of("192.0.2.7"), .service_count = 2,
                                 .services = {service_of("tcp/22"), service_of("udp/53")},
                                 .left = 30, .wall = WALL};
}

static void what_is_granted_is_said(void **state)
{
    const struct ending unused = ending_of(END_KNOCK, USED_NOT);
    struct helper_event event = event_of(VERDICT_OPENED);

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
    assert_string_equal(said_of(&event, &unused), "home: closed tcp/22 udp/53 for 192.0.2.7; the "
                                                  "knock came from 198.51.100.1; no connection "
                                                  "came");
}

#define AFTER(seconds) ((uint64_t)(1000 + (seconds)) * USEC_PER_SEC)
#define FLOOR(at) {at, at, at, at, at, at, at, at}
#define EIGHT(from, to) {from, to, to, to, to, to, to, to}

static void each_refusal_has_its_words(void **state)
{
    static const struct helper_profile wants_signed = {.name = "home", .needs_signed_address = 1};
    static const struct {
        const char *words;
        struct helper_event event;
    } cases[] = {
        {"the profile or its roster has expired", {.verdict = VERDICT_EXPIRED_PROFILE}},
        {"its clock is 95 s behind this host's; allowed 30",
         {.verdict = VERDICT_BEHIND, .counter = AFTER(-95)}},
        {"its clock is 95 s ahead of this host's; allowed 30; there was no room to note all "
         "of these: somebody who recorded one can use it once its time comes, unless it has a "
         "signed address",
         {.verdict = VERDICT_AHEAD, .counter = AFTER(95), .is_unnoted = 1}},
        {"it was refused before, when its clock was ahead of this host's, and never counts",
         {.verdict = VERDICT_REPEATED, .counter = 4, .counters = EIGHT(3, 5)}},
        {"the record of its knocks was damaged: it stays out until it is added again, with a new "
         "key",
         {.verdict = VERDICT_REPEATED, .counter = 4, .counters = FLOOR(UINT64_MAX)}},
        {"older than the moment from which this profile counts; if its clock is behind, it is "
         "heard in 30 s",
         {.verdict = VERDICT_REPEATED, .counter = AFTER(-29), .counters = FLOOR(WALL)}},
        {"it knocked while its clock was ahead of this host's; it is heard in 30 s, or once it is "
         "added again, with a new key",
         {.verdict = VERDICT_REPEATED, .counter = AFTER(0),
          .counters = EIGHT(AFTER(29), AFTER(99))}},
        {"already used, or older than the last eight knocks: a repeat, a replay or a second device "
         "with this key",
         {.verdict = VERDICT_REPEATED, .counter = 4, .counters = EIGHT(3, 4)}},
        {"already used, or older than the last eight knocks: a repeat, a replay or a second device "
         "with this key",
         {.verdict = VERDICT_REPEATED, .counter = 2, .counters = EIGHT(3, 4)}},
        {"the client has closed since it made this knock", {.verdict = VERDICT_OVERTAKEN}},
        {"the client has opened it since it made this knock",
         {.verdict = VERDICT_OVERTAKEN, .is_close = 1}},
        {"this profile wants the address signed", {.verdict = VERDICT_ADDRESS_DENIED}},
        {"this profile does not permit this address",
         {.verdict = VERDICT_ADDRESS_DENIED, .is_address_signed = 1}},
    };

    (void)state;
    client.profile = &wants_signed;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct helper_event event = event_of(cases[i].event.verdict);
        char expected[512];

        event.counter = cases[i].event.counter;
        memcpy(event.counters, cases[i].event.counters, sizeof event.counters);
        event.is_unnoted = cases[i].event.is_unnoted;
        event.is_close = cases[i].event.is_close;
        event.is_address_signed = cases[i].event.is_address_signed;
        snprintf(expected, sizeof expected, "home: refused for 192.0.2.7: %s; it was for tcp/22 "
                                            "udp/53", cases[i].words);
        assert_string_equal(said(&event), expected);
    }
}

static void a_link_local_address_is_said_to_be_one(void **state)
{
    struct helper_event event = event_of(VERDICT_ADDRESS_DENIED);

    (void)state;
    event.address = event.observed = address_of("fe80::1");
    assert_string_equal(said(&event),
                        "home: refused for fe80::1: no port is opened to a link-local address, "
                        "which another host can have on another link: let the client connect from "
                        "a global or unique local address; it was for tcp/22 udp/53");
}

/* And is not said to be what the knock was for. */
static void a_service_that_is_refused_is_named(void **state)
{
    struct helper_event event = event_of(VERDICT_SERVICE_DENIED);

    (void)state;
    event.service_count = 1;
    assert_string_equal(said(&event), "home: refused for 192.0.2.7: tcp/22 is not in this profile");
    event.verdict = VERDICT_NO_DESTINATION;
    assert_string_equal(said(&event), "home: refused for 192.0.2.7: this profile names no IPv4 host "
                                      "behind tcp/22");
}

static void of_strangers_nothing_is_believed(void **state)
{
    struct helper_event event = event_of(VERDICT_UNKNOWN_PROFILE);

    (void)state;
    event.key_id[0] = 9;
    event.service_count = 0;
    assert_string_equal(said(&event), "unknown: refused for 192.0.2.7: no such profile");
}

static void the_log_says_when_hours_begin_again(void **state)
{
    static const struct helper_profile of_hours = {
        .name = "home", .hours_count = 2,
        .hours = {{8 * 60, 18 * 60}, {1440 + 8 * 60, 1440 + 9 * 60}}};
    enum { MONDAY = 4 * 86400, HOUR = 3600, DAY = 86400 };
    static const struct {
        int64_t wall;
        const char *words;
    } cases[] = {
        {MONDAY - 60, "it is Sun 23:59 UTC, they begin again on Mon 08:00"},
        {MONDAY + 8 * HOUR - 1, "it is Mon 07:59 UTC, they begin again on Mon 08:00"},
        {MONDAY + 19 * HOUR, "it is Mon 19:00 UTC, they begin again on Tue 08:00"},
        {MONDAY + 2 * DAY + 8 * HOUR, "it is Wed 08:00 UTC, they begin again on Mon 08:00"},
    };
    struct helper_event event = event_of(VERDICT_OUTSIDE_HOURS);

    (void)state;
    client.profile = &of_hours;
    event.service_count = 0;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char expected[256];

        event.wall = (uint64_t)cases[i].wall * USEC_PER_SEC;
        snprintf(expected, sizeof expected, "home: refused for 192.0.2.7: outside its Hours: %s",
                 cases[i].words);
        assert_string_equal(said(&event), expected);
    }
}

static void a_security_key_may_not_have_been_touched(void **state)
{
    static const struct helper_profile of_security_key = {
        .name = "home",
        .signer = {.form = SIGNER_SECURITY_KEY, .required = AUTHENTICATOR_TOUCHED}};
    struct helper_event event = event_of(VERDICT_BAD_SIGNATURE);

    (void)state;
    event.service_count = 0;
    assert_string_equal(said(&event), "home: refused for 192.0.2.7: the signature is wrong");
    client.profile = &of_security_key;
    assert_string_equal(said(&event),
                        "home: refused for 192.0.2.7: the signature is wrong, or the security key "
                        "made it without the touch or PIN that Require demands");
}

static void each_end_has_its_words(void **state)
{
    static const struct {
        enum grant_end end;
        const char *words;
    } cases[] = {
        {END_COUNTED, "it has had its connections; it was used"},
        {END_UNWITNESSED, "its connections could not be counted; it was used"},
        {END_WINDOW, "the window is over; it was used"},
        {END_CLOSED, "closed by an admin; it was used"},
        {END_KILLED, "closed by an admin, with its connections; it was used"},
        {END_FORBIDDEN, "it is no longer permitted; it was used"},
        {END_STOPPED, "portsmithd stops; it was used"},
    };
    struct ending ending;
    char expected[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ending = ending_of(cases[i].end, USED_SOME);
        snprintf(expected, sizeof expected, "home: tcp/22 for 192.0.2.7 has ended: %s",
                 cases[i].words);
        assert_string_equal(said_of_end(&ending), expected);
    }
    ending.key_id[0] = 9;
    assert_string_equal(said_of_end(&ending), "a removed profile: tcp/22 for 192.0.2.7 has ended: "
                                              "portsmithd stops; it was used");
}

static void of_several_that_ended_the_used_are_named(void **state)
{
    struct ending ending = ending_of(END_WINDOW, USED_NOT);
    struct ended ended = {.service = {6, 80}, .use = USED_NOT};

    (void)state;
    ending_add(&ending, &ended);
    assert_string_equal(said_of_end(&ending), "home: tcp/22 tcp/80 for 192.0.2.7 have ended: the "
                                              "window is over; no connection came");
    ended.service.port = 81;
    ended.use = USED_UNKNOWN;
    ending_add(&ending, &ended);
    assert_string_equal(said_of_end(&ending), "home: tcp/22 tcp/80 tcp/81 for 192.0.2.7 have "
                                              "ended: the window is over; whether a connection "
                                              "came is not known here");
    ended.service.port = 82;
    ended.use = USED_SOME;
    ending_add(&ending, &ended);
    assert_string_equal(said_of_end(&ending), "home: tcp/22 tcp/80 tcp/81 tcp/82 for 192.0.2.7 "
                                              "have ended: the window is over; used: tcp/82");
}

/* What has no room is left out, as is its use. */
static void more_ends_than_an_ending_holds_are_counted(void **state)
{
    struct ending ending = {.end = END_WINDOW};
    struct ended ended = {.use = USED_SOME};

    (void)state;
    for (ended.service.port = 1; ended.service.port <= 300; ended.service.port++)
        ending_add(&ending, &ended);
    assert_int_equal(ending.service_count, POLICY_SERVICES);
    assert_int_equal(ending.used, UINT16_MAX);
    assert_int_equal(ending.ended_count, UINT8_MAX);
}

/* One ending for those of a profile and an address that ended for the same reason. */
static void what_ends_together_is_one_line(void **state)
{
    struct ended ended[] = {
        {{1}, address_of("192.0.2.8"), {6, 22}, END_WINDOW, USED_NOT},
        {{1}, address_of("192.0.2.7"), {6, 80}, END_WINDOW, USED_NOT},
        {{9}, address_of("192.0.2.7"), {6, 22}, END_WINDOW, USED_NOT},
        {{1}, address_of("192.0.2.7"), {6, 22}, END_WINDOW, USED_NOT},
        {{1}, address_of("192.0.2.7"), {6, 81}, END_COUNTED, USED_SOME},
    };
    static const char *const expected[] = {
        "home: tcp/81 for 192.0.2.7 has ended: it has had its connections; it was used",
        "home: tcp/22 tcp/80 for 192.0.2.7 have ended: the window is over; no connection came",
        "home: tcp/22 for 192.0.2.8 has ended: the window is over; no connection came",
        ("a removed profile: tcp/22 for 192.0.2.7 has ended: the window is over; no connection "
         "came"),
    };
    size_t at = 0;

    (void)state;
    ends_sort(ended, COUNT_OF(ended));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        struct ending ending;

        assert_true(at < COUNT_OF(ended));
        at += ends_take(&ended[at], COUNT_OF(ended) - at, &ending);
        assert_string_equal(said_of_end(&ending), expected[i]);
    }
    assert_int_equal(at, COUNT_OF(ended));
}

static void many_ends_are_sorted(void **state)
{
    enum { MANY = 1000 };
    static struct ended ended[MANY];

    (void)state;
    for (uint32_t i = 0; i < MANY; i++)
        ended[i] = (struct ended){.key_id = {(uint8_t)(i * 7919 % 13)},
                                  .service = {6, (uint16_t)(i * 104729 % 65536)}};
    ends_sort(ended, MANY);
    for (size_t i = 1; i < MANY; i++) {
        int order = memcmp(ended[i - 1].key_id, ended[i].key_id, KEY_ID_SIZE);

        assert_true(order < 0 ||
                    (order == 0 && service_compare(&ended[i - 1].service, &ended[i].service) <= 0));
    }
}

static void a_move_is_said(void **state)
{
    const struct ending ending = ending_of(END_MOVED, USED_NOT);

    (void)state;
    assert_string_equal(said_of_end(&ending), "home: no longer open for 192.0.2.7: a newer knock "
                                              "moved the profile's one grant; no connection came");
}

static void what_is_wrong_at_large_is_said(void **state)
{
    (void)state;
    begin_log();
    words_say_news_lost(&words);
    assert_string_equal(end_line(), "more connections were made than could be counted: for grants "
                                    "that admit only so many the kernel is asked, and whether "
                                    "others are used is not known");
    begin_log();
    words_say_crowded();
    assert_string_equal(end_line(), "more than 200 live grants, a rule each: GrantStore = set "
                                    "would serve better, see portsmith.conf(5)");
    begin_log();
    words_say_events_lost(&words, 7);
    assert_string_equal(end_line(), "the helper did more than could be told: lines lost: 7");
}

static void who_removes_rules_is_named(void **state)
{
    const struct bell_ringer nobody = {.pid = 0}, ringer = {4711, "nft"};

    (void)state;
    assert_string_equal(said_of_removal(1, &ringer),
                        "another program removed Portsmith's rules (the last to change nftables "
                        "was nft, pid 4711): putting them back");
    assert_string_equal(said_of_removal(3, &nobody),
                        "another program removed Portsmith's rules: putting them back");
    assert_string_equal(said_of_removal(4, &nobody),
                        "another program keeps removing Portsmith's rules: until it stops they are "
                        "put back each time, within two seconds, and this is not said again");
    assert_string_equal(said_of_removal(5, &nobody), "");
    begin_log();
    words_say_quiet(3);
    words_say_quiet(9);
    assert_string_equal(end_line(), "nobody has removed Portsmith's rules for 60 s; before that "
                                    "they were put back 9 times");
}

static void many_lines_of_a_kind_are_counted(void **state)
{
    const struct helper_event opened = event_of(VERDICT_OPENED);
    const struct helper_event refused = event_of(VERDICT_EXPIRED_PROFILE);

    (void)state;
    for (int i = 0; i < REFUSALS_LOGGED; i++)
        assert_string_not_equal(said(&refused), "");
    assert_string_equal(said(&refused), "");
    assert_int_equal(words.throttle.refusals[VERDICT_EXPIRED_PROFILE].left_out, 1);
    for (int i = 0; i < LINES_LOGGED; i++)
        assert_string_not_equal(said(&opened), "");
    assert_string_equal(said(&opened), "");
    assert_int_equal(client.told.left_out, 1);
}

static void both_lines_of_a_knock_with_a_trace_are_of_its_share(void **state)
{
    struct helper_event opened = event_of(VERDICT_OPENED);

    (void)state;
    opened.trace[0] = 1;
    for (int i = 0; i < LINES_LOGGED; i++)
        said(&opened);
    assert_int_equal(client.told.written, LINES_LOGGED);
    assert_int_equal(client.told.left_out, LINES_LOGGED);
}

#define FRESH(test) cmocka_unit_test_setup(test, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(what_is_granted_is_said),
        FRESH(each_refusal_has_its_words),
        FRESH(a_link_local_address_is_said_to_be_one),
        FRESH(a_service_that_is_refused_is_named),
        FRESH(of_strangers_nothing_is_believed),
        FRESH(the_log_says_when_hours_begin_again),
        FRESH(a_security_key_may_not_have_been_touched),
        FRESH(each_end_has_its_words),
        FRESH(of_several_that_ended_the_used_are_named),
        FRESH(more_ends_than_an_ending_holds_are_counted),
        FRESH(many_ends_are_sorted),
        FRESH(who_removes_rules_is_named),
        FRESH(both_lines_of_a_knock_with_a_trace_are_of_its_share),
        FRESH(what_ends_together_is_one_line),
        FRESH(a_move_is_said),
        FRESH(what_is_wrong_at_large_is_said),
        FRESH(many_lines_of_a_kind_are_counted),
    };

    return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
