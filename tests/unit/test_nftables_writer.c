/* privsep/helper/nftables and elements, nftables/element and glance: what the kernel's table holds,
 * as nft(8) shows it. */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "netspace.h"
#include "people.h"
#include "privsep/helper/elements.h"
#include "privsep/helper/firewall.h"
#include "privsep/netlink.h"
#include "privsep/nftables/batch.h"
#include "privsep/nftables/tablewriter.h"
#include "privsep/prepare/budgets.h"
#include "privsep/prepare/table.h"
#include "privsep/prepare/takeover.h"
#include "table.h"

enum { CAPACITY = MAX_GRANTS_MOST, MINUTE = 60000 };

static const uint8_t alice[KEY_ID_SIZE] = {0xa1}, bob[KEY_ID_SIZE] = {0xb0};
static struct table_form form;
static struct grants grants;
static struct firewall *fw;
static struct error why;

/* ---- before and after --------------------------------------------------- */

/* A plan as far as the writer reads it, with the messages behind it. */
static const struct plan *make_plan(void)
{
    static struct netwriter w;
    static uint8_t bytes[65536];
    const struct helper_setup setup = {.max_grants = CAPACITY, .shut_count = 1, .sends_on = 1,
                                       .shut = {service_of("tcp/22")}, .accept_mark = 0x100};
    struct plan *plan = (struct plan *)(void *)bytes;
    size_t head, over, over_head;

    memset(plan, 0, sizeof *plan);
    plan->backend = BACKEND_NFTABLES;
    plan->max_grants = CAPACITY;
    batch_begin(&w);
    head = w.size;
    over_head = table_write(&w, &setup, &form);
    over = w.size;
    if (form.is_owned)
        table_write_over(&w, &setup);
    plan->table = (struct plan_table){
        .messages = {sizeof *plan, (uint32_t)(over - head)},
        .over = {(uint32_t)(sizeof *plan + over - head), (uint32_t)(w.size - over)},
        .over_head = (uint32_t)over_head, .owned = form.is_owned,
        .destroys = form.destroys, .sends_on = 1};
    plan->counts = form.counts;
    assert_true(sizeof *plan + w.size - head <= sizeof bytes);
    memcpy(bytes + sizeof *plan, w.bytes + head, w.size - head);
    plan->size = (uint32_t)(sizeof *plan + w.size - head);
    return plan;
}

static int open_socket(void)
{
    int fd = netlink_open(NETLINK_NETFILTER);

    if (fd != HELPER_FD_TABLE) {
        dup3(fd, HELPER_FD_TABLE, O_CLOEXEC);
        close(fd);
    }
    return fd < 0 ? -1 : 0;
}

/* The table is made as by portsmith-prepare. */
static int open_firewall(bool is_owned, bool has_destroy)
{
    form = (struct table_form){.is_owned = is_owned, .destroys = has_destroy, .counts = true,
                                .tells_sessions = true};
    if (netspace_renew() != 0 || open_socket() != 0)
        return -1;
    unlink(GRANTTABLE_FILE);
    if (!helper_grants_create(&grants, AT_FDCWD, CAPACITY, clock_boot_ns(), &why))
        return -1;
    fw = helper_firewall_open(make_plan());
    helper_firewall_begin(fw, grants.table);
    if (helper_firewall_clear(fw, &grants, &why))
        return 0;
    fprintf(stderr, "%s\n", why.text);
    return -1;
}

static int begin_owned(void **state)
{
    (void)state;
    return open_firewall(true, true);
}

static int begin_plain(void **state)
{
    (void)state;
    return open_firewall(false, true);
}

static int begin_old(void **state)
{
    (void)state;
    return open_firewall(false, false);
}

static int end(void **state)
{
    (void)state;
    helper_firewall_close(fw);
    helper_grants_free(&grants);
    return close(HELPER_FD_TABLE);
}

/* ---- what is done, and what is there ------------------------------------- */

static struct grant *open_for(const uint8_t key_id[static KEY_ID_SIZE], const char *address,
                              const char *service, int64_t milliseconds)
{
    struct address a = address_of(address);
    struct service s = service_of(service);

    assert_true(grants.count < grants.capacity);
    return table_open(&grants, key_id, &a, &s,
                      clock_boot_ns() + milliseconds * (int64_t)NSEC_PER_MSEC);
}

