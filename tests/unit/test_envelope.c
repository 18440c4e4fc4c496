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
    struct signature signature;
    struct signer signer;
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
    p->signer = native_signer(p->client_public);
    envelope_sign(&p->signature, p->signing, p->server_public, p->request);
}

static size_t seal(const struct pair *p, uint8_t datagram[static DATAGRAM_MAX], size_t padding)
{
    return envelope_seal(datagram, p->nonce, padding, p->key, p->gate, p->key_id, p->request,
                         &p->signature);
}

static bool opens(const struct pair *p, const uint8_t *datagram, size_t size)
{
    uint8_t request[REQUEST_SIZE];
    struct signature signature;

    return envelope_open(request, &signature, SIGNER_NATIVE, p->key, datagram, size);
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
    uint8_t datagram[DATAGRAM_MAX], request[REQUEST_SIZE];
    uint8_t claimed[KEY_ID_SIZE];
    struct signature signature;
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    for (size_t padding = 0; padding <= PADDING_MAX; padding++) {
        size_t size = seal(&p, datagram, padding);

        assert_int_equal(size, DATAGRAM_MIN + padding);
        envelope_claimed_key_id(claimed, p.gate, datagram);
        assert_memory_equal(claimed, p.key_id, KEY_ID_SIZE);
        assert_true(envelope_open(request, &signature, SIGNER_NATIVE, p.key, datagram, size));
        assert_memory_equal(request, p.request, REQUEST_SIZE);
        assert_memory_equal(&signature, &p.signature, sizeof signature);
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
    memcpy(plain + REQUEST_SIZE, p.signature.bytes, SIGNATURE_SIZE);
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
    struct signature changed;
    struct pair p, q;

    (void)state;
    make_pair(&p, NULL);
    make_pair(&q, NULL);
    assert_true(envelope_verify(&p.signature, &p.signer, p.server_public, p.request));
    assert_false(envelope_verify(&p.signature, &p.signer, q.server_public, p.request));
    assert_false(envelope_verify(&p.signature, &q.signer, p.server_public, p.request));
    for (size_t bit = 0; bit < REQUEST_SIZE * 8; bit++) {
        p.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(envelope_verify(&p.signature, &p.signer, p.server_public, p.request));
        p.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < SIGNATURE_SIZE * 8; bit++) {
        changed = p.signature;
        changed.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(envelope_verify(&changed, &p.signer, p.server_public, p.request));
    }
}

/* ---- ssh keys ------------------------------------------------------------ */

/* A signature as an agent makes it: over the blob, or over what the authenticator makes of it. */
static void sign_as_agent(struct pair *p, enum signer_form form, const uint8_t *authenticator)
{
    uint8_t blob[SSH_BLOB_SIZE], text[69];

    p->signer.form = (uint8_t)form;
    memset(&p->signature, 0, sizeof p->signature);
    envelope_ssh_blob(blob, p->server_public, p->request);
    if (form == SIGNER_SSH) {
        crypto_sign_detached(p->signature.bytes, NULL, blob, sizeof blob, p->signing);
        return;
    }
    crypto_hash_sha256(p->signer.application, (const uint8_t *)"ssh:", 4);
    p->signer.required = AUTHENTICATOR_TOUCHED;
    memcpy(p->signature.authenticator, authenticator, AUTHENTICATOR_SIZE);
    memcpy(text, p->signer.application, 32);
    memcpy(text + 32, authenticator, AUTHENTICATOR_SIZE);
    crypto_hash_sha256(text + 37, blob, sizeof blob);
    crypto_sign_detached(p->signature.bytes, NULL, text, sizeof text, p->signing);
}

static bool verifies(const struct pair *p)
{
    return envelope_verify(&p->signature, &p->signer, p->server_public, p->request);
}

static const uint8_t touched[AUTHENTICATOR_SIZE] = {AUTHENTICATOR_TOUCHED, 0, 0, 1, 2};

static void the_blob_is_that_of_sshsig(void **state)
{
    static const char head[] = "SSHSIG\0\0\0\x09portsmith\0\0\0\0\0\0\0\x06sha512\0\0\0\x40";
    uint8_t blob[SSH_BLOB_SIZE], text[20 + KEY_SIZE + REQUEST_SIZE], hash[64];
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    memcpy(text, "portsmith/1 request", 20);
    memcpy(text + 20, p.server_public, KEY_SIZE);
    memcpy(text + 52, p.request, REQUEST_SIZE);
    crypto_hash_sha512(hash, text, sizeof text);
    envelope_ssh_blob(blob, p.server_public, p.request);
    assert_memory_equal(blob, head, 37);
    assert_memory_equal(blob + 37, hash, 64);
}

static void a_signature_has_one_form(void **state)
{
    static const enum signer_form forms[] = {SIGNER_NATIVE, SIGNER_SSH, SIGNER_SECURITY_KEY};
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (forms[i] == SIGNER_NATIVE)
            envelope_sign(&p.signature, p.signing, p.server_public, p.request);
        else
            sign_as_agent(&p, forms[i], touched);
        for (size_t j = 0; j < COUNT_OF(forms); j++) {
            p.signer.form = (uint8_t)forms[j];
            assert_int_equal(verifies(&p), i == j);
        }
    }
}

