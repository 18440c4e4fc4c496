/* An authenticated but hostile client: the input is what its envelope holds, well
 * sealed. Past the cryptography there are the padding, the request and the
 * sniffer's judgement. */
#include "fuzz.h"

#include "common/clock.h"
#include "daemon/sniffer/examine.h"
#include "privsep/helper/requests.h"

enum { KNOCK_PORT = 47000, PLAIN_MIN = REQUEST_SIZE + SIGNATURE_SIZE };

/* Bits of the first byte. */
enum { SIGN = 1, TIMELY = 2, CHECK_SKEW = 4, OTHER_PORT = 8, VALID = 16, UNSENT = 32,
       REFUSED = 64 };

static struct {
    uint8_t server_secret[KEY_SIZE], signing[SIGNING_KEY_SIZE];
    struct sniffer_profile profile;
    struct clientele clientele;
    struct client fresh; /* as it was at the start */
} world;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    uint8_t server_public[KEY_SIZE], seed[KEY_SIZE] = {1};
    struct sniffer_profile other;
    struct error why;

    (void)count, (void)arguments;
    REQUIRE(sodium_init() >= 0);
    memset(world.server_secret, 2, KEY_SIZE);
    crypto_scalarmult_base(server_public, world.server_secret);
    world.profile.port = KNOCK_PORT;
    crypto_sign_seed_keypair(world.profile.signer.public_key, world.signing, seed);
    envelope_key_id(world.profile.key_id, world.profile.signer.public_key);
    REQUIRE(envelope_key_of_client(world.profile.envelope_key, world.signing,
                                   server_public, NULL));
    REQUIRE(clientele_create(&world.clientele, 2, server_public, &why));
    clientele_add(&world.clientele, &world.profile);
    other = world.profile;
    other.key_id[KEY_ID_SIZE - 1] ^= 1; /* the same place */
    clientele_add(&world.clientele, &other);
    world.fresh = *clientele_find(&world.clientele, world.profile.key_id);
    return 0;
}

static bool requests_are_equal(const struct request *a, const struct request *b)
{
    bool equal = a->action == b->action && a->has_address == b->has_address &&
                 a->service_count == b->service_count && a->window == b->window &&
                 a->counter == b->counter && memcmp(a->member, b->member, MEMBER_SIZE) == 0 && address_equal(&a->address, &b->address);

    for (size_t i = 0; i < REQUEST_SERVICES; i++)
        equal = equal && service_compare(&a->services[i], &b->services[i]) == 0;
    return equal;
}

/* Any valid request, as the bytes have it. */
static struct request request_of(const uint8_t bytes[static REQUEST_SIZE])
{
    struct request r = {.action = bytes[1] % 2 ? ACTION_OPEN : ACTION_CLOSE};

    memcpy(&r.counter, bytes + 8, sizeof r.counter);
    memcpy(r.address.bytes, bytes + 16, sizeof r.address.bytes);
    r.has_address = address_is_foreign(&r.address);
    if (!r.has_address) {
        memset(&r.address, 0, sizeof r.address);
        memcpy(r.member, bytes + 48, MEMBER_SIZE);
    }
    if (r.action == ACTION_OPEN)
        memcpy(&r.window, bytes + 4, sizeof r.window);
    for (size_t i = 0; i < bytes[3] % (REQUEST_SERVICES + 1u); i++) {
        uint16_t port;

        memcpy(&port, bytes + 34 + 4 * i, sizeof port);
        r.services[r.service_count++] =
            (struct service){.protocol = bytes[32 + 4 * i] % 2 ? 6 : 17, .port = port | 1};
    }
    r.service_count = request_order_services(r.services, r.service_count);
    for (size_t i = r.service_count; i < REQUEST_SERVICES; i++)
        r.services[i] = (struct service){0};
    return r;
}

/* Every valid request comes back; every encoding that is accepted is the one. */
static void check_codec(const uint8_t bytes[static REQUEST_SIZE])
{
    struct request valid = request_of(bytes), decoded;
    uint8_t encoded[REQUEST_SIZE];

    request_encode(encoded, &valid);
    REQUIRE(request_decode(&decoded, encoded) && requests_are_equal(&decoded, &valid));
    if (valid.service_count > 1) {
        valid.services[0] = valid.services[1]; /* the same twice */
        request_encode(encoded, &valid);
        REQUIRE(!request_decode(&decoded, encoded));
    }
    if (!request_decode(&decoded, bytes))
        return;
    request_encode(encoded, &decoded);
    REQUIRE(memcmp(encoded, bytes, REQUEST_SIZE) == 0);
}

