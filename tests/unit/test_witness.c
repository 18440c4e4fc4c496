/* daemon/witness/witness: one as portsmithd starts it, confined; the supervisor and the helper are
 * played here. */
#include "netspace.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "apart.h"
#include "common/clock.h"
#include "common/libc.h"
#include "daemon/witness/witness.h"
#include "people.h"
#include "privsep/netlink.h"
#include "privsep/prepare/compile.h"
#include "privsep/prepare/repair.h"
#include "privsep/prepare/rules.h"
#include "privsep/prepare/takeover.h"
#include "privsep/uses.h"
#include "privsep/witnessmessage.h"
#include "table.h"

enum {
    CAPACITY = 40,
    USES = CROWD + 50,
    NOBODY = 65534,
    PATIENCE_MS = 20000,
    WINDOW = 600, /* seconds */
    DESCRIPTORS = WITNESS_FD_USES - WITNESS_FD_SUPERVISOR + 1,
};

/* Where exit(3) would lead, the process that shares its memory has still to go. */
_Noreturn void __wrap_exit(int status);

_Noreturn void __wrap_exit(int status)
{
    _exit(status);
}

static const uint8_t home[KEY_ID_SIZE] = {1};
static const struct service ssh = {6, 22};

/* What the witness is told, and this end of what it talks by. */
static struct {
    struct helper_profile profile;
    struct grants grants;
    struct witness_setup setup;
    int plan, uses, bell;
    int supervisor, helper, words, news;
    int room; /* for words that are not read, in bytes; 0: the usual */
    pid_t process;
    char said[8192];
    size_t said_size;
} world;

static struct error why;

static void make_plan(uint16_t connections)
{
    struct xtables found = {.backend = BACKEND_NFT};
    struct policy_entry entry = {.profile = &world.profile};
    struct policy policy = {.setup = {.profile_count = 1, .max_grants = CAPACITY},
                            .entries = &entry};
    int directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct rules rules[FAMILIES];
    struct marks marks;
    const struct ingredients from = {.policy = &policy, .xtables = &found, .rules = rules};
    struct compiling plan;

    world.profile = (struct helper_profile){
        .name = "home", .service_count = 1, .services = {ssh}, .connections = connections};
    memcpy(entry.key_id, home, KEY_ID_SIZE);
    world.plan = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    for (enum family family = IPV4; family < FAMILIES; family++)
        rules_make(&rules[family], family, &policy.setup, NULL, 0, true);
    assert_done(helper_marks_open(&marks, directory, entry.key_id, sizeof entry, 1,
                                  clock_wall_us(), 0, &why), why);
    assert_done(plan_begin(&plan, world.plan, &from, &why), why);
    assert_done(plan_end(&plan, &policy, &marks, &why), why);
    helper_marks_close(&marks);
    for (enum family family = IPV4; family < FAMILIES; family++)
        rules_free(&rules[family]);
    close(directory);
}

static int make_world_that_counts(uint16_t connections)
{
    memset(&world, 0, sizeof world);
    make_plan(connections);
    world.uses = memfd_create("uses", MFD_CLOEXEC);
    assert_int_equal(ftruncate(world.uses, USES * sizeof(struct use)), 0);
    world.setup = (struct witness_setup){.uid = NOBODY, .gid = NOBODY, .foreground = 1,
                                         .empty = "empty"};
    world.bell = bell_open(&why);
    unlink(GRANTTABLE_FILE);
    assert_done(helper_grants_create(&world.grants, AT_FDCWD, CAPACITY, clock_boot_ns(), &why),
                why);
    return world.bell < 0;
}

static int make_world(void **state)
{
    (void)state;
    return make_world_that_counts(0);
}

static int make_counting_world(void **state)
{
    (void)state;
    return make_world_that_counts(2);
}

static int end_world(void **state)
{
    (void)state;
    helper_grants_free(&world.grants);
    close(world.plan);
    close(world.uses);
    return close(world.bell);
}

/* ---- a witness's life --------------------------------------------------- */

