#include "check.h"

#include "daemon/sniffer/examine.h"
#include "people.h"

enum { KNOCK_PORT = 47000, BURST = 32, DOUBTFUL_BURST = 4, SKEW = 300 };

/* A server with one client; what that client sends, and what is made of it. Time stands still, so
 * that no token is earned meanwhile, however slow the machine is. */
static struct {
    int64_t boot_ns;
    uint8_t server_secret[KEY_SIZE], server_public[KEY_SIZE], gate[GATE_KEY_SIZE];
    struct person client;
    uint8_t envelope_key[KEY_SIZE];
    struct clientele clientele;
    struct unanswered unanswered;
    struct counters counters;
    struct helper_request message;
    enum verdict verdict; /* of the helper, at once; VERDICT_NONE: it takes its time */
} world;

static const struct knock_limits limits = {.skew_checked = true, .max_skew = SKEW};

int64_t __wrap_clock_boot_ns(void);
int64_t __real_clock_boot_ns(void);

int64_t __wrap_clock_boot_ns(void)
{
    return world.boot_ns;
}

static int make_world(void **state)
{
    struct sniffer_profile profile = {.port = KNOCK_PORT};
    struct error why;

    (void)state;
    randombytes_buf(world.server_secret, KEY_SIZE);
    crypto_scalarmult_base(world.server_public, world.server_secret);
    envelope_gate_key(world.gate, world.server_public);
    person_make(&world.client, 1);
    if (!envelope_key_of_client(world.envelope_key, world.client.signing, world.server_public,
                                NULL))
        return -1;
    memcpy(profile.key_id, world.client.key_id, KEY_ID_SIZE);
    memcpy(profile.envelope_key, world.envelope_key, KEY_SIZE);
    memcpy(profile.signer.public_key, world.client.public_key, KEY_SIZE);
    world.boot_ns = __real_clock_boot_ns();
    world.unanswered = (struct unanswered){0};
    world.verdict = VERDICT_OPENED;
    world.counters = (struct counters){0};
    world.message = (struct helper_request){0};
    if (!clientele_create(&world.clientele, 1, world.server_public, &why))
        return -1;
    clientele_add(&world.clientele, &profile);
    return 0;
}

static int end_world(void **state)
{
    (void)state;
    sodium_free(world.clientele.index);
    sodium_free(world.clientele.clients);
    return 0;
}

/* ---- knocking ----------------------------------------------------------- */

struct datagram {
    uint8_t bytes[DATAGRAM_MAX];
    size_t size;
};

static void seal(struct datagram *d, const uint8_t *request, const struct person *signer,
                 size_t padding)
{
    uint8_t nonce[NONCE_SIZE];
    struct signature signature;

    randombytes_buf(nonce, sizeof nonce);
    envelope_sign(&signature, signer->signing, world.server_public, request);
    d->size = envelope_seal(d->bytes, nonce, padding, world.envelope_key, world.gate,
                            world.client.key_id, request, &signature);
}

static void make_knock(struct datagram *d, uint64_t counter)
{
    struct request request = {.action = ACTION_OPEN, .counter = counter};
    uint8_t bytes[REQUEST_SIZE];

    request_encode(bytes, &request);
    seal(d, bytes, &world.client, 0);
}

/* Without the mark. */
static void answer(enum verdict verdict)
{
    const struct helper_reply reply = {.verdict = verdict};

    assert_true(knock_learn(&world.unanswered, &reply));
}

static bool judge(const struct frame *frame, const struct knock_limits *of)
{
    const bool passed = knock_examine(&world.message, frame, &world.clientele, &world.unanswered,
                                      of, &world.counters);

    if (passed && world.verdict != VERDICT_NONE)
        answer(world.verdict);
    return passed;
}

/* Of an exact size in memory, so that a sanitizer sees what is read beyond. */
static bool examine_by(enum transport transport, const struct datagram *d, const char *source,
                       uint16_t port)
{
    uint8_t *copy = malloc(d->size ? d->size : 1);
    struct frame frame = {.source = address_of(source), .transport = transport, .port = port,
                          .payload = copy, .size = d->size};
    bool passed;

    memcpy(copy, d->bytes, d->size);
    passed = judge(&frame, &limits);
    if (passed)
        assert_memory_equal(world.message.key_id, world.client.key_id, KEY_ID_SIZE);
    free(copy);
    return passed;
}

