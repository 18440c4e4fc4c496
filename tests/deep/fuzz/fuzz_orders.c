/* The supervisor's orders to the helper, and its answers. First comes an order; then the
 * bytes that change the report, and one that says whether its size changes, too. */
#include "fuzz.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "daemon/supervisor/pair.h"
#include "daemon/supervisor/reply.h"
#include "privsep/helper/orders.h"
#include "privsep/prepare/takeover.h"
#include "tests/unit/table.h"

enum { CAPACITY = 48, GRANTS = 40, PROFILES = 3, IS_RIGHT = 1, IS_OTHER = 2, IS_BROKEN = 4 };

static struct {
    struct grants grants;
    struct helper_profile policies[PROFILES];
    struct profile profiles[PROFILES];
    struct config config;
} world;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error why;

    (void)count, (void)arguments;
    REQUIRE(helper_grants_create(&world.grants, fuzz_enter(), CAPACITY, 0, &why));
    for (uint8_t i = 0; i < PROFILES; i++) {
        world.profiles[i].key_id[0] = (uint8_t)(i + 1);
        world.profiles[i].policy = &world.policies[i];
        snprintf(world.policies[i].name, sizeof world.policies[i].name, "profile%u", i);
    }
    world.config.shut[world.config.shut_count++] = (struct service){IPPROTO_TCP, 22};
    strcpy(world.config.interfaces[world.config.interface_count++], "eth0");
    world.config.profiles = world.profiles;
    world.config.profile_count = PROFILES;
    return 0;
}

static void put_grants(void)
{
    int64_t deadline = clock_boot_ns() + 60 * (int64_t)NSEC_PER_SEC;

    helper_grants_clear(&world.grants);
    world.grants.table->last_id = 0;
    for (uint8_t i = 0; i < GRANTS; i++) {
        const struct address from = {{0x20, 0x01, 0x0d, 0xb8, [15] = i}};
        const struct service service = {i % 2 ? IPPROTO_TCP : IPPROTO_UDP, (uint16_t)(i + 1)};
        const uint8_t profile[KEY_ID_SIZE] = {(uint8_t)(i % (PROFILES + 1) + 1)};

        table_open(&world.grants, profile, &from, &service, deadline);
    }
}

/* ---- orders ----------------------------------------------------------------- */

static struct helper_order order_of(struct input *in)
{
    uint8_t how = input_byte(in);
    struct helper_order order;

    input_take(in, &order, sizeof order);
    if (!(how & IS_RIGHT))
        return order;
    order = (struct helper_order){.command = how & IS_OTHER ? HELPER_TELL : HELPER_CLOSE,
                                  .serial = order.serial | 1,
                                  .scope = order.scope % 4,
                                  .id = order.id % (GRANTS + 8),
                                  .last_id = order.last_id % (GRANTS + 8),
                                  .kill = order.kill % 2,
                                  .key_id = {order.key_id[0] % 8}};
    if (order.command == HELPER_TELL)
        order.scope = order.id = order.last_id = order.kill = order.key_id[0] = 0;
    if (order.command == HELPER_CLOSE && order.scope != HELPER_SCOPE_PROFILE)
        order.key_id[0] = 0;
    if (order.command == HELPER_CLOSE && order.scope != HELPER_SCOPE_ID)
        order.id = 0;
    else
        order.last_id = 0;
    return order;
}