/* Of its descriptors, the first so many are as portsmithd leaves them. */
static void start(int descriptors)
{
    int supervisor[2], helper[2], words[2];
    int its[DESCRIPTORS] = {[2] = netlink_open(NETLINK_NETFILTER), [3] = world.bell,
                            [4] = world.plan, [5] = world.grants.file, [6] = world.uses};

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, supervisor), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, helper), 0);
    assert_int_equal(pipe(words), 0);
    if (world.room > 0)
        assert_int_equal(setsockopt(helper[1], SOL_SOCKET, SO_SNDBUF, &world.room,
                                    sizeof world.room), 0);
    its[0] = supervisor[1];
    its[1] = helper[1];
    world.supervisor = supervisor[0];
    world.helper = helper[0];
    world.words = words[0];
    world.news = fcntl(its[2], F_DUPFD_CLOEXEC, WITNESS_FD_USES + 1);
    world.said_size = 0;
    world.said[0] = '\0';
    world.process = fork();
    if (world.process == 0) {
        dup2(words[1], STDERR_FILENO);
        for (int i = 0; i < descriptors; i++)
            dup2(its[i], WITNESS_FD_SUPERVISOR + i);
        close_range((unsigned)(WITNESS_FD_SUPERVISOR + descriptors), ~0u, 0);
        end_as_confined(witness_run);
    }
    close(its[0]);
    close(its[1]);
    close(its[2]);
    close(words[1]);
}

static void tell(const void *message, size_t size)
{
    assert_int_equal(send(world.supervisor, message, size, MSG_NOSIGNAL), size);
}

static void start_and_tell(void)
{
    start(DESCRIPTORS);
    tell(&world.setup, sizeof world.setup);
}

/* Reads on in what it says. False at its end. */
static bool hear(void)
{
    const size_t room = sizeof world.said - 1 - world.said_size;
    ssize_t n;

    assert_true(is_readable(world.words, PATIENCE_MS));
    n = read(world.words, world.said + world.said_size, room);
    world.said_size += n > 0 ? (size_t)n : 0;
    world.said[world.said_size] = '\0';
    return n > 0;
}

static void wait_for(const char *line)
{
    while (!strstr(world.said, line))
        if (!hear())
            fail_msg("'%s' instead of '%s'", world.said, line);
}

static void check_end(int status, const char *expected)
{
    while (hear())
        ;
    assert_int_equal(exit_status_of(world.process), status);
    if (!strstr(world.said, expected))
        fail_msg("'%s' instead of '%s'", world.said, expected);
    close(world.words);
    close(world.news);
    close(world.supervisor);
    close(world.helper);
}

/* The supervisor goes: so does its witness, which has said all by then. */
static void stop(const char *expected)
{
    shutdown(world.supervisor, SHUT_RDWR);
    check_end(EXIT_SUCCESS, expected);
}

/* ---- the helper --------------------------------------------------------- */

static void happen(const struct helper_event *event)
{
    assert_int_equal(send(world.helper, event, sizeof *event, MSG_NOSIGNAL), sizeof *event);
}

static struct helper_event event_about(const char *address)
{
    struct helper_event event = {.service_count = 1, .services = {ssh}, .id = 1, .begun = 1,
                                 .address = address_of(address), .left = 60};

    event.observed = event.address;
    memcpy(event.key_id, home, KEY_ID_SIZE);
    return event;
}

static void knock(const char *address, enum verdict verdict)
{
    struct helper_event event = event_about(address);

    event.kind = EVENT_VERDICT;
    event.verdict = verdict;
    happen(&event);
}

static void end_grant(const char *address, enum grant_end end, bool is_more)
{
    struct helper_event event = event_about(address);

    event.kind = EVENT_ENDED;
    event.end = end;
    event.is_more = is_more;
    happen(&event);
}

static bool take_word(struct witness_word *word, int milliseconds)
{
    return is_readable(world.helper, milliseconds) &&
           recv(world.helper, word, sizeof *word, 0) == sizeof *word;
}

static void assert_word(enum witness_word_kind kind)
{
    struct witness_word word;

    assert_true(take_word(&word, PATIENCE_MS));
    assert_int_equal(word.kind, kind);
}

/* Grants that admit two connections each, of which nobody knows how many came. */
static void open_counting(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct address address = {.bytes = {[10] = 0xff, [11] = 0xff, 10, 0, 0, (uint8_t)i}};
        struct grant *grant = table_open(&world.grants, home, &address, &ssh,
                                         clock_boot_ns() + (int64_t)WINDOW * NSEC_PER_SEC);

        grant->connections = 2;
        grant->allowance = 1;
        grant_seal(grant);
    }
    helper_grants_settle(&world.grants, IPV4, true);
    helper_grants_settle(&world.grants, IPV6, true);
}

/* ---- words -------------------------------------------------------------- */