/* It admits so many connections. */
static void count_for(const uint8_t key_id[static KEY_ID_SIZE], const char *address,
                      const char *service, uint32_t connections)
{
    struct grant *grant = open_for(key_id, address, service, MINUTE);

    grant->connections = connections;
    grant_seal(grant);
}

static void send_for(const uint8_t key_id[static KEY_ID_SIZE], const char *address,
                     const char *service, const char *destination, int64_t milliseconds)
{
    struct grant *grant = open_for(key_id, address, service, milliseconds);

    grant->destination = address_of(destination);
    grant->destination_port = 8022;
    grant_seal(grant);
}

static void close_for(const uint8_t key_id[static KEY_ID_SIZE], const char *address,
                      const char *service)
{
    struct address a = address_of(address);
    struct service s = service_of(service);

    assert_true(table_close(&grants, key_id, &a, &s));
}

static void change(void)
{
    assert_done(helper_firewall_change(fw, &grants, &why), why);
}

/* The elements of a set, sorted, a line each, without the time that they have left. Short key ids
 * are cut to two digits. */
static void check_elements(const char *set, const char *expected)
{
    char *elements = output_of(
        "nft list set inet portsmith %s 2>/dev/null || nft list map inet portsmith %s;", set, set);
    char *lines;

    free(elements);
    lines = output_of("(nft list set inet portsmith %s 2>/dev/null || "
                      "nft list map inet portsmith %s) | tr '\\n' ' ' | "
                      "sed -n 's/.*elements = { *//p' | tr ',' '\\n' | sed 's/[ \\t}]*$//; "
                      "s/^[ \\t]*//; s/ timeout [^ ]* expires [^ ]*//; s/00000000000000//' | sort",
                      set, set);
    assert_string_equal(lines, expected);
    free(lines);
}

/* The seconds that the one element of a set has left, rounded. */
static int seconds_left(const char *set)
{
    char *text = output_of("nft -j list ruleset | python3 -c 'import json, sys\n"
                           "for o in json.load(sys.stdin)[\"nftables\"]:\n"
                           "    s = o.get(\"set\") or o.get(\"map\")\n"
                           "    if s and s[\"name\"] == \"%s\":\n"
                           "        e = s[\"elem\"][0]\n"
                           "        print((e[0] if isinstance(e, list) else e)[\"elem\"]"
                           "[\"expires\"])'", set);
    int seconds = atoi(text);

    free(text);
    return seconds;
}

static int count_elements(const char *set)
{
    char *text = output_of("nft list set inet portsmith %s | grep -o ' expires ' | wc -l", set);
    int count = atoi(text);

    free(text);
    return count;
}

/* ---- tests -------------------------------------------------------------- */

static void a_grant_is_an_element(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    open_for(bob, "2001:db8::7", "udp/53", MINUTE);
    change();
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
    check_elements("grants6", "2001:db8::7 . udp . 53 comment \"b0\"\n");
    check_elements("counted4", "");
    check_elements("sending4", "");
    close_for(alice, "192.0.2.7", "tcp/22");
    change();
    check_elements("grants4", "");
    check_elements("grants6", "2001:db8::7 . udp . 53 comment \"b0\"\n");
    assert_int_equal(grants.gone_count, 0);
}

static void the_kernel_ends_it(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 3000);
    open_for(alice, "192.0.2.8", "tcp/22", 10 * MINUTE);
    change();
    assert_int_equal(count_elements("grants4"), 2);
    while (clock_boot_ns() < grants.items[0].deadline)
        poll(NULL, 0, 10);
    check_elements("grants4", "192.0.2.8 . tcp . 22 comment \"a1\"\n");
}

/* To less than a tick of the kernel's clock some kernels give no timeout at all. */
static void what_ends_at_once_is_no_element(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++)
        open_for(alice, "192.0.2.7", "tcp/22", i)->key_id[1] = (uint8_t)i;
    change();
    check_elements("grants4", "");
}

static void an_extended_one_lasts_longer(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    change();
    assert_in_range(seconds_left("grants4"), 30, 60);
    open_for(alice, "192.0.2.7", "tcp/22", 10 * MINUTE);
    change();
    assert_in_range(seconds_left("grants4"), 300, 600);
}

