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

/* The process that changed something; it is gone by now, its number is what counts. */
static pid_t change(const char *ruleset)
{
    int status;
    pid_t child;

    scratch_write_text("ruleset", 0600, ruleset);
    child = fork();
    if (child == 0) {
        execlp("nft", "nft", "-f", "ruleset", (char *)NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return child;
}

static void own_changes_do_not_ring(void **state)
{
    pid_t own[2] = {0, change("add table inet ours\n")};

    (void)state;
    assert_true(is_readable(bell, 0));
    assert_false(helper_bell_rang(bell, own, COUNT_OF(own)));
    own[1] = change("delete table inet ours\n");
    run_command("nft add table inet somebody && nft delete table inet somebody");
    assert_true(helper_bell_rang(bell, own, COUNT_OF(own))); /* not ours alone */
}

/* As when a thousand grants are written anew: what is told of it must not be too much. */
static void nor_does_a_large_change_of_our_own(void **state)
{
    enum { RULES = 4000, LINE = 120 };
    char *ruleset = calloc(RULES, LINE);
    size_t used = 0;
    pid_t own;

    (void)state;
    used += (size_t)sprintf(ruleset, "add table inet ours\nadd chain inet ours grants\n");
    for (int i = 0; i < RULES; i++)
        used += (size_t)sprintf(ruleset + used, "add rule inet ours grants ip saddr 10.0.%d.%d "
                                "tcp dport 22 ct state new meta l4proto tcp accept\n",
                                i / 256, i % 256);
    own = change(ruleset);
    assert_false(helper_bell_rang(bell, &own, 1));
    own = change("delete table inet ours\n");
    assert_false(helper_bell_rang(bell, &own, 1));
    free(ruleset);
}

/* Ours all of them; but what was lost may have been anybody's. */
static void lost_changes_ring(void **state)
{
    enum { TABLES = 200 };
    char ruleset[TABLES * 40] = "";
    int little = 1;
    size_t used = 0;
    pid_t own;

    (void)state;
    for (int i = 0; i < TABLES; i++)
        used += (size_t)snprintf(ruleset + used, sizeof ruleset - used, "add table inet t%d\n", i);
    assert_int_equal(setsockopt(bell, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
    own = change(ruleset);
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

/* As in a container without privileges, where no socket gets more room than others. */
static void in_a_user_namespace_there_is_a_bell(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 || helper_bell_open(&why) < 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
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
        WITH_BELL(nor_does_a_large_change_of_our_own),
        WITH_BELL(lost_changes_ring),
        cmocka_unit_test(what_is_no_message_rings),
        cmocka_unit_test(in_a_user_namespace_there_is_a_bell),
        cmocka_unit_test(without_the_capability_there_is_no_bell),
    };

    return cmocka_run_group_tests_name("bell", tests, netspace_enter, scratch_leave);
}
