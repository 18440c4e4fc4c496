/* libportsmith by its interface: what an app was sent (a bundle, a server file), what its user typed,
 * and what its own function answers that is to sign. The parts of the input: how it is read (one
 * character), the file; lines of "Key=value" to be set; the source; and the answer, a character for
 * its size and then its bytes, or "=" for that of the right key. */
#include "fuzz.h"

#include "client/library/portsmith.h"

static const char file[] = "/run/file", state[] = "/run/state", counter[] = "/run/state/counter";

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static const char secret[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

    (void)count, (void)arguments;
    fuzz_enter();
    fuzz_write_text("/run/identity", secret);
    return 0;
}

static int answer(void *context, const unsigned char *message, size_t size, unsigned char *signature)
{
    static const uint8_t seed[crypto_sign_SEEDBYTES] = {1};
    struct input in = *(const struct input *)context;
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    int given = (signed char)input_byte(&in);

    if (given != '=') {
        input_take(&in, signature, PORTSMITH_SIGNATURE_MAX);
        return given;
    }
    crypto_sign_seed_keypair(public_key, secret, seed);
    crypto_sign_detached(signature, NULL, message, size, secret);
    return crypto_sign_BYTES;
}

/* One line that says something exactly if it is so. */
static void check_error(const struct portsmith *p, bool failed)
{
    const char *text = portsmith_error(p);

    REQUIRE(!strpbrk(text, "\n\r\033"));
    REQUIRE(failed == (text[0] != '\0'));
}

static bool read_one(struct portsmith *p, char how, struct input part)
{
    int result;

    if (how == 's' || how == 'f')
        fuzz_write_part(file, part);
    result = how == 's'   ? portsmith_read_server(p, file)
             : how == 'f' ? portsmith_read_bundle(p, file)
                          : portsmith_parse_bundle(p, part.size > 0 ? part.bytes : (const uint8_t *)"",
                                                   part.size);
    REQUIRE(result == 0 || result == -1);
    check_error(p, result != 0);
    return result == 0;
}

static void set_each(struct portsmith *p, struct input part)
{
    char *text = input_text(&part), *rest = text, *line;

    while ((line = strtok_r(rest, "\n", &rest))) {
        char *equals = strchr(line, '=');

        if (equals)
            *equals = '\0';
        check_error(p, portsmith_set(p, line, equals ? equals + 1 : NULL) != 0);
    }
    free(text);
}

static void get_all(struct portsmith *p)
{
    static const char *const keys[] = {"Name", "Host", "Port", "Transport", "SSHKey"};

    for (size_t i = 0; i < COUNT_OF(keys); i++)
        REQUIRE(portsmith_get(p, keys[i]) && strlen(portsmith_get(p, keys[i])) < 200);
    REQUIRE(portsmith_get(p, "Host")[0] && atoi(portsmith_get(p, "Port")) > 0);
    REQUIRE(!portsmith_get(p, "PrivateKey"));
    check_error(p, true);
}

/* The last counter that was taken. */
static uint64_t last_counter(void)
{
    char text[32] = "";
    FILE *f = fopen(counter, "r");

    if (f) {
        REQUIRE(fgets(text, sizeof text, f));
        fclose(f);
    }
    return strtoull(text, NULL, 10);
}

static void knock(struct portsmith *p, int action, const char *source)
{
    static const uint8_t untouched[PORTSMITH_DATAGRAM_MAX];
    uint8_t datagram[PORTSMITH_DATAGRAM_MAX] = {0};
    uint64_t before = last_counter();
    int size = portsmith_knock(p, action, source, datagram, sizeof datagram);

    check_error(p, size < 0);
    REQUIRE(size == -1 || (size >= 176 && size <= 304));
    REQUIRE((memcmp(datagram, untouched, sizeof datagram) == 0) == (size < 0));
    REQUIRE(size < 0 || last_counter() > before);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    char how = (char)input_byte(&in);
    struct input server = input_part(&in), values = input_part(&in), part = input_part(&in);
    struct portsmith *p = portsmith_new(state);
    char *source = input_text(&part);

    REQUIRE(p);
    source[strcspn(source, "\n")] = '\0';
    if (read_one(p, how, server)) {
        REQUIRE(!read_one(p, 't', (struct input){NULL, 0})); /* which changes nothing */
        get_all(p);
        set_each(p, values);
        if (in.size > 0)
            portsmith_sign(p, answer, &in);
        knock(p, PORTSMITH_OPEN, source[0] ? source : NULL);
        knock(p, PORTSMITH_CLOSE, NULL);
        knock(p, source[0], NULL);
    } else {
        REQUIRE(!portsmith_get(p, "Host") && portsmith_set(p, "Service", "tcp/22") == -1);
        knock(p, PORTSMITH_OPEN, NULL);
    }
    free(source);
    portsmith_free(p);
    return 0;
}