/* A newer grant stays as it is, and so does everything where nothing was changed. */
static void what_has_not_changed_stays(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    open_for(bob, "2001:db8::7", "tcp/22", MINUTE);
    change();
    run_command("nft delete element inet portsmith grants6 '{ 2001:db8::7 . tcp . 22 }'");
    open_for(alice, "192.0.2.7", "tcp/22", 10 * MINUTE);
    change();
    assert_in_range(seconds_left("grants4"), 300, 600);
    run_command("nft delete element inet portsmith grants4 '{ 192.0.2.7 . tcp . 22 }'");
    change();
    check_elements("grants4", "");
    check_elements("grants6", "");
}

static void the_last_of_two_grants_counts(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 10 * MINUTE);
    open_for(bob, "192.0.2.7", "tcp/22", MINUTE);
    change();
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
    assert_in_range(seconds_left("grants4"), 300, 600);
    close_for(alice, "192.0.2.7", "tcp/22");
    change();
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"b0\"\n");
    assert_in_range(seconds_left("grants4"), 1, 60);
    close_for(bob, "192.0.2.7", "tcp/22");
    change();
    check_elements("grants4", "");
}

static void connections_are_a_budget(void **state)
{
    (void)state;
    count_for(alice, "192.0.2.7", "tcp/22", 2);
    count_for(bob, "2001:db8::7", "tcp/22", 1);
    change();
    check_elements("counted4", "192.0.2.7 . tcp . 22 limit rate 1/week burst 6 packets "
                               "counter packets 0 bytes 0 comment \"a1\"\n");
    check_elements("counted6", "2001:db8::7 . tcp . 22 limit rate 1/week burst 3 packets "
                               "counter packets 0 bytes 0 comment \"b0\"\n");
    check_elements("grants4", "");
    count_for(bob, "192.0.2.7", "tcp/22", 1); /* of both together */
    change();
    check_elements("counted4", "192.0.2.7 . tcp . 22 limit rate 1/week burst 9 packets "
                               "counter packets 0 bytes 0 comment \"b0\"\n");
    close_for(alice, "192.0.2.7", "tcp/22");
    change();
    check_elements("counted4", "192.0.2.7 . tcp . 22 limit rate 1/week burst 3 packets "
                               "counter packets 0 bytes 0 comment \"b0\"\n");
    close_for(bob, "192.0.2.7", "tcp/22");
    change();
    check_elements("counted4", "");
}

/* As if packets had come. */
static void spend(const char *element, const char *budget)
{
    run_command("nft delete element inet portsmith %s }", element);
    run_command("nft add element inet portsmith %s %s timeout 1h }", element, budget);
}

/* As portsmith-prepare makes it anew at a reload. */
static void make_anew(void)
{
    struct elements e;

    elements_open(&e, HELPER_FD_TABLE, make_plan());
    e.find_left = budgets_left;
    budgets_note(&grants);
    assert_int_equal(elements_establish(&e, &grants), 0);
    free(e.batch.bytes);
}

static void what_was_spent_stays_spent(void **state)
{
    (void)state;
    count_for(alice, "192.0.2.7", "tcp/22", 2);
    count_for(alice, "192.0.2.8", "tcp/22", 2);
    count_for(alice, "2001:db8::7", "udp/53", 1);
    count_for(bob, "2001:db8::8", "udp/53", 1);
    change();
    spend("counted4 { 192.0.2.7 . tcp . 22",
          "limit rate 1/week burst 6 packets counter packets 4 bytes 9");
    spend("counted6 { 2001:db8::7 . udp . 53",
          "limit rate 1/week burst 3 packets counter packets 3 bytes 9");
    run_command("nft delete element inet portsmith counted6 { 2001:db8::8 . udp . 53 }");
    for (int i = 0; i < 2; i++) {
        make_anew();
        check_elements("counted4", "192.0.2.7 . tcp . 22 limit rate 1/week burst 2 packets "
                                   "counter packets 0 bytes 0 comment \"a1\"\n"
                                   "192.0.2.8 . tcp . 22 limit rate 1/week burst 6 packets "
                                   "counter packets 0 bytes 0 comment \"a1\"\n");
        check_elements("counted6", "2001:db8::7 . udp . 53 limit rate over 1000000000/second burst "
                                   "3 packets counter packets 0 bytes 0 comment \"a1\"\n"
                                   "2001:db8::8 . udp . 53 limit rate 1/week burst 3 packets "
                                   "counter packets 0 bytes 0 comment \"b0\"\n");
    }
    run_command("nft flush ruleset");
    make_anew();
    check_elements("counted4", "192.0.2.7 . tcp . 22 limit rate 1/week burst 6 packets "
                               "counter packets 0 bytes 0 comment \"a1\"\n"
                               "192.0.2.8 . tcp . 22 limit rate 1/week burst 6 packets "
                               "counter packets 0 bytes 0 comment \"a1\"\n");
}