static void what_happens_is_said(void **state)
{
    (void)state;
    start_and_tell();
    knock("192.0.2.1", VERDICT_OPENED);
    wait_for("home: opened tcp/22 for 192.0.2.1 for 60 s\n");
    knock("192.0.2.2", VERDICT_BAD_SIGNATURE);
    wait_for("home: refused for 192.0.2.2: ");
    end_grant("192.0.2.1", END_CLOSED, false);
    wait_for("home: tcp/22 for 192.0.2.1 has ended: closed by an admin");
    end_grant("192.0.2.1", END_MOVED, false);
    knock("192.0.2.3", VERDICT_OPENED);
    wait_for("home: no longer open for 192.0.2.1: a newer knock moved");
    wait_for("home: opened tcp/22 for 192.0.2.3");
    end_grant("192.0.2.3", END_KNOCK, false);
    knock("192.0.2.3", VERDICT_CLOSED);
    stop("home: closed tcp/22 for 192.0.2.3");
}

static void what_ends_together_is_told_in_order(void **state)
{
    const char *last;

    (void)state;
    start_and_tell();
    end_grant("192.0.2.9", END_WINDOW, true);
    end_grant("192.0.2.8", END_WINDOW, true);
    end_grant("192.0.2.7", END_WINDOW, false);
    wait_for("192.0.2.9");
    last = strstr(world.said, "192.0.2.9");
    assert_true(strstr(world.said, "192.0.2.7") < strstr(world.said, "192.0.2.8"));
    assert_true(strstr(world.said, "192.0.2.8") < last);
    stop("");
}

/* The last of them never comes, or comes with the end of all. */
static void what_is_incomplete_is_told_all_the_same(void **state)
{
    (void)state;
    start_and_tell();
    end_grant("192.0.2.1", END_WINDOW, true);
    wait_for("192.0.2.1 has ended: the window is over");
    end_grant("192.0.2.2", END_WINDOW, true);
    knock("192.0.2.3", VERDICT_OPENED);
    wait_for("192.0.2.3");
    assert_true(strstr(world.said, "192.0.2.2 has") < strstr(world.said, "192.0.2.3"));
    for (unsigned i = 0; i <= USES; i++) /* more than it has room for */
        end_grant("192.0.2.4", END_WINDOW, true);
    wait_for("192.0.2.4 have ended");
    end_grant("192.0.2.5", END_WINDOW, true);
    stop("192.0.2.5 has ended");
}

static void it_hears_the_helper_out(void **state)
{
    (void)state;
    start_and_tell();
    wait_for(""); /* nothing is said in the beginning */
    knock("192.0.2.1", VERDICT_OPENED);
    end_grant("192.0.2.1", END_STOPPED, false);
    shutdown(world.helper, SHUT_RDWR);
    stop("192.0.2.1 has ended: portsmithd stops");
}

static void what_was_lost_is_told(void **state)
{
    struct helper_event event = event_about("192.0.2.1");

    (void)state;
    event.kind = EVENT_VERDICT;
    event.verdict = VERDICT_FIREWALL_FAILED;
    event.lost = 7;
    start_and_tell();
    happen(&event);
    stop("lines lost: 7\n");
}

static void a_helper_that_is_not_sound_is_not_served(void **state)
{
    struct helper_event event = event_about("192.0.2.1");

    (void)state;
    event.kind = EVENT_REMOVED + 1;
    start_and_tell();
    happen(&event);
    check_end(EXIT_FAILURE, "the helper said what no helper says");
    start_and_tell();
    assert_int_equal(send(world.helper, &event, 8, 0), 8);
    check_end(EXIT_FAILURE, "the helper said what no helper says");
}

static void begin_grant(uint32_t id)
{
    struct helper_event event = event_about("192.0.2.1");

    event.kind = EVENT_BEGUN;
    event.id = event.begun = id;
    event.connections = 1;
    happen(&event);
}

static void open_grant(uint32_t id)
{
    struct helper_event event = event_about("192.0.2.1");

    event.kind = EVENT_VERDICT;
    event.verdict = VERDICT_OPENED;
    event.opened[0] = id;
    event.is_listening = 1;
    happen(&event);
}

/* The place of one that has ended is another's. A helper never has more at once. */
static void so_many_grants_have_room_and_no_more(void **state)
{
    (void)state;
    start_and_tell();
    for (uint32_t id = 1; id <= USES; id++)
        begin_grant(id);
    end_grant("192.0.2.1", END_CLOSED, false); /* 1 */
    begin_grant(USES + 1);
    wait_for("more than 200 live grants");
    wait_for("closed by an admin");
    begin_grant(USES + 2);
    check_end(EXIT_FAILURE, "there are more grants than there is room for");
    start_and_tell();
    for (uint32_t id = 1; id <= USES + 1; id++)
        open_grant(id);
    check_end(EXIT_FAILURE, "there are more grants than there is room for");
}

/* ---- what it asks for --------------------------------------------------- */

