/* daemon/supervisor/cutting, with the test in portsmith-cut's place. */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/libc.h"
#include "daemon/supervisor/cutting.h"
#include "daemon/supervisor/pair.h"
#include "netspace.h"
#include "privsep/event.h"
#include "privsep/prepare/takeover.h"
#include "privsep/witnessmessage.h"
#include "table.h"

enum { CAPACITY = 1200, MANY = 1000, WINDOW = 60 /* seconds */ };

static struct {
    struct config config;
    struct cutting cutting;
    struct grants grants;
    int directory;
    int theirs;      /* the last portsmith-cut's end of its socket; -1: none was started */
    int news;        /* that it was given */
    unsigned starts;
    bool fails;      /* to start */
    int witness;     /* its end */
} world;

static int64_t began, ahead; /* the clock stands still, but for what a test sets it ahead */

static const struct service ssh = {6, 22}, dns = {17, 53};

int64_t __wrap_clock_boot_ns(void);
int64_t __real_clock_boot_ns(void);
pid_t __wrap_pair_start_program(const char *path, int *ours, const int *descriptors, int count);

int64_t __wrap_clock_boot_ns(void)
{
    return began + ahead;
}

pid_t __wrap_pair_start_program(const char *path, int *ours, const int *descriptors, int count)
{
    const pid_t parent = getpid();
    int ends[2];
    pid_t child;

    assert_non_null(strstr(path, "portsmith-cut"));
    if (world.fails)
        return 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    if (world.theirs >= 0)
        close(world.theirs);
    *ours = ends[0];
    world.theirs = ends[1];
    world.news = count > 0 ? descriptors[0] : -1;
    world.starts++;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* somebody to kill, who holds no end of the socket */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close_range(0, ~0u, 0);
        while (getppid() == parent) /* which may have ended before it was listened for */
            pause();
        _exit(EXIT_SUCCESS);
    }
    return child;
}

