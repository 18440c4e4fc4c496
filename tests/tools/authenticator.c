/* A security key without hardware: the middleware of ssh-keygen(1) -w and ssh-add(1) -S, as OpenSSH's
 * PROTOCOL.u2f describes it. Ed25519 alone. The key's handle is its seed.
 *
 * In the directory that TEST_AUTHENTICATOR names:
 *   log      a line for each signature asked for: "touch", "touch pin", "" where neither is wanted
 *   finger   what becomes of a touch that is wanted; it is given where there is no such file.
 *            A file that says "refuse": none comes, which the device tells. A FIFO: it comes when
 *            somebody writes "touch" there. */
#include <fcntl.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The interface. */
enum { API_VERSION = 0x000a0000 };
enum { FAILED = -1, UNSUPPORTED = -2, PIN_REQUIRED = -3 };
enum { TOUCH = 1, PIN = 4 };
enum { ED25519 = 1 };

static const char device_pin[] = "1234";

struct sk_option;
struct sk_resident_key;

struct sk_enroll_response {
    uint8_t flags;
    uint8_t *public_key;
    size_t public_key_len;
    uint8_t *key_handle;
    size_t key_handle_len;
    uint8_t *signature;
    size_t signature_len;
    uint8_t *attestation_cert;
    size_t attestation_cert_len;
    uint8_t *authdata;
    size_t authdata_len;
};

struct sk_sign_response {
    uint8_t flags;
    uint32_t counter;
    uint8_t *sig_r;
    size_t sig_r_len;
    uint8_t *sig_s;
    size_t sig_s_len;
};

uint32_t sk_api_version(void);
int sk_enroll(uint32_t algorithm, const uint8_t *challenge, size_t challenge_size, const char *application,
              uint8_t flags, const char *pin, struct sk_option **options,
              struct sk_enroll_response **response);
int sk_sign(uint32_t algorithm, const uint8_t *data, size_t size, const char *application,
            const uint8_t *handle, size_t handle_size, uint8_t flags, const char *pin,
            struct sk_option **options, struct sk_sign_response **response);
int sk_load_resident_keys(const char *pin, struct sk_option **options, struct sk_resident_key ***keys,
                          size_t *count);

uint32_t sk_api_version(void)
{
    return API_VERSION;
}

static int open_in_directory(const char *name, int flags)
{
    const char *directory = getenv("TEST_AUTHENTICATOR");
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", directory ? directory : ".", name);
    return open(path, flags | O_CLOEXEC, 0644);
}

static void note_request(uint8_t flags)
{
    int log = open_in_directory("log", O_WRONLY | O_CREAT | O_APPEND);

    dprintf(log, "%s%s\n", flags & TOUCH ? "touch" : "", flags & PIN ? " pin" : "");
    close(log);
}

/* Waits for it. */
static int touched(void)
{
    char word[16] = "touch";
    int finger = open_in_directory("finger", O_RDONLY);

    if (finger >= 0) {
        ssize_t got = read(finger, word, sizeof word - 1);

        word[got > 0 ? got : 0] = '\0';
        close(finger);
    }
    return strncmp(word, "touch", 5) == 0;
}

static int pin_lacks(uint8_t flags, const char *pin)
{
    return flags & PIN && (!pin || strcmp(pin, device_pin) != 0);
}

int sk_enroll(uint32_t algorithm, const uint8_t *challenge, size_t challenge_size, const char *application,
              uint8_t flags, const char *pin, struct sk_option **options,
              struct sk_enroll_response **response)
{
    struct sk_enroll_response *made = calloc(1, sizeof *made);
    uint8_t secret[crypto_sign_SECRETKEYBYTES];

    (void)challenge, (void)challenge_size, (void)application, (void)pin, (void)options;
    if (!made || algorithm != ED25519 || sodium_init() < 0) {
        free(made);
        return UNSUPPORTED;
    }
    /* ssh frees each of them. There is no attestation, and of that no signature. */
    made->flags = flags;
    made->public_key = malloc(made->public_key_len = crypto_sign_PUBLICKEYBYTES);
    made->key_handle = malloc(made->key_handle_len = crypto_sign_SEEDBYTES);
    made->signature = calloc(1, made->signature_len = crypto_sign_BYTES);
    randombytes_buf(made->key_handle, made->key_handle_len);
    crypto_sign_seed_keypair(made->public_key, secret, made->key_handle);
    *response = made;
    return 0;
}

/* Over hash of the application, flags, counter, hash of the data. */
static void sign(struct sk_sign_response *answer, const char *application, const uint8_t *data, size_t size,
                 const uint8_t *seed)
{
    uint8_t text[32 + 5 + 32], public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];

    crypto_hash_sha256(text, (const uint8_t *)application, strlen(application));
    text[32] = answer->flags;
    for (int i = 0; i < 4; i++)
        text[33 + i] = (uint8_t)(answer->counter >> (24 - 8 * i));
    crypto_hash_sha256(text + 37, data, size);
    crypto_sign_seed_keypair(public, secret, seed);
    answer->sig_r = malloc(answer->sig_r_len = crypto_sign_BYTES);
    crypto_sign_detached(answer->sig_r, NULL, text, sizeof text, secret);
}

int sk_sign(uint32_t algorithm, const uint8_t *data, size_t size, const char *application,
            const uint8_t *handle, size_t handle_size, uint8_t flags, const char *pin,
            struct sk_option **options, struct sk_sign_response **response)
{
    struct sk_sign_response *answer;

    (void)options;
    if (algorithm != ED25519 || handle_size != crypto_sign_SEEDBYTES || sodium_init() < 0)
        return UNSUPPORTED;
    if (pin_lacks(flags, pin))
        return PIN_REQUIRED;
    note_request(flags);
    if (flags & TOUCH && !touched())
        return FAILED;
    answer = calloc(1, sizeof *answer);
    if (!answer)
        return FAILED;
    answer->flags = flags & (TOUCH | PIN);
    answer->counter = (uint32_t)time(NULL);
    sign(answer, application, data, size, handle);
    *response = answer;
    return 0;
}

/* ssh wants it to be there. */
int sk_load_resident_keys(const char *pin, struct sk_option **options, struct sk_resident_key ***keys,
                          size_t *count)
{
    (void)pin, (void)options, (void)keys, (void)count;
    return UNSUPPORTED;
}