static bool examine_from(const struct datagram *d, const char *source, uint16_t port)
{
    return examine_by(TRANSPORT_UDP, d, source, port);
}

static bool examine(const struct datagram *d)
{
    return examine_from(d, "192.0.2.7", KNOCK_PORT);
}

/* Exactly these two were counted, beside each other's zeros. */
static void check_counted(uint64_t garbage, uint64_t authentic)
{
    assert_int_equal(world.counters.garbage, garbage);
    assert_int_equal(world.counters.authentic, authentic);
}

/* ---- honest ones -------------------------------------------------------- */

static void an_honest_knock_is_passed_on(void **state)
{
    static const struct counters expected = {.authentic = 1};
    struct request request = {.action = ACTION_OPEN, .counter = clock_wall_us(), .window = 60};
    uint8_t bytes[REQUEST_SIZE];
    struct address source = address_of("192.0.2.7");
    const struct signer signer = native_signer(world.client.public_key);
    struct datagram d;

    (void)state;
    request_encode(bytes, &request);
    seal(&d, bytes, &world.client, 17);
    assert_true(examine(&d));
    assert_memory_equal(world.message.key_id, world.client.key_id, KEY_ID_SIZE);
    assert_memory_equal(world.message.request, bytes, REQUEST_SIZE);
    assert_true(address_equal(&world.message.observed, &source));
    assert_true(envelope_verify(&world.message.signature, &signer, world.server_public,
                                world.message.request));
    assert_memory_equal(&world.counters, &expected, sizeof expected);
}

static void a_close_is_passed_on(void **state)
{
    struct request request = {.action = ACTION_CLOSE, .counter = clock_wall_us()};
    uint8_t bytes[REQUEST_SIZE];
    struct datagram d;

    (void)state;
    request_encode(bytes, &request);
    seal(&d, bytes, &world.client, 0);
    assert_true(examine_from(&d, "2001:db8::7", KNOCK_PORT));
    assert_memory_equal(world.message.request, bytes, REQUEST_SIZE);
}

static void every_padding_is_taken(void **state)
{
    uint64_t now = clock_wall_us();

    (void)state;
    for (size_t padding = 0; padding <= PADDING_MAX; padding++) {
        struct request request = {.action = ACTION_OPEN, .counter = now + padding};
        uint8_t bytes[REQUEST_SIZE];
        struct datagram d;

        request_encode(bytes, &request);
        seal(&d, bytes, &world.client, padding);
        assert_int_equal(d.size, DATAGRAM_MIN + padding);
        world.clientele.clients[0].honest = (struct bucket){0};
        assert_true(examine(&d));
    }
    check_counted(0, PADDING_MAX + 1);
}

/* ---- garbage ------------------------------------------------------------ */

static void wrong_sizes_are_garbage(void **state)
{
    struct datagram d;
    uint64_t tried = 0;

    (void)state;
    make_knock(&d, clock_wall_us());
    for (d.size = 0; d.size <= DATAGRAM_MAX; d.size++)
        if (d.size != DATAGRAM_MIN) {
            assert_false(examine(&d));
            tried++;
        }
    check_counted(tried, 0);
}

static void too_large_is_garbage(void **state)
{
    uint8_t bytes[DATAGRAM_MAX + 1] = {0};
    struct frame frame = {.source = address_of("192.0.2.7"), .port = KNOCK_PORT, .payload = bytes,
                          .size = sizeof bytes};

    (void)state;
    assert_false(judge(&frame, &limits));
    check_counted(1, 0);
}

/* As the kernel merges them: one after the other, all of one size. */
static bool examine_merged(const struct datagram *d, size_t knocks)
{
    uint8_t bytes[(FRAME_MERGED_MAX + 1) * DATAGRAM_MAX];
    struct frame frame = {.source = address_of("192.0.2.7"), .port = KNOCK_PORT, .payload = bytes,
                          .size = knocks * d->size};

    for (size_t i = 0; i < knocks; i++)
        memcpy(bytes + i * d->size, d->bytes, d->size);
    return judge(&frame, &limits);
}

