#include "check.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include "bell.h"
#include "netspace.h"

static struct error why;
static int bell;

static int open_bell(void **state)
{
    (void)state;
    bell = helper_bell_open(&why);
    return bell >= 0 ? 0 : -1;
}

static int close_bell(void **state)
{
    (void)state;
    return close(bell);
}

static void a_foreign_change_rings_once(void **state)
{
    (void)state;
    assert_false(helper_bell_rang(bell, NULL, 0));
    run_command("nft add table inet somebody");
    assert_true(is_readable(bell, 0));
    assert_true(helper_bell_rang(bell, NULL, 0));
    assert_false(helper_bell_rang(bell, NULL, 0));
    run_command("nft delete table inet somebody");
    assert_true(helper_bell_rang(bell, NULL, 0));
}

/* One that is not there any more; its number is what counts. */
static pid_t change_something(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        execlp("iptables-nft", "iptables-nft", "-I", "INPUT", "-j", "ACCEPT", (char *)NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return child;
}

static void own_changes_do_not_ring(void **state)
{
    pid_t own[2] = {0, change_something()};

    (void)state;
    assert_true(is_readable(bell, 0));
    assert_false(helper_bell_rang(bell, own, COUNT_OF(own)));
    own[1] = change_something();
    run_command("nft add table inet somebody && nft delete table inet somebody");
    assert_true(helper_bell_rang(bell, own, COUNT_OF(own))); /* not ours alone */
}

static void lost_changes_ring(void **state)
{
    int little = 1;
    pid_t own;

    (void)state;
    assert_int_equal(setsockopt(bell, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
    run_command("for i in $(seq 200); do echo add table inet t$i; done | nft -f -");
    own = change_something();
    assert_true(helper_bell_rang(bell, &own, 1));
    assert_false(helper_bell_rang(bell, &own, 1));
}

static void what_is_no_message_rings(void **state)
{
    struct nlmsghdr message = {.nlmsg_len = sizeof message, .nlmsg_pid = 7};
    const pid_t own = 7;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(send(ends[1], &message, sizeof message, 0), sizeof message);
    assert_false(helper_bell_rang(ends[0], &own, 1));
    for (uint32_t length = 0; length < 2 * sizeof message; length++) {
        message.nlmsg_len = length;
        assert_int_equal(send(ends[1], &message, sizeof message, 0), sizeof message);
        assert_int_equal(helper_bell_rang(ends[0], &own, 1), length != sizeof message);
    }
    close(ends[0]);
    close(ends[1]);
}

static void without_the_capability_there_is_no_bell(void **state)
{
    (void)state;
    assert_int_equal(seteuid(65534), 0);
    assert_int_equal(helper_bell_open(&why), -1);
    assert_int_equal(seteuid(0), 0);
    assert_non_null(strstr(why.text, "cannot listen for nftables changes"));
}

#define WITH_BELL(test) cmocka_unit_test_setup_teardown(test, open_bell, close_bell)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BELL(a_foreign_change_rings_once),
        WITH_BELL(own_changes_do_not_ring),
        WITH_BELL(lost_changes_ring),
        cmocka_unit_test(what_is_no_message_rings),
        cmocka_unit_test(without_the_capability_there_is_no_bell),
    };

    return cmocka_run_group_tests_name("bell", tests, netspace_enter, scratch_leave);
}
