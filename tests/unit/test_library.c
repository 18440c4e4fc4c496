/* libportsmith as a program has it: by portsmith.h and the shared library alone. What it makes is
 * opened as a server opens it. */
#include "people.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <pthread.h>

#include "client/library/portsmith.h"
#include "common/text/sshkey.h"

static const uint8_t server_secret[KEY_SIZE] = {7};
static const uint8_t client_secret[KEY_SIZE] = {9};
static const uint8_t preshared[KEY_SIZE] = {5};

enum { CLIENT = 3 }; /* whose key the caller's function signs by */

/* ---- what is read ----------------------------------------------------------- */

/* A line of a public key of OpenSSH, for CLIENT. */
static const char *ssh_line(char line[static SSH_KEY_LINE_SIZE], enum signer_form form)
{
    struct person who;
    const char *type = form == SIGNER_SSH ? "ssh-ed25519" : "sk-ssh-ed25519@openssh.com";
    uint8_t blob[128];
    size_t size = 0;
    char text[128];

    person_make(&who, CLIENT);
    for (int i = 0; i < 3; i++) {
        const void *string = i == 0 ? (const void *)type : i == 1 ? who.public_key : (const void *)"ssh:";
        uint32_t length = i == 1 ? KEY_SIZE : (uint32_t)strlen(string);
        uint32_t encoded = htonl(length);

        if (i == 2 && form == SIGNER_SSH)
            continue;
        memcpy(blob + size, &encoded, 4);
        memcpy(blob + size + 4, string, length);
        size += 4 + length;
    }
    sodium_bin2base64(text, sizeof text, blob, size, sodium_base64_VARIANT_ORIGINAL);
    snprintf(line, SSH_KEY_LINE_SIZE, "%s %s", type, text);
    return line;
}

static void append_key(char *text, const char *name, const uint8_t key[static KEY_SIZE])
{
    char line[KEY_TEXT_SIZE];

    sprintf(text + strlen(text), "%s = %s\n", name, key_format(key, line));
}

/* The text of a server file, or of a bundle, with further lines. */
static const char *lines_of(const char *section, const char *more)
{
    static char text[1024];
    uint8_t public_key[KEY_SIZE];

    assert_true(key_server_public(public_key, server_secret));
    sprintf(text, "[%s]\nHost = 192.0.2.7\nPort = 62201\n%s", section, more);
    append_key(text, "PublicKey", public_key);
    return text;
}

static const char *bundle_with_secret(void)
{
    char more[256] = "Name = home\n";

    append_key(more, "PrivateKey", client_secret);
    return lines_of("Bundle", more);
}

static const char *bundle_with_ssh_key(enum signer_form form)
{
    char more[512], line[SSH_KEY_LINE_SIZE];

    sprintf(more, "Name = home\nSSHKey = %s\n", ssh_line(line, form));
    append_key(more, "PresharedKey", preshared);
    return lines_of("Bundle", more);
}

static struct portsmith *read_text(const char *text)
{
    struct portsmith *p = portsmith_new("state");

    assert_non_null(p);
    if (portsmith_parse_bundle(p, text, strlen(text)) != 0)
        fail_msg("%s", portsmith_error(p));
    assert_string_equal(portsmith_error(p), "");
    return p;
}

#define assert_refused(call, p, word)                                                              \
    do {                                                                                           \
        assert_int_equal(call, -1);                                                                \
        if (!strstr(portsmith_error(p), word))                                                     \
            fail_msg("'%s' does not say '%s'", portsmith_error(p), word);                          \
    } while (0)

/* ---- what is made ----------------------------------------------------------- */

/* Opens a datagram as the server does. */
static struct request open_datagram(const uint8_t *datagram, int size, enum signer_form form)
{
    uint8_t key[KEY_SIZE], public_key[KEY_SIZE], encoded[REQUEST_SIZE], signing[SIGNING_KEY_SIZE];
    struct signer signer = {.form = (uint8_t)form};
    struct signature signature;
    struct request request;
    struct person who;