/* Like envelope_seal, but with a padding that need not be zero. */
static void seal(uint8_t *datagram, const uint8_t *plain, size_t size)
{
    memset(datagram, 3, NONCE_SIZE);
    memcpy(datagram + NONCE_SIZE, world.profile.key_id, KEY_ID_SIZE);
    /* A mask is its own inverse: the key id of this is the hint. */
    envelope_claimed_key_id(datagram + NONCE_SIZE, world.clientele.gate, datagram);
    crypto_aead_xchacha20poly1305_ietf_encrypt(datagram + NONCE_SIZE + KEY_ID_SIZE, NULL, plain,
                                               size, datagram + NONCE_SIZE, KEY_ID_SIZE, NULL,
                                               datagram, world.profile.envelope_key);
}

/* Opens if and only if the padding is in range and zero; changed, never. */
static void check_envelope(const uint8_t *datagram, const uint8_t *plain, size_t size,
                           uint16_t where)
{
    size_t sealed = size + DATAGRAM_MIN - PLAIN_MIN;
    uint8_t request[REQUEST_SIZE], *changed = malloc(sealed);
    struct signature signature;
    const uint8_t *key = world.profile.envelope_key;
    bool opens = envelope_open(request, &signature, SIGNER_SECURITY_KEY, key, datagram, sealed);

    REQUIRE(opens == (size >= PLAIN_MIN + AUTHENTICATOR_SIZE && size <= PLAIN_MIN + PADDING_MAX &&
                      sodium_is_zero(plain + PLAIN_MIN + AUTHENTICATOR_SIZE,
                                     size - PLAIN_MIN - AUTHENTICATOR_SIZE)));
    REQUIRE(!opens ||
            memcmp(signature.authenticator, plain + PLAIN_MIN, AUTHENTICATOR_SIZE) == 0);
    opens = envelope_open(request, &signature, SIGNER_NATIVE, key, datagram, sealed);
    REQUIRE(opens == (size <= PLAIN_MIN + PADDING_MAX &&
                      sodium_is_zero(plain + PLAIN_MIN, size - PLAIN_MIN)));
    REQUIRE(!opens || (memcmp(request, plain, REQUEST_SIZE) == 0 &&
                       memcmp(signature.bytes, plain + REQUEST_SIZE, SIGNATURE_SIZE) == 0));
    REQUIRE(changed);
    memcpy(changed, datagram, sealed);
    REQUIRE(!envelope_open(request, &signature, SIGNER_NATIVE, key, changed, sealed - 1));
    changed[where / 8 % sealed] ^= (uint8_t)(1 << where % 8);
    REQUIRE(!envelope_open(request, &signature, SIGNER_NATIVE, key, changed, sealed));
    free(changed);
}

/* What comes of a request that was passed on, unverified. It costs the client nothing if it could
 * not be sent, or was forged; if it was forged, the sniffer verifies the next itself. */
static void check_outcome(const struct frame *frame, struct unanswered *unanswered,
                          const struct knock_limits *limits, uint8_t flags)
{
    struct client *client = clientele_find(&world.clientele, world.profile.key_id);
    struct helper_reply reply = {
        .verdict = flags & REFUSED ? VERDICT_BAD_SIGNATURE : VERDICT_OPENED};
    int64_t now = clock_boot_ns() / NSEC_PER_MSEC;
    struct counters counters = {0};
    struct helper_request message;

    if (flags & UNSENT)
        knock_not_sent(unanswered);
    else
        REQUIRE(knock_learn(unanswered, &reply));
    REQUIRE(unanswered->count == 0 && !knock_learn(unanswered, &reply));
    REQUIRE(clientele_is_full(&client->honest, now) == !!(flags & (UNSENT | REFUSED)));
    if (flags & UNSENT || !(flags & REFUSED))
        return;
    REQUIRE(!clientele_is_full(&client->doubtful, now));
    REQUIRE(knock_examine(&message, frame, &world.clientele, unanswered, limits, &counters) ||
            counters.untimely + counters.throttled > 0);
    REQUIRE(unanswered_unverified(unanswered, client) == 0);
}

