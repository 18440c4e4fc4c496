#include "check.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "daemon/sniffer/capture.h"
#include "frames.h"
#include "netspace.h"

enum { DAMAGED_FRAMES = 20000, WAIT_MS = 20000 };

static const int datalinks[] = {DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_RAW, DLT_IPV4,
                                DLT_IPV6,   DLT_NULL,      DLT_LOOP};

static struct sniffer_setup setup = {.ports = {KNOCK_PORT}, .port_count = 1,
                               .transports = EVERY_TRANSPORT};

static uint32_t seed = 1;

static uint32_t next_random(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

/* ---- the filter's text -------------------------------------------------- */

static void compile(struct bpf_program *program, int datalink, const struct sniffer_setup *asked)
{
    pcap_t *nothing = pcap_open_dead(datalink, 512);
    char text[CAPTURE_FILTER_SIZE];

    assert_non_null(nothing);
    capture_filter(text, frame_link_of(datalink), asked);
    if (pcap_compile(nothing, program, text, 1, PCAP_NETMASK_UNKNOWN) != 0)
        fail_msg("link type %s: %s", pcap_datalink_val_to_name(datalink), pcap_geterr(nothing));
    pcap_close(nothing);
}

static bool passes(const struct bpf_program *program, const uint8_t *bytes, size_t size)
{
    struct pcap_pkthdr header = {.caplen = (bpf_u_int32)size, .len = (bpf_u_int32)size};

    return pcap_offline_filter(program, &header, bytes) != 0;
}

static bool recipe_passes(const struct bpf_program *program, const struct recipe *recipe)
{
    uint8_t bytes[RECIPE_SIZE_MAX];
    size_t size = recipe_build(bytes, recipe);

    return passes(program, bytes, size);
}

static void filters_compile_with_one_port(void **state)
{
    struct sniffer_setup one = {.ports = {65535}, .port_count = 1};
    struct bpf_program program;

    (void)state;
    for (one.transports = 1; one.transports <= EVERY_TRANSPORT; one.transports++) {
        for (size_t i = 0; i < COUNT_OF(datalinks); i++) {
            compile(&program, datalinks[i], &one);
            pcap_freecode(&program);
        }
    }
}

/* The kernel takes 4096 instructions; the longest port numbers must fit. */
static void filters_compile_with_all_ports(void **state)
{
    struct sniffer_setup all = {.transports = EVERY_TRANSPORT, .port_count = CONFIG_KNOCK_PORTS};
    uint16_t *ports = all.ports;
    struct bpf_program program;

    (void)state;
    for (size_t i = 0; i < CONFIG_KNOCK_PORTS; i++)
        ports[i] = (uint16_t)(65535 - i * 7);
    for (size_t i = 0; i < COUNT_OF(datalinks); i++) {
        struct recipe recipe = {.datalink = datalinks[i], .ipv6 = datalinks[i] == DLT_IPV6};

        compile(&program, datalinks[i], &all);
        assert_true(program.bf_len <= 4096);
        for (size_t p = 0; p < CONFIG_KNOCK_PORTS; p++) {
            recipe.port = ports[p];
            recipe.transport = p % 2 ? TRANSPORT_UDP : TRANSPORT_TCP_SYN;
            assert_true(recipe_passes(&program, &recipe));
        }
        recipe.port = 22;
        assert_false(recipe_passes(&program, &recipe));
        recipe.transport = TRANSPORT_UDP;
        assert_false(recipe_passes(&program, &recipe));
        pcap_freecode(&program);
    }
}

/* ---- agreement with the decoder ----------------------------------------- */

static bool is_for_the_clientele(int datalink, const uint8_t *bytes, size_t size)
{
    struct frame frame;

    return frame_decode(&frame, frame_link_of(datalink), EVERY_TRANSPORT, bytes, size) &&
           (frame.transport == TRANSPORT_ICMP || frame.port == KNOCK_PORT) &&
           frame.size >= DATAGRAM_MIN &&
           frame.size <= DATAGRAM_MAX * (frame.transport == TRANSPORT_UDP ? FRAME_MERGED_MAX : 1);
}

static void whole_knocks_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(whole_frames); i++) {
        struct bpf_program program;

        compile(&program, whole_frames[i].datalink, &setup);
        if (!recipe_passes(&program, &whole_frames[i]))
            fail_msg("the filter rejects: %s", whole_frames[i].name);
        pcap_freecode(&program);
    }
}