/* Any number of grants fits. */
static void a_budget_has_an_end(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        uint8_t key_id[KEY_ID_SIZE] = {1, (uint8_t)(i >> 8), (uint8_t)i};

        count_for(key_id, "192.0.2.7", "tcp/22", CONNECTIONS_MAX);
    }
    change();
    check_elements("grants4", "");
    assert_in_range(seconds_left("counted4"), 30, 60);
}

static void a_grant_is_sent_on(void **state)
{
    (void)state;
    send_for(alice, "192.0.2.7", "tcp/22", "198.51.100.1", MINUTE);
    send_for(alice, "2001:db8::7", "tcp/22", "2001:db8::99", MINUTE);
    change();
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
    check_elements("sending4", "192.0.2.7 . tcp . 22 comment \"a1\" : 198.51.100.1 . 8022\n");
    check_elements("sending6", "2001:db8::7 . tcp . 22 comment \"a1\" : 2001:db8::99 . 8022\n");
    close_for(alice, "192.0.2.7", "tcp/22");
    close_for(alice, "2001:db8::7", "tcp/22");
    change();
    check_elements("grants4", "");
    check_elements("sending4", "");
    check_elements("sending6", "");
}

/* What is let in never reaches this host instead. */
static void of_two_destinations_the_newest_counts(void **state)
{
    (void)state;
    send_for(alice, "192.0.2.7", "tcp/22", "198.51.100.1", 10 * MINUTE);
    change();
    send_for(bob, "192.0.2.7", "tcp/22", "198.51.100.2", MINUTE);
    change();
    check_elements("sending4", "192.0.2.7 . tcp . 22 comment \"b0\" : 198.51.100.2 . 8022\n");
    assert_in_range(seconds_left("sending4"), 1, 60);
    assert_in_range(seconds_left("grants4"), 1, 60);
    close_for(bob, "192.0.2.7", "tcp/22");
    change();
    check_elements("sending4", "192.0.2.7 . tcp . 22 comment \"a1\" : 198.51.100.1 . 8022\n");
    assert_in_range(seconds_left("sending4"), 300, 600);
    assert_in_range(seconds_left("grants4"), 300, 600);
}

/* Beside one that is sent on, a grant of this host's own service keeps its time. */
static void an_own_service_outlasts_a_destination(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 10 * MINUTE);
    send_for(bob, "192.0.2.7", "tcp/22", "198.51.100.2", MINUTE);
    change();
    assert_in_range(seconds_left("sending4"), 1, 60);
    assert_in_range(seconds_left("grants4"), 300, 600);
}

static void a_counted_one_is_sent_on(void **state)
{
    (void)state;
    send_for(alice, "192.0.2.7", "tcp/22", "198.51.100.1", MINUTE);
    grants.items[0].connections = 2;
    change();
    check_elements("grants4", "");
    check_elements("counted4", "192.0.2.7 . tcp . 22 limit rate 1/week burst 6 packets "
                               "counter packets 0 bytes 0 comment \"a1\"\n");
    check_elements("sending4", "192.0.2.7 . tcp . 22 limit rate 1/week burst 6 packets "
                               "comment \"a1\" : 198.51.100.1 . 8022\n");
}

/* What one lets in is not to reach this host as the other's budget is spent. */
static void whoever_is_let_in_is_sent_on(void **state)
{
    (void)state;
    send_for(alice, "192.0.2.7", "tcp/22", "198.51.100.1", MINUTE);
    grants.items[0].connections = 2;
    send_for(bob, "192.0.2.7", "tcp/22", "198.51.100.2", MINUTE);
    grants.items[1].connections = 1;
    change();
    check_elements("counted4", "192.0.2.7 . tcp . 22 limit rate 1/week burst 9 packets "
                               "counter packets 0 bytes 0 comment \"b0\"\n");
    check_elements("sending4", "192.0.2.7 . tcp . 22 limit rate 1/week burst 9 packets "
                               "comment \"b0\" : 198.51.100.2 . 8022\n");
    close_for(alice, "192.0.2.7", "tcp/22");
    send_for(alice, "192.0.2.7", "tcp/22", "198.51.100.1", MINUTE);
    send_for(bob, "192.0.2.7", "tcp/22", "198.51.100.2", MINUTE);
    change();
    check_elements("sending4", "192.0.2.7 . tcp . 22 comment \"a1\" : 198.51.100.1 . 8022\n");
}

