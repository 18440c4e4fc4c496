#include "check.h"

#include "daemon/sniffer/frame.h"
#include "frames.h"

enum { RANDOM_FRAMES = 100000 };

static uint32_t seed = 1;

/* Numerical Recipes' generator: the same frames each time. */
static uint32_t next_random(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

/* Decodes a copy of exactly that size, so that a sanitizer sees each byte read
 * beyond it. What is found must lie within the frame. */
static bool decode_exactly(struct frame *frame, int datalink, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    bool decoded;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    decoded = frame_decode(frame, frame_link_of(datalink), EVERY_TRANSPORT, copy, size);
    if (decoded) {
        assert_true(frame->payload >= copy);
        assert_true(frame->size <= size);
        assert_true((size_t)(frame->payload - copy) <= size - frame->size);
        frame->payload = bytes + (frame->payload - copy);
    }
    free(copy);
    return decoded;
}

static bool decodes(const struct recipe *recipe)
{
    uint8_t bytes[RECIPE_SIZE_MAX];
    struct frame frame;
    size_t size = recipe_build(bytes, recipe);

    return decode_exactly(&frame, recipe->datalink, bytes, size);
}

/* A recipe of each family and link type, to be spoilt. */
#define EACH_PLAIN_RECIPE(recipe)                                                                  \
    for (size_t i_ = 0; i_ < COUNT_OF(whole_frames); i_++)                                         \
        for (struct recipe recipe = whole_frames[i_], *once_ = &recipe; once_; once_ = NULL)

static void every_link_type_is_known(void **state)
{
    (void)state;
    assert_int_equal(frame_link_of(DLT_EN10MB), LINK_ETHERNET);
    assert_int_equal(frame_link_of(DLT_LINUX_SLL), LINK_SLL);
    assert_int_equal(frame_link_of(DLT_LINUX_SLL2), LINK_SLL2);
    assert_int_equal(frame_link_of(DLT_RAW), LINK_RAW);
    assert_int_equal(frame_link_of(DLT_IPV4), LINK_RAW);
    assert_int_equal(frame_link_of(DLT_IPV6), LINK_RAW);
    assert_int_equal(frame_link_of(DLT_NULL), LINK_NULL);
    assert_int_equal(frame_link_of(DLT_LOOP), LINK_LOOP);
    assert_int_equal(frame_link_of(DLT_IEEE802_11), LINK_UNKNOWN);
    assert_int_equal(frame_link_of(-1), LINK_UNKNOWN);
}

static void check_addresses(const struct frame *frame, bool ipv6)
{
    struct address from = address_from_ipv4(recipe_ipv4_source);
    struct address to = address_from_ipv4(recipe_ipv4_destination);

    if (ipv6) {
        memcpy(from.bytes, recipe_ipv6_source, 16);
        memcpy(to.bytes, recipe_ipv6_destination, 16);
    }
    assert_true(address_equal(&frame->source, &from));
    assert_true(address_equal(&frame->destination, &to));
}

static void whole_frames_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(whole_frames); i++) {
        const struct recipe *recipe = &whole_frames[i];
        uint8_t bytes[RECIPE_SIZE_MAX];
        size_t size = recipe_build(bytes, recipe);
        struct frame frame;

        if (!decode_exactly(&frame, recipe->datalink, bytes, size))
            fail_msg("not decoded: %s", recipe->name);
        check_addresses(&frame, recipe->ipv6);
        assert_int_equal(frame.transport, recipe->transport);
        assert_int_equal(frame.port, recipe->transport == TRANSPORT_ICMP ? 0 : KNOCK_PORT);
        assert_int_equal(frame.size, recipe->payload ? recipe->payload : DATAGRAM_MIN);
        assert_ptr_equal(frame.payload, bytes + recipe_payload_at(recipe));
    }
}

/* libpcap puts back the tags that the kernel took off, there too. */
static void tags_behind_cooked_headers_are_skipped(void **state)
{
    static const struct recipe tagged[] = {
        TAGS_OF(DLT_LINUX_SLL, "SLL, VLAN", 0x8100),
        TAGS_OF(DLT_LINUX_SLL, "SLL, QinQ", 0x88a8, 0x8100),
        TAGS_OF(DLT_LINUX_SLL2, "SLL2, VLAN", 0x8100),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(tagged); i++)
        if (!decodes(&tagged[i]))
            fail_msg("not decoded: %s", tagged[i].name);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    EACH_PLAIN_RECIPE(recipe) {
        uint8_t bytes[RECIPE_SIZE_MAX];
        size_t size = recipe_build(bytes, &recipe);
        struct frame frame;

        for (size_t cut = 0; cut < size; cut++)
            if (decode_exactly(&frame, recipe.datalink, bytes, cut))
                fail_msg("%s: decoded although cut to %zu of %zu bytes", recipe.name, cut, size);
    }
}