    assert_true(key_server_public(public_key, server_secret));
    person_make(&who, CLIENT);
    key_expand_client(signing, client_secret);
    memcpy(signer.public_key, form == SIGNER_NATIVE ? signing + KEY_SIZE : who.public_key, KEY_SIZE);
    if (form == SIGNER_SECURITY_KEY) {
        crypto_hash_sha256(signer.application, (const uint8_t *)"ssh:", 4);
        signer.required = AUTHENTICATOR_TOUCHED;
    }
    if (form == SIGNER_NATIVE)
        assert_true(server_makes_key(key, server_secret, signer.public_key, NULL));
    else
        envelope_key_of_preshared(key, preshared, signer.public_key, public_key);
    assert_true(size >= DATAGRAM_MIN && size <= DATAGRAM_MAX);
    assert_true(envelope_open(encoded, &signature, form, key, datagram, (size_t)size));
    assert_true(envelope_verify(&signature, &signer, public_key, encoded));
    assert_true(request_decode(&request, encoded));
    return request;
}

static struct request knock_of(struct portsmith *p, int action, const char *source,
                               enum signer_form form)
{
    uint8_t datagram[PORTSMITH_DATAGRAM_MAX];
    int size = portsmith_knock(p, action, source, datagram, sizeof datagram);

    if (size < 0)
        fail_msg("%s", portsmith_error(p));
    return open_datagram(datagram, size, form);
}

static bool names(const struct request *r, const char *address)
{
    struct address a = address_of(address);

    return r->has_address && address_equal(&r->address, &a);
}

static void bundle_knocks_and_asks_for_what_was_set(void **state)
{
    struct portsmith *p = read_text(bundle_with_secret());
    struct request r = knock_of(p, PORTSMITH_OPEN, NULL, SIGNER_NATIVE);

    (void)state;
    assert_true(r.action == ACTION_OPEN && r.service_count == 0 && r.window == 0 && !r.has_address);
    assert_int_equal(portsmith_set(p, "service", "udp/53, tcp/22"), 0);
    assert_int_equal(portsmith_set(p, "Window", "2m"), 0);
    r = knock_of(p, PORTSMITH_OPEN, "5.5.5.5", SIGNER_NATIVE);
    assert_true(r.service_count == 2 && r.services[0].port == 22 && r.services[1].port == 53);
    assert_true(r.window == 120 && names(&r, "5.5.5.5"));
    r = knock_of(p, PORTSMITH_CLOSE, "10.1.2.3", SIGNER_NATIVE);
    assert_true(r.action == ACTION_CLOSE && r.window == 0 && !r.has_address);
    assert_int_equal(portsmith_set(p, "Service", "tcp/443"), 0);
    assert_int_equal(portsmith_set(p, "Address", "6.6.6.6"), 0);
    r = knock_of(p, PORTSMITH_OPEN, "5.5.5.5", SIGNER_NATIVE);
    assert_true(r.service_count == 1 && r.services[0].port == 443 && names(&r, "6.6.6.6"));
    assert_int_equal(portsmith_set(p, "Address", "observed"), 0);
    assert_int_equal(portsmith_set(p, "Service", ""), 0);
    r = knock_of(p, PORTSMITH_OPEN, "5.5.5.5", SIGNER_NATIVE);
    assert_true(!r.has_address && r.service_count == 0);
    portsmith_free(p);
}

