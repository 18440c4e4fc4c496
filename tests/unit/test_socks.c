#include "check.h"

#include <arpa/inet.h>

#include "client/proxy/socks.h"

static const struct socks_account nobody;
static const struct socks_account somebody = {.username = "ann", .password = "s3cret"};

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

/* What a client says from first to last, and what it must get. */
struct talk {
    const struct socks_account *account;
    const uint8_t *said;
    size_t said_size;
    const uint8_t *answered; /* all replies, one after the other */
    size_t answered_size;
    enum socks_verdict end;
    size_t left; /* bytes that are the application's */
};

struct heard {
    uint8_t answered[64];
    size_t answered_size;
    enum socks_verdict end;
    size_t taken;
    struct socks socks;
};

/* In pieces of `piece` bytes. */
static void hold(const struct talk *t, size_t piece, struct heard *h)
{
    size_t size;

    *h = (struct heard){.end = SOCKS_MORE};
    socks_begin(&h->socks, t->account);
    while (h->taken < t->said_size && (h->end == SOCKS_MORE || h->end == SOCKS_ANSWER)) {
        size = t->said_size - h->taken < piece ? t->said_size - h->taken : piece;
        h->taken += socks_take(&h->socks, t->said + h->taken, size, &h->end);
        if (h->end == SOCKS_ANSWER || h->end == SOCKS_GOODBYE) {
            memcpy(h->answered + h->answered_size, h->socks.reply, h->socks.reply_size);
            h->answered_size += h->socks.reply_size;
        }
    }
}

/* However it is cut. */
static void check_talk(const struct talk *t, struct heard *h)
{
    size_t pieces[] = {1, 2, 3, 5, 7, 64, 4096};

    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        hold(t, pieces[i], h);
        assert_int_equal(h->end, t->end);
        assert_int_equal(h->taken, t->said_size - t->left);
        assert_int_equal(h->answered_size, t->answered_size);
        assert_memory_equal(h->answered, t->answered, t->answered_size);
    }
}

static void an_ipv4_request_is_read(void **state)
{
    struct talk t = {&nobody, BYTES("\5\1\0" "\5\1\0\1\x0a\x4d\0\1\0\x16" "hello"), BYTES("\5\0"),
                     SOCKS_REQUESTED, 5};
    char text[ADDRESS_TEXT_SIZE];
    struct heard h;

    (void)state;
    check_talk(&t, &h);
    assert_true(h.socks.destination.has_address);
    assert_string_equal(address_format(&h.socks.destination.address, text), "10.77.0.1");
    assert_int_equal(h.socks.destination.port, 22);
}

static void an_ipv6_request_is_read(void **state)
{
    struct talk t = {&nobody,
                     BYTES("\5\2\1\0" "\5\1\0\4\xfd\x77\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x1f\x90"),
                     BYTES("\5\0"), SOCKS_REQUESTED, 0};
    char text[ADDRESS_TEXT_SIZE];
    struct heard h;

    (void)state;
    check_talk(&t, &h);
    assert_string_equal(address_format(&h.socks.destination.address, text), "fd77::1");
    assert_int_equal(h.socks.destination.port, 8080);
}

static void a_name_is_read(void **state)
{
    struct talk t = {&nobody, BYTES("\5\1\0" "\5\1\0\3\xc" "Example.net." "\0\x50"), BYTES("\5\0"),
                     SOCKS_REQUESTED, 0};
    struct heard h;

    (void)state;
    check_talk(&t, &h);
    assert_false(h.socks.destination.has_address);
    assert_string_equal(h.socks.destination.name, "Example.net");
}

static void an_address_sent_as_a_name_is_an_address(void **state)
{
    struct talk t = {&nobody, BYTES("\5\1\0" "\5\1\0\3\7" "fd77::1" "\0\x50"), BYTES("\5\0"),
                     SOCKS_REQUESTED, 0};
    struct heard h;

    (void)state;
    check_talk(&t, &h);
    assert_true(h.socks.destination.has_address);
}

static void a_name_may_have_255_bytes(void **state)
{
    uint8_t said[8 + 255 + 2] = "\5\1\0\5\1\0\3\xff";
    struct talk t = {&nobody, said, sizeof said, BYTES("\5\0"), SOCKS_REQUESTED, 0};
    struct heard h;

    (void)state;
    memset(said + 8, 'a', 255);
    said[sizeof said - 1] = 80;
    check_talk(&t, &h);
    assert_int_equal(strlen(h.socks.destination.name), 255);
}