/* What is passed on is canonical to the helper, timely, from an address that
 * another host can have, and passed on once. */
static void check_judgement(const struct frame *frame, const uint8_t *plain,
                            const struct knock_limits *limits, uint8_t flags)
{
    uint64_t slack = (uint64_t)(limits->max_skew + 60) * USEC_PER_SEC, now; /* a busy host */
    static struct unanswered unanswered;
    struct counters counters = {0};
    struct helper_request message;
    struct request request;

    *clientele_find(&world.clientele, world.profile.key_id) = world.fresh;
    unanswered.count = 0;
    if (!knock_examine(&message, frame, &world.clientele, &unanswered, limits, &counters)) {
        REQUIRE(counters.garbage + counters.malformed + counters.repeated + counters.throttled ==
                1);
        return;
    }
    REQUIRE(helper_request_is_canonical(&message, &request));
    REQUIRE(frame->port == KNOCK_PORT && address_equal(&message.observed, &frame->source));
    REQUIRE(memcmp(message.key_id, world.profile.key_id, KEY_ID_SIZE) == 0);
    REQUIRE(memcmp(message.request, plain, REQUEST_SIZE) == 0);
    REQUIRE(memcmp(message.signature.bytes, plain + REQUEST_SIZE, SIGNATURE_SIZE) == 0);
    now = clock_wall_us();
    if (counters.untimely || request.counter == 0)
        return; /* for the log alone */
    REQUIRE(!limits->skew_checked ||
            (request.counter <= now + slack && request.counter + slack >= now));
    REQUIRE(!knock_examine(&message, frame, &world.clientele, &unanswered, limits, &counters));
    check_outcome(frame, &unanswered, limits, flags);
}

/* What the helper's replies say of the client's knocks: nothing, unless it vouches for all. */
static void check_reply(struct input *in)
{
    static const uint8_t stranger[KEY_ID_SIZE] = {9};
    struct client *client = clientele_find(&world.clientele, world.profile.key_id);
    uint64_t counters[MARK_COUNTERS];
    bool vouches = true;

    REQUIRE(!clientele_find(&world.clientele, stranger));
    *client = world.fresh;
    input_take(in, counters, sizeof counters);
    clientele_learn(client, 0, counters);
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        vouches = vouches && counters[i] != 0;
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        REQUIRE(counters[i] == 0 || clientele_counter_is_repeat(client, counters[i]) == vouches);
    for (size_t i = 0; vouches && i < MARK_COUNTERS; i++)
        REQUIRE(!clientele_counter_is_new(client, counters[i]));
    *client = world.fresh;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t flags = input_byte(&in), plain[PLAIN_MIN + PADDING_MAX + 2];
    uint8_t datagram[sizeof plain + DATAGRAM_MIN - PLAIN_MIN];
    struct knock_limits limits = {.skew_checked = flags & CHECK_SKEW, .max_skew = 300};
    struct frame frame = {.port = KNOCK_PORT + !!(flags & OTHER_PORT), .payload = datagram};
    uint16_t where;

    input_take(&in, &where, sizeof where);
    input_take(&in, frame.source.bytes, sizeof frame.source.bytes);
    size = input_byte(&in) % (PADDING_MAX + 3u) + PLAIN_MIN;
    input_take(&in, plain, size);
    check_codec(plain);
    if (flags & VALID) {
        struct request request = request_of(plain);

        if (flags & TIMELY)
            request.counter = clock_wall_us() + (uint64_t)(int32_t)request.counter;
        request_encode(plain, &request);
    }
    if (flags & SIGN) {
        struct signature signature;

        envelope_sign(&signature, world.signing, world.clientele.server_public, plain);
        memcpy(plain + REQUEST_SIZE, signature.bytes, SIGNATURE_SIZE);
    }
    seal(datagram, plain, size);
    check_envelope(datagram, plain, size, where);
    frame.size = size + DATAGRAM_MIN - PLAIN_MIN;
    check_judgement(&frame, plain, &limits, flags);
    check_reply(&in);
    return 0;
}
