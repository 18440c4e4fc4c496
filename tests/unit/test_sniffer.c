/* daemon/sniffer/sniffer: one as portsmithd starts it, confined; the supervisor, the helper and
 * the clients are played here. */
#include "netspace.h"

#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "apart.h"
#include "common/clock.h"
#include "common/libc.h"
#include "daemon/sniffer/counters.h"
#include "daemon/sniffer/frame.h"
#include "daemon/sniffer/sniffer.h"
#include "daemon/sniffer/sniffermessage.h"
#include "frames.h"
#include "people.h"
#include "privsep/message.h"

/* A client may knock 32 times in a row. A sniffer takes up to 64 frames at once, as long as
 * 128 requests will not wait for their answers. */
enum {
    CLIENTS = 5,
    BURST = 32,
    UNANSWERED_LEAST = 65,
    UNANSWERED_MOST = 128,
    NOBODY = 65534,
    PATIENCE_MS = 20000,
};

/* Where exit(3) would lead, the process that shares its memory has still to go. */
_Noreturn void __wrap_exit(int status);

_Noreturn void __wrap_exit(int status)
{
    _exit(status);
}

/* What the sniffer is told, and this end of what it talks by. */
static struct {
    uint8_t server_public[KEY_SIZE], gate[GATE_KEY_SIZE];
    struct person clients[CLIENTS];
    struct sniffer_profile profiles[CLIENTS];
    struct sniffer_setup setup;
    struct counters_memory *memory;
    int wire; /* to the interface that it watches */
    int supervisor, helper, words;
    int helper_room; /* for requests that are not read, in bytes; 0: the usual */
    unsigned knocks; /* that were sent */
    pid_t process;
} world;

static void make_client(size_t number)
{
    struct person *client = &world.clients[number];
    struct sniffer_profile *profile = &world.profiles[number];

    person_make(client, (uint32_t)number);
    memcpy(profile->key_id, client->key_id, KEY_ID_SIZE);
    memcpy(profile->signer.public_key, client->public_key, KEY_SIZE);
    profile->port = KNOCK_PORT;
    assert_true(envelope_key_of_client(profile->envelope_key, client->signing,
                                       world.server_public, NULL));
}

static void make_wire(void)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET};

    wire_make();
    to.sll_ifindex = (int)if_nametoindex("there");
    world.wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(world.wire, (struct sockaddr *)&to, sizeof to), 0);
}

static int make_world(void **state)
{
    uint8_t secret[KEY_SIZE];

    (void)state;
    make_wire();
    randombytes_buf(secret, sizeof secret);
    crypto_scalarmult_base(world.server_public, secret);
    envelope_gate_key(world.gate, world.server_public);
    for (size_t i = 0; i < CLIENTS; i++)
        make_client(i);
    world.setup = (struct sniffer_setup){
        .foreground = 1, .trace = 1, .transports = EVERY_TRANSPORT, .uid = NOBODY, .gid = NOBODY,
        .profile_count = CLIENTS, .interface_count = 1, .interfaces = {"here"}, .port_count = 1,
        .ports = {KNOCK_PORT}, .empty = "empty"};
    memcpy(world.setup.server_public, world.server_public, KEY_SIZE);
    world.helper_room = 0;
    world.knocks = 0;
    return 0;
}

static int end_world(void **state)
{
    (void)state;
    close(world.wire);
    wire_remove();
    return 0;
}

/* ---- a sniffer's life --------------------------------------------------- */

static void make_pair(int *mine, int *its)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    *mine = pair[0];
    *its = pair[1];
}

/* Of its descriptors, the first so many are as portsmithd leaves them. */
static void start(int descriptors)
{
    int its[4], words[2];

    make_pair(&world.supervisor, &its[0]);
    make_pair(&world.helper, &its[1]);
    if (world.helper_room > 0)
        assert_int_equal(setsockopt(its[1], SOL_SOCKET, SO_SNDBUF, &world.helper_room,
                                    sizeof world.helper_room), 0);
    assert_non_null(world.memory = counters_create(&its[2]));
    assert_int_equal(pipe(words), 0);
    world.words = words[0];
    world.process = fork();
    if (world.process == 0) {
        dup2(words[1], STDERR_FILENO);
        for (int i = 0; i < descriptors; i++)
            dup2(its[i], SNIFFER_FD_SUPERVISOR + i);
        close_range((unsigned)(SNIFFER_FD_SUPERVISOR + descriptors), ~0u, 0);
        end_as_confined(sniffer_run);
    }
    for (int i = 0; i < 3; i++)
        close(its[i]);
    close(words[1]);
}

static void tell(const void *message, size_t size)
{
    assert_int_equal(send(world.supervisor, message, size, MSG_NOSIGNAL), size);
}