/* ---- all of it -------------------------------------------------------------- */

static const char *nth(int i)
{
    static char text[32];

    snprintf(text, sizeof text, "198.18.%d.%d", i / 250, 1 + i % 250);
    return text;
}

static void open_many(int count)
{
    struct grant grant = {.service = service_of("tcp/22"),
                          .deadline = clock_boot_ns() + 600 * (int64_t)NSEC_PER_SEC};

    for (int i = 0; i < count; i++) {
        grant.address = address_of(nth(i));
        helper_grants_add(&grants, &grant);
    }
}

static void close_many(int count)
{
    for (int i = 0; i < count; i++)
        helper_grants_remove_at(&grants, (size_t)i);
}

static void all_that_is_granted_fits(void **state)
{
    (void)state;
    open_many(CAPACITY);
    change();
    assert_int_equal(count_elements("grants4"), CAPACITY);
    close_many(GRANTS_GONE); /* as many as are remembered */
    assert_int_equal(grants.changes[IPV4], GRANTS_REMOVED);
    change();
    assert_int_equal(count_elements("grants4"), CAPACITY - GRANTS_GONE);
    close_many(2 * GRANTS_GONE); /* and more */
    assert_int_equal(grants.changes[IPV4], GRANTS_FORGOTTEN);
    change();
    assert_int_equal(count_elements("grants4"), CAPACITY - 3 * GRANTS_GONE);
}

/* A container may not have a large buffer. */
static void small_batches_do_too(void **state)
{
    const struct plan *plan = make_plan();
    struct elements e;

    (void)state;
    elements_open(&e, HELPER_FD_TABLE, plan);
    assert_true(e.most > 1000000);
    e.most = 100000;
    open_many(3000);
    assert_int_equal(elements_change(&e, &grants), 0);
    assert_int_equal(count_elements("grants4"), 3000);
    assert_int_equal(elements_establish(&e, &grants), 0);
    assert_int_equal(count_elements("grants4"), 3000);
    assert_true(e.batch.room < 300000);
    free(e.batch.bytes);
}

/* What is not there is taken out, and what is there put in, without the table's being made anew. */
static void no_change_is_refused(void **state)
{
    struct elements e;

    (void)state;
    elements_open(&e, HELPER_FD_TABLE, make_plan());
    for (int i = 0; i < 2; i++) {
        send_for(alice, "192.0.2.7", "tcp/22", "198.51.100.1", MINUTE);
        count_for(alice, "2001:db8::7", "tcp/22", 1);
        assert_int_equal(elements_change(&e, &grants), 0);
        helper_grants_settle(&grants, IPV4, true);
        helper_grants_settle(&grants, IPV6, true);
    }
    helper_grants_clear(&grants);
    assert_int_equal(elements_change(&e, &grants), 0);
    assert_int_equal(elements_change(&e, &grants), 0);
    check_elements("sending4", "");
    free(e.batch.bytes);
}

static void it_is_cleared(void **state)
{
    (void)state;
    open_many(3);
    change();
    helper_grants_clear(&grants);
    assert_done(helper_firewall_clear(fw, &grants, &why), why);
    check_elements("grants4", "");
    run_command("nft list chain inet portsmith door >/dev/null");
}

/* ---- others --------------------------------------------------------------- */

static void what_is_owned_nobody_changes(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    change();
    run_command("nft flush ruleset");
    run_command("! nft delete table inet portsmith 2>/dev/null");
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
    assert_int_equal(helper_firewall_look(fw, &grants, &why), HELPER_RULES_IN_FORCE);
    assert_done(helper_firewall_mend(fw, &grants, &why), why);
}

/* Whatever it is made of, the kernel goes on calling the same chains: between a new one and the old
 * one a packet could pass. */