static void the_first_of_merged_knocks_is_taken(void **state)
{
    uint64_t counter = clock_wall_us();
    unsigned tried = 0;

    (void)state;
    for (size_t knocks = 2; knocks <= FRAME_MERGED_MAX; knocks++)
        for (size_t padding = 0; padding <= PADDING_MAX; padding++) {
            struct request request = {.action = ACTION_OPEN, .counter = ++counter};
            uint8_t bytes[REQUEST_SIZE];
            struct datagram d;

            request_encode(bytes, &request);
            seal(&d, bytes, &world.client, padding);
            world.clientele.clients[0].honest = (struct bucket){0};
            assert_true(examine_merged(&d, knocks));
            assert_int_equal(world.counters.merged, ++tried);
        }
    check_counted(0, tried);
}

static void more_merged_knocks_are_garbage(void **state)
{
    struct datagram d;

    (void)state;
    make_knock(&d, clock_wall_us());
    assert_false(examine_merged(&d, FRAME_MERGED_MAX + 1));
    check_counted(1, 0);
}

static void a_flipped_bit_is_garbage(void **state)
{
    struct datagram d;

    (void)state;
    make_knock(&d, clock_wall_us());
    for (size_t bit = 0; bit < d.size * 8; bit++) {
        d.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(examine(&d));
        d.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    check_counted(d.size * 8, 0);
    assert_true(examine(&d)); /* it was that alone */
}

static void another_port_is_garbage(void **state)
{
    struct datagram d;

    (void)state;
    make_knock(&d, clock_wall_us());
    assert_false(examine_from(&d, "192.0.2.7", KNOCK_PORT + 1));
    check_counted(1, 0);
}

static void a_port_counts_where_there_is_one(void **state)
{
    struct datagram d;

    (void)state;
    make_knock(&d, clock_wall_us());
    assert_false(examine_by(TRANSPORT_TCP_SYN, &d, "192.0.2.7", KNOCK_PORT + 1));
    check_counted(1, 0);
    assert_true(examine_by(TRANSPORT_ICMP, &d, "192.0.2.7", 0));
    assert_false(examine_by(TRANSPORT_TCP_SYN, &d, "192.0.2.7", KNOCK_PORT)); /* again */
    make_knock(&d, clock_wall_us());
    assert_true(examine_by(TRANSPORT_TCP_SYN, &d, "192.0.2.7", KNOCK_PORT));
}

static void a_stranger_s_knock_is_garbage(void **state)
{
    struct request request = {.action = ACTION_OPEN, .counter = clock_wall_us()};
    uint8_t bytes[REQUEST_SIZE], key[KEY_SIZE], nonce[NONCE_SIZE] = {1};
    struct signature signature;
    struct person stranger;
    struct datagram d;

    (void)state;
    person_make(&stranger, 2);
    request_encode(bytes, &request);
    envelope_sign(&signature, stranger.signing, world.server_public, bytes);
    assert_true(envelope_key_of_client(key, stranger.signing, world.server_public, NULL));
    d.size = envelope_seal(d.bytes, nonce, 0, key, world.gate, stranger.key_id, bytes,
                           &signature);
    assert_false(examine(&d));
    /* Nor under the client's name, without the client's key. */
    d.size = envelope_seal(d.bytes, nonce, 0, key, world.gate, world.client.key_id, bytes,
                           &signature);
    assert_false(examine(&d));
    check_counted(2, 0);
}

/* ---- authentic, and refused all the same -------------------------------- */

static void an_invalid_request_is_malformed(void **state)
{
    struct request request = {.action = ACTION_OPEN, .counter = clock_wall_us()};
    uint8_t bytes[REQUEST_SIZE];
    struct datagram d;

    (void)state;
    request_encode(bytes, &request);
    bytes[REQUEST_SIZE - 1] = 1;
    seal(&d, bytes, &world.client, 0);
    assert_false(examine(&d));
    assert_int_equal(world.counters.malformed, 1);
    check_counted(0, 1);
}

static void a_source_that_cannot_be_is_malformed(void **state)
{
    static const char *const sources[] = {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
                                          "::",      "::1",       "ff02::1"};
    struct datagram d;

    (void)state;
    make_knock(&d, clock_wall_us());
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        assert_false(examine_from(&d, sources[i], KNOCK_PORT));
    assert_int_equal(world.counters.malformed, COUNT_OF(sources));
    check_counted(0, COUNT_OF(sources));
}

/* Not one that is out of time: whoever recorded it may have sent it. */
static void a_knock_from_elsewhere_than_it_signs_is_counted(void **state)
{
    struct request request = {.action = ACTION_OPEN, .has_address = true,
                              .address = address_of("192.0.2.7")};
    static const uint64_t ago[] = {0, 0, (uint64_t)3600 * USEC_PER_SEC};
    static const char *const sources[] = {"192.0.2.7", "192.0.2.8", "192.0.2.8"};
    uint8_t bytes[REQUEST_SIZE];
    struct datagram d;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        request.counter = clock_wall_us() - ago[i];
        request_encode(bytes, &request);
        seal(&d, bytes, &world.client, 0);
        assert_true(examine_from(&d, sources[i], KNOCK_PORT));
        assert_int_equal(world.counters.elsewhere, i > 0);
    }
    assert_int_equal(world.counters.untimely, 1);
}

