#include "check.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "netspace.h"
#include "privsep/xtables/bell.h"

static struct error why;
static int bell;
static struct bell_ringer ringer;

static int open_bell(void **state)
{
    (void)state;
    bell = bell_open(&why);
    ringer = (struct bell_ringer){.pid = 0};
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
    assert_false(bell_rang(bell, NULL, 0, &ringer));
    run_command("nft add table inet somebody");
    assert_true(is_readable(bell, 0));
    assert_true(bell_rang(bell, NULL, 0, &ringer));
    assert_false(bell_rang(bell, NULL, 0, &ringer));
    run_command("nft delete table inet somebody");
    assert_true(bell_rang(bell, NULL, 0, &ringer));
}

/* The process that changed something; it is gone by now, its number is what counts. */
static uint32_t change(const char *ruleset)
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
    return (uint32_t)child;
}

static void own_changes_do_not_ring(void **state)
{
    uint32_t own[2] = {0, change("add table inet ours\n")};

    (void)state;
    assert_true(is_readable(bell, 0));
    assert_false(bell_rang(bell, own, COUNT_OF(own), &ringer));
    own[1] = change("delete table inet ours\n");
    run_command("nft add table inet somebody && nft delete table inet somebody");
    assert_true(bell_rang(bell, own, COUNT_OF(own), &ringer)); /* not ours alone */
}

/* As when a thousand grants are written anew: what is told of it must not be too much. */
static void nor_does_a_large_change_of_our_own(void **state)
{
    enum { RULES = 4000, LINE = 120 };
    char *ruleset = calloc(RULES, LINE);
    size_t used = 0;
    uint32_t own;

    (void)state;
    used += (size_t)sprintf(ruleset, "add table inet ours\nadd chain inet ours grants\n");
    for (int i = 0; i < RULES; i++)
        used += (size_t)sprintf(ruleset + used, "add rule inet ours grants ip saddr 10.0.%d.%d "
                                "tcp dport 22 ct state new meta l4proto tcp accept\n",
                                i / 256, i % 256);
    own = change(ruleset);
    assert_false(bell_rang(bell, &own, 1, &ringer));
    own = change("delete table inet ours\n");
    assert_false(bell_rang(bell, &own, 1, &ringer));
    free(ruleset);
}

static void whoever_rang_last_is_named(void **state)
{
    uint32_t own = change("add table inet ours\n");

    (void)state;
    assert_false(bell_rang(bell, &own, 1, &ringer));
    assert_int_equal(ringer.pid, 0); /* we are not who is asked for */
    change("add table inet somebody\n");
    own = change("delete table inet ours\n");
    assert_true(bell_rang(bell, &own, 1, &ringer));
    assert_int_not_equal(ringer.pid, 0);
    assert_string_equal(ringer.name, "nft");
    run_command("iptables-nft -t mangle -N somebody");
    assert_true(bell_rang(bell, &own, 1, &ringer));
    assert_string_equal(ringer.name, "iptables-nft");
    run_command("iptables-nft -t mangle -X somebody; nft delete table inet somebody");
    assert_true(bell_rang(bell, NULL, 0, &ringer));
}

