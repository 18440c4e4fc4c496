/* What the kernel tells of nftables' chains, of interfaces and of neighbours: the first byte says which
 * and how this host is configured; then comes a row of datagrams, each with a byte about
 * it, its size and its bytes. */
#include "fuzz.h"

#include <errno.h>
#include <netinet/in.h>
#include <sanitizer/asan_interface.h>
#include <sys/socket.h>

#include "daemon/host/firewalls.h"
#include "daemon/host/neighbour.h"
#include "daemon/host/vrf.h"
#include "privsep/netlink.h"

enum { INTERFACES = 1, IS_LEGACY = 2, CLOSES_TCP = 4, CLOSES_UDP = 8, SENDS_ON = 16, TABLE = 32,
       NEIGHBOUR = 64, OF_IPV6 = 128 };

/* Bits of a datagram's byte. */
enum { ASKED_FOR = 1, FAILS = 2 };

static struct input left;
static uint32_t sequence; /* of the question */

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    struct nlmsghdr header;

    (void)fd, (void)flags;
    REQUIRE(size >= sizeof header);
    memcpy(&header, bytes, sizeof header);
    REQUIRE(header.nlmsg_len == size);
    sequence = header.nlmsg_seq;
    return (ssize_t)size;
}

/* The kernel tells each message whose answer it is. */
static void put_sequence(uint8_t *bytes, size_t size)
{
    struct nlmsghdr header;

    for (size_t at = 0; at + sizeof header <= size; at += netlink_aligned(header.nlmsg_len)) {
        memcpy(&header, bytes + at, sizeof header);
        if (header.nlmsg_len < sizeof header)
            break;
        header.nlmsg_seq = sequence;
        memcpy(bytes + at, &header, sizeof header);
    }
}

/* A sanitizer sees what is read beyond the datagram. */
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    const size_t room = message->msg_iov->iov_len;
    uint8_t about, *to = message->msg_iov->iov_base;
    struct input in;

    (void)fd, (void)flags;
    about = input_byte(&left);
    in = input_message(&left);
    if (in.size == 0 || in.size > room || (about & FAILS)) {
        errno = ENOBUFS;
        return -1;
    }
    ASAN_UNPOISON_MEMORY_REGION(to, room);
    memcpy(to, in.bytes, in.size);
    if (about & ASKED_FOR)
        put_sequence(to, in.size);
    ASAN_POISON_MEMORY_REGION(to + in.size, room - in.size);
    memcpy(message->msg_name, &kernel, sizeof kernel);
    return (ssize_t)in.size;
}

int __wrap_nanosleep(const struct timespec *pause, struct timespec *rest);

/* A neighbour that is waited for answers at once, or never. */
int __wrap_nanosleep(const struct timespec *pause, struct timespec *rest)
{
    (void)pause, (void)rest;
    return 0;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

static void check_report(void *data, const char *what, const char *advice)
{
    unsigned *count = data;

    REQUIRE(strlen(what) > 20 && strlen(advice) > 5);
    (*count)++;
}

static struct config config_of(uint8_t how)
{
    const enum backend backend = how & IS_LEGACY ? BACKEND_LEGACY : BACKEND_NFT;
    struct config config = {.backend = backend, .backend_in_use = backend,
                            .forward = how & SENDS_ON, .interface_count = 1};

    strcpy(config.interfaces[0], "lo");
    if (how & CLOSES_TCP)
        config.shut[config.shut_count++] = (struct service){IPPROTO_TCP, 22};
    if (how & CLOSES_UDP)
        config.shut[config.shut_count++] = (struct service){IPPROTO_UDP, 53};
    return config;
}

static void look_at_interfaces(const struct config *config)
{
    char members[VRF_MEMBERS_SIZE];
    struct input whole = left;
    unsigned count = 0;
    bool is_one;

    is_one = vrf_is("lo", members);
    REQUIRE(memchr(members, '\0', sizeof members));
    left = whole;
    vrf_find(config, check_report, &count);
    REQUIRE(count == is_one);
    REQUIRE(!vrf_is("no such", members));
}

static void look_at_table(void)
{
    static const struct service ssh = {IPPROTO_TCP, 22};
    static const struct firewalls_place place = {"inet", "t", "c", "input"};
    char way[FIREWALLS_WAY_SIZE];
    struct input whole = left;
    bool is_there = firewalls_have_table("ip6", "t");

    left = whole;
    firewalls_way_in(way, &place, &ssh, 0);
    REQUIRE(is_there || strncmp(way, "nft insert rule inet t c tcp dport 22 accept",
                                FIREWALLS_WAY_SIZE) == 0);
}

static void look_at_neighbour(bool of_ipv6)
{
    static const uint8_t none[NEIGHBOUR_MAC_SIZE];
    const struct address address = of_ipv6
                                       ? (struct address){{0xfd, [15] = 2}}
                                       : address_from_ipv4((const uint8_t[]){192, 0, 2, 7});
    char text[NEIGHBOUR_MAC_TEXT_SIZE];
    struct neighbour found;
    enum neighbour_state state = neighbour_find(&found, &address);

    REQUIRE(address_equal(&found.address, &address));
    REQUIRE(strlen(neighbour_format_mac(&found, text)) == sizeof text - 1);
    REQUIRE(state == NEIGHBOUR_KNOWN || memcmp(found.mac, none, sizeof none) == 0);
    REQUIRE((strcmp(found.interface, "lo") == 0) ==
            (state == NEIGHBOUR_KNOWN || state == NEIGHBOUR_SILENT));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t how = input_byte(&in);
    const struct helper_profile policy = {.destinations[0].address = {{0xfd, [15] = 1}},
                                          .destination_count = 1};
    struct profile profile = {.policy = &policy};
    struct config config = config_of(how);
    unsigned count = 0;

    if (how & SENDS_ON) {
        config.profiles = &profile;
        config.profile_count = 1;
    }
    left = in;
    if (how & NEIGHBOUR) {
        look_at_neighbour(how & OF_IPV6);
        return 0;
    }
    if (how & TABLE) {
        look_at_table();
        return 0;
    }
    if (how & INTERFACES) {
        look_at_interfaces(&config);
        return 0;
    }
    firewalls_find(&config, check_report, &count);
    firewalls_find_strays(&config, check_report, &count);
    return 0;
}