/* The helper refuses it, and says so in the log. */
static void a_link_local_source_is_passed_on(void **state)
{
    struct datagram d;

    (void)state;
    make_knock(&d, clock_wall_us());
    assert_true(examine_from(&d, "fe80::7", KNOCK_PORT));
    assert_int_equal(world.counters.malformed, 0);
}

static void a_spent_counter_is_repeated(void **state)
{
    uint64_t now = clock_wall_us(), mark[MARK_COUNTERS];
    struct client *client = clientele_find(&world.clientele, world.client.key_id);
    struct datagram d;

    (void)state;
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        mark[i] = now - 100 + 10 * i;
    clientele_learn(client, 0, mark);
    make_knock(&d, now - 100);
    assert_false(examine(&d));
    make_knock(&d, now - 30);
    assert_false(examine(&d));
    assert_int_equal(world.counters.repeated, 2);
    make_knock(&d, now - 35); /* was overtaken */
    assert_true(examine(&d));
    check_counted(0, 3);
}

/* As from a second device with the same key: the log is to say so. */
static void one_older_than_all_known_costs_the_client_nothing(void **state)
{
    uint64_t now = clock_wall_us(), mark[MARK_COUNTERS];
    struct client *client = clientele_find(&world.clientele, world.client.key_id);
    int64_t full = client->honest.full;
    struct datagram d;

    (void)state;
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        mark[i] = now - 100 + 10 * i;
    clientele_learn(client, 0, mark);
    make_knock(&d, now - 200);
    assert_true(examine(&d));
    assert_false(examine(&d)); /* the very same */
    assert_int_equal(world.counters.repeated, 1);
    assert_int_equal(client->honest.full, full);
}

/* A client whose clock was wrong sends the same datagram once it is right. */
static void an_untimely_knock_is_not_held_against_the_client(void **state)
{
    uint64_t ahead = clock_wall_us() + ((uint64_t)limits.max_skew + 60) * USEC_PER_SEC;
    struct client *client = clientele_find(&world.clientele, world.client.key_id);
    struct datagram d;

    (void)state;
    make_knock(&d, ahead);
    assert_true(examine(&d));
    assert_int_equal(world.counters.untimely, 1);
    assert_false(clientele_counter_is_repeat(client, ahead));
}

static void a_knock_under_way_is_repeated(void **state)
{
    uint64_t now = clock_wall_us();
    struct datagram d;

    (void)state;
    world.verdict = VERDICT_NONE;
    make_knock(&d, now);
    assert_true(examine(&d));
    assert_false(examine(&d));
    assert_int_equal(world.counters.repeated, 1);
    answer(VERDICT_OPENED);
    assert_false(examine(&d));
    assert_int_equal(world.counters.repeated, 2);
}

static void nothing_is_learnt_of_an_answer_to_nothing(void **state)
{
    const struct helper_reply reply = {.verdict = VERDICT_OPENED};

    (void)state;
    assert_false(knock_learn(&world.unanswered, &reply));
}

static int passed_of(unsigned knocks)
{
    static uint64_t counter;
    struct datagram d;
    int passed = 0;

    if (counter == 0)
        counter = clock_wall_us();
    for (unsigned i = 0; i < knocks; i++) {
        make_knock(&d, counter++);
        passed += examine(&d);
    }
    return passed;
}

static void the_rate_is_limited(void **state)
{
    enum { A_SECOND = 8 };

    (void)state;
    assert_int_equal(passed_of(BURST * 2), BURST + DOUBTFUL_BURST);
    assert_int_equal(world.counters.throttled, BURST - DOUBTFUL_BURST);
    world.boot_ns += NSEC_PER_SEC;
    assert_int_equal(passed_of(BURST), A_SECOND + 1);
}

