#include "check.h"

#include <sodium.h>

#include "common/envelope.h"
#include "common/text/keys.h"
#include "people.h"

/* One client and one server, and what both work out. */
struct pair {
    uint8_t signing[SIGNING_KEY_SIZE];
    uint8_t client_public[KEY_SIZE];
    uint8_t server_secret[KEY_SIZE];
    uint8_t server_public[KEY_SIZE];
    uint8_t key[KEY_SIZE];
    uint8_t gate[GATE_KEY_SIZE];
    uint8_t key_id[KEY_ID_SIZE];
    uint8_t request[REQUEST_SIZE];
    uint8_t signature[SIGNATURE_SIZE];
    uint8_t nonce[NONCE_SIZE];
};

static void make_pair(struct pair *p, const uint8_t *preshared)
{
    struct request r = {.action = ACTION_OPEN, .counter = 1};
    uint8_t seed[KEY_SIZE];

    randombytes_buf(seed, sizeof seed);
    randombytes_buf(p->server_secret, sizeof p->server_secret);
    randombytes_buf(p->nonce, sizeof p->nonce);
    key_expand_client(p->signing, seed);
    memcpy(p->client_public, p->signing + KEY_SIZE, KEY_SIZE);
    assert_true(key_server_public(p->server_public, p->server_secret));
    assert_true(envelope_key_of_client(p->key, p->signing, p->server_public, preshared));
    envelope_gate_key(p->gate, p->server_public);
    envelope_key_id(p->key_id, p->client_public);
    request_encode(p->request, &r);
    envelope_sign(p->signature, p->signing, p->server_public, p->request);
}

static size_t seal(const struct pair *p, uint8_t datagram[static DATAGRAM_MAX], size_t padding)
{
    return envelope_seal(datagram, p->nonce, padding, p->key, p->gate, p->key_id, p->request,
                         p->signature);
}

static bool opens(const struct pair *p, const uint8_t *datagram, size_t size)
{
    uint8_t request[REQUEST_SIZE], signature[SIGNATURE_SIZE];

    return envelope_open(request, signature, p->key, datagram, size);
}

static void both_sides_find_the_same_key(void **state)
{
    uint8_t preshared[KEY_SIZE], other[KEY_SIZE], plain[KEY_SIZE];
    struct pair p;

    (void)state;
    for (int i = 0; i < 20; i++) {
        randombytes_buf(preshared, sizeof preshared);
        make_pair(&p, i % 2 ? preshared : NULL);
        assert_true(server_makes_key(other, p.server_secret, p.client_public,
                                           i % 2 ? preshared : NULL));
        assert_memory_equal(other, p.key, KEY_SIZE);
        assert_true(server_makes_key(plain, p.server_secret, p.client_public, NULL));
        assert_int_equal(memcmp(plain, p.key, KEY_SIZE) == 0, i % 2 == 0);
    }
}

static void points_of_low_order_are_refused(void **state)
{
    static const uint8_t zero[KEY_SIZE] = {0}, one[KEY_SIZE] = {1};
    struct server_key server;
    uint8_t key[KEY_SIZE];
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    memcpy(server.secret, p.server_secret, KEY_SIZE);
    memcpy(server.public, p.server_public, KEY_SIZE);
    assert_false(envelope_key_of_client(key, p.signing, zero, NULL));
    assert_false(envelope_key_of_client(key, p.signing, one, NULL));
    assert_false(envelope_key_of_server(key, &server, p.client_public, zero, NULL));
    assert_false(envelope_key_of_server(key, &server, p.client_public, one, NULL));
}

static void every_padding_opens_and_names_its_client(void **state)
{
    uint8_t datagram[DATAGRAM_MAX], request[REQUEST_SIZE], signature[SIGNATURE_SIZE];
    uint8_t claimed[KEY_ID_SIZE];
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    for (size_t padding = 0; padding <= PADDING_MAX; padding++) {
        size_t size = seal(&p, datagram, padding);

        assert_int_equal(size, DATAGRAM_MIN + padding);
        envelope_claimed_key_id(claimed, p.gate, datagram);
        assert_memory_equal(claimed, p.key_id, KEY_ID_SIZE);
        assert_true(envelope_open(request, signature, p.key, datagram, size));
        assert_memory_equal(request, p.request, REQUEST_SIZE);
        assert_memory_equal(signature, p.signature, SIGNATURE_SIZE);
    }
}

