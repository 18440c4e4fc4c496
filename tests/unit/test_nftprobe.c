/* privsep/prepare/nftprobe on kernels that have all, and as if they lacked something: then what
 * would be in use there is refused before it is asked. */
#include "check.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <sys/prctl.h>

#include "common/clock.h"
#include "netspace.h"
#include "privsep/netlink.h"
#include "privsep/nftables/batch.h"
#include "privsep/nftables/table.h"
#include "privsep/prepare/nftprobe.h"

static struct helper_setup setup;
static struct table_form form;
static struct error why;
static int fd;

/* What the kernel is said to lack: */
static struct {
    const char *expression;
    uint32_t key;      /* of a meta expression, besides; 0: any */
    unsigned message;  /* NFT_MSG_*, which is invalid; 0: all are known */
    bool no_persist;
    int tables;        /* the errno for any table; 0: they can be made */
} lacks;

static bool has_bytes(const struct netwriter *w, const void *bytes, size_t size)
{
    return memmem(w->bytes, w->size, bytes, size);
}

static bool has_u32(const struct netwriter *w, unsigned type, uint32_t value)
{
    const struct {
        struct nlattr head;
        uint32_t value;
    } attribute = {{sizeof attribute, (uint16_t)type}, htonl(value)};

    return has_bytes(w, &attribute, sizeof attribute);
}

/* A header of netlink, but for its size, flags and numbers. */
static bool has_message(const struct netwriter *w, unsigned message)
{
    struct nlmsghdr header;

    for (size_t at = 0; at + sizeof header <= w->size; at += NLMSG_ALIGN(header.nlmsg_len)) {
        memcpy(&header, w->bytes + at, sizeof header);
        if (header.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | message))
            return true;
    }
    return false;
}

static bool has_expression(const struct netwriter *w)
{
    char attribute[32] = {0};
    const uint16_t size = (uint16_t)(sizeof(struct nlattr) + strlen(lacks.expression) + 1);

    memcpy(attribute, &(struct nlattr){size, NFTA_EXPR_NAME}, sizeof(struct nlattr));
    strcpy(attribute + sizeof(struct nlattr), lacks.expression);
    return has_bytes(w, attribute, size) && (!lacks.key || has_u32(w, NFTA_META_KEY, lacks.key));
}

int __real_batch_try(struct netwriter *w, int socket);
int __wrap_batch_try(struct netwriter *w, int socket);

int __wrap_batch_try(struct netwriter *w, int socket)
{
    if (lacks.tables)
        return lacks.tables;
    if (lacks.no_persist && has_u32(w, NFTA_TABLE_FLAGS, TABLE_OWNED))
        return EOPNOTSUPP;
    if (lacks.message && has_message(w, lacks.message))
        return EINVAL;
    if (lacks.expression && has_expression(w))
        return ENOENT;
    return __real_batch_try(w, socket);
}

static int begin(void **state)
{
    (void)state;
    setup = (struct helper_setup){.mode = HELPER_RUN, .max_grants = 50, .shut_count = 2,
                                  .shut = {{IPPROTO_TCP, 22}, {IPPROTO_UDP, 1194}}};
    form = (struct table_form){.counts = false};
    memset(&lacks, 0, sizeof lacks);
    if (netspace_renew() != 0)
        return -1;
    fd = netlink_open(NETLINK_NETFILTER);
    return fd < 0;
}

static int end(void **state)
{
    (void)state;
    return close(fd);
}

static void wish_for_all(void)
{
    setup.sends_on = setup.shut_with_reset = 1;
    setup.accept_mark = 0x100;
    setup.trial_end = clock_boot_ns() + NSEC_PER_SEC;
    form.counts = true;
}

static void probe_is(enum probe_result expected)
{
    assert_result(nftprobe(fd, &setup, &form, &why), expected, why);
}

static void assert_says(const char *text)
{
    if (!strstr(why.text, text))
        fail_msg("it says: %s", why.text);
}

/* ---- a kernel that has all ------------------------------------------------- */

static void everything_works_and_nothing_is_left(void **state)
{
    (void)state;
    wish_for_all();
    probe_is(PROBE_USABLE);
    assert_true(form.is_owned && form.destroys && form.counts);
    assert_false(form.tells_sessions);
    assert_done(nftprobe_sessions(fd, &form, &why), why);
    assert_true(form.tells_sessions);
    run_command("test -z \"$(nft list ruleset)\"");
}

static void the_table_that_is_ours_already_is_no_obstacle(void **state)
{
    struct netwriter w = {0};

    (void)state;
    form.is_owned = true;
    batch_begin(&w);
    table_write(&w, &setup, &form);
    assert_int_equal(batch_send(&w, fd), 0);
    probe_is(PROBE_USABLE);
    run_command("nft list table inet portsmith | grep -q grants4");
    free(w.bytes);
}

/* Nobody owns it. */
static void a_table_that_was_left_is_no_obstacle(void **state)
{
    (void)state;
    run_command("nft add table inet portsmith");
    probe_is(PROBE_USABLE);
    assert_true(form.is_owned);
}

/* ---- a table that is somebody else's ---------------------------------------- */

static int another_owner(void)
{
    int other = netlink_open(NETLINK_NETFILTER);
    struct netwriter w = {0};

    form.is_owned = true;
    batch_begin(&w);
    table_write(&w, &setup, &form);
    assert_int_equal(batch_send(&w, other), 0);
    free(w.bytes);
    return other;
}

