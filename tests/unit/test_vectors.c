/* The wire format, byte by byte, against tests/deep/vectors/: the files that
 * portsmith-protocol(7) shows and that another implementation made. */
#include "check.h"

#include <sodium.h>

#include "common/envelope.h"
#include "common/text/keys.h"
#include "common/text/member.h"
#include "daemon/config/roster.h"
#include "daemon/config/rosterfile.h"
#include "people.h"

struct vector {
    char path[256];
    char text[4096];
};

static const char *const names[] = {"plain", "preshared", "close", "ssh", "security-key",
                                    "member"};

static void vector_read(struct vector *v, const char *name)
{
    FILE *f;
    size_t n;

    snprintf(v->path, sizeof v->path, TEST_VECTORS "/%s.txt", name);
    f = fopen(v->path, "r");
    if (!f)
        fail_msg("%s cannot be read", v->path);
    n = fread(v->text, 1, sizeof v->text - 1, f);
    v->text[n] = '\0';
    fclose(f);
}

/* The value's first line after "\nNAME = ", as bytes; a value goes on over
 * lines that are indented. Returns how many bytes, 0 if the name is absent. */
static size_t vector_get(const struct vector *v, const char *name, uint8_t *bytes, size_t size)
{
    char start[64];
    const char *at, *end;
    size_t n = 0;

    snprintf(start, sizeof start, "\n%s =", name);
    at = strstr(v->text, start);
    if (!at)
        return 0;
    at += strlen(start);
    for (end = at; (end = strchr(end, '\n')) && end[1] == ' ';)
        end++;
    assert_non_null(end);
    assert_int_equal(sodium_hex2bin(bytes, size, at, (size_t)(end - at), " \n", &n, NULL), 0);
    return n;
}

static void vector_want(const struct vector *v, const char *name, uint8_t *bytes, size_t size)
{
    if (vector_get(v, name, bytes, size) != size)
        fail_msg("%s: %s is not %zu bytes", v->path, name, size);
}

static void assert_vector(const struct vector *v, const char *name, const uint8_t *bytes,
                          size_t size)
{
    uint8_t expected[DATAGRAM_MAX];

    vector_want(v, name, expected, size);
    if (memcmp(expected, bytes, size) != 0)
        fail_msg("%s: %s is something else", v->path, name);
}

static void client_keys_are_as_given(const struct vector *v, uint8_t *signing)
{
    uint8_t seed[KEY_SIZE], key_id[KEY_ID_SIZE];

    vector_want(v, "client_seed", seed, sizeof seed);
    key_expand_client(signing, seed);
    assert_vector(v, "client_public", signing + KEY_SIZE, KEY_SIZE);
    envelope_key_id(key_id, signing + KEY_SIZE);
    assert_vector(v, "key_id", key_id, sizeof key_id);
}

static void server_keys_are_as_given(const struct vector *v, uint8_t *server_public, uint8_t *gate)
{
    uint8_t secret[KEY_SIZE];

    vector_want(v, "server_secret", secret, sizeof secret);
    assert_true(key_server_public(server_public, secret));
    assert_vector(v, "server_public", server_public, KEY_SIZE);
    envelope_gate_key(gate, server_public);
    assert_vector(v, "gate_key", gate, GATE_KEY_SIZE);
}

static void envelope_key_is_as_given(const struct vector *v, const uint8_t *signing,
                                     const uint8_t *server_public, uint8_t *key)
{
    uint8_t secret[KEY_SIZE], preshared[KEY_SIZE], other[KEY_SIZE];
    bool has_preshared = vector_get(v, "preshared", preshared, sizeof preshared) == KEY_SIZE;

    vector_want(v, "server_secret", secret, sizeof secret);
    assert_true(envelope_key_of_client(key, signing, server_public,
                                       has_preshared ? preshared : NULL));
    assert_vector(v, "envelope_key", key, KEY_SIZE);
    assert_true(server_makes_key(other, secret, signing + KEY_SIZE,
                                       has_preshared ? preshared : NULL));
    assert_vector(v, "envelope_key", other, KEY_SIZE);
}

static void ssh_envelope_key_is_as_given(const struct vector *v, const uint8_t *client_public,
                                         const uint8_t *server_public, uint8_t *key)
{
    uint8_t preshared[KEY_SIZE];

    vector_want(v, "preshared", preshared, sizeof preshared);
    envelope_key_of_preshared(key, preshared, client_public, server_public);
    assert_vector(v, "envelope_key", key, KEY_SIZE);
}

static void member_is_as_given(const struct vector *v, const struct request *r)
{
    uint8_t name[MEMBER_NAME_SIZE] = {0}, id[MEMBER_SIZE];

    assert_int_equal(request_names_member(r), vector_get(v, "member", name, sizeof name - 1) > 0);
    if (!request_names_member(r))
        return;
    member_id(id, (const char *)name);
    assert_vector(v, "member_id", id, sizeof id);
    assert_memory_equal(r->member, id, sizeof id);
}

static void request_is_as_given(const struct vector *v, uint8_t *request)
{
    uint8_t again[REQUEST_SIZE];
    struct request r;

    vector_want(v, "request", request, REQUEST_SIZE);
    assert_true(request_decode(&r, request));
    request_encode(again, &r);
    assert_memory_equal(again, request, REQUEST_SIZE);
    member_is_as_given(v, &r);
}