static void names_that_none_can_be_are_refused(void **state)
{
    static const struct {
        const uint8_t *said;
        size_t size;
    } bad[] = {
        {BYTES("\5\1\0" "\5\1\0\3\0")},
        {BYTES("\5\1\0" "\5\1\0\3\1" ".")},
        {BYTES("\5\1\0" "\5\1\0\3\3" "a..")},
        {BYTES("\5\1\0" "\5\1\0\3\4" "a..b")},
        {BYTES("\5\1\0" "\5\1\0\3\3" "a\0b")},
        {BYTES("\5\1\0" "\5\1\0\3\x9" "10.0.0.1\0")},
        {BYTES("\5\1\0" "\5\1\0\3\3" "a b")},
        {BYTES("\5\1\0" "\5\1\0\3\3" "a\nb")},
        {BYTES("\5\1\0" "\5\1\0\3\3" "a/b")},
        {BYTES("\5\1\0" "\5\1\0\3\2" "\xc3\xa4")},
    };
    struct heard h;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct talk t = {&nobody, bad[i].said, bad[i].size,
                         BYTES("\5\0" "\5\1\0\1\0\0\0\0\0\0"), SOCKS_GOODBYE, 0};

        check_talk(&t, &h);
    }
}

static void what_is_not_supported_is_told(void **state)
{
    struct talk talks[] = {
        {&nobody, BYTES("\5\1\0" "\5\2\0\1\1\2\3\4\0\x50"),
         BYTES("\5\0" "\5\7\0\1\0\0\0\0\0\0"), SOCKS_GOODBYE, 0}, /* BIND */
        {&nobody, BYTES("\5\1\0" "\5\3\0\1\0\0\0\0\0\0"),
         BYTES("\5\0" "\5\7\0\1\0\0\0\0\0\0"), SOCKS_GOODBYE, 0}, /* UDP ASSOCIATE */
        {&nobody, BYTES("\5\1\0" "\5\1\0\2\1\2\3\4\0\x50"),
         BYTES("\5\0" "\5\x8\0\1\0\0\0\0\0\0"), SOCKS_GOODBYE, 6}, /* address type */
        {&nobody, BYTES("\5\1\0" "\5\1\0\1\1\2\3\4\0\0"),
         BYTES("\5\0" "\5\1\0\1\0\0\0\0\0\0"), SOCKS_GOODBYE, 0}, /* port 0 */
        {&nobody, BYTES("\4\2\0\x50\1\2\3\4\0"), BYTES("\0\x5b\0\0\0\0\0\0"), SOCKS_GOODBYE, 0},
    };
    struct heard h;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(talks); i++)
        check_talk(&talks[i], &h);
}

static void what_is_not_socks_gets_no_answer(void **state)
{
    struct talk talks[] = {
        {&nobody, BYTES("GET / HTTP/1.1\r\n"), NULL, 0, SOCKS_BROKEN, 15},
        {&nobody, BYTES("\0"), NULL, 0, SOCKS_BROKEN, 0},
        {&nobody, BYTES("\5\1\0" "\4\1\0\1"), BYTES("\5\0"), SOCKS_BROKEN, 0},
        {&somebody, BYTES("\5\1\2" "\2"), BYTES("\5\2"), SOCKS_BROKEN, 0},
        {&somebody, BYTES("\5\1\2" "\1\4" "ann\0"), BYTES("\5\2"), SOCKS_BROKEN, 0},
        {&somebody, BYTES("\5\1\2" "\1\3" "ann" "\7" "s3cret\0"), BYTES("\5\2"), SOCKS_BROKEN, 0},
    };
    struct heard h;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(talks); i++)
        check_talk(&talks[i], &h);
}

static void a_method_must_be_offered(void **state)
{
    struct talk talks[] = {
        {&nobody, BYTES("\5\0"), BYTES("\5\xff"), SOCKS_GOODBYE, 0},
        {&nobody, BYTES("\5\2\1\2"), BYTES("\5\xff"), SOCKS_GOODBYE, 0},
        {&somebody, BYTES("\5\0"), BYTES("\5\xff"), SOCKS_GOODBYE, 0},
        {&somebody, BYTES("\5\1\0"), BYTES("\5\xff"), SOCKS_GOODBYE, 0},
    };
    struct heard h;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(talks); i++)
        check_talk(&talks[i], &h);
}