static void nobody_listens_for_nothing(void **state)
{
    struct witness_word word;

    (void)state;
    start_and_tell();
    assert_word(WORD_HUSH);
    open_grant(1);
    wait_for("opened");
    knock("192.0.2.2", VERDICT_BAD_SIGNATURE);
    wait_for("refused"); /* by now it has said what there was to say before */
    assert_false(is_readable(world.helper, 0));
    end_grant("192.0.2.1", END_WINDOW, false);
    assert_true(take_word(&word, PATIENCE_MS));
    assert_int_equal(word.kind, WORD_HUSH);
    assert_int_equal(word.id, 1);
    stop("");
}

static void a_change_of_the_firewall_is_looked_at(void **state)
{
    struct helper_event event = {.kind = EVENT_REMOVED};

    (void)state;
    start_and_tell();
    assert_word(WORD_HUSH);
    run_command("nft add table inet somebody");
    assert_word(WORD_LOOK);
    happen(&event);
    wait_for("another program removed Portsmith's rules (the last to change nftables was nft, pid ");
    stop("");
}

static uint32_t take_question(void)
{
    struct witness_question question;

    assert_true(is_readable(world.supervisor, PATIENCE_MS));
    assert_int_equal(recv(world.supervisor, &question, sizeof question, 0), sizeof question);
    return question.id;
}

static void a_question_that_came_too_early_is_asked_again(void **state)
{
    struct witness_answer answer = {.error = EBUSY};
    struct witness_word word;

    (void)state;
    open_counting(1);
    start_and_tell();
    answer.id = take_question();
    tell(&answer, sizeof answer);
    assert_int_equal(take_question(), answer.id);
    answer.error = EIO;
    tell(&answer, sizeof answer);
    assert_true(take_word(&word, PATIENCE_MS));
    assert_int_equal(word.kind, WORD_END);
    stop("");
}

static void what_nobody_can_count_ends(void **state)
{
    struct witness_answer answer = {.error = EIO};
    struct witness_word word;

    (void)state;
    open_counting(1);
    start_and_tell();
    answer.id = take_question();
    assert_int_equal(answer.id, world.grants.items[0].id);
    tell(&answer, sizeof answer);
    assert_true(take_word(&word, PATIENCE_MS));
    assert_int_equal(word.kind, WORD_END);
    assert_int_equal(word.id, answer.id);
    assert_int_equal(word.allowance, 1);
    stop("");
}

static void a_supervisor_that_talks_nonsense_is_none(void **state)
{
    (void)state;
    start_and_tell();
    tell("nonsense", sizeof(struct witness_answer) - 1);
    check_end(EXIT_SUCCESS, "");
}

/* A helper that is busy reads its words later. None is lost. */
static void words_wait_for_a_helper_that_reads_none(void **state)
{
    enum { MANY = CAPACITY };
    bool has_ended[MANY + 1] = {false};
    unsigned ended = 0;

    (void)state;
    open_counting(MANY);
    world.room = 1;
    start_and_tell();
    for (unsigned i = 0; i < MANY; i++) {
        const struct witness_answer answer = {.id = take_question(), .error = EIO};

        tell(&answer, sizeof answer);
    }
    while (ended < MANY) {
        struct witness_word word;

        assert_true(take_word(&word, PATIENCE_MS));
        if (word.kind != WORD_END)
            continue;
        assert_true(word.id >= 1 && word.id <= MANY && !has_ended[word.id]);
        has_ended[word.id] = true;
        ended++;
    }
    stop("");
}

/* ---- when it wakes ------------------------------------------------------ */

enum { REST_MS = 5 }; /* as in witness.c */

/* Has the kernel put a mark into the news, as the helper does. */
static void mark_news(void)
{
    const struct nlmsghdr nothing = {.nlmsg_len = sizeof nothing, .nlmsg_type = NLMSG_NOOP,
                                     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK};

    assert_int_equal(send(world.news, &nothing, sizeof nothing, 0), sizeof nothing);
}

/* How often the processes that have ended have waited for something. */
static long waits(void)
{
    struct rusage all;

    assert_int_equal(getrusage(RUSAGE_CHILDREN, &all), 0);
    return all.ru_nvcsw;
}

/* One by one they come, as fast as a helper tells of them. */
static void a_crowd_wakes_it_now_and_then(void **state)
{
    enum { MANY = 2000, AT_BOTH_ENDS = 200 };
    const struct timespec apart = {.tv_nsec = 100000};
    const long before = waits();
    int64_t began, took;

    (void)state;
    start_and_tell();
    assert_word(WORD_HUSH);
    began = clock_boot_ns();
    for (unsigned i = 0; i < MANY; i++) {
        knock("192.0.2.1", VERDICT_BAD_SIGNATURE);
        mark_news();
        nanosleep(&apart, NULL);
    }
    took = (clock_boot_ns() - began) / NSEC_PER_MSEC;
    stop("1980 more of this kind were not logged");
    assert_true(waits() - before <= took / REST_MS + AT_BOTH_ENDS);
}

