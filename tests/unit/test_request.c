#include "check.h"

#include <netinet/in.h>

#include "common/request.h"

static const struct address somebody = {{[10] = 0xff, 0xff, 192, 0, 2, 1}};

static struct request full(void)
{
    return (struct request){
        .action = ACTION_OPEN,
        .has_address = true,
        .address = somebody,
        .service_count = 4,
        .services = {{IPPROTO_TCP, 22}, {IPPROTO_TCP, 443}, {IPPROTO_UDP, 53}, {IPPROTO_UDP, 65535}},
        .window = 0x01020304,
        .counter = 0x0102030405060708,
    };
}

static void assert_same(const struct request *a, const struct request *b)
{
    assert_int_equal(a->action, b->action);
    assert_int_equal(a->has_address, b->has_address);
    assert_true(address_equal(&a->address, &b->address));
    assert_int_equal(a->service_count, b->service_count);
    for (size_t i = 0; i < a->service_count; i++)
        assert_int_equal(service_compare(&a->services[i], &b->services[i]), 0);
    assert_memory_equal(a->member, b->member, MEMBER_SIZE);
    assert_int_equal(a->window, b->window);
    assert_int_equal(a->counter, b->counter);
}

static void encoding_is_byte_for_byte_as_specified(void **state)
{
    static const uint8_t expected[REQUEST_SIZE] = {
        1,  1,    1,    4,                             /* version, action, flags, services */
        1,  2,    3,    4,                             /* window */
        1,  2,    3,    4,    5,   6, 7, 8,            /* counter */
        0,  0,    0,    0,    0,   0, 0, 0,            /* address */
        0,  0,    0xff, 0xff, 192, 0, 2, 1,            /* ... */
        6,  0,    0,    22,   6,   0, 1, 187,          /* tcp/22, tcp/443 */
        17, 0,    0,    53,   17,  0, 255, 255,        /* udp/53, udp/65535 */
    };
    uint8_t bytes[REQUEST_SIZE];
    struct request r = full();

    (void)state;
    request_encode(bytes, &r);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static struct request with_services(struct request r, uint8_t count)
{
    r.service_count = count;
    for (size_t i = count; i < REQUEST_SERVICES; i++)
        r.services[i] = (struct service){0};
    return r;
}

static void what_is_encoded_decodes_to_itself(void **state)
{
    uint8_t bytes[REQUEST_SIZE];
    struct request again;

    (void)state;
    for (uint8_t count = 0; count <= REQUEST_SERVICES; count++) {
        struct request r = with_services(full(), count);

        request_encode(bytes, &r);
        assert_true(request_decode(&again, bytes));
        assert_same(&r, &again);

        r.has_address = false;
        r.address = (struct address){{0}};
        request_encode(bytes, &r);
        assert_true(request_decode(&again, bytes));
        assert_same(&r, &again);

        r.action = ACTION_CLOSE;
        r.window = 0;
        request_encode(bytes, &r);
        assert_true(request_decode(&again, bytes));
        assert_same(&r, &again);

        r.member[count * 5 % MEMBER_SIZE] = 128;
        request_encode(bytes, &r);
        assert_true(request_decode(&again, bytes));
        assert_same(&r, &again);
    }
}

/* It stands in the 16 bytes that were spare, and each of its bits counts. */
static void a_member_is_named_by_a_flag_and_16_bytes(void **state)
{
    struct request r = full(), again;
    uint8_t bytes[REQUEST_SIZE];

    (void)state;
    r.has_address = false;
    r.address = (struct address){{0}};
    memcpy(r.member, "0123456789abcdef", MEMBER_SIZE);
    assert_true(request_names_member(&r));
    request_encode(bytes, &r);
    assert_int_equal(bytes[2], 2);
    assert_memory_equal(bytes + 48, "0123456789abcdef", MEMBER_SIZE);
    assert_true(request_decode(&again, bytes));
    bytes[2] = 0;
    assert_false(request_decode(&again, bytes));
    bytes[2] = 2;
    memset(bytes + 48, 0, MEMBER_SIZE);
    assert_false(request_decode(&again, bytes));
    for (size_t bit = 0; bit < MEMBER_SIZE * 8; bit++) {
        memset(bytes + 48, 0, MEMBER_SIZE);
        bytes[48 + bit / 8] = (uint8_t)(1 << bit % 8);
        assert_true(request_decode(&again, bytes));
        assert_memory_equal(again.member, bytes + 48, MEMBER_SIZE);
    }
}

static void a_member_excludes_an_address(void **state)
{
    struct request r = full(), again;
    uint8_t bytes[REQUEST_SIZE];

    (void)state;
    request_encode(bytes, &r);
    memset(bytes + 48, 7, MEMBER_SIZE);
    for (uint8_t flags = 0; flags < 4; flags++) {
        bytes[2] = flags;
        assert_false(request_decode(&again, bytes));
    }
    r.member[3] = 7;
    request_encode(bytes, &r); /* the address is what counts */
    assert_true(request_decode(&again, bytes));
    assert_false(request_names_member(&again));
}

/* Whatever decodes must encode to the very bytes it came from. */
static bool refused_or_itself(const uint8_t bytes[static REQUEST_SIZE])
{
    uint8_t again[REQUEST_SIZE];
    struct request r;

    if (!request_decode(&r, bytes))
        return true;
    request_encode(again, &r);
    return memcmp(again, bytes, REQUEST_SIZE) == 0;
}

static const uint8_t corner_values[] = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 127, 128, 224, 254, 255};

