/* What the kernel answers, and tells, over netlink: the first byte says what is asked;
 * then comes a row of datagrams, each with a byte about it, its size and its bytes. */
#include "fuzz.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "privsep/cut/cut.h"
#include "privsep/helper/set.h"
#include "privsep/helper/usage.h"
#include "privsep/netlink.h"
#include "privsep/xtables/probe.h"
#include "tests/unit/table.h"

enum { CAPACITY = 4, GRANTS = 3 };

/* Bits of a datagram's byte. */
enum { ASKED_FOR = 1, OF_ANOTHER = 2, CUT = 4, FAILS = 8 };

static struct {
    struct input left; /* datagrams */
    uint32_t sequence; /* of the last question */
    bool is_asked;
    struct grants grants;
    struct news news;
    int nothing; /* /dev/null: what is sent, and where answers come from, is up to us */
} world;

static const struct service ssh = {IPPROTO_TCP, 22}, dns = {IPPROTO_UDP, 53};
static const struct address alice = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 7}};
static const struct address bob = {{0x20, 0x01, 0x0d, 0xb8, [15] = 7}};

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);

/* A question is a whole message. */
ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    struct nlmsghdr header;

    (void)fd, (void)flags;
    REQUIRE(size >= sizeof header && size % 4 == 0 && size <= QUESTION_SIZE);
    memcpy(&header, bytes, sizeof header);
    REQUIRE(header.nlmsg_len == size && (header.nlmsg_flags & NLM_F_REQUEST));
    world.sequence = header.nlmsg_seq;
    world.is_asked = true;
    return (ssize_t)size;
}

/* The kernel tells each message whose answer it is. */
static void put_sequence(uint8_t *bytes, size_t size)
{
    const uint32_t sequence = world.is_asked ? world.sequence : 0;
    struct nlmsghdr header;

    for (size_t at = 0; at + sizeof header <= size; at += netlink_aligned(header.nlmsg_len)) {
        memcpy(bytes + at + offsetof(struct nlmsghdr, nlmsg_seq), &sequence, sizeof sequence);
        memcpy(&header, bytes + at, sizeof header);
        if (header.nlmsg_len < sizeof header)
            break;
    }
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct input in;
    uint8_t about;

    (void)fd, (void)flags;
    if (world.left.size == 0) {
        errno = EAGAIN;
        return -1;
    }
    about = input_byte(&world.left);
    if (about & FAILS) {
        errno = about & CUT ? EINTR : ENOBUFS;
        return -1;
    }
    in = input_message(&world.left);
    if (in.size > message->msg_iov->iov_len) {
        in.size = message->msg_iov->iov_len;
        about |= CUT;
    }
    memcpy(message->msg_iov->iov_base, in.bytes, in.size);
    if (about & ASKED_FOR)
        put_sequence(message->msg_iov->iov_base, in.size);
    kernel.nl_pid = about & OF_ANOTHER ? 7 : 0;
    memcpy(message->msg_name, &kernel, sizeof kernel);
    message->msg_flags = about & CUT ? MSG_TRUNC : 0;
    return (ssize_t)in.size;
}

static void open_news(void)
{
    int fd = netlink_open(NETLINK_NETFILTER);

    REQUIRE(fd >= 0);
    helper_news_open(&world.news, fd, &ssh, 1);
    REQUIRE(!world.news.listening);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error why;

    (void)count, (void)arguments;
    REQUIRE(helper_grants_create(&world.grants, fuzz_enter(), CAPACITY, 0, &why));
    world.nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(world.nothing >= 0);
    open_news();
    return 0;
}

/* ---- what is asked, and what must be so ------------------------------------- */

/* One that is asked on may be closed for good. */
static int open_socket(void)
{
    int fd = dup(world.nothing);

    REQUIRE(fd >= 0);
    return fd;
}