/* The first such socket of a process has its number; here that is one of a child. */
static pid_t start_owner(const char *name)
{
    int ready[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        FILE *comm = fopen("/proc/self/comm", "w");

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a case fails */
        fputs(name, comm);
        fclose(comm);
        another_owner();
        if (write(ready[1], "", 1) == 1)
            pause();
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void end_owner(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void another_owner_is_named(void **state)
{
    char expected[100];
    pid_t child = start_owner("thief");

    (void)state;
    probe_is(PROBE_UNUSABLE);
    snprintf(expected, sizeof expected,
             "the nftables table inet portsmith belongs to thief (process %d)", child);
    assert_says(expected);
    setup.mode = HELPER_PROBE;
    probe_is(PROBE_UNUSABLE);
    end_owner(child);
}

/* The second such socket of a process has no number that tells whose it is. */
static void an_owner_without_a_name_is_told_of(void **state)
{
    int other = another_owner();

    (void)state;
    probe_is(PROBE_UNUSABLE);
    assert_says("belongs to a process that cannot be named");
    close(other);
}

static void while_a_portsmithd_serves_a_configuration_can_be_tried(void **state)
{
    pid_t child = start_owner("portsmithd");

    (void)state;
    probe_is(PROBE_UNUSABLE);
    setup.mode = HELPER_PROBE;
    wish_for_all();
    probe_is(PROBE_USABLE);
    lacks.expression = "nat";
    probe_is(PROBE_UNUSABLE);
    assert_says("nft_nat");
    end_owner(child);
}

/* ---- a kernel that lacks something ------------------------------------------ */

static void without_tables_the_kernel_is_named(void **state)
{
    (void)state;
    lacks.tables = EOPNOTSUPP;
    probe_is(PROBE_UNUSABLE);
    assert_says("CONFIG_NF_TABLES_INET");
    lacks.tables = 0;
    assert_result(nftprobe(STDIN_FILENO, &setup, &form, &why), PROBE_UNUSABLE, why);
    assert_says("(Protocol not supported)");
}

static void without_the_capability_it_is_named(void **state)
{
    (void)state;
    lacks.tables = EPERM;
    probe_is(PROBE_UNUSABLE);
    assert_says("CAP_NET_ADMIN");
}

static void without_persist_nobody_owns_the_table(void **state)
{
    (void)state;
    lacks.no_persist = true;
    probe_is(PROBE_USABLE);
    assert_true(!form.is_owned && form.destroys);
}

static void without_destroy_that_is_known(void **state)
{
    (void)state;
    lacks.message = 30;
    probe_is(PROBE_USABLE);
    assert_true(form.is_owned && !form.destroys);
}

static void a_missing_expression_is_named(void **state)
{
    static const struct {
        const char *expression;
        uint32_t key;
        const char *says;
    } cases[] = {
        {"ct", 0, "the ct expression does not work in this kernel's nf_tables (No such file or "
                  "directory): load or install the module nft_ct (CONFIG_NFT_CT)"},
        {"fib", 0, "CONFIG_NFT_FIB_INET"},
        {"limit", 0, "CONFIG_NFT_LIMIT"},
        {"reject", 0, "CONFIG_NFT_REJECT_INET"},
        {"nat", 0, "CONFIG_NFT_NAT"},
        {"meta", NFT_META_IIFKIND, "the key iifkind of the meta expression"},
        {"meta", NFT_META_TIME_NS, "without which a trial could not end by itself"},
        {"byteorder", 0, "without which a trial could not end by itself"},
        {"lookup", 0, "this kernel does not take the nftables table inet portsmith (No such file"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        wish_for_all();
        lacks.expression = cases[i].expression;
        lacks.key = cases[i].key;
        probe_is(PROBE_UNUSABLE);
        assert_says(cases[i].says);
    }
}

static void what_is_not_in_use_may_be_missing(void **state)
{
    static const char *const names[] = {"limit", "reject", "nat", "byteorder"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        lacks.expression = names[i];
        probe_is(PROBE_USABLE);
    }
}

static void sessions_may_not_be_told(void **state)
{
    (void)state;
    probe_is(PROBE_USABLE);
    lacks.expression = "meta";
    lacks.key = NFT_META_CGROUP;
    assert_false(nftprobe_sessions(fd, &form, &why));
    assert_says("CONFIG_CGROUP_NET_CLASSID");
    lacks.key = NFT_META_SECPATH;
    assert_false(nftprobe_sessions(fd, &form, &why));
    assert_says("CONFIG_XFRM");
    assert_false(form.tells_sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_works_and_nothing_is_left, begin, end),
        cmocka_unit_test_setup_teardown(the_table_that_is_ours_already_is_no_obstacle, begin, end),
        cmocka_unit_test_setup_teardown(a_table_that_was_left_is_no_obstacle, begin, end),
        cmocka_unit_test_setup_teardown(another_owner_is_named, begin, end),
        cmocka_unit_test_setup_teardown(an_owner_without_a_name_is_told_of, begin, end),
        cmocka_unit_test_setup_teardown(while_a_portsmithd_serves_a_configuration_can_be_tried,
                                        begin, end),
        cmocka_unit_test_setup_teardown(without_tables_the_kernel_is_named, begin, end),
        cmocka_unit_test_setup_teardown(without_the_capability_it_is_named, begin, end),
        cmocka_unit_test_setup_teardown(without_persist_nobody_owns_the_table, begin, end),
        cmocka_unit_test_setup_teardown(without_destroy_that_is_known, begin, end),
        cmocka_unit_test_setup_teardown(a_missing_expression_is_named, begin, end),
        cmocka_unit_test_setup_teardown(what_is_not_in_use_may_be_missing, begin, end),
        cmocka_unit_test_setup_teardown(sessions_may_not_be_told, begin, end),
    };

    return cmocka_run_group_tests(tests, netspace_enter, scratch_leave);
}