static void other_namespaces_and_hashes_are_refused(void **state)
{
    uint8_t blob[SSH_BLOB_SIZE];
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    p.signer.form = SIGNER_SSH;
    envelope_ssh_blob(blob, p.server_public, p.request);
    for (size_t at = 0; at < sizeof blob; at++) {
        blob[at] ^= 1;
        crypto_sign_detached(p.signature.bytes, NULL, blob, sizeof blob, p.signing);
        assert_false(verifies(&p));
        blob[at] ^= 1;
    }
    crypto_sign_detached(p.signature.bytes, NULL, blob, sizeof blob - 1, p.signing);
    assert_false(verifies(&p));
    crypto_sign_detached(p.signature.bytes, NULL, blob, sizeof blob, p.signing);
    assert_true(verifies(&p));
}

static void an_authenticator_must_say_what_is_required(void **state)
{
    uint8_t says[AUTHENTICATOR_SIZE] = {0, 1, 2, 3, 4};
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    for (uint8_t flags = 0; flags < 8; flags++) {
        says[0] = flags;
        sign_as_agent(&p, SIGNER_SECURITY_KEY, says);
        assert_int_equal(verifies(&p), (flags & 1) != 0);
        p.signer.required = AUTHENTICATOR_TOUCHED | AUTHENTICATOR_VERIFIED;
        assert_int_equal(verifies(&p), (flags & 5) == 5);
        p.signer.required = 0;
        assert_true(verifies(&p));
    }
}

static void an_authenticator_signs_what_it_says(void **state)
{
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    sign_as_agent(&p, SIGNER_SECURITY_KEY, touched);
    assert_true(verifies(&p));
    for (size_t bit = 0; bit < AUTHENTICATOR_SIZE * 8; bit++) {
        p.signature.authenticator[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(verifies(&p));
        p.signature.authenticator[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    p.signer.application[31] ^= 1;
    assert_false(verifies(&p));
}

static void what_an_authenticator_says_travels_in_the_padding(void **state)
{
    uint8_t datagram[DATAGRAM_MAX], request[REQUEST_SIZE];
    struct signature signature;
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    sign_as_agent(&p, SIGNER_SECURITY_KEY, touched);
    for (size_t padding = 0; padding <= PADDING_MAX; padding++) {
        size_t size = seal(&p, datagram, padding);
        bool is_whole = padding >= AUTHENTICATOR_SIZE;

        assert_int_equal(envelope_open(request, &signature, SIGNER_SECURITY_KEY, p.key, datagram,
                                       size), is_whole);
        if (is_whole)
            assert_memory_equal(&signature, &p.signature, sizeof signature);
        assert_int_equal(envelope_open(request, &signature, SIGNER_SSH, p.key, datagram, size),
                         padding == 0);
    }
}

static void padding_behind_an_authenticator_must_be_zero(void **state)
{
    uint8_t datagram[DATAGRAM_MAX + 16], plain[128 + PADDING_MAX] = {0}, request[REQUEST_SIZE];
    struct signature signature;
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    memset(plain, 1, 128);
    for (size_t at = 128; at < sizeof plain; at++) {
        size_t size;

        plain[at] = 0x80;
        size = seal_by_hand(&p, datagram, plain, sizeof plain);
        assert_int_equal(envelope_open(request, &signature, SIGNER_SECURITY_KEY, p.key, datagram,
                                       size), at < 128 + AUTHENTICATOR_SIZE);
        plain[at] = 0;
    }
}

static void a_preshared_key_alone_keys_the_envelope(void **state)
{
    static const char label[] = "portsmith/1 envelope-psk";
    uint8_t key[KEY_SIZE], expected[KEY_SIZE], preshared[KEY_SIZE], text[24 + 2 * KEY_SIZE];
    struct pair p;

    (void)state;
    make_pair(&p, NULL);
    randombytes_buf(preshared, sizeof preshared);
    envelope_key_of_preshared(key, preshared, p.client_public, p.server_public);
    memcpy(text, label, 24);
    memcpy(text + 24, p.client_public, KEY_SIZE);
    memcpy(text + 24 + KEY_SIZE, p.server_public, KEY_SIZE);
    crypto_generichash(expected, KEY_SIZE, text, sizeof text, preshared, KEY_SIZE);
    assert_memory_equal(key, expected, KEY_SIZE);
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
        cmocka_unit_test(the_blob_is_that_of_sshsig),
        cmocka_unit_test(a_signature_has_one_form),
        cmocka_unit_test(other_namespaces_and_hashes_are_refused),
        cmocka_unit_test(an_authenticator_must_say_what_is_required),
        cmocka_unit_test(an_authenticator_signs_what_it_says),
        cmocka_unit_test(what_an_authenticator_says_travels_in_the_padding),
        cmocka_unit_test(padding_behind_an_authenticator_must_be_zero),
        cmocka_unit_test(a_preshared_key_alone_keys_the_envelope),
    };

    return cmocka_run_group_tests_name("envelope", tests, start_sodium, NULL);
}