static void trailing_bytes_are_ignored(void **state)
{
    (void)state;
    EACH_PLAIN_RECIPE(recipe) {
        for (recipe.trailing = 1; recipe.trailing <= 40; recipe.trailing++) {
            uint8_t bytes[RECIPE_SIZE_MAX];
            size_t size = recipe_build(bytes, &recipe);
            struct frame frame;

            assert_true(decode_exactly(&frame, recipe.datalink, bytes, size));
            assert_int_equal(frame.size, recipe.payload ? recipe.payload : DATAGRAM_MIN);
        }
    }
}

static void a_third_tag_is_refused(void **state)
{
    static const struct recipe ipv4 = {.datalink = DLT_EN10MB, .tags = {0x88a8, 0x8100, 0x8100}};
    static const struct recipe ipv6 = {.datalink = DLT_EN10MB, .tags = {0x8100, 0x8100, 0x8100},
                                       .ipv6 = true};

    (void)state;
    assert_false(decodes(&ipv4));
    assert_false(decodes(&ipv6));
}

static void fragments_are_refused(void **state)
{
    static const uint16_t fragments[] = {
        0x2000, /* the first */
        0x2001, /* in the middle */
        0x0001, /* the last */
        0x1fff, 0x3fff, 0x6000,
    };

    (void)state;
    EACH_PLAIN_RECIPE(recipe) {
        for (size_t i = 0; !recipe.ipv6 && i < COUNT_OF(fragments); i++) {
            recipe.fragment = fragments[i];
            if (decodes(&recipe))
                fail_msg("%s: a fragment (%04x) was decoded", recipe.name, fragments[i]);
        }
    }
}

/* Among them every IPv6 extension header. */
static void other_protocols_are_refused(void **state)
{
    (void)state;
    EACH_PLAIN_RECIPE(recipe) {
        for (unsigned protocol = 1; protocol < 256; protocol++) {
            recipe.protocol = (uint8_t)protocol;
            if (decodes(&recipe) != (protocol == recipe_protocol(&recipe)))
                fail_msg("%s: protocol %u", recipe.name, protocol);
        }
    }
}

static void a_hop_by_hop_header_is_refused(void **state)
{
    static const struct recipe recipe = {.datalink = DLT_EN10MB, .ipv6 = true};
    uint8_t bytes[RECIPE_SIZE_MAX];
    size_t size = recipe_build(bytes, &recipe);
    struct frame frame;

    (void)state;
    bytes[14 + 6] = IPPROTO_HOPOPTS; /* 0, which a recipe cannot say */
    assert_false(decode_exactly(&frame, DLT_EN10MB, bytes, size));
}

static void wrong_ip_lengths_are_refused(void **state)
{
    (void)state;
    EACH_PLAIN_RECIPE(recipe) {
        int size = (int)recipe_inner(&recipe), least = (int)recipe_header(&recipe);

        /* Longer than the frame; shorter than what UDP says, or than the header. */
        if (recipe.transport == TRANSPORT_UDP)
            least = size;
        for (int error = -size; error <= 40; error++) {
            recipe.ip_error = error;
            if (decodes(&recipe) != (error <= 0 && size + error >= least))
                fail_msg("%s: the IP length is off by %d", recipe.name, error);
        }
        recipe.ip_error = 0xffff - size - 60;
        assert_false(decodes(&recipe));
        recipe.ip_error = -(size + 20 + recipe.option_words * 4); /* zero, in IPv4 */
        assert_false(decodes(&recipe));
    }
}

static void udp_may_not_reach_beyond_its_packet(void **state)
{
    (void)state;
    EACH_PLAIN_RECIPE(recipe) {
        int size = (int)recipe_inner(&recipe);

        for (int error = -size; recipe.transport == TRANSPORT_UDP && error <= 40; error++) {
            recipe.udp_error = error;
            recipe.trailing = 64; /* there, but not part of the packet */
            if (decodes(&recipe) != (error <= 0 && size + error >= 8))
                fail_msg("%s: the UDP length is off by %d", recipe.name, error);
        }
    }
}

static void a_shorter_udp_length_counts(void **state)
{
    struct recipe recipe = {.datalink = DLT_EN10MB, .udp_error = -100};
    uint8_t bytes[RECIPE_SIZE_MAX];
    size_t size = recipe_build(bytes, &recipe);
    struct frame frame;

    (void)state;
    assert_true(decode_exactly(&frame, DLT_EN10MB, bytes, size));
    assert_int_equal(frame.size, DATAGRAM_MIN - 100);
}