static int start_world(void **state)
{
    struct error why;

    if (scratch_enter(state) != 0 || mkdir("helper", 0700) != 0)
        return -1;
    memset(&world, 0, sizeof world);
    began = __real_clock_boot_ns();
    ahead = 0;
    world.theirs = world.news = world.witness = -1;
    snprintf(world.config.run_directory, sizeof world.config.run_directory, "%s",
             (const char *)*state);
    world.directory = open("helper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cutting_init(&world.cutting);
    return helper_grants_create(&world.grants, world.directory, CAPACITY, 0, &why) ? 0 : -1;
}

static int end_world(void **state)
{
    cutting_close(&world.cutting);
    helper_grants_free(&world.grants);
    close(world.directory);
    if (world.theirs >= 0)
        close(world.theirs);
    if (world.witness >= 0)
        close(world.witness);
    return scratch_leave(state);
}

static struct address address_of(unsigned host)
{
    const uint8_t v4[4] = {198, 18, (uint8_t)(host >> 8), (uint8_t)host};

    return address_from_ipv4(v4);
}

/* Opens a door of a profile for a host, which the firewall does not have yet. Returns its id. */
static uint32_t begin_door(uint8_t profile, unsigned host, const struct service *service)
{
    const uint8_t key_id[KEY_ID_SIZE] = {profile};
    const struct address address = address_of(host);

    return table_open(&world.grants, key_id, &address, service,
                      clock_boot_ns() + (int64_t)WINDOW * NSEC_PER_SEC)->id;
}

static uint32_t open_door(uint8_t profile, unsigned host, const struct service *service)
{
    uint32_t id = begin_door(profile, host, service);

    helper_grants_settle(&world.grants, IPV4, true);
    return id;
}

static void shut_doors(uint8_t profile)
{
    for (size_t i = world.grants.count; i > 0; i--)
        if (world.grants.items[i - 1].key_id[0] == profile)
            helper_grants_remove_at(&world.grants, i - 1);
}

static struct helper_order kill_order(uint8_t profile)
{
    return (struct helper_order){.command = HELPER_CLOSE, .scope = HELPER_SCOPE_PROFILE,
                                 .kill = 1, .key_id = {profile}};
}

/* An order is completed and followed, and `closed` reported. True: connections are ended. */
static bool close_doors(struct helper_order order, uint32_t closed)
{
    cutting_complete(&world.cutting, &order, &world.config);
    shut_doors(order.key_id[0]);
    return cutting_begin(&world.cutting, &(struct helper_report){.closed = closed});
}

static bool serve(void)
{
    return cutting_serve(&world.cutting, &world.config);
}

/* Whether this is the next door that portsmith-cut is told of. */
static void assert_told(unsigned host, const struct service *service)
{
    const struct address address = address_of(host);
    struct cut_door door;

    assert_int_equal(recv(world.theirs, &door, sizeof door, MSG_DONTWAIT), sizeof door);
    assert_int_equal(door.deed, CUT_KILL);
    assert_true(address_equal(&door.address, &address));
    assert_int_equal(service_compare(&door.service, service), 0);
}

static void assert_told_all(void)
{
    char byte;

    assert_int_equal(recv(world.theirs, &byte, 1, MSG_DONTWAIT), 0);
}

static void say(struct cut_result result)
{
    assert_int_equal(send(world.theirs, &result, sizeof result, 0), sizeof result);
}

static void assert_over(enum cut_trouble trouble, uint32_t closed, uint32_t ended)
{
    assert_true(serve());
    assert_false(cutting_is_busy(&world.cutting));
    assert_int_equal(world.cutting.result.trouble, trouble);
    assert_int_equal(world.cutting.report.closed, closed);
    assert_int_equal(world.cutting.result.ended, ended);
}

/* ---- ending connections ------------------------------------------------- */

static void doors_that_are_meant_are_told_in_order(void **state)
{
    (void)state;
    open_door(1, 300, &ssh);
    open_door(1, 2, &dns);
    open_door(1, 2, &ssh);
    open_door(2, 1, &ssh);
    assert_true(close_doors(kill_order(1), 3));
    assert_true(cutting_is_busy(&world.cutting));
    assert_int_equal(world.news, -1);
    assert_false(serve());
    assert_told(2, &ssh);
    assert_told(2, &dns);
    assert_told(300, &ssh);
    assert_told_all();
    say((struct cut_result){.ended = 7});
    assert_over(CUT_DONE, 3, 7);
    assert_false(close_doors(kill_order(1), 0)); /* there is none left */
    assert_int_equal(world.starts, 1);
}

static void without_kill_none_is_ended(void **state)
{
    struct helper_order order = kill_order(1);

    (void)state;
    open_door(1, 1, &ssh);
    order.kill = 0;
    assert_false(close_doors(order, 1));
    assert_int_equal(world.cutting.report.closed, 1);
    assert_int_equal(world.cutting.result.trouble, CUT_DONE);
    assert_int_equal(world.starts, 0);
}

/* What can be closed is: whatever is live when the helper reads the order. */
static void without_a_table_the_order_means_later_grants_too(void **state)
{
    struct helper_order order = kill_order(1);

    (void)state;
    open_door(1, 1, &ssh);
    order.kill = 0;
    assert_int_equal(unlink("helper/" GRANTTABLE_FILE), 0);
    assert_false(close_doors(order, 1));
    cutting_complete(&world.cutting, &order, &world.config);
    assert_int_equal(order.last_id, UINT32_MAX);
    assert_int_equal(world.cutting.result.trouble, CUT_DONE);
    assert_int_equal(rmdir("helper"), 0);
    order = (struct helper_order){.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ID, .id = 1};
    cutting_complete(&world.cutting, &order, &world.config);
    assert_int_equal(order.last_id, 0);
}

static void without_a_table_kill_tells_that_connections_may_be_left(void **state)
{
    struct error why;

    (void)state;
    open_door(1, 1, &ssh);
    assert_int_equal(unlink("helper/" GRANTTABLE_FILE), 0);
    assert_false(close_doors(kill_order(1), 1));
    assert_int_equal(world.cutting.report.closed, 1);
    assert_int_equal(world.cutting.result.trouble, CUT_UNTABLED);
    assert_true(cutting_explain(&world.cutting.result, &why));
    assert_non_null(strstr(why.text, "portsmithctl reload"));
}

static void one_id_is_one_door(void **state)
{
    struct helper_order order = {.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ID, .kill = 1};

    (void)state;
    open_door(1, 1, &ssh);
    order.id = open_door(1, 2, &ssh);
    cutting_complete(&world.cutting, &order, &world.config);
    assert_int_equal(order.last_id, 0);
    assert_true(cutting_begin(&world.cutting, &(struct helper_report){.closed = 1}));
    assert_false(serve());
    assert_told(2, &ssh);
    assert_told_all();
}

/* One whose batch is on its way is closed, too, as its id says. One of later is not. */
static void what_the_order_closes_is_what_is_ended(void **state)
{
    struct helper_order order = {.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ALL, .kill = 1};
    uint32_t pending;

    (void)state;
    open_door(1, 1, &ssh);
    pending = begin_door(2, 2, &ssh);
    cutting_complete(&world.cutting, &order, &world.config);
    assert_int_equal(order.last_id, pending);
    open_door(3, 3, &ssh);
    assert_true(cutting_begin(&world.cutting, &(struct helper_report){.closed = 2}));
    assert_false(serve());
    assert_told(1, &ssh);
    assert_told(2, &ssh);
    assert_told_all();
}

static void more_doors_than_a_socket_holds_are_all_told(void **state)
{
    struct pollfd fds[CUTTING_FDS];
    unsigned rounds = 0;

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        open_door(1, i, &ssh);
    assert_true(close_doors(kill_order(1), MANY));
    for (unsigned told = 0; told < MANY; rounds++) {
        assert_false(serve());
        cutting_poll(&world.cutting, fds);
        if (rounds == 0)
            assert_int_equal(fds[0].events, POLLIN | POLLOUT);
        for (; told < MANY && is_readable(world.theirs, 0); told++)
            assert_told(told, &ssh);
    }
    assert_true(rounds > 1);
    assert_false(serve());
    assert_told_all();
    cutting_poll(&world.cutting, fds);
    assert_int_equal(fds[0].events, POLLIN);
}

/* ---- grants that are dropped -------------------------------------------- */

/* Another helper serves, which permits a profile no longer. */
static void replace_helper(uint8_t forbidden)
{
    struct error why;

    cutting_note_table(&world.cutting, &world.config);
    helper_grants_free(&world.grants);
    assert_done(helper_grants_create(&world.grants, world.directory, CAPACITY, clock_boot_ns(),
                                     &why), why);
    shut_doors(forbidden);
    cutting_keep_dropped(&world.cutting, &world.config);
}

static void a_dropped_grant_is_ended_once_and_counts(void **state)
{
    (void)state;
    open_door(1, 1, &ssh);
    open_door(2, 2, &ssh);
    open_door(2, 3, &ssh);
    replace_helper(2);
    assert_int_equal(world.cutting.count, 2);
    replace_helper(0);
    assert_true(close_doors(kill_order(2), 0));
    assert_false(serve());
    assert_told(2, &ssh);
    assert_told(3, &ssh);
    assert_told_all();
    say((struct cut_result){.ended = 1});
    assert_over(CUT_DONE, 2, 1);
    assert_false(close_doors(kill_order(2), 0));
    assert_int_equal(world.cutting.report.closed, 0);
}

static void a_dropped_grant_is_forgotten_at_its_end(void **state)
{
    (void)state;
    open_door(2, 2, &ssh);
    replace_helper(2);
    ahead = (int64_t)WINDOW * NSEC_PER_SEC;
    assert_false(close_doors(kill_order(2), 0));
    assert_int_equal(world.cutting.report.closed, 0);
}

static void without_tables_nothing_is_kept(void **state)
{
    (void)state;
    open_door(2, 2, &ssh);
    assert_int_equal(rename("helper/" GRANTTABLE_FILE, "away"), 0);
    cutting_note_table(&world.cutting, &world.config);
    cutting_keep_dropped(&world.cutting, &world.config);
    assert_int_equal(rename("away", "helper/" GRANTTABLE_FILE), 0);
    cutting_note_table(&world.cutting, &world.config);
    assert_int_equal(unlink("helper/" GRANTTABLE_FILE), 0);
    cutting_keep_dropped(&world.cutting, &world.config); /* nobody knows */
    assert_int_equal(world.cutting.count, 0);
}

/* ---- what goes wrong ---------------------------------------------------- */

static void what_could_not_be_ended_is_tried_again(void **state)
{
    (void)state;
    open_door(1, 1, &ssh);
    assert_true(close_doors(kill_order(1), 1));
    assert_false(serve());
    say((struct cut_result){.ended = 1, .trouble = CUT_UNTRACKED, .error = EOPNOTSUPP});
    assert_over(CUT_UNTRACKED, 1, 1);
    world.fails = true;
    assert_false(close_doors(kill_order(1), 0));
    assert_int_equal(world.cutting.result.trouble, CUT_BROKEN);
    world.fails = false;
    assert_true(close_doors(kill_order(1), 0));
    assert_false(serve());
    assert_told(1, &ssh);
    assert_told_all();
    say((struct cut_result){.ended = 1});
    assert_over(CUT_DONE, 0, 1); /* the grant was counted the first time */
}

static void one_that_ends_or_talks_nonsense_has_failed(void **state)
{
    const struct cut_result nonsense = {.trouble = CUT_TROUBLES};

    (void)state;
    for (size_t size = 0; size <= sizeof nonsense; size += 8) {
        open_door(1, 1, &ssh);
        assert_true(close_doors(kill_order(1), 1));
        assert_false(serve());
        if (size == 0)
            assert_int_equal(shutdown(world.theirs, SHUT_RDWR), 0);
        else
            assert_int_equal(send(world.theirs, &nonsense, size, 0), size);
        assert_over(CUT_BROKEN, 1, 0);
    }
}

static void one_that_hangs_is_killed(void **state)
{
    pid_t child;
    int status;

    (void)state;
    open_door(1, 1, &ssh);
    assert_true(close_doors(kill_order(1), 1));
    child = world.cutting.killer.pid;
    assert_false(serve());
    assert_int_equal(cutting_next_end(&world.cutting), world.cutting.killer.until);
    ahead = (int64_t)(CUT_LIFE_SECONDS + 1) * NSEC_PER_SEC;
    assert_over(CUT_BROKEN, 1, 0);
    assert_int_equal(cutting_next_end(&world.cutting), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(cutting_note_end(&world.cutting, child + 1, status));
    assert_true(cutting_note_end(&world.cutting, child, status));
    assert_false(cutting_note_end(&world.cutting, child, status)); /* by now */
}

static void each_trouble_is_put_into_words(void **state)
{
    static const char *const words[] = {
        [CUT_REFUSED] = "did not end 3 of the connections of this host: Invalid",
        [CUT_NO_SOCKETS] = "CONFIG_INET_DIAG_DESTROY): Invalid",
        [CUT_UNTRACKED] = "nf_conntrack_netlink): Invalid",
        [CUT_TOO_MANY] = "too many connections",
        [CUT_BROKEN] = "portsmith-cut did not do its work: Invalid",
    };
    struct error why;

    (void)state;
    assert_false(cutting_explain(&(struct cut_result){.trouble = CUT_DONE}, &why));
    for (uint32_t trouble = CUT_DONE + 1; trouble < CUT_TROUBLES; trouble++) {
        const struct cut_result result = {.trouble = trouble, .error = EINVAL, .left = 3};

        assert_true(cutting_explain(&result, &why));
        assert_non_null(strstr(why.text, words[trouble]));
    }
}

/* Whoever knocks anew keeps portsmith-cut from seeing an end. */
static void doors_that_are_open_again_keep_no_other(void **state)
{
    (void)state;
    open_door(1, 1, &ssh);
    open_door(1, 2, &ssh);
    assert_true(close_doors(kill_order(1), 2));
    assert_false(serve());
    open_door(1, 1, &ssh);
    say((struct cut_result){.ended = 5, .trouble = CUT_TOO_MANY});
    assert_false(serve());
    assert_true(cutting_is_busy(&world.cutting));
    assert_int_equal(world.starts, 2);
    assert_false(serve());
    assert_told(2, &ssh);
    assert_told_all();
    say((struct cut_result){.ended = 1});
    assert_over(CUT_DONE, 2, 6);

    assert_true(close_doors(kill_order(1), 1));
    open_door(1, 1, &ssh);
    say((struct cut_result){.ended = 1, .trouble = CUT_TOO_MANY});
    assert_over(CUT_DONE, 1, 1);

    assert_true(close_doors(kill_order(1), 1)); /* nobody knocks any more */
    say((struct cut_result){.ended = 1, .trouble = CUT_TOO_MANY});
    assert_over(CUT_TOO_MANY, 1, 1);
}

/* ---- the witness's questions -------------------------------------------- */

static void connect_witness(void)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    world.witness = ends[1];
    cutting_answer_to(&world.cutting, ends[0]);
}

static void assert_answered(uint32_t id, uint32_t error)
{
    struct witness_answer answer;

    assert_int_equal(recv(world.witness, &answer, sizeof answer, MSG_DONTWAIT), sizeof answer);
    assert_int_equal(answer.id, id);
    assert_int_equal(answer.error, error);
}

static void ask(uint32_t id)
{
    cutting_ask(&world.cutting, &world.config, world.directory, id);
}

/* A grant that admits two connections. */
static uint32_t open_counted_door(uint8_t profile, unsigned host)
{
    uint32_t id = open_door(profile, host, &ssh);
    struct grant *grant = &world.grants.items[world.grants.count - 1];

    grant->connections = 2;
    grant_seal(grant);
    return id;
}

static void a_question_is_passed_on_and_answered(void **state)
{
    const struct address address = address_of(2);
    uint32_t free, counted;
    struct cut_door door;

    (void)state;
    free = open_door(1, 1, &ssh);
    counted = open_counted_door(1, 2);
    connect_witness();
    ask(free);
    assert_answered(free, ENOENT);
    ask(counted + 1);
    assert_answered(counted + 1, ENOENT);
    assert_int_equal(world.starts, 0);
    ask(counted);
    ask(counted);
    assert_answered(counted, EBUSY);
    assert_int_equal(recv(world.theirs, &door, sizeof door, MSG_DONTWAIT), sizeof door);
    assert_int_equal(door.deed, CUT_ASK);
    assert_int_equal(door.id, counted);
    assert_true(address_equal(&door.address, &address));
    assert_int_equal(world.news, world.directory);
    assert_false(serve());
    assert_true(cutting_next_end(&world.cutting) > clock_boot_ns());
    say((struct cut_result){.trouble = CUT_DONE});
    assert_false(serve());
    assert_answered(counted, 0);
    ask(counted);
    say((struct cut_result){.trouble = CUT_UNTRACKED, .error = ENOBUFS});
    assert_false(serve());
    assert_answered(counted, ENOBUFS);
    ask(counted);
    assert_int_equal(shutdown(world.theirs, SHUT_RDWR), 0);
    assert_false(serve());
    assert_answered(counted, EIO);
    world.fails = true;
    ask(counted);
    assert_answered(counted, EIO);
}

static void a_new_witness_gets_no_answer_to_anothers_question(void **state)
{
    uint32_t id;

    (void)state;
    id = open_counted_door(1, 1);
    connect_witness();
    ask(id);
    close(world.witness);
    connect_witness();
    say((struct cut_result){.trouble = CUT_DONE});
    assert_false(serve());
    assert_false(is_readable(world.witness, 0));
    ask(id);
    say((struct cut_result){.trouble = CUT_DONE});
    assert_false(serve());
    assert_answered(id, 0);
}

static uint32_t error_of_question(uint32_t id)
{
    struct witness_answer answer;
    unsigned starts = world.starts;

    ask(id);
    if (world.starts > starts) {
        say((struct cut_result){.trouble = CUT_DONE});
        assert_false(serve());
    }
    assert_int_equal(recv(world.witness, &answer, sizeof answer, MSG_DONTWAIT), sizeof answer);
    return answer.error;
}

static void a_profile_asks_eight_times_and_then_once_a_second(void **state)
{
    uint32_t one, other;

    (void)state;
    one = open_counted_door(1, 1);
    other = open_counted_door(2, 2);
    connect_witness();
    for (int i = 0; i < 8; i++)
        assert_int_equal(error_of_question(one), 0);
    assert_int_equal(error_of_question(one), EDQUOT);
    assert_int_equal(error_of_question(other), 0);
    ahead += NSEC_PER_SEC;
    assert_int_equal(error_of_question(one), 0);
    assert_int_equal(error_of_question(one), EDQUOT);
    ahead += (int64_t)10 * NSEC_PER_SEC;
    for (int i = 0; i < 8; i++)
        assert_int_equal(error_of_question(one), 0);
    assert_int_equal(error_of_question(one), EDQUOT);
}

static void all_profiles_together_do_not_ask_without_end(void **state)
{
    (void)state;
    connect_witness();
    for (uint8_t i = 0; i < CUTTING_ASKERS; i++)
        assert_int_equal(error_of_question(open_counted_door(i + 1, i)), 0);
    assert_int_equal(error_of_question(open_counted_door(200, 200)), EDQUOT);
    ahead += NSEC_PER_SEC;
    assert_int_equal(error_of_question(open_counted_door(201, 201)), 0);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, start_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(doors_that_are_meant_are_told_in_order),
        IN_WORLD(without_kill_none_is_ended),
        IN_WORLD(without_a_table_the_order_means_later_grants_too),
        IN_WORLD(without_a_table_kill_tells_that_connections_may_be_left),
        IN_WORLD(one_id_is_one_door),
        IN_WORLD(what_the_order_closes_is_what_is_ended),
        IN_WORLD(more_doors_than_a_socket_holds_are_all_told),
        IN_WORLD(a_dropped_grant_is_ended_once_and_counts),
        IN_WORLD(a_dropped_grant_is_forgotten_at_its_end),
        IN_WORLD(without_tables_nothing_is_kept),
        IN_WORLD(what_could_not_be_ended_is_tried_again),
        IN_WORLD(one_that_ends_or_talks_nonsense_has_failed),
        IN_WORLD(one_that_hangs_is_killed),
        cmocka_unit_test(each_trouble_is_put_into_words),
        IN_WORLD(doors_that_are_open_again_keep_no_other),
        IN_WORLD(a_question_is_passed_on_and_answered),
        IN_WORLD(a_new_witness_gets_no_answer_to_anothers_question),
        IN_WORLD(a_profile_asks_eight_times_and_then_once_a_second),
        IN_WORLD(all_profiles_together_do_not_ask_without_end),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