/* Returns the nanoseconds until it has taken a mark. */
static int64_t time_a_mark(void)
{
    const int64_t began = clock_boot_ns();
    int64_t took;

    mark_news();
    do
        took = clock_boot_ns() - began;
    while (is_readable(world.news, 0) && took < (int64_t)PATIENCE_MS * NSEC_PER_MSEC);
    return took;
}

/* Each of these comes when it has just heard another one, and none of a row waits for its rest to
 * end. Other processes may keep it from the processor, but not always. */
static void assert_news_wake_it(void)
{
    enum { IN_A_ROW = 10 };
    const int64_t until = clock_boot_ns() + (int64_t)PATIENCE_MS * NSEC_PER_MSEC;
    unsigned row = 0;

    while (row < IN_A_ROW && clock_boot_ns() < until)
        row = time_a_mark() < REST_MS * NSEC_PER_MSEC / 2 ? row + 1 : 0;
    assert_int_equal(row, IN_A_ROW);
}

static void what_counts_wakes_it_at_any_time(void **state)
{
    (void)state;
    start_and_tell();
    assert_word(WORD_HUSH);
    assert_news_wake_it();
    stop("");
}

/* The grant has outlived its profile's count. */
static void so_does_what_an_earlier_one_counted(void **state)
{
    (void)state;
    open_counting(1);
    start_and_tell();
    take_question();
    assert_news_wake_it();
    stop("");
}

/* ---- beginning ---------------------------------------------------------- */

static void it_is_not_started_by_hand(void **state)
{
    (void)state;
    for (int descriptors = 0; descriptors < DESCRIPTORS; descriptors++) {
        start(descriptors);
        check_end(EXIT_FAILURE, "portsmith-witness is started by portsmithd, never by hand");
    }
}

static void it_wants_to_be_told_all(void **state)
{
    (void)state;
    start(DESCRIPTORS);
    tell(&world.setup, sizeof world.setup - 1);
    check_end(EXIT_FAILURE, "portsmithd has not told all that a witness has to know");
    memset(world.setup.empty, 'x', sizeof world.setup.empty);
    start_and_tell();
    check_end(EXIT_FAILURE, "portsmithd has not told all that a witness has to know");
}

static void what_it_cannot_do_without_is_named(void **state)
{
    (void)state;
    strcpy(world.setup.empty, "missing");
    start_and_tell();
    check_end(EXIT_FAILURE, "missing: No such file or directory");
    strcpy(world.setup.empty, "empty");
    assert_int_equal(ftruncate(world.grants.file, 8), 0);
    start_and_tell();
    check_end(EXIT_FAILURE, "grants: was not made by this build in this boot");
    close(world.plan);
    world.plan = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    start_and_tell();
    check_end(EXIT_FAILURE, "plan");
}

/* The witness's directory, and no descriptor of ours where its own are to be. */
static int begin(void **state)
{
    int nothing;

    if (netspace_enter(state) != 0 || mkdir("empty", 0755) != 0)
        return -1;
    do
        nothing = open("/dev/null", O_RDONLY);
    while (nothing >= 0 && nothing < WITNESS_FD_USES);
    return nothing < 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_happens_is_said),
        TEST(what_ends_together_is_told_in_order),
        TEST(what_is_incomplete_is_told_all_the_same),
        TEST(it_hears_the_helper_out),
        TEST(what_was_lost_is_told),
        TEST(a_helper_that_is_not_sound_is_not_served),
        TEST(so_many_grants_have_room_and_no_more),
        TEST(nobody_listens_for_nothing),
        TEST(a_change_of_the_firewall_is_looked_at),
        TEST(a_question_that_came_too_early_is_asked_again),
        TEST(what_nobody_can_count_ends),
        TEST(a_supervisor_that_talks_nonsense_is_none),
        TEST(words_wait_for_a_helper_that_reads_none),
        TEST(a_crowd_wakes_it_now_and_then),
        cmocka_unit_test_setup_teardown(what_counts_wakes_it_at_any_time, make_counting_world,
                                        end_world),
        TEST(so_does_what_an_earlier_one_counted),
        TEST(it_is_not_started_by_hand),
        TEST(it_wants_to_be_told_all),
        TEST(what_it_cannot_do_without_is_named),
    };

    return cmocka_run_group_tests(tests, begin, scratch_leave);
}