/* ---- doubtful ones ------------------------------------------------------ */

/* Passes doubtful knocks, which the helper refuses, until they are throttled, then honest ones. */
static void check_doubtful(void (*make)(struct datagram *, unsigned), enum verdict refusal)
{
    uint64_t now = clock_wall_us();
    int doubtful = 0, honest = 0;
    struct datagram d;

    world.verdict = refusal;
    for (unsigned i = 0; i < DOUBTFUL_BURST * 4; i++) {
        make(&d, i);
        doubtful += examine(&d);
    }
    assert_int_equal(doubtful, DOUBTFUL_BURST);
    assert_int_equal(world.counters.throttled, DOUBTFUL_BURST * 4 - doubtful);
    world.verdict = VERDICT_OPENED;
    for (unsigned i = 0; i < BURST; i++) {
        make_knock(&d, now + i);
        honest += examine(&d);
    }
    assert_int_equal(honest, BURST);
}

static void forge(struct datagram *d, uint64_t counter)
{
    struct request request = {.action = ACTION_OPEN, .counter = counter};
    uint8_t bytes[REQUEST_SIZE];
    struct person thief; /* of the envelope key, not of the signing key */

    person_make(&thief, 3);
    request_encode(bytes, &request);
    seal(d, bytes, &thief, 0);
}

static void make_forged(struct datagram *d, unsigned i)
{
    forge(d, clock_wall_us() + 1000000 + i);
}

static void make_early(struct datagram *d, unsigned i)
{
    make_knock(d, clock_wall_us() + (SKEW + 5) * (uint64_t)USEC_PER_SEC + i);
}

static void make_late(struct datagram *d, unsigned i)
{
    make_knock(d, clock_wall_us() - (SKEW + 5) * (uint64_t)USEC_PER_SEC + i);
}

static void forged_knocks_spend_nothing_honest(void **state)
{
    (void)state;
    check_doubtful(make_forged, VERDICT_BAD_SIGNATURE);
    assert_int_equal(world.counters.untimely, 0);
}

/* ---- what the helper verifies alone ------------------------------------- */

static unsigned unverified(void)
{
    return unanswered_unverified(&world.unanswered, &world.clientele.clients[0]);
}

/* The helper is asked about two that nobody has looked at. Of those that come before it has
 * answered the sniffer looks at each: it passes on what is the client's, and of the thief's as many
 * as may be doubtful. */
static void two_knocks_at_a_time_are_unverified(void **state)
{
    const uint64_t now = clock_wall_us();
    struct datagram d;

    (void)state;
    world.verdict = VERDICT_NONE;
    for (unsigned i = 0; i < 8; i++) {
        make_knock(&d, now + i);
        assert_true(examine(&d));
        assert_int_equal(unverified(), i == 0 ? 1 : 2);
    }
    for (unsigned i = 0; i < 8; i++) {
        answer(VERDICT_OPENED);
        assert_int_equal(unverified(), i == 0 ? 1 : 0);
    }
    make_knock(&d, now + 8);
    assert_true(examine(&d));
    assert_int_equal(unverified(), 1);
}

/* A thief of the envelope key is believed as long as nobody knows better. */
static void a_forged_knock_costs_the_client_nothing(void **state)
{
    struct client *client = &world.clientele.clients[0];
    const uint64_t now = clock_wall_us();
    struct datagram d;

    (void)state;
    world.verdict = VERDICT_NONE;
    forge(&d, now);
    assert_true(examine(&d));
    assert_int_equal(unverified(), 1);
    assert_false(clientele_is_full(&client->honest, clock_boot_ns() / NSEC_PER_MSEC));
    answer(VERDICT_BAD_SIGNATURE);
    assert_true(clientele_is_full(&client->honest, clock_boot_ns() / NSEC_PER_MSEC));
    assert_false(clientele_is_full(&client->doubtful, clock_boot_ns() / NSEC_PER_MSEC));
    make_knock(&d, now); /* with the thief's counter */
    assert_true(examine(&d));
    assert_int_equal(unverified(), 0);
}