static void tell_all(void)
{
    tell(&world.setup, sizeof world.setup);
    for (size_t i = 0; i < CLIENTS; i++)
        tell(&world.profiles[i], sizeof world.profiles[i]);
}

static void start_and_wait(uint32_t unsupported)
{
    struct sniffer_ready ready;

    start(3);
    tell_all();
    assert_true(is_readable(world.supervisor, PATIENCE_MS));
    assert_int_equal(recv(world.supervisor, &ready, sizeof ready, 0), sizeof ready);
    assert_int_equal(ready.unsupported, unsupported);
}

/* How it ends, and what it has said until then; "" is nothing. */
static void check_end(int status, const char *expected)
{
    char said[1024] = "";
    size_t size = 0;
    ssize_t more;

    assert_int_equal(exit_status_of(world.process), status);
    while ((more = read(world.words, said + size, sizeof said - 1 - size)) > 0)
        size += (size_t)more;
    if (*expected ? !strstr(said, expected) : *said)
        fail_msg("'%s' instead of '%s'", said, expected);
    close(world.words);
    close(world.supervisor);
    close(world.helper);
}

/* The supervisor goes: so does its sniffer, silent as it was. */
static void stop(void)
{
    shutdown(world.supervisor, SHUT_RDWR);
    check_end(EXIT_SUCCESS, "");
}

/* ---- knocking ----------------------------------------------------------- */

/* From 192.0.2.7 to whoever is there. */
static void send_frame(const struct recipe *recipe, const uint8_t *payload)
{
    uint8_t bytes[RECIPE_SIZE_MAX];
    size_t size = recipe_build(bytes, recipe);

    memcpy(bytes + recipe_payload_at(recipe), payload, recipe->payload);
    memset(bytes, 0xff, 6);
    assert_int_equal(send(world.wire, bytes, size, 0), size);
}

static void send_garbage(unsigned count)
{
    static const struct recipe recipe = {.datalink = DLT_EN10MB, .payload = DATAGRAM_MIN};
    uint8_t garbage[DATAGRAM_MIN];

    while (count-- > 0) {
        randombytes_buf(garbage, sizeof garbage);
        send_frame(&recipe, garbage);
    }
}

/* Writes a datagram, and returns its size. */
static size_t make_knock(uint8_t *datagram, size_t number, uint64_t counter, size_t padding)
{
    struct request request = {.action = ACTION_OPEN, .counter = counter};
    uint8_t bytes[REQUEST_SIZE], nonce[NONCE_SIZE];
    struct signature signature;

    request_encode(bytes, &request);
    envelope_sign(&signature, world.clients[number].signing, world.server_public, bytes);
    randombytes_buf(nonce, sizeof nonce);
    return envelope_seal(datagram, nonce, padding, world.profiles[number].envelope_key, world.gate,
                         world.clients[number].key_id, bytes, &signature);
}

static void send_knock_of(size_t number, uint64_t counter)
{
    struct recipe recipe = {.datalink = DLT_EN10MB};
    uint8_t datagram[DATAGRAM_MAX];

    recipe.payload = make_knock(datagram, number, counter, 0);
    send_frame(&recipe, datagram);
}

/* By as many clients as that takes. */
static void send_knocks(unsigned count)
{
    while (count-- > 0) {
        send_knock_of(world.knocks / BURST, world.knocks + 1);
        world.knocks++;
    }
}

static bool take_request(struct helper_request *request, int milliseconds)
{
    return is_readable(world.helper, milliseconds) &&
           recv(world.helper, request, sizeof *request, 0) == sizeof *request;
}

static void answer(enum verdict verdict, uint64_t counter)
{
    struct helper_reply reply = {.verdict = verdict};

    for (size_t i = 0; i < MARK_COUNTERS; i++)
        reply.counters[i] = counter;
    assert_int_equal(send(world.helper, &reply, sizeof reply, 0), sizeof reply);
}

/* Of what it counts in memory that is shared, which changes without a call. */
static void wait_for(const uint64_t *count, uint64_t expected)
{
    const volatile uint64_t *now = count;

    for (int i = 0; *now != expected && i < PATIENCE_MS; i++)
        poll(NULL, 0, 1);
    assert_int_equal(*now, expected);
}

/* ---- at work ------------------------------------------------------------ */

static void a_knock_becomes_a_request(void **state)
{
    struct counters *counters;
    struct helper_request request;

    (void)state;
    start_and_wait(0);
    counters = &world.memory->counters;
    send_knock_of(1, 7);
    assert_true(take_request(&request, PATIENCE_MS));
    assert_memory_equal(request.key_id, world.clients[1].key_id, KEY_ID_SIZE);
    assert_true(0 < request.times.captured && request.times.captured <= request.times.taken &&
                request.times.taken <= request.times.opened);
    answer(VERDICT_OPENED, 8);
    wait_for(&counters->granted, 1);
    send_knock_of(1, 8); /* which the helper says is spent */
    wait_for(&counters->repeated, 1);
    send_knock_of(1, 9);
    assert_true(take_request(&request, PATIENCE_MS));
    answer(VERDICT_BAD_SIGNATURE, 0);
    wait_for(&counters->refused, 1);
    assert_int_equal(counters->passed, 2);
    stop();
}