static void server_file_knocks_by_its_identity(void **state)
{
    struct portsmith *p = portsmith_new("state");
    char secret[KEY_TEXT_SIZE + 1];
    uint8_t datagram[PORTSMITH_DATAGRAM_MAX];

    (void)state;
    key_format(client_secret, secret);
    strcat(secret, "\n");
    scratch_write_text("home.conf", 0600, lines_of("Server", "Identity = mine\nService = tcp/22\n"));
    assert_int_equal(portsmith_read_server(p, "home.conf"), 0);
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram), p, "mine");
    scratch_write_text("mine", 0600, secret);
    assert_int_equal(knock_of(p, PORTSMITH_OPEN, NULL, SIGNER_NATIVE).service_count, 1);
    assert_int_equal(portsmith_set(p, "Identity", "nobody"), 0);
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram), p, "nobody");
    assert_int_equal(portsmith_set(p, "Identity", "mine"), 0);
    knock_of(p, PORTSMITH_OPEN, NULL, SIGNER_NATIVE);
    portsmith_free(p);
}

static void what_was_read_can_be_got(void **state)
{
    struct portsmith *p = read_text(bundle_with_secret());
    char line[SSH_KEY_LINE_SIZE];
    const char *text;

    (void)state;
    assert_string_equal(portsmith_get(p, "Name"), "home");
    assert_string_equal(portsmith_get(p, "Host"), "192.0.2.7");
    assert_string_equal(portsmith_get(p, "port"), "62201");
    assert_string_equal(portsmith_get(p, "Transport"), "udp");
    assert_string_equal(portsmith_get(p, "SSHKey"), "");
    assert_null(portsmith_get(p, "PrivateKey"));
    assert_non_null(strstr(portsmith_error(p), "PrivateKey"));
    text = bundle_with_ssh_key(SIGNER_SSH);
    assert_int_equal(portsmith_parse_bundle(p, text, strlen(text)), 0);
    assert_string_equal(portsmith_get(p, "SSHKey"), ssh_line(line, SIGNER_SSH));
    scratch_write_text("home.conf", 0600, lines_of("Server", ""));
    assert_int_equal(portsmith_read_server(p, "home.conf"), 0);
    assert_string_equal(portsmith_get(p, "Name"), "");
    portsmith_free(p);
}

/* ---- the caller's signatures ------------------------------------------------ */

struct answer {
    enum signer_form form;
    uint32_t who;
    int size;  /* what it returns, if not 0 */
    int asked; /* how often */
};

/* As a security key signs, or as an agent does. */
static int answer(void *context, const unsigned char *message, size_t size, unsigned char *signature)
{
    struct answer *a = context;
    uint8_t signed_bytes[32 + 5 + 32];
    struct person who;

    a->asked++;
    assert_int_equal(size, SSH_BLOB_SIZE);
    assert_memory_equal(message, "SSHSIG", 6);
    person_make(&who, a->who);
    if (a->form == SIGNER_SSH) {
        crypto_sign_detached(signature, NULL, message, size, who.signing);
        return a->size ? a->size : SIGNATURE_SIZE;
    }
    crypto_hash_sha256(signed_bytes, (const uint8_t *)"ssh:", 4);
    memcpy(signed_bytes + 32, (const uint8_t[]){AUTHENTICATOR_TOUCHED, 0, 0, 1, 2}, 5);
    crypto_hash_sha256(signed_bytes + 37, message, size);
    crypto_sign_detached(signature, NULL, signed_bytes, sizeof signed_bytes, who.signing);
    memcpy(signature + SIGNATURE_SIZE, signed_bytes + 32, 5);
    return a->size ? a->size : SIGNATURE_SIZE + 5;
}

static void caller_signs_for_an_ssh_key(void **state)
{
    static const enum signer_form forms[] = {SIGNER_SSH, SIGNER_SECURITY_KEY};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        struct portsmith *p = read_text(bundle_with_ssh_key(forms[i]));
        struct answer a = {.form = forms[i], .who = CLIENT};

        portsmith_sign(p, answer, &a);
        assert_int_equal(knock_of(p, PORTSMITH_OPEN, NULL, forms[i]).action, ACTION_OPEN);
        assert_int_equal(a.asked, 1);
        assert_refused(portsmith_set(p, "Identity", "mine"), p, "ssh key");
        portsmith_free(p);
    }
}