static void merged_knocks_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(whole_frames); i++) {
        struct recipe recipe = whole_frames[i];
        struct bpf_program program;

        compile(&program, recipe.datalink, &setup);
        recipe.payload = FRAME_MERGED_MAX * DATAGRAM_MAX;
        assert_int_equal(recipe_passes(&program, &recipe), recipe.transport == TRANSPORT_UDP);
        pcap_freecode(&program);
    }
}

static void others_do_not_pass(void **state)
{
    static const struct recipe others[] = {
        {.name = "another port", .port = KNOCK_PORT + 1, .icmp = 0x0300},
        {.name = "too small", .payload = DATAGRAM_MIN - 1},
        {.name = "too large", .payload = DATAGRAM_MAX + 1},
        {.name = "another protocol", .protocol = IPPROTO_SCTP},
        {.name = "another protocol of ours", .protocol = IPPROTO_TCP, .tcp_flags = 0x12},
        {.name = "a SYN with URG, a reply", .port = 22, .tcp_flags = 0x22, .icmp = 0x8100},
        {.name = "a late fragment", .fragment = 0x0010},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(whole_frames); i++) {
        struct bpf_program program;

        compile(&program, whole_frames[i].datalink, &setup);
        for (size_t o = 0; o < COUNT_OF(others); o++) {
            struct recipe recipe = whole_frames[i];

            if (recipe.ipv6 && others[o].fragment)
                continue;
            recipe.port = others[o].port;
            recipe.payload = others[o].payload;
            if (recipe.payload > DATAGRAM_MAX && recipe.transport == TRANSPORT_UDP)
                recipe.payload = FRAME_MERGED_MAX * DATAGRAM_MAX + 1;
            recipe.protocol = others[o].protocol;
            recipe.tcp_flags = others[o].tcp_flags;
            recipe.icmp = others[o].icmp;
            recipe.fragment = others[o].fragment;
            if (recipe_passes(&program, &recipe))
                fail_msg("the filter lets pass: %s, %s", recipe.name, others[o].name);
        }
        pcap_freecode(&program);
    }
}

/* Flags and types alone, to the right port. */
static void other_kinds_do_not_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(whole_frames); i++) {
        struct recipe recipe = whole_frames[i];
        struct bpf_program program;

        compile(&program, recipe.datalink, &setup);
        for (unsigned flags = 1; recipe.transport == TRANSPORT_TCP_SYN && flags < 256; flags++) {
            recipe.tcp_flags = (uint8_t)flags;
            assert_int_equal(recipe_passes(&program, &recipe), (flags & 0x3f) == 0x02);
        }
        for (unsigned type = 0; recipe.transport == TRANSPORT_ICMP && type < 256; type++) {
            recipe.icmp = (uint16_t)(type << 8 | 1);
            assert_false(recipe_passes(&program, &recipe));
            recipe.icmp = (uint16_t)(type << 8);
            if (type > 0)
                assert_int_equal(recipe_passes(&program, &recipe), type == (recipe.ipv6 ? 128 : 8));
        }
        pcap_freecode(&program);
    }
}

static void what_is_switched_off_does_not_pass(void **state)
{
    struct sniffer_setup some = setup;

    (void)state;
    for (some.transports = 1; some.transports <= EVERY_TRANSPORT; some.transports++) {
        for (size_t i = 0; i < COUNT_OF(whole_frames); i++) {
            struct bpf_program program;

            compile(&program, whole_frames[i].datalink, &some);
            assert_int_equal(recipe_passes(&program, &whole_frames[i]),
                             (some.transports & 1u << whole_frames[i].transport) != 0);
            pcap_freecode(&program);
        }
    }
}

/* What looks like a second tag is none when the first is missing. */
static void a_tag_behind_another_type_does_not_pass(void **state)
{
    static const struct recipe tagged = {.datalink = DLT_EN10MB, .tags = {0x8100, 0x8100}};
    uint8_t bytes[RECIPE_SIZE_MAX];
    size_t size = recipe_build(bytes, &tagged);
    struct bpf_program program;

    (void)state;
    compile(&program, DLT_EN10MB, &setup);
    assert_true(passes(&program, bytes, size));
    store_be16(bytes + 12, 0x0806);
    assert_false(passes(&program, bytes, size));
    pcap_freecode(&program);
}