static void any_changed_bit_is_refused(void **state)
{
    static const size_t paddings[] = {0, 1, PADDING_MAX};
    uint8_t datagram[DATAGRAM_MAX];
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    for (size_t i = 0; i < COUNT_OF(paddings); i++) {
        size_t size = seal(&p, datagram, paddings[i]);

        for (size_t bit = 0; bit < size * 8; bit++) {
            datagram[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(opens(&p, datagram, size));
            datagram[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_true(opens(&p, datagram, size));
    }
}

static void every_other_size_is_refused(void **state)
{
    enum { SIZES = 401 };
    uint8_t datagram[DATAGRAM_MAX];
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    seal(&p, datagram, PADDING_MAX);
    for (size_t size = 0; size < SIZES; size++) {
        /* On the heap, exactly as long as said: a sanitizer sees a read beyond. */
        uint8_t *copy = calloc(1, size ? size : 1);

        assert_non_null(copy);
        memcpy(copy, datagram, size < DATAGRAM_MAX ? size : DATAGRAM_MAX);
        assert_int_equal(opens(&p, copy, size), size == DATAGRAM_MAX);
        free(copy);
    }
}

/* A right tag over these contents, made with libsodium itself. */
static size_t seal_by_hand(const struct pair *p, uint8_t *datagram, const uint8_t *plain,
                           size_t plain_size)
{
    unsigned long long sealed;

    seal(p, datagram, 0); /* nonce and hint */
    crypto_aead_xchacha20poly1305_ietf_encrypt(datagram + 32, &sealed, plain, plain_size,
                                               datagram + 24, 8, NULL, p->nonce, p->key);
    return 32 + (size_t)sealed;
}

static void padding_must_be_zero(void **state)
{
    uint8_t datagram[DATAGRAM_MAX + 16], plain[128 + PADDING_MAX + 1] = {0};
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    memcpy(plain, p.request, REQUEST_SIZE);
    memcpy(plain + REQUEST_SIZE, p.signature, SIGNATURE_SIZE);
    assert_true(opens(&p, datagram, seal_by_hand(&p, datagram, plain, 128 + PADDING_MAX)));
    for (size_t at = 128; at < 128 + PADDING_MAX; at++) {
        plain[at] = 0x80;
        assert_false(opens(&p, datagram, seal_by_hand(&p, datagram, plain, 128 + PADDING_MAX)));
        plain[at] = 0;
    }
}

static void sizes_out_of_range_are_refused_even_with_a_right_tag(void **state)
{
    uint8_t datagram[DATAGRAM_MAX + 16], plain[128 + PADDING_MAX + 1] = {0};
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    assert_false(opens(&p, datagram, seal_by_hand(&p, datagram, plain, 127)));
    assert_true(opens(&p, datagram, seal_by_hand(&p, datagram, plain, 128)));
    assert_false(opens(&p, datagram, seal_by_hand(&p, datagram, plain, 128 + PADDING_MAX + 1)));
}

static void another_client_key_or_preshared_key_does_not_open(void **state)
{
    uint8_t datagram[DATAGRAM_MAX], preshared[KEY_SIZE];
    struct pair p, q;
    size_t size;

    (void)state;
    randombytes_buf(preshared, sizeof preshared);
    make_pair(&p, preshared);
    make_pair(&q, NULL);
    size = seal(&p, datagram, 0);
    assert_false(opens(&q, datagram, size));
    assert_true(server_makes_key(q.key, p.server_secret, p.client_public, NULL));
    assert_false(opens(&q, datagram, size));
}

static void a_signature_is_for_one_request_and_one_server(void **state)
{
    uint8_t changed[SIGNATURE_SIZE];
    struct pair p, q;

    (void)state;
    make_pair(&p, NULL);
    make_pair(&q, NULL);
    assert_true(envelope_verify(p.signature, p.client_public, p.server_public, p.request));
    assert_false(envelope_verify(p.signature, p.client_public, q.server_public, p.request));
    assert_false(envelope_verify(p.signature, q.client_public, p.server_public, p.request));
    for (size_t bit = 0; bit < REQUEST_SIZE * 8; bit++) {
        p.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(envelope_verify(p.signature, p.client_public, p.server_public, p.request));
        p.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < SIGNATURE_SIZE * 8; bit++) {
        memcpy(changed, p.signature, sizeof changed);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(envelope_verify(changed, p.client_public, p.server_public, p.request));
    }
}

static int start_sodium(void **state)
{
    (void)state;
    return sodium_init() < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_find_the_same_key),
        cmocka_unit_test(points_of_low_order_are_refused),
        cmocka_unit_test(every_padding_opens_and_names_its_client),
        cmocka_unit_test(any_changed_bit_is_refused),
        cmocka_unit_test(every_other_size_is_refused),
        cmocka_unit_test(padding_must_be_zero),
        cmocka_unit_test(sizes_out_of_range_are_refused_even_with_a_right_tag),
        cmocka_unit_test(another_client_key_or_preshared_key_does_not_open),
        cmocka_unit_test(a_signature_is_for_one_request_and_one_server),
    };

    return cmocka_run_group_tests_name("envelope", tests, start_sodium, NULL);
}