/* Nor where there is no room for it. */
static void a_knock_that_is_not_sent_costs_nothing(void **state)
{
    struct client *client = &world.clientele.clients[0];
    const uint64_t now = clock_wall_us();
    struct datagram d;

    (void)state;
    world.verdict = VERDICT_NONE;
    for (unsigned i = 0; i < 2 * BURST; i++) {
        forge(&d, now + i);
        assert_true(examine(&d));
        knock_not_sent(&world.unanswered);
        assert_int_equal(world.unanswered.count, 0);
    }
    assert_true(clientele_is_full(&client->honest, clock_boot_ns() / NSEC_PER_MSEC));
    assert_true(clientele_is_full(&client->doubtful, clock_boot_ns() / NSEC_PER_MSEC));
}

/* However many he sends, before and after, and while the helper is busy with two of his. */
static void a_thief_s_knocks_keep_the_client_s_out_of_nothing(void **state)
{
    const uint64_t now = clock_wall_us();
    struct datagram d;
    unsigned forged = 0;

    (void)state;
    for (unsigned i = 0; i < BURST; i++) {
        world.verdict = VERDICT_NONE;
        for (unsigned j = 0; j < 3; j++) {
            forge(&d, now + i); /* as if he knew what the client is about to send */
            forged += examine(&d);
        }
        make_knock(&d, now + i);
        assert_true(examine(&d));
        while (world.unanswered.count > 0)
            answer(world.unanswered.count == 1 ? VERDICT_OPENED : VERDICT_BAD_SIGNATURE);
        assert_false(examine(&d)); /* which only once was the client's */
    }
    assert_int_equal(forged, DOUBTFUL_BURST);
}

static void early_knocks_spend_nothing_honest(void **state)
{
    (void)state;
    check_doubtful(make_early, VERDICT_AHEAD);
    assert_int_equal(world.counters.untimely, DOUBTFUL_BURST * 4);
}

static void late_knocks_spend_nothing_honest(void **state)
{
    (void)state;
    check_doubtful(make_late, VERDICT_BEHIND);
    assert_int_equal(world.counters.untimely, DOUBTFUL_BURST * 4);
}

static void without_skew_every_time_is_timely(void **state)
{
    static const struct knock_limits none = {.skew_checked = false};
    struct datagram d;
    struct frame frame = {.source = address_of("192.0.2.7"), .port = KNOCK_PORT,
                          .payload = d.bytes};

    (void)state;
    for (unsigned i = 1; i <= BURST; i++) {
        make_knock(&d, i);
        frame.size = d.size;
        assert_true(judge(&frame, &none));
    }
    assert_int_equal(world.counters.untimely, 0);
}

static int start(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(an_honest_knock_is_passed_on),
        IN_WORLD(a_close_is_passed_on),
        IN_WORLD(every_padding_is_taken),
        IN_WORLD(wrong_sizes_are_garbage),
        IN_WORLD(too_large_is_garbage),
        IN_WORLD(the_first_of_merged_knocks_is_taken),
        IN_WORLD(more_merged_knocks_are_garbage),
        IN_WORLD(a_flipped_bit_is_garbage),
        IN_WORLD(another_port_is_garbage),
        IN_WORLD(a_port_counts_where_there_is_one),
        IN_WORLD(a_stranger_s_knock_is_garbage),
        IN_WORLD(an_invalid_request_is_malformed),
        IN_WORLD(a_source_that_cannot_be_is_malformed),
        IN_WORLD(a_link_local_source_is_passed_on),
        IN_WORLD(a_knock_from_elsewhere_than_it_signs_is_counted),
        IN_WORLD(a_spent_counter_is_repeated),
        IN_WORLD(one_older_than_all_known_costs_the_client_nothing),
        IN_WORLD(an_untimely_knock_is_not_held_against_the_client),
        IN_WORLD(a_knock_under_way_is_repeated),
        IN_WORLD(nothing_is_learnt_of_an_answer_to_nothing),
        IN_WORLD(the_rate_is_limited),
        IN_WORLD(forged_knocks_spend_nothing_honest),
        IN_WORLD(two_knocks_at_a_time_are_unverified),
        IN_WORLD(a_forged_knock_costs_the_client_nothing),
        IN_WORLD(a_knock_that_is_not_sent_costs_nothing),
        IN_WORLD(a_thief_s_knocks_keep_the_client_s_out_of_nothing),
        IN_WORLD(early_knocks_spend_nothing_honest),
        IN_WORLD(late_knocks_spend_nothing_honest),
        IN_WORLD(without_skew_every_time_is_timely),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