static void what_is_made_anew_is_called_all_the_time(void **state)
{
    static const char handles[] = "nft -a list ruleset | grep 'table\\|chain \\(prerouting\\|"
                                  "input\\|forward\\|sending\\) '";
    char *before = output_of("%s", handles), *after;

    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    change();
    make_anew();
    after = output_of("%s", handles);
    assert_string_equal(after, before);
    assert_non_null(strstr(after, "prerouting"));
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
    free(before);
    free(after);
}

/* That nobody owns, nor can. */
static void another_table_is_replaced(void **state)
{
    struct netwriter w = {.bytes = NULL};

    (void)state;
    batch_begin(&w);
    tablewriter_remove(&w, TABLE_NAME);
    assert_int_equal(batch_send(&w, HELPER_FD_TABLE), 0);
    free(w.bytes);
    run_command("nft add table inet portsmith");
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    make_anew();
    run_command("! nft delete table inet portsmith 2>/dev/null");
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
}

static void is_noticed(const char *command)
{
    assert_int_equal(helper_firewall_look(fw, &grants, &why), HELPER_RULES_IN_FORCE);
    run_command("%s", command);
    assert_int_equal(helper_firewall_look(fw, &grants, &why), HELPER_RULES_MISSING);
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_MISSING);
    assert_done(helper_firewall_mend(fw, &grants, &why), why);
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_IN_FORCE);
    assert_int_equal(helper_firewall_look(fw, &grants, &why), HELPER_RULES_IN_FORCE);
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
}

static void what_is_removed_comes_back(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    change();
    is_noticed("nft flush ruleset");
    is_noticed("nft flush chain inet portsmith door");
    is_noticed("nft insert rule inet portsmith door accept");
    is_noticed("nft add chain inet portsmith mine");
    is_noticed("nft list ruleset > saved && nft flush ruleset && nft -f saved");
}

static void no_chain_is_overlooked(void **state)
{
    char *names = output_of("nft list table inet portsmith | sed -n 's/.*chain \\(.*\\) {/\\1/p'");
    int count = 0;

    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    change();
    for (char *rest = names, *name; (name = strsep(&rest, "\n")) && *name; count++) {
        char command[64];

        snprintf(command, sizeof command, "nft insert rule inet portsmith %s accept", name);
        is_noticed(command);
    }
    assert_int_equal(count, 10);
    free(names);
}

static void what_cannot_be_seen_is_unknown(void **state)
{
    int kept = fcntl(HELPER_FD_TABLE, F_DUPFD_CLOEXEC, 20), null = open("/dev/null", O_RDWR);

    (void)state;
    assert_int_equal(dup2(null, HELPER_FD_TABLE), HELPER_FD_TABLE);
    assert_int_equal(helper_firewall_look(fw, &grants, &why), HELPER_RULES_UNKNOWN);
    assert_non_null(strstr(why.text, "the table portsmith of nftables: "));
    assert_non_null(strstr(why.text, strerror(ENOTSOCK)));
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_UNKNOWN);
    assert_int_equal(dup2(kept, HELPER_FD_TABLE), HELPER_FD_TABLE);
    assert_int_equal(helper_firewall_look(fw, &grants, &why), HELPER_RULES_IN_FORCE);
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_IN_FORCE);
    close(kept);
    close(null);
}

/* Elements are not looked for; they are written anew with every change of another's. */
static void elements_come_back(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    change();
    run_command("nft flush set inet portsmith grants4");
    run_command("nft add element inet portsmith grants4 { 192.0.2.66 . tcp . 22 timeout 1h }");
    assert_int_equal(helper_firewall_look(fw, &grants, &why), HELPER_RULES_IN_FORCE);
    assert_done(helper_firewall_mend(fw, &grants, &why), why);
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
}

/* A change mends, too. */
static void a_change_needs_no_table(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    change();
    run_command("nft flush ruleset");
    open_for(bob, "192.0.2.8", "tcp/22", MINUTE);
    change();
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n"
                              "192.0.2.8 . tcp . 22 comment \"b0\"\n");
}

/* Whether the process ends, for the next one to find out whose the table is. */
static bool ends_for_it(void)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        helper_firewall_check(fw);
        child_exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE;
}