static void no_two_encodings_mean_the_same(void **state)
{
    uint8_t bytes[REQUEST_SIZE], pair[REQUEST_SIZE];
    struct request r = full();

    (void)state;
    request_encode(bytes, &r);
    for (size_t i = 0; i < REQUEST_SIZE * 8; i++) {
        memcpy(pair, bytes, sizeof pair);
        pair[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_true(refused_or_itself(pair));
        for (size_t j = i + 1; j < REQUEST_SIZE * 8; j++) {
            pair[j / 8] ^= (uint8_t)(1 << j % 8);
            assert_true(refused_or_itself(pair));
            pair[j / 8] ^= (uint8_t)(1 << j % 8);
        }
    }
    for (size_t i = 0; i < REQUEST_SIZE; i++) {
        memcpy(pair, bytes, sizeof pair);
        for (size_t v = 0; v < COUNT_OF(corner_values); v++) {
            pair[i] = corner_values[v];
            assert_true(refused_or_itself(pair));
        }
    }
}

/* Bits that no version 1 request may have set, in any position. */
static void reserved_bits_are_refused(void **state)
{
    static const size_t reserved[] = {33, 37, 41, 45, 48, 49, 50, 51, 52, 53, 54,
                                      55, 56, 57, 58, 59, 60, 61, 62, 63};
    uint8_t bytes[REQUEST_SIZE];
    struct request r = full(), again;

    (void)state;
    request_encode(bytes, &r);
    for (size_t i = 0; i < COUNT_OF(reserved); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[reserved[i]] ^= (uint8_t)(1 << bit);
            assert_false(request_decode(&again, bytes));
            bytes[reserved[i]] ^= (uint8_t)(1 << bit);
        }
    }
    for (unsigned bit = 1; bit < 8; bit++) {
        bytes[2] ^= (uint8_t)(1 << bit); /* flags */
        assert_false(request_decode(&again, bytes));
        bytes[2] ^= (uint8_t)(1 << bit);
    }
    assert_true(request_decode(&again, bytes));
}

struct change {
    const char *what;
    size_t at;
    size_t size;
    uint8_t bytes[16];
};

static void non_canonical_requests_are_refused(void **state)
{
    static const struct change changes[] = {
        {"version 0", 0, 1, {0}},
        {"version 2", 0, 1, {2}},
        {"action 0", 1, 1, {0}},
        {"action 3", 1, 1, {3}},
        {"a window on a close", 1, 1, {2}},
        {"an address that is not flagged", 2, 1, {0}},
        {"a member that is not flagged", 48, 1, {1}},
        {"fewer services counted than given", 3, 1, {3}},
        {"five services", 3, 1, {5}},
        {"255 services", 3, 1, {255}},
        {"no address though flagged", 16, 16, {0}},
        {"loopback, IPv6", 16, 16, {[15] = 1}},
        {"multicast, IPv6", 16, 16, {0xff, 2, [15] = 1}},
        {"loopback, IPv4", 28, 4, {127, 0, 0, 1}},
        {"0/8, IPv4", 28, 4, {0, 1, 2, 3}},
        {"multicast, IPv4", 28, 4, {224, 0, 0, 1}},
        {"broadcast, IPv4", 28, 4, {255, 255, 255, 255}},
        {"protocol 0", 32, 1, {0}},
        {"ICMP", 32, 1, {1}},
        {"SCTP", 32, 1, {132}},
        {"port 0", 34, 2, {0, 0}},
        {"the same service twice", 36, 4, {6, 0, 0, 22}},
        {"descending ports", 36, 4, {6, 0, 0, 21}},
        {"descending protocols", 32, 4, {17, 0, 0, 1}},
        {"a hole among the services", 36, 4, {0, 0, 0, 0}},
    };
    uint8_t bytes[REQUEST_SIZE];
    struct request r = full(), again;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        request_encode(bytes, &r);
        assert_true(request_decode(&again, bytes));
        memcpy(bytes + changes[i].at, changes[i].bytes, changes[i].size);
        if (request_decode(&again, bytes))
            fail_msg("%s: decoded", changes[i].what);
    }
}

static void uncounted_services_must_be_zero(void **state)
{
    uint8_t bytes[REQUEST_SIZE];
    struct request r = with_services(full(), 2), again;

    (void)state;
    for (size_t at = 40; at < 48; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            request_encode(bytes, &r);
            bytes[at] = (uint8_t)(1 << bit);
            assert_false(request_decode(&again, bytes));
        }
    }
}

static void services_are_put_in_order_once_each(void **state)
{
    struct service s[] = {
        {IPPROTO_UDP, 53}, {IPPROTO_TCP, 443}, {IPPROTO_TCP, 22}, {IPPROTO_UDP, 53},
        {IPPROTO_TCP, 22}, {IPPROTO_UDP, 52},  {IPPROTO_TCP, 22},
    };
    static const struct service ordered[] = {
        {IPPROTO_TCP, 22}, {IPPROTO_TCP, 443}, {IPPROTO_UDP, 52}, {IPPROTO_UDP, 53},
    };

    (void)state;
    assert_int_equal(request_order_services(s, 0), 0);
    assert_int_equal(request_order_services(s, 1), 1);
    assert_int_equal(request_order_services(s, COUNT_OF(s)), COUNT_OF(ordered));
    for (size_t i = 0; i < COUNT_OF(ordered); i++)
        assert_int_equal(service_compare(&s[i], &ordered[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_is_byte_for_byte_as_specified),
        cmocka_unit_test(what_is_encoded_decodes_to_itself),
        cmocka_unit_test(a_member_is_named_by_a_flag_and_16_bytes),
        cmocka_unit_test(a_member_excludes_an_address),
        cmocka_unit_test(no_two_encodings_mean_the_same),
        cmocka_unit_test(reserved_bits_are_refused),
        cmocka_unit_test(non_canonical_requests_are_refused),
        cmocka_unit_test(uncounted_services_must_be_zero),
        cmocka_unit_test(services_are_put_in_order_once_each),
    };

    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