static void wrong_answers_of_the_caller_make_nothing(void **state)
{
    static const struct {
        struct answer given;
        const char *word;
    } cases[] = {
        {{SIGNER_SSH, CLIENT, -1, 0}, "has refused"},
        {{SIGNER_SSH, CLIENT, 63, 0}, "63 bytes"},
        {{SIGNER_SSH, CLIENT, 69, 0}, "has 64"},
        {{SIGNER_SSH, CLIENT, 1 << 30, 0}, "has 64"},
        {{SIGNER_SSH, CLIENT + 1, 0, 0}, "by the key of SSHKey"},
        {{SIGNER_SECURITY_KEY, CLIENT, 64, 0}, "by the key of SSHKey"},
    };
    uint8_t datagram[PORTSMITH_DATAGRAM_MAX], untouched[sizeof datagram];
    struct portsmith *p = read_text(bundle_with_ssh_key(SIGNER_SSH));

    (void)state;
    memset(datagram, 'x', sizeof datagram);
    memset(untouched, 'x', sizeof untouched);
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram), p,
                   "portsmith_sign");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct answer a = cases[i].given;

        portsmith_sign(p, answer, &a);
        assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram), p,
                       cases[i].word);
        assert_memory_equal(datagram, untouched, sizeof datagram);
    }
    portsmith_free(p);
}

/* ---- counters --------------------------------------------------------------- */

static void *knock_often(void *counters)
{
    struct portsmith *p = read_text(bundle_with_secret());

    for (size_t i = 0; i < 20; i++)
        ((uint64_t *)counters)[i] = knock_of(p, PORTSMITH_OPEN, NULL, SIGNER_NATIVE).counter;
    portsmith_free(p);
    return NULL;
}

static void no_counter_is_used_twice_by_threads(void **state)
{
    uint64_t counters[4][20], *all = counters[0];
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, knock_often, counters[i]), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 80; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(all[i] != all[j]);
}

static void clock_that_was_set_back_is_a_warning(void **state)
{
    struct portsmith *p = read_text(bundle_with_secret());
    uint8_t datagram[PORTSMITH_DATAGRAM_MAX];

    (void)state;
    mkdir("state", 0700);
    scratch_write_text("state/counter", 0600, "09999999999999999999\n");
    assert_true(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram) > 0);
    assert_non_null(strstr(portsmith_error(p), "clock"));
    assert_true(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram) > 0);
    assert_string_equal(portsmith_error(p), "");
    portsmith_free(p);
}

static void without_a_counter_there_is_no_knock(void **state)
{
    struct portsmith *p = portsmith_new(NULL);
    uint8_t datagram[PORTSMITH_DATAGRAM_MAX];
    const char *text = bundle_with_secret();

    (void)state;
    assert_int_equal(portsmith_parse_bundle(p, text, strlen(text)), 0);
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram), p,
                   "directory");
    portsmith_free(p);
    scratch_write_text("state", 0600, "a file");
    p = read_text(bundle_with_secret());
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram), p, "state");
    portsmith_free(p);
}

/* ---- what is refused -------------------------------------------------------- */

static void values_that_are_refused_change_nothing(void **state)
{
    static const char *const wrong[][2] = {
        {"Service", "tcp/22 tcp/0"}, {"Service", "tcp/1 tcp/2 tcp/3 tcp/4 tcp/5"},
        {"Service", " "},            {"Window", "8d"},
        {"Window", ""},              {"Address", "127.0.0.1"},
        {"Address", "fe80::1"},      {"Identity", ""},
        {"Host", "example.net"},     {"", "tcp/22"},
        {NULL, "tcp/22"},            {"Service", NULL},
    };
    struct portsmith *p = read_text(bundle_with_secret());

    (void)state;
    assert_int_equal(portsmith_set(p, "Service", "tcp/22"), 0);
    assert_int_equal(portsmith_set(p, "Address", "6.6.6.6"), 0);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct request r;

        assert_refused(portsmith_set(p, wrong[i][0], wrong[i][1]), p, "");
        assert_true(strlen(portsmith_error(p)) > 10);
        r = knock_of(p, PORTSMITH_OPEN, NULL, SIGNER_NATIVE);
        assert_true(r.service_count == 1 && r.services[0].port == 22 && r.window == 0);
        assert_true(names(&r, "6.6.6.6"));
    }
    assert_refused(portsmith_set(p, "Address", "one\ntwo"), p, "one?two");
    portsmith_free(p);
}