static void damage(uint8_t *bytes, size_t size)
{
    static const uint8_t likely[] = {0x08, 0x00, 0x81, 0x88, 0xa8, 0x91, 0x86, 0xdd, 0x45, 0x46,
                                     0x4f, 0x60, 0x11, 0x06, 0x01, 0x3a, 0x80, 0x50, 0xf0, 0x02, 10,   24,   28,   30};

    for (unsigned n = 1 + next_random() % 4; n > 0; n--)
        bytes[next_random() % size] =
            next_random() % 2 ? likely[next_random() % sizeof likely] : (uint8_t)next_random();
}

/* Whatever the decoder takes for a knock must have passed the filter: else a
 * knock could be lost to a difference of opinion. */
static void check_agreement(const struct recipe *recipe)
{
    unsigned frames = getenv("UNDER_VALGRIND") ? DAMAGED_FRAMES / 20 : DAMAGED_FRAMES;
    size_t headers = recipe_payload_at(recipe), taken = 0;
    struct bpf_program program;

    compile(&program, recipe->datalink, &setup);
    for (unsigned i = 0; i < frames; i++) {
        uint8_t bytes[RECIPE_SIZE_MAX];
        size_t size = recipe_build(bytes, recipe);

        damage(bytes, headers);
        if (!is_for_the_clientele(recipe->datalink, bytes, size))
            continue;
        taken++;
        if (!passes(&program, bytes, size))
            fail_msg("%s: frame %u is a knock, but the filter rejects it", recipe->name, i);
    }
    assert_true(taken > frames / 100); /* else nothing was tried */
    pcap_freecode(&program);
}

static void the_filter_passes_what_decodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(whole_frames); i++)
        check_agreement(&whole_frames[i]);
}

/* ---- real interfaces ---------------------------------------------------- */

static int make_wire(void **state)
{
    (void)state;
    wire_make();
    return 0;
}

static int remove_wire(void **state)
{
    (void)state;
    wire_remove();
    return 0;
}

static void send_frames(const char *interface, const struct recipe *recipe, size_t count)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6,
                             .sll_ifindex = (int)if_nametoindex(interface)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    uint8_t bytes[RECIPE_SIZE_MAX];
    size_t size = recipe_build(bytes, recipe);

    memset(bytes, 0xff, 6); /* to everybody */
    assert_true(fd >= 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(sendto(fd, bytes, size, 0, (struct sockaddr *)&to, sizeof to), size);
    close(fd);
}

static void send_frame(const char *interface, const struct recipe *recipe)
{
    send_frames(interface, recipe, 1);
}

struct seen {
    uint64_t dropped;
    size_t frames, knocks, by_size[DATAGRAM_MAX + 1];
};

static void count_frame(void *user, enum frame_link link, const uint8_t *bytes, size_t size,
                        int64_t captured)
{
    struct seen *seen = user;
    struct frame frame;

    assert_true(captured > 0 && captured <= clock_wall_ns());
    seen->frames++;
    if (!frame_decode(&frame, link, EVERY_TRANSPORT, bytes, size) || frame.size > DATAGRAM_MAX)
        return;
    seen->knocks++;
    seen->by_size[frame.size]++;
}

/* Reads until a frame with a payload of `size` bytes has come. */
static void read_until(struct capture *capture, struct seen *seen, size_t size)
{
    struct error why;

    while (seen->by_size[size] == 0) {
        if (!is_readable(capture->fd, WAIT_MS))
            fail_msg("no frame with %zu bytes came", size);
        assert_true(capture_read(capture, count_frame, seen, &seen->dropped, &why));
    }
}

static void open_or_fail(struct capture *capture, const char *interface)
{
    struct error why;

    if (capture_open(capture, interface, &setup, &why) != CAPTURE_OPENED)
        fail_msg("%s", why.text);
}

/* Every Ethernet frame arrives, however many tags the kernel takes off. A last
 * one of another size tells that nothing more is to come. */