/* Ours all of them; but what was lost may have been anybody's. */
static void lost_changes_ring(void **state)
{
    enum { TABLES = 200 };
    char ruleset[TABLES * 40] = "";
    int little = 1;
    size_t used = 0;
    uint32_t own;

    (void)state;
    for (int i = 0; i < TABLES; i++)
        used += (size_t)snprintf(ruleset + used, sizeof ruleset - used, "add table inet t%d\n", i);
    assert_int_equal(setsockopt(bell, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
    own = change(ruleset);
    ringer.pid = 7; /* who rang before has nothing to do with it */
    assert_true(bell_rang(bell, &own, 1, &ringer));
    assert_int_equal(ringer.pid, 0);
    assert_false(bell_rang(bell, &own, 1, &ringer));
}

static void what_is_no_message_rings(void **state)
{
    struct nlmsghdr message = {.nlmsg_len = sizeof message, .nlmsg_pid = 7};
    const uint32_t own = 7;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(send(ends[1], &message, sizeof message, 0), sizeof message);
    assert_false(bell_rang(ends[0], &own, 1, &ringer));
    for (uint32_t length = 0; length < 2 * sizeof message; length++) {
        message.nlmsg_len = length;
        assert_int_equal(send(ends[1], &message, sizeof message, 0), sizeof message);
        assert_int_equal(bell_rang(ends[0], &own, 1, &ringer), length != sizeof message);
    }
    close(ends[0]);
    close(ends[1]);
}

static void put(uint8_t **to, const void *bytes, size_t size)
{
    memcpy(*to, bytes, size);
    *to += size;
}

/* What the kernel says at the end of a transaction (nf_tables_fill_gen_info), with a name
 * that a process has given itself and that fills its attribute to the last byte. */
static size_t write_generation(uint8_t *message, const char *name, size_t length)
{
    const struct nfgenmsg family = {.nfgen_family = AF_UNSPEC};
    const struct nlattr pid_header = {.nla_len = sizeof(struct nlattr) + 4,
                                      .nla_type = NFTA_GEN_PROC_PID};
    const struct nlattr name_header = {.nla_len = (uint16_t)(sizeof(struct nlattr) + length),
                                       .nla_type = NFTA_GEN_PROC_NAME};
    struct nlmsghdr header = {.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN,
                              .nlmsg_pid = 8};
    const uint32_t pid = htonl(4711);
    uint8_t *to = message + sizeof header;

    put(&to, &family, sizeof family);
    put(&to, &pid_header, sizeof pid_header);
    put(&to, &pid, sizeof pid);
    put(&to, &name_header, sizeof name_header);
    put(&to, name, length);
    header.nlmsg_len = (uint32_t)(to - message);
    memcpy(message, &header, sizeof header);
    return header.nlmsg_len;
}

static void a_name_cannot_write_the_log(void **state)
{
    static const struct {
        const char *name, *told;
        size_t length;
    } names[] = {
        {"nft", "nft", 4},
        {"a b\n<3>c\x1b", "a?b?<3>c?", 10},
        {"fifteen-letters", "fifteen-letters", 16},
        {"without-an-end-and-far-too-long", "without-an-end-", 31},
        {"", "", 0},
    };
    uint8_t message[256];
    const uint32_t own = 7;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        size_t size = write_generation(message, names[i].name, names[i].length);

        assert_int_equal(send(ends[1], message, size, 0), size);
        assert_true(bell_rang(ends[0], &own, 1, &ringer));
        assert_int_equal(ringer.pid, 4711);
        assert_string_equal(ringer.name, names[i].told);
    }
    close(ends[0]);
    close(ends[1]);
}

/* Each byte of it may say anything, and each length of it may come. */
static void a_bent_message_rings_and_no_more(void **state)
{
    uint8_t message[256], bent[256];
    size_t size = write_generation(message, "nft", 4);
    const uint32_t own = 7;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
    for (size_t at = 0; at < size; at++)
        for (int value = 0; value < 256; value++) {
            memcpy(bent, message, size);
            bent[at] = (uint8_t)value;
            assert_int_equal(send(ends[1], bent, size, 0), size);
            assert_int_equal(send(ends[1], message, at, 0), at);
            bell_rang(ends[0], &own, 1, &ringer);
            assert_true(strlen(ringer.name) < BELL_NAME_SIZE);
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
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 || bell_open(&why) < 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void without_the_capability_there_is_no_bell(void **state)
{
    (void)state;
    assert_int_equal(seteuid(65534), 0);
    assert_int_equal(bell_open(&why), -1);
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
        WITH_BELL(whoever_rang_last_is_named),
        WITH_BELL(lost_changes_ring),
        cmocka_unit_test(a_name_cannot_write_the_log),
        cmocka_unit_test(a_bent_message_rings_and_no_more),
        cmocka_unit_test(what_is_no_message_rings),
        cmocka_unit_test(in_a_user_namespace_there_is_a_bell),
        cmocka_unit_test(without_the_capability_there_is_no_bell),
    };

    return cmocka_run_group_tests_name("bell", tests, netspace_enter, scratch_leave);
}