static void the_password_decides(void **state)
{
    struct talk good = {&somebody,
                        BYTES("\5\2\0\2" "\1\3" "ann" "\6" "s3cret" "\5\1\0\3\1" "a" "\0\x50"),
                        BYTES("\5\2" "\1\0"), SOCKS_REQUESTED, 0};
    struct talk bad[] = {
        {&somebody, BYTES("\5\1\2" "\1\3" "ann" "\6" "s3creT"), BYTES("\5\2" "\1\1"),
         SOCKS_GOODBYE, 0},
        {&somebody, BYTES("\5\1\2" "\1\3" "bob" "\6" "s3cret"), BYTES("\5\2" "\1\1"),
         SOCKS_GOODBYE, 0},
        {&somebody, BYTES("\5\1\2" "\1\3" "ann" "\5" "s3cre"), BYTES("\5\2" "\1\1"),
         SOCKS_GOODBYE, 0},
        {&somebody, BYTES("\5\1\2" "\1\3" "ann" "\7" "s3crett"), BYTES("\5\2" "\1\1"),
         SOCKS_GOODBYE, 0},
        {&somebody, BYTES("\5\1\2" "\1\0\0"), BYTES("\5\2" "\1\1"), SOCKS_GOODBYE, 0},
        {&somebody, BYTES("\4\1\0\x50\1\2\3\4" "ann\0"), BYTES("\0\x5b\0\0\0\0\0\0"),
         SOCKS_GOODBYE, 0}, /* SOCKS4 has no password */
    };
    struct socks_account forgotten = {0};
    struct heard h;

    (void)state;
    check_talk(&good, &h);
    assert_memory_equal(&h.socks.given, &forgotten, sizeof forgotten);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        check_talk(&bad[i], &h);
}

static void socks4_and_socks4a_are_read(void **state)
{
    struct talk with_address = {&nobody, BYTES("\4\1\0\x16\x0a\x4d\0\1" "me\0" "x"), NULL, 0,
                                SOCKS_REQUESTED, 1};
    struct talk with_name = {&nobody, BYTES("\4\1\0\x16\0\0\0\1" "\0" "example.net\0" "xy"), NULL,
                             0, SOCKS_REQUESTED, 2};
    struct talk without_name = {&nobody, BYTES("\4\1\0\x16\0\0\0\1" "\0" "\0"),
                                BYTES("\0\x5b\0\0\0\0\0\0"), SOCKS_GOODBYE, 0};
    struct heard h;

    (void)state;
    check_talk(&with_address, &h);
    assert_true(h.socks.destination.has_address);
    assert_int_equal(h.socks.destination.port, 22);
    check_talk(&with_name, &h);
    assert_string_equal(h.socks.destination.name, "example.net");
    check_talk(&without_name, &h);
}

static void endless_strings_of_socks4_end(void **state)
{
    uint8_t said[9 + 300] = "\4\1\0\x16\0\0\0\1";
    struct talk t = {&nobody, said, sizeof said, BYTES("\0\x5b\0\0\0\0\0\0"), SOCKS_GOODBYE,
                     sizeof said - 8 - 256};
    struct heard h;

    (void)state;
    memset(said + 8, 'u', sizeof said - 8);
    check_talk(&t, &h);
    said[8] = '\0'; /* now it is the name that does not end */
    t.left--;
    check_talk(&t, &h);
}

static void the_end_is_told_in_the_clients_version(void **state)
{
    struct socks socks;
    enum socks_verdict verdict;

    (void)state;
    socks_begin(&socks, &nobody);
    socks_take(&socks, BYTES("\5"), &verdict);
    socks_reply(&socks, SOCKS_REFUSED);
    assert_int_equal(socks.reply_size, 10);
    assert_memory_equal(socks.reply, "\5\5\0\1\0\0\0\0\0\0", 10);
    socks_begin(&socks, &nobody);
    socks_take(&socks, BYTES("\4"), &verdict);
    socks_reply(&socks, SOCKS_GRANTED);
    assert_int_equal(socks.reply_size, 8);
    assert_memory_equal(socks.reply, "\0\x5a\0\0\0\0\0\0", 8);
    socks_reply(&socks, SOCKS_REFUSED);
    assert_memory_equal(socks.reply, "\0\x5b\0\0\0\0\0\0", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv4_request_is_read),
        cmocka_unit_test(an_ipv6_request_is_read),
        cmocka_unit_test(a_name_is_read),
        cmocka_unit_test(an_address_sent_as_a_name_is_an_address),
        cmocka_unit_test(a_name_may_have_255_bytes),
        cmocka_unit_test(names_that_none_can_be_are_refused),
        cmocka_unit_test(what_is_not_supported_is_told),
        cmocka_unit_test(what_is_not_socks_gets_no_answer),
        cmocka_unit_test(a_method_must_be_offered),
        cmocka_unit_test(the_password_decides),
        cmocka_unit_test(socks4_and_socks4a_are_read),
        cmocka_unit_test(endless_strings_of_socks4_end),
        cmocka_unit_test(the_end_is_told_in_the_clients_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