static void calls_that_are_wrong_are_refused(void **state)
{
    struct portsmith *p = portsmith_new("state");
    uint8_t datagram[PORTSMITH_DATAGRAM_MAX];
    const char *text = lines_of("Bundle", "Name = home\n");

    (void)state;
    assert_refused(portsmith_set(p, "Service", "tcp/22"), p, "no server was read");
    assert_null(portsmith_get(p, "Host"));
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram), p, "no server");
    assert_refused(portsmith_read_server(p, NULL), p, "no path");
    assert_refused(portsmith_read_server(p, "missing.conf"), p, "missing.conf");
    assert_refused(portsmith_read_bundle(p, NULL), p, "no path");
    assert_refused(portsmith_read_bundle(p, "missing"), p, "missing");
    assert_refused(portsmith_parse_bundle(p, NULL, 0), p, "no text");
    assert_refused(portsmith_parse_bundle(p, "", 0), p, "Name is missing");
    assert_refused(portsmith_parse_bundle(p, datagram, 4097), p, "4096");
    assert_int_equal(portsmith_parse_bundle(p, text, strlen(text)), 0);
    assert_refused(portsmith_parse_bundle(p, "[Server]\n", 9), p, "bundle:1:");
    assert_string_equal(portsmith_get(p, "Host"), "192.0.2.7");
    assert_refused(portsmith_knock(p, 3, NULL, datagram, sizeof datagram), p, "3 is no action");
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, NULL, sizeof datagram), p, "room");
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram - 1), p, "room");
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, "home", datagram, sizeof datagram), p, "'home'");
    assert_refused(portsmith_knock(p, PORTSMITH_OPEN, NULL, datagram, sizeof datagram), p, "Identity");
    portsmith_free(p);
    portsmith_free(NULL);
    assert_non_null(strstr(portsmith_error(NULL), "memory"));
}

static int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void files_of_others_are_refused_and_no_descriptor_is_left(void **state)
{
    struct portsmith *p = portsmith_new("state");
    int before = count_descriptors();

    (void)state;
    scratch_write_text("open", 0644, bundle_with_secret());
    assert_refused(portsmith_read_bundle(p, "open"), p, "chmod");
    scratch_write_text("shut", 0600, bundle_with_secret());
    assert_int_equal(portsmith_read_bundle(p, "shut"), 0);
    knock_of(p, PORTSMITH_OPEN, NULL, SIGNER_NATIVE);
    assert_int_equal(count_descriptors(), before);
    portsmith_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(function) cmocka_unit_test_setup_teardown(function, scratch_enter, scratch_leave)
        CASE(bundle_knocks_and_asks_for_what_was_set),
        CASE(server_file_knocks_by_its_identity),
        CASE(what_was_read_can_be_got),
        CASE(caller_signs_for_an_ssh_key),
        CASE(wrong_answers_of_the_caller_make_nothing),
        CASE(no_counter_is_used_twice_by_threads),
        CASE(clock_that_was_set_back_is_a_warning),
        CASE(without_a_counter_there_is_no_knock),
        CASE(values_that_are_refused_change_nothing),
        CASE(calls_that_are_wrong_are_refused),
        CASE(files_of_others_are_refused_and_no_descriptor_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