/* ECE and CWR, 0x40 and 0x80, may come with a SYN, and nothing else may. */
static void of_tcp_only_a_syn_decodes(void **state)
{
    (void)state;
    EACH_PLAIN_RECIPE(recipe) {
        for (unsigned flags = 1; recipe.transport == TRANSPORT_TCP_SYN && flags < 256; flags++) {
            recipe.tcp_flags = (uint8_t)flags;
            if (decodes(&recipe) != ((flags & 0x3f) == 0x02))
                fail_msg("%s: flags %02x", recipe.name, flags);
        }
    }
}

static void tcp_may_not_begin_beyond_its_packet(void **state)
{
    struct recipe recipe = {.datalink = DLT_EN10MB, .transport = TRANSPORT_TCP_SYN};

    (void)state;
    for (size_t payload = 1; payload <= 50; payload++) {
        uint8_t bytes[RECIPE_SIZE_MAX];
        size_t size, at = recipe_header_at(&recipe);
        struct frame frame;

        recipe.payload = payload;
        size = recipe_build(bytes, &recipe);
        for (unsigned words = 0; words < 16; words++) {
            bytes[at + 12] = (uint8_t)(words << 4);
            assert_int_equal(decode_exactly(&frame, DLT_EN10MB, bytes, size),
                             words >= 5 && words * 4 <= 20 + payload);
        }
    }
}

static void of_icmp_only_the_family_s_echo_request_decodes(void **state)
{
    (void)state;
    EACH_PLAIN_RECIPE(recipe) {
        uint32_t right = recipe.ipv6 ? 0x8000 : 0x0800;

        for (uint32_t icmp = 1; recipe.transport == TRANSPORT_ICMP && icmp < 0x10000; icmp++) {
            if (icmp % 256 > 2) /* codes */
                continue;
            recipe.icmp = (uint16_t)icmp;
            if (decodes(&recipe) != (icmp == right))
                fail_msg("%s: type and code %04x", recipe.name, icmp);
        }
    }
}

static void icmp_of_the_other_family_is_refused(void **state)
{
    static const struct recipe four_in_six = {.datalink = DLT_RAW, .ipv6 = true, .icmp = 0x0800,
                                              .transport = TRANSPORT_ICMP,
                                              .protocol = IPPROTO_ICMP};
    static const struct recipe six_in_four = {.datalink = DLT_RAW, .icmp = 0x8000,
                                              .transport = TRANSPORT_ICMP,
                                              .protocol = IPPROTO_ICMPV6};

    (void)state;
    assert_false(decodes(&four_in_six));
    assert_false(decodes(&six_in_four));
}

static void what_is_switched_off_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(whole_frames); i++) {
        const struct recipe *recipe = &whole_frames[i];
        uint8_t bytes[RECIPE_SIZE_MAX];
        size_t size = recipe_build(bytes, recipe);

        for (unsigned transports = 0; transports <= EVERY_TRANSPORT; transports++) {
            struct frame frame;

            assert_int_equal(frame_decode(&frame, frame_link_of(recipe->datalink), transports,
                                          bytes, size),
                             (transports & 1u << recipe->transport) != 0);
        }
    }
}

/* Version and header length, IPv4's and IPv6's first byte, every value of it. */
static void first_bytes_of_ip_are_checked(void **state)
{
    (void)state;
    EACH_PLAIN_RECIPE(recipe) {
        uint8_t bytes[RECIPE_SIZE_MAX];
        size_t size = recipe_build(bytes, &recipe), at = recipe_header_at(&recipe);
        size_t header = recipe.ipv6 ? 40 : 20 + recipe.option_words * 4u;
        uint8_t right = bytes[at - header];

        for (unsigned first = 0; first < 256; first++) {
            struct frame frame;

            bytes[at - header] = (uint8_t)first;
            if (decode_exactly(&frame, recipe.datalink, bytes, size) && first != right &&
                (first >> 4 != right >> 4 || (first >> 4 == 4 && (first & 15) < 5)))
                fail_msg("%s: decoded although IP begins with %02x", recipe.name, first);
        }
    }
}

/* With a UDP length that would fit, were the UDP header where it says. */
static void a_short_ipv4_header_is_refused(void **state)
{
    static const struct recipe recipe = {.datalink = DLT_RAW};
    static const size_t words[] = {0, 2, 3, 4};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        uint8_t bytes[RECIPE_SIZE_MAX];
        size_t size = recipe_build(bytes, &recipe);
        struct frame frame;

        bytes[0] = (uint8_t)(0x40 | words[i]);
        store_be16(bytes + words[i] * 4 + 4, 100);
        assert_false(decode_exactly(&frame, DLT_RAW, bytes, size));
    }
}