/* Signs as who made the vector did. */
static void signature_is_as_given(const struct vector *v, const uint8_t *signing,
                                  const uint8_t *server_public, const uint8_t *request,
                                  struct signature *signature)
{
    envelope_sign(signature, signing, server_public, request);
    assert_vector(v, "signature", signature->bytes, SIGNATURE_SIZE);
}

/* Takes the signature from the vector, and fills in what of the signer is not of every form. */
static void ssh_signature_is_as_given(const struct vector *v, const uint8_t *server_public,
                                      const uint8_t *request, struct signature *signature,
                                      struct signer *signer)
{
    uint8_t blob[SSH_BLOB_SIZE], application[32];
    size_t size = vector_get(v, "application", application, sizeof application);

    envelope_ssh_blob(blob, server_public, request);
    assert_vector(v, "ssh_blob", blob, sizeof blob);
    memset(signature, 0, sizeof *signature);
    vector_want(v, "signature", signature->bytes, SIGNATURE_SIZE);
    signer->form = size > 0 ? SIGNER_SECURITY_KEY : SIGNER_SSH;
    if (size == 0)
        return;
    vector_want(v, "authenticator", signature->authenticator, AUTHENTICATOR_SIZE);
    crypto_hash_sha256(signer->application, application, size);
    signer->required = AUTHENTICATOR_TOUCHED;
}

static void datagram_is_as_given(const struct vector *v, const uint8_t *key, const uint8_t *gate,
                                 const uint8_t *request, const struct signature *signature,
                                 enum signer_form form)
{
    uint8_t nonce[NONCE_SIZE], datagram[DATAGRAM_MAX], given[DATAGRAM_MAX], key_id[KEY_ID_SIZE];
    size_t size = vector_get(v, "datagram", given, sizeof given);
    uint8_t opened[REQUEST_SIZE];
    struct signature found;

    vector_want(v, "nonce", nonce, sizeof nonce);
    vector_want(v, "key_id", key_id, sizeof key_id);
    assert_in_range(size, DATAGRAM_MIN, DATAGRAM_MAX);
    assert_int_equal(envelope_seal(datagram, nonce, size - DATAGRAM_MIN, key, gate, key_id, request,
                                   signature),
                     size);
    assert_memory_equal(datagram, given, size);
    assert_true(envelope_open(opened, &found, form, key, given, size));
    assert_memory_equal(opened, request, REQUEST_SIZE);
    assert_memory_equal(&found, signature, sizeof found);
}

static void check_vector(const char *name)
{
    uint8_t signing[SIGNING_KEY_SIZE], server_public[KEY_SIZE], key[KEY_SIZE], gate[GATE_KEY_SIZE];
    uint8_t request[REQUEST_SIZE], unused[SSH_BLOB_SIZE];
    struct signature signature;
    struct signer signer;
    struct vector v;

    vector_read(&v, name);
    client_keys_are_as_given(&v, signing);
    signer = native_signer(signing + KEY_SIZE);
    server_keys_are_as_given(&v, server_public, gate);
    request_is_as_given(&v, request);
    if (vector_get(&v, "ssh_blob", unused, sizeof unused) > 0) {
        ssh_envelope_key_is_as_given(&v, signer.public_key, server_public, key);
        ssh_signature_is_as_given(&v, server_public, request, &signature, &signer);
    } else {
        envelope_key_is_as_given(&v, signing, server_public, key);
        signature_is_as_given(&v, signing, server_public, request, &signature);
    }
    assert_true(envelope_verify(&signature, &signer, server_public, request));
    datagram_is_as_given(&v, key, gate, request, &signature, signer.form);
}

static void a_roster_comes_out_byte_for_byte(void **state)
{
    uint8_t seed[KEY_SIZE], signing[SIGNING_KEY_SIZE], secret[KEY_SIZE], client[KEY_SIZE];
    uint8_t preshared[KEY_SIZE], text[128];
    struct rosterfile file;
    struct error why;
    struct vector v;
    size_t size;

    (void)state;
    vector_read(&v, "roster");
    vector_want(&v, "fleet_seed", seed, sizeof seed);
    key_expand_client(signing, seed);
    assert_vector(&v, "fleet_public", signing + KEY_SIZE, KEY_SIZE);
    size = vector_get(&v, "text", text, sizeof text);
    assert_done(rosterfile_sign(&file, (const char *)text, size, signing, &why), why);
    assert_vector(&v, "file", (const uint8_t *)file.bytes, file.size);
    free(file.bytes);
    vector_want(&v, "fleet_secret", secret, sizeof secret);
    vector_want(&v, "client_public", client, sizeof client);
    roster_preshared(preshared, secret, client);
    assert_vector(&v, "preshared", preshared, sizeof preshared);
}

static void vectors_come_out_byte_for_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        check_vector(names[i]);
}

static int start_sodium(void **state)
{
    (void)state;
    return sodium_init() < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_come_out_byte_for_byte),
        cmocka_unit_test(a_roster_comes_out_byte_for_byte),
    };

    return cmocka_run_group_tests_name("vectors", tests, start_sodium, NULL);
}