/* What portsmithctl can ask for is what the helper takes, once it is complete (cutting.h). */
static void check_request(const struct helper_order *order, const struct helper_report *report)
{
    struct control_request request = {.verb = order->command == HELPER_TELL ? CONTROL_STATUS
                                                                            : CONTROL_CLOSE,
                                      .scope = order->scope, .id = order->id, .kill = order->kill};
    static const struct cut_result cut;
    struct helper_order again;
    struct control_reply reply;
    struct error why;

    if (order->scope == HELPER_SCOPE_PROFILE)
        snprintf(request.profile, sizeof request.profile, "profile%u", order->key_id[0] - 1u);
    reply_closed(&reply, &request, report, &cut);
    REQUIRE(memchr(reply.text, '\0', sizeof reply.text) && reply.closed <= GRANTS);
    if (!reply_make_order(&again, &request, &world.config, &why) ||
        memcmp(again.key_id, order->key_id, KEY_ID_SIZE) != 0) /* no such profile */
        return;
    again.serial = order->serial;
    again.last_id = order->last_id;
    REQUIRE(memcmp(&again, order, sizeof again) == 0);
}

static void do_order(const struct helper_order *order, struct helper_report *report)
{

    put_grants();
    report->serial = order->serial;
    report->closed = order->command == HELPER_CLOSE ? helper_order_end(order, &world.grants) : 0;
    REQUIRE(helper_grants_expire(&world.grants, clock_boot_ns()) == report->closed);
    report->live = (uint32_t)world.grants.count;
    REQUIRE(report->live == GRANTS - report->closed);
}

/* ---- answers ---------------------------------------------------------------- */

static void check_sound(const struct helper_report *report, const struct pair *pair)
{
    static const struct counters counters;
    struct control_reply reply;

    REQUIRE(report->kind == HELPER_REPORT);
    REQUIRE(report->backend > BACKEND_AUTO && report->backend <= BACKEND_NFTABLES);
    REQUIRE(report->owned == 0 || (report->owned == 1 && report->backend == BACKEND_NFTABLES));
    REQUIRE(pair->owned == report->owned);
    REQUIRE(pair->rules == report->rules && pair->rules <= HELPER_RULES_CONTESTED);
    REQUIRE(pair->live == report->live && pair->orders >= 0);
    reply_status(&reply, &world.config, pair, &counters, report);
    REQUIRE(reply.status.live == report->live && reply.status.profiles == PROFILES);
    REQUIRE(reply.status.shut_count == 1 && reply.status.shut[0].port == 22);
    REQUIRE(reply.status.interface_count == 1 && !reply.status.interfaces[0].captured);
}

/* As the helper sent it, or another in its place. */
static void hear(struct helper_report *report, struct input *in)
{
    uint8_t how = input_byte(in), bytes[sizeof *report + 1] = {0};
    size_t size = how & IS_BROKEN ? sizeof report->kind : sizeof *report - (how & IS_RIGHT) +
                                                               !!(how & IS_OTHER);
    bool is_changed = in->size > 0 || how != 0;
    struct pair pair;
    uint32_t kind;
    int ends[2];

    memcpy(bytes, report, sizeof *report);
    if (how & IS_BROKEN)
        bytes[0] ^= HELPER_REPORT ^ HELPER_PEER_BROKEN;
    for (size_t i = 0; i < in->size && i < sizeof *report; i++)
        bytes[i] ^= in->bytes[i];
    pair_init(&pair);
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    pair.orders = ends[0];
    REQUIRE(pair_read_report(&pair, report) == 0); /* nothing yet */
    REQUIRE(send(ends[1], bytes, size, 0) == (ssize_t)size);
    kind = pair_read_report(&pair, report);
    REQUIRE(is_changed || kind == HELPER_REPORT);
    if (kind == HELPER_REPORT)
        check_sound(report, &pair);
    else
        REQUIRE((kind == HELPER_PEER_BROKEN) == (pair.orders >= 0));
    pair_end(&pair, false);
    close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    struct helper_order order = order_of(&in);
    struct helper_report report = {.kind = HELPER_REPORT, .backend = BACKEND_NFT,
                                   .grant_store = GRANT_STORE_RULES};

    if (helper_order_is_canonical(&order) && order.command != HELPER_STOP) {
        do_order(&order, &report);
        check_request(&order, &report);
    }
    hear(&report, &in);
    return 0;
}