/* Whatever sends that is not a helper. */
static void an_answer_to_nothing_ends_it(void **state)
{
    (void)state;
    start_and_wait(0);
    answer(VERDICT_OPENED, 7);
    check_end(EXIT_SUCCESS, "");
}

static void without_trace_no_times_are_taken(void **state)
{
    struct helper_request request;

    (void)state;
    world.setup.trace = 0;
    start_and_wait(0);
    send_knock_of(0, 7);
    assert_true(take_request(&request, PATIENCE_MS));
    assert_true(request.times.captured == 0 && request.times.taken == 0 &&
                request.times.opened == 0);
    stop();
}

static void the_first_of_merged_knocks_becomes_a_request(void **state)
{
    uint8_t merged[FRAME_MERGED_MAX * DATAGRAM_MAX];
    struct helper_request request;

    (void)state;
    start_and_wait(0);
    for (size_t padding = 0; padding <= PADDING_MAX; padding += PADDING_MAX) {
        struct recipe recipe = {.datalink = DLT_EN10MB};

        for (size_t i = 0; i < FRAME_MERGED_MAX; i++)
            recipe.payload += make_knock(merged + recipe.payload, padding > 0, 7 + i, padding);
        send_frame(&recipe, merged);
        assert_true(take_request(&request, PATIENCE_MS));
        assert_int_equal(request.request[15], 7); /* the counter's last byte */
    }
    assert_int_equal(world.memory->counters.merged, 2);
    stop();
}

/* What is longer than any other: not to be cut. */
static void the_longest_frame_is_captured_whole(void **state)
{
    struct recipe recipe = {.datalink = DLT_EN10MB, .tags = {0x88a8, 0x8100},
                            .transport = TRANSPORT_TCP_SYN, .option_words = 10, .tcp_words = 10};
    struct helper_request request;
    uint8_t datagram[DATAGRAM_MAX];

    (void)state;
    start_and_wait(0);
    recipe.payload = make_knock(datagram, 0, 7, PADDING_MAX);
    send_frame(&recipe, datagram);
    assert_true(take_request(&request, PATIENCE_MS));
    stop();
}

/* A flood of it, so that the sniffer pauses, and a knock behind it. */
static void garbage_is_counted_and_passes_by(void **state)
{
    enum { GARBAGE = 300 };
    static const struct recipe cut = {.datalink = DLT_EN10MB, .payload = DATAGRAM_MIN,
                                      .ip_error = -1};
    static const uint8_t zeros[DATAGRAM_MIN];
    struct counters *counters;
    struct helper_request request;

    (void)state;
    start_and_wait(0);
    counters = &world.memory->counters;
    send_garbage(GARBAGE - 1);
    send_frame(&cut, zeros);
    wait_for(&counters->garbage, GARBAGE);
    assert_int_equal(counters->foreign, 0); /* as the host's addresses are not known */
    assert_true(address_parse(&world.memory->own.all[0], "192.0.2.9"));
    world.memory->own.count = 1;
    send_garbage(1);
    wait_for(&counters->foreign, 1);
    send_knock_of(0, 7);
    assert_true(take_request(&request, PATIENCE_MS));
    assert_int_equal(counters->captured, GARBAGE + 2);
    stop();
}

/* What cannot be answered yet waits in the capture's buffer. */
static void no_more_is_asked_than_can_be_answered(void **state)
{
    struct helper_request requests[CLIENTS * BURST];
    unsigned asked = 0, answered = 0;

    (void)state;
    start_and_wait(0);
    send_knocks(CLIENTS * BURST);
    for (; asked < UNANSWERED_LEAST; asked++)
        assert_true(take_request(&requests[asked], PATIENCE_MS));
    while (asked < CLIENTS * BURST && take_request(&requests[asked], 200 /* none is to come */))
        asked++;
    assert_true(asked <= UNANSWERED_MOST);
    for (; answered < CLIENTS * BURST; answered++) {
        if (answered == asked)
            assert_true(take_request(&requests[asked++], PATIENCE_MS));
        answer(VERDICT_BAD_SIGNATURE, 0);
    }
    stop();
}