static void end_flows(const struct address *from, const struct service *to)
{
    const struct way way = {from, to};
    struct cut cut = {open_socket(), open_socket()};
    struct error why = {""};
    unsigned ended = 0;
    bool done = cut_connections(&cut, &way, &ended, &why);

    REQUIRE(done || why.text[0]);
    REQUIRE(!done || cut.conntrack >= 0);
    cut_close(&cut);
}

static void try_news(void)
{
    struct cut cut = {open_socket(), -1};
    struct error why = {""};

    REQUIRE(helper_news_try(&cut.conntrack, &why) || why.text[0]);
    cut_close(&cut);
}

/* Alice has one that admits two connections and one that admits any number. */
static void put_grants(void)
{
    const uint8_t profile[KEY_ID_SIZE] = {1};
    int64_t deadline = clock_boot_ns() + 60 * (int64_t)NSEC_PER_SEC;

    helper_grants_clear(&world.grants);
    helper_grants_forget_gone(&world.grants, IPV4);
    helper_grants_forget_gone(&world.grants, IPV6);
    table_open(&world.grants, profile, &alice, &ssh, deadline);
    table_open(&world.grants, profile, &alice, &dns, deadline);
    table_open(&world.grants, profile, &bob, &ssh, deadline);
    world.grants.items[0].connections = 2;
    world.news.listening = true; /* its socket is in no group */
    for (size_t i = 0; i < GRANTS; i++)
        world.grants.items[i].is_counted = 1;
}

/* Never more than it admits, each flow once, and what is lost ends it. */
static void check_use(const struct grant *grant, bool lost)
{
    REQUIRE(grant->used <= (grant->connections ? GRANT_FLOWS : 1));
    for (uint32_t i = 0; i < grant->used; i++)
        for (uint32_t j = 0; j < i; j++)
            REQUIRE(grant->flows[i] != grant->flows[j]);
    REQUIRE(grant->connections == 0 || !lost || helper_usage_end(grant));
}

static void hear_news(void)
{
    struct grant ended;
    bool lost;

    put_grants();
    helper_usage_hear(&world.news, &world.grants);
    lost = !world.news.listening;
    for (size_t i = 0; i < GRANTS; i++)
        check_use(&world.grants.items[i], lost);
    ended = world.grants.items[1];
    helper_usage_finish(&world.news, &world.grants, &ended, 1);
    helper_usage_rest(&world.news, &world.grants);
    helper_usage_take_over(&world.news, &world.grants);
    helper_usage_begin(&world.news, &world.grants, &world.grants.items[2], true);
    REQUIRE(world.grants.items[2].used <= 1);
    helper_news_leave(&world.news);
}

static void fill_sets(void)
{
    struct ipset set = {.fd = open_socket(), .capacity = CAPACITY};
    struct error why = {""};
    bool for_good;

    put_grants();
    for (enum family family = IPV4; family < FAMILIES; family++) {
        REQUIRE(ipset_make_scratch(&set, family, &for_good, &why) || why.text[0]);
        why.text[0] = '\0';
        REQUIRE(helper_set_fill(&set, family, &world.grants, &why) || why.text[0]);
        helper_grants_remove_at(&world.grants, 0);
        REQUIRE(helper_set_update(&set, family, &world.grants, &why) || why.text[0]);
        REQUIRE(helper_set_remove(&set, family, &why) || why.text[0]);
    }
    ipset_close(&set);
}

/* One answer is a message about a connection. */
static void read_flow(void)
{
    struct span message = {world.left.bytes, world.left.size};
    struct flow flow;

    if (flows_read(message, &flow))
        REQUIRE(message.size > 40); /* what names it takes more */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t what = input_byte(&in);

    world.left = in;
    world.is_asked = false;
    switch (what) {
    case '4':
        end_flows(&alice, &ssh);
        break;
    case '6':
        end_flows(&bob, &ssh);
        break;
    case 'u':
        end_flows(&alice, &dns);
        break;
    case 't':
        try_news();
        break;
    case 'n':
        hear_news();
        break;
    case 's':
        fill_sets();
        break;
    case 'f':
        read_flow();
        break;
    default:
        break;
    }
    return 0;
}