static void check_arrivals(const char *interface)
{
    struct recipe last = {.datalink = DLT_EN10MB, .payload = DATAGRAM_MAX - 1};
    struct recipe other_port = {.datalink = DLT_EN10MB, .port = 53};
    struct seen seen = {0};
    bool cooked = strcmp(interface, "any") == 0;
    struct capture capture;
    size_t sent = 0;

    open_or_fail(&capture, interface);
    for (size_t i = 0; i < COUNT_OF(whole_frames); i++) {
        const uint16_t *tags = whole_frames[i].tags;

        if (whole_frames[i].datalink != DLT_EN10MB || (cooked && (tags[1] || tags[0] == 0x9100)))
            continue;
        send_frame("there", &whole_frames[i]);
        sent++;
    }
    send_frame("there", &other_port);
    send_frame("here", &last); /* going out: not seen */
    send_frame("there", &last);
    read_until(&capture, &seen, DATAGRAM_MAX - 1);
    assert_int_equal(seen.knocks, seen.frames);
    assert_true(seen.by_size[DATAGRAM_MAX - 1] <= (cooked ? 2 : 1));
    assert_int_equal(seen.knocks - seen.by_size[DATAGRAM_MAX - 1], sent);
    pcap_close(capture.pcap);
}

static void frames_arrive_from_one_interface(void **state)
{
    (void)state;
    check_arrivals("here");
}

/* There the kernel takes off one tag, and none of type 9100: the rest hides the
 * packet, until a VLAN's own interface, which is among "any", resolves it. */
static void frames_arrive_from_any_interface(void **state)
{
    (void)state;
    check_arrivals("any");
}

/* Each frame is handed over, or counted among those that there was no room for. */
static void what_is_dropped_is_counted(void **state)
{
    enum { SENT = 3000 }; /* the buffer has room for some 1,700 */
    struct recipe recipe = {.datalink = DLT_EN10MB};
    struct seen seen = {0};
    struct capture capture;
    struct error why;

    (void)state;
    open_or_fail(&capture, "here");
    send_frames("there", &recipe, SENT);
    while (is_readable(capture.fd, 0)) {
        size_t before = seen.frames;

        assert_true(capture_read(&capture, count_frame, &seen, &seen.dropped, &why));
        assert_in_range(seen.frames - before, 1, CAPTURE_FRAMES_AT_ONCE);
    }
    assert_true(seen.dropped > 0);
    assert_int_equal(seen.frames + seen.dropped, SENT);
    pcap_close(capture.pcap);
}

static void the_filter_is_locked(void **state)
{
    struct bpf_program program;
    struct capture capture;

    (void)state;
    open_or_fail(&capture, "here");
    assert_int_equal(pcap_compile(capture.pcap, &program, "ip", 1, PCAP_NETMASK_UNKNOWN), 0);
    assert_int_equal(setsockopt(capture.fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                                sizeof program), -1);
    assert_int_equal(setsockopt(capture.fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)),
                     -1);
    pcap_freecode(&program);
    pcap_close(capture.pcap);
}

static void a_deleted_interface_ends_the_capture(void **state)
{
    struct seen seen = {0};
    struct capture capture;
    struct error why;

    open_or_fail(&capture, "here");
    remove_wire(state);
    do
        assert_true(is_readable(capture.fd, WAIT_MS));
    while (capture_read(&capture, count_frame, &seen, &seen.dropped, &why));
    assert_non_null(strstr(why.text, "the capture ended"));
    pcap_close(capture.pcap);
}

static void a_missing_interface_is_named(void **state)
{
    struct capture capture;
    struct error why;

    (void)state;
    assert_int_equal(capture_open(&capture, "nowhere", &setup, &why), CAPTURE_FAILED);
    assert_null(capture.pcap);
    assert_non_null(strstr(why.text, "nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_compile_with_one_port),
        cmocka_unit_test(filters_compile_with_all_ports),
        cmocka_unit_test(whole_knocks_pass),
        cmocka_unit_test(merged_knocks_pass),
        cmocka_unit_test(others_do_not_pass),
        cmocka_unit_test(other_kinds_do_not_pass),
        cmocka_unit_test(what_is_switched_off_does_not_pass),
        cmocka_unit_test(a_tag_behind_another_type_does_not_pass),
        cmocka_unit_test(the_filter_passes_what_decodes),
        cmocka_unit_test_setup_teardown(frames_arrive_from_one_interface, make_wire, remove_wire),
        cmocka_unit_test_setup_teardown(frames_arrive_from_any_interface, make_wire, remove_wire),
        cmocka_unit_test_setup_teardown(what_is_dropped_is_counted, make_wire, remove_wire),
        cmocka_unit_test_setup_teardown(the_filter_is_locked, make_wire, remove_wire),
        cmocka_unit_test_setup_teardown(a_deleted_interface_ends_the_capture, make_wire,
                                        remove_wire),
        cmocka_unit_test(a_missing_interface_is_named),
    };

    return cmocka_run_group_tests(tests, netspace_enter, scratch_leave);
}