/* It would pass for the IPv4 one. */
static void a_mapped_source_in_ipv6_is_refused(void **state)
{
    const struct recipe recipe = {.datalink = DLT_RAW, .ipv6 = true};
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 7};
    uint8_t bytes[RECIPE_SIZE_MAX];
    struct frame frame;
    size_t size = recipe_build(bytes, &recipe);

    (void)state;
    assert_true(decode_exactly(&frame, DLT_RAW, bytes, size));
    memcpy(bytes + 8, mapped, sizeof mapped);
    assert_false(decode_exactly(&frame, DLT_RAW, bytes, size));
}

static void only_the_host_s_own_families_are_ip(void **state)
{
    static const int links[] = {DLT_NULL, DLT_LOOP};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(links); i++) {
        bool null = links[i] == DLT_NULL;
        uint32_t ipv4 = null ? AF_INET : htonl(AF_INET), ipv6 = null ? AF_INET6 : htonl(AF_INET6);
        struct recipe recipe = {.datalink = links[i]};

        recipe.family = ipv4;
        assert_true(decodes(&recipe));
        recipe.family = __builtin_bswap32(ipv4);
        assert_false(decodes(&recipe));
        recipe.family = AF_APPLETALK;
        assert_false(decodes(&recipe));
        recipe.ipv6 = true;
        recipe.family = ipv6;
        assert_true(decodes(&recipe));
        recipe.family = __builtin_bswap32(ipv6);
        assert_false(decodes(&recipe));
        recipe.family = AF_INET; /* says IPv4, is IPv6 */
        assert_false(decodes(&recipe));
    }
}

static void an_unknown_link_decodes_nothing(void **state)
{
    static const struct recipe recipe = {.datalink = DLT_RAW};
    uint8_t bytes[RECIPE_SIZE_MAX];
    size_t size = recipe_build(bytes, &recipe);
    struct frame frame;

    (void)state;
    assert_false(frame_decode(&frame, LINK_UNKNOWN, EVERY_TRANSPORT, bytes, size));
}

static void random_frames_stay_within_bounds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RANDOM_FRAMES; i++) {
        uint8_t bytes[128];
        size_t size = next_random() % sizeof bytes;
        struct frame frame;

        for (size_t b = 0; b < size; b++)
            bytes[b] = (uint8_t)next_random();
        decode_exactly(&frame, whole_frames[i % COUNT_OF(whole_frames)].datalink, bytes, size);
    }
}

static void damaged_frames_stay_within_bounds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RANDOM_FRAMES; i++) {
        const struct recipe *recipe = &whole_frames[i % COUNT_OF(whole_frames)];
        uint8_t bytes[RECIPE_SIZE_MAX];
        size_t size = recipe_build(bytes, recipe), headers = recipe_payload_at(recipe);
        struct frame frame;

        for (unsigned n = next_random() % 4; n > 0; n--)
            bytes[next_random() % headers] = (uint8_t)next_random();
        decode_exactly(&frame, recipe->datalink, bytes, next_random() % (size + 1));
        decode_exactly(&frame, recipe->datalink, bytes, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_link_type_is_known),
        cmocka_unit_test(whole_frames_decode),
        cmocka_unit_test(tags_behind_cooked_headers_are_skipped),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(trailing_bytes_are_ignored),
        cmocka_unit_test(a_third_tag_is_refused),
        cmocka_unit_test(fragments_are_refused),
        cmocka_unit_test(other_protocols_are_refused),
        cmocka_unit_test(a_hop_by_hop_header_is_refused),
        cmocka_unit_test(wrong_ip_lengths_are_refused),
        cmocka_unit_test(udp_may_not_reach_beyond_its_packet),
        cmocka_unit_test(a_shorter_udp_length_counts),
        cmocka_unit_test(of_tcp_only_a_syn_decodes),
        cmocka_unit_test(tcp_may_not_begin_beyond_its_packet),
        cmocka_unit_test(of_icmp_only_the_family_s_echo_request_decodes),
        cmocka_unit_test(icmp_of_the_other_family_is_refused),
        cmocka_unit_test(what_is_switched_off_is_refused),
        cmocka_unit_test(first_bytes_of_ip_are_checked),
        cmocka_unit_test(a_short_ipv4_header_is_refused),
        cmocka_unit_test(a_mapped_source_in_ipv6_is_refused),
        cmocka_unit_test(only_the_host_s_own_families_are_ip),
        cmocka_unit_test(an_unknown_link_decodes_nothing),
        cmocka_unit_test(random_frames_stay_within_bounds),
        cmocka_unit_test(damaged_frames_stay_within_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
