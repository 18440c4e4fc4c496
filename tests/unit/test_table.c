/* The table of nf_tables, as the kernel takes it and nft(8) prints it. */
#include "check.h"

#include <netinet/in.h>

#include "netspace.h"
#include "privsep/netlink.h"
#include "privsep/nftables/batch.h"
#include "privsep/prepare/table.h"

static struct helper_setup setup;
static struct table_means means;
static struct netwriter w;
static int owner;

static int begin(void **state)
{
    (void)state;
    setup = (struct helper_setup){.max_grants = 50, .close_count = 2,
                                  .close = {{IPPROTO_TCP, 22}, {IPPROTO_UDP, 1194}}};
    means = (struct table_means){.is_owned = true, .has_destroy = true, .tells_sessions = true};
    if (netspace_renew() != 0)
        return -1;
    owner = netlink_open(NETLINK_NETFILTER);
    return owner < 0;
}

static int end(void **state)
{
    (void)state;
    return close(owner);
}

static int make(void)
{
    batch_begin(&w);
    table_write(&w, &setup, &means);
    return batch_send(&w, owner);
}

static void simple(void **state)
{
    (void)state;
    assert_int_equal(make(), 0);
    run_command("nft list table inet portsmith");
    setup.sends_on = 1;
    setup.accept_mark = 0x100;
    setup.close_with_reset = 1;
    assert_int_equal(make(), 0);
    run_command("nft list table inet portsmith");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(simple, begin, end),
    };

    return cmocka_run_group_tests(tests, netspace_enter, scratch_leave);
}