static void what_the_helper_has_no_room_for_is_counted(void **state)
{
    enum { KNOCKS = 30 };
    struct helper_request request;
    struct counters *counters;
    unsigned passed = 0;

    (void)state;
    world.helper_room = 1; /* which the kernel makes a few */
    start_and_wait(0);
    counters = &world.memory->counters;
    send_knocks(KNOCKS);
    send_garbage(1);
    wait_for(&counters->garbage, 1); /* after all knocks */
    while (take_request(&request, 0))
        passed++;
    assert_in_range(passed, 1, KNOCKS - 1);
    assert_int_equal(counters->passed, passed);
    assert_int_equal(counters->unsent, KNOCKS - passed);
    stop();
}

/* ---- its end ------------------------------------------------------------ */

static void it_ends_with_the_helper(void **state)
{
    (void)state;
    start_and_wait(0);
    shutdown(world.helper, SHUT_RDWR);
    check_end(EXIT_SUCCESS, "");
}

static void it_ends_with_its_capture(void **state)
{
    (void)state;
    start_and_wait(0);
    run_command("ip link delete there");
    check_end(SNIFFER_EXIT_CAPTURE_ENDED, "");
}

/* ---- what keeps it from starting ---------------------------------------- */

static void it_is_not_started_by_hand(void **state)
{
    (void)state;
    for (int descriptors = 0; descriptors < 3; descriptors++) {
        start(descriptors);
        check_end(EXIT_FAILURE, "portsmith-sniffer is started by portsmithd, never by hand");
    }
}

static void it_wants_to_be_told_all(void **state)
{
    (void)state;
    start(3);
    tell(&world.setup, sizeof world.setup - 1);
    check_end(EXIT_FAILURE, "portsmithd has not told all that a sniffer has to know");
    start(3);
    tell(&world.setup, sizeof world.setup);
    shutdown(world.supervisor, SHUT_WR);
    check_end(EXIT_FAILURE, "portsmithd has not told all that a sniffer has to know");
}

static void what_it_cannot_do_without_is_named(void **state)
{
    (void)state;
    strcpy(world.setup.interfaces[0], "nowhere");
    start(3);
    tell_all();
    check_end(EXIT_FAILURE, "nowhere");
    strcpy(world.setup.interfaces[0], "here");
    strcpy(world.setup.empty, "missing");
    start(3);
    tell_all();
    check_end(EXIT_FAILURE, "missing: No such file or directory");
}

static void a_supervisor_that_has_gone_is_not_waited_for(void **state)
{
    (void)state;
    start(3);
    shutdown(world.supervisor, SHUT_RD); /* before the sniffer can be ready */
    tell_all();
    check_end(EXIT_FAILURE, "");
}

/* With headers of 802.11, as an adapter in monitor mode has them. */
static int make_radio(void)
{
    struct ifreq request = {.ifr_name = "radio", .ifr_flags = IFF_TUN | IFF_NO_PI};
    int device = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    assert_int_equal(ioctl(device, TUNSETIFF, &request), 0);
    assert_int_equal(ioctl(device, TUNSETLINK, ARPHRD_IEEE80211_RADIOTAP), 0);
    run_command("ip link set radio up");
    return device;
}

static void a_link_that_is_not_known_is_left_out(void **state)
{
    int radio = make_radio();
    struct helper_request request;

    (void)state;
    strcpy(world.setup.interfaces[0], "radio");
    strcpy(world.setup.interfaces[1], "here");
    world.setup.interface_count = 2;
    start_and_wait(1u << 0);
    send_knock_of(0, 7);
    assert_true(take_request(&request, PATIENCE_MS));
    shutdown(world.supervisor, SHUT_RDWR);
    check_end(EXIT_SUCCESS, "interface radio: its link type IEEE802_11_RADIO is not supported: "
                            "knocks that come in by it are not heard");
    close(radio);
}

/* The sniffer's directory, and no descriptor of ours where its own are to be. */
static int begin(void **state)
{
    int nothing;

    if (netspace_enter(state) != 0 || mkdir("empty", 0755) != 0)
        return -1;
    do
        nothing = open("/dev/null", O_RDONLY);
    while (nothing >= 0 && nothing < SNIFFER_FD_COUNTERS);
    return nothing < 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_knock_becomes_a_request),
        TEST(an_answer_to_nothing_ends_it),
        TEST(without_trace_no_times_are_taken),
        TEST(the_first_of_merged_knocks_becomes_a_request),
        TEST(the_longest_frame_is_captured_whole),
        TEST(garbage_is_counted_and_passes_by),
        TEST(no_more_is_asked_than_can_be_answered),
        TEST(what_the_helper_has_no_room_for_is_counted),
        TEST(it_ends_with_the_helper),
        TEST(it_ends_with_its_capture),
        TEST(it_is_not_started_by_hand),
        TEST(it_wants_to_be_told_all),
        TEST(what_it_cannot_do_without_is_named),
        TEST(a_supervisor_that_has_gone_is_not_waited_for),
        TEST(a_link_that_is_not_known_is_left_out),
    };

    return cmocka_run_group_tests(tests, begin, scratch_leave);
}