/* A new grant is not taken back in the firewall alone. */
static void what_fails_is_undone_and_unsure(void **state)
{
    int other;

    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    change();
    run_command("nft delete table inet portsmith");
    other = netlink_open(NETLINK_NETFILTER);
    {
        struct netwriter w = {.bytes = NULL};
        const struct table_form owned = {.is_owned = true, .destroys = true};
        const struct helper_setup setup = {.max_grants = 1};

        batch_begin(&w);
        table_write(&w, &setup, &owned);
        assert_int_equal(batch_send(&w, other), 0);
        free(w.bytes);
    }
    open_for(bob, "192.0.2.8", "tcp/22", MINUTE);
    assert_false(helper_firewall_change(fw, &grants, &why));
    assert_string_equal(why.text, "the table portsmith of nftables: another program owns it");
    assert_true(helper_firewall_is_unsure(fw, IPV4));
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_UNKNOWN);
    assert_int_equal(grants.count, 1);
    assert_true(ends_for_it());
    assert_false(helper_firewall_mend(fw, &grants, &why));
    assert_false(helper_firewall_clear(fw, &grants, &why));
    close(other);
    run_command("nft delete table inet portsmith");
    assert_done(helper_firewall_mend(fw, &grants, &why), why);
    assert_false(helper_firewall_is_unsure(fw, IPV6));
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
}

/* Of answers to a process that was killed. */
static void stale_answers_are_dropped(void **state)
{
    struct netwriter w = {.bytes = NULL};
    struct elements e;

    (void)state;
    batch_begin(&w);
    batch_message(&w, 200, NLM_F_ACK); /* there is no such message */
    netwriter_end(&w);
    assert_int_equal(send(HELPER_FD_TABLE, w.bytes, w.size, 0), w.size);
    assert_true(is_readable(HELPER_FD_TABLE, 0));
    free(w.bytes);
    elements_open(&e, HELPER_FD_TABLE, make_plan());
    open_for(alice, "192.0.2.7", "tcp/22", MINUTE);
    assert_int_equal(elements_change(&e, &grants), 0);
    free(e.batch.bytes);
    check_elements("grants4", "192.0.2.7 . tcp . 22 comment \"a1\"\n");
}

/* As one of iptables can be. */
static void no_date_is_too_late(void **state)
{
    (void)state;
    assert_true(helper_firewall_last_date == INT64_MAX);
}

int main(void)
{
#define WITH(begins, test) cmocka_unit_test_setup_teardown(test, begins, end)
#define OF_EITHER_KERNEL(test) WITH(begin_owned, test), WITH(begin_old, test)
    const struct CMUnitTest tests[] = {
        OF_EITHER_KERNEL(a_grant_is_an_element),
        OF_EITHER_KERNEL(the_kernel_ends_it),
        OF_EITHER_KERNEL(what_ends_at_once_is_no_element),
        OF_EITHER_KERNEL(an_extended_one_lasts_longer),
        WITH(begin_plain, what_has_not_changed_stays),
        OF_EITHER_KERNEL(the_last_of_two_grants_counts),
        OF_EITHER_KERNEL(connections_are_a_budget),
        WITH(begin_plain, what_was_spent_stays_spent),
        WITH(begin_owned, a_budget_has_an_end),
        OF_EITHER_KERNEL(a_grant_is_sent_on),
        OF_EITHER_KERNEL(of_two_destinations_the_newest_counts),
        OF_EITHER_KERNEL(an_own_service_outlasts_a_destination),
        OF_EITHER_KERNEL(a_counted_one_is_sent_on),
        WITH(begin_owned, whoever_is_let_in_is_sent_on),
        OF_EITHER_KERNEL(all_that_is_granted_fits),
        WITH(begin_owned, small_batches_do_too),
        OF_EITHER_KERNEL(no_change_is_refused),
        OF_EITHER_KERNEL(it_is_cleared),
        WITH(begin_owned, what_is_owned_nobody_changes),
        WITH(begin_owned, what_is_made_anew_is_called_all_the_time),
        WITH(begin_owned, another_table_is_replaced),
        WITH(begin_plain, what_is_removed_comes_back),
        WITH(begin_plain, no_chain_is_overlooked),
        WITH(begin_plain, what_cannot_be_seen_is_unknown),
        WITH(begin_plain, elements_come_back),
        OF_EITHER_KERNEL(a_change_needs_no_table),
        WITH(begin_plain, what_fails_is_undone_and_unsure),
        WITH(begin_owned, stale_answers_are_dropped),
        cmocka_unit_test(no_date_is_too_late),
    };

    return cmocka_run_group_tests(tests, netspace_enter, scratch_leave);
}
