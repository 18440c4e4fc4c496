/* What the kernel answers, and tells, over netlink: the first byte says what is asked;
 * then comes a row of datagrams, each with a byte about it, its size and its bytes. */
#include "fuzz.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "privsep/cut/cut.h"
#include "daemon/witness/news.h"
#include "privsep/grantfile.h"
#include "privsep/helper/set.h"
#include "privsep/netlink.h"
#include "privsep/prepare/budgets.h"
#include "privsep/prepare/news.h"
#include "privsep/prepare/takeover.h"
#include "privsep/xtables/probe.h"
#include "tests/unit/planned.h"
#include "tests/unit/table.h"

enum { CAPACITY = 4, GRANTS = 3 };

/* Bits of a datagram's byte. */
enum { ASKED_FOR = 1, OF_ANOTHER = 2, CUT = 4, FAILS = 8 };

static struct {
    struct input left; /* datagrams */
    uint32_t sequence; /* of the last question */
    bool is_asked;
    struct grants grants;
    struct granttable_view table;
    struct client clients[1];
    struct usage usage;
    struct news news;
    struct planned made;
    int nothing; /* /dev/null: what is sent, and where answers come from, is up to us */
} world;

static const struct service ssh = {IPPROTO_TCP, 22}, dns = {IPPROTO_UDP, 53};
static const struct address alice = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 7}};
static const struct address bob = {{0x20, 0x01, 0x0d, 0xb8, [15] = 7}};

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);

/* Whole messages; the last one has the number of the answer to all. */
ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    struct nlmsghdr header = {0};

    (void)fd, (void)flags;
    REQUIRE(size >= sizeof header && size % 4 == 0 && size <= QUESTION_SIZE);
    for (size_t at = 0; at < size; at += header.nlmsg_len) {
        REQUIRE(size - at >= sizeof header);
        memcpy(&header, (const uint8_t *)bytes + at, sizeof header);
        REQUIRE(header.nlmsg_len >= sizeof header && header.nlmsg_len % 4 == 0);
        REQUIRE(header.nlmsg_len <= size - at);
    }
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

/* Of an answer that is longer than the room for it, the kernel copies the beginning. */
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct sockaddr_nl sender;
    struct msghdr message = {.msg_name = &sender, .msg_iov = &part, .msg_iovlen = 1};

    return __wrap_recvmsg(fd, &message, flags);
}

static void open_news(int directory)
{
    static const struct helper_profile profile;
    static struct clients clients = {.items = world.clients, .count = 1};
    int uses = open("/run/uses", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct error why;

    world.clients[0].profile = &profile;
    REQUIRE(uses >= 0 && ftruncate(uses, CAPACITY * sizeof(struct use)) == 0);
    REQUIRE(granttable_open(&world.table, directory, &why));
    REQUIRE(usage_open(&world.usage, &clients, &world.table, uses, CAPACITY, &why));
    news_begin(&world.news, netlink_open(NETLINK_NETFILTER));
    REQUIRE(world.news.fd >= 0);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static const struct helper_setup setup = {.max_grants = CAPACITY};
    static const struct xtables found = {.backend = BACKEND_NFT};
    const int directory = fuzz_enter();
    struct error why;

    (void)count, (void)arguments;
    REQUIRE(helper_grants_create(&world.grants, directory, CAPACITY, 0, &why));
    world.nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(world.nothing >= 0);
    open_news(directory);
    planned_make(&world.made, &setup, NULL, 0, &found);
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
    static struct doors doors;
    const struct cut_door door = {CUT_KILL, 1, *from, *to};
    struct cut cut = {open_socket(), open_socket()};
    struct cut_result result;

    doors.count = 0;
    REQUIRE(doors_add(&doors, &door));
    cut_connections(&cut, &doors, INT64_MAX, &result);
    REQUIRE(result.trouble < CUT_TROUBLES);
    REQUIRE(result.trouble != CUT_DONE || (cut.conntrack >= 0 && result.error == 0));
    cut_close(&cut);
}

static void try_news(void)
{
    int conntrack = open_socket();
    struct error why = {""};

    REQUIRE(news_try(&conntrack, &why) || why.text[0]);
    if (conntrack >= 0)
        close(conntrack);
}

/* Alice has one that admits two connections and one that admits any number, the last; Bob has the
 * former. */
static void put_grants(void)
{
    const uint8_t profile[KEY_ID_SIZE] = {1};
    int64_t deadline = clock_boot_ns() + 60 * (int64_t)NSEC_PER_SEC;

    helper_grants_clear(&world.grants);
    helper_grants_settle(&world.grants, IPV4, true);
    helper_grants_settle(&world.grants, IPV6, true);
    world.grants.table->last_id = 0;
    table_open(&world.grants, profile, &alice, &ssh, deadline);
    table_open(&world.grants, profile, &bob, &ssh, deadline);
    table_open(&world.grants, profile, &alice, &dns, deadline);
    world.grants.items[0].connections = world.grants.items[1].connections = 2;
}

static struct helper_event event_of(uint32_t i)
{
    const struct grant *grant = &world.grants.items[i];

    return (struct helper_event){.kind = EVENT_BEGUN, .id = i + 1, .begun = i + 1,
                                 .connections = (uint16_t)grant->connections,
                                 .address = grant->address, .services = {grant->service},
                                 .service_count = 1};
}

/* Alice's first grant counts, and is asked for. Bob's waits for its mark. */
static void watch_grants(void)
{
    put_grants();
    for (uint32_t i = 0; i < GRANTS - 1; i++) {
        const struct helper_event event = event_of(i);

        REQUIRE(usage_begin(&world.usage, &event, clock_boot_ns()));
        REQUIRE(i == 1 || usage_pass_mark(&world.usage, i + 1));
    }
    usage_ask(&world.usage, 1);
}

/* The verdict about Alice's second grant comes after the news. */
static void take_verdict(void)
{
    struct helper_event event = event_of(GRANTS - 1);

    event.kind = EVENT_VERDICT;
    event.verdict = VERDICT_OPENED;
    event.opened[0] = event.id;
    event.is_listening = 1;
    REQUIRE(world.usage.early_count <= EARLY_MAX);
    REQUIRE(usage_begin_opened(&world.usage, &event) && world.usage.early_count == 0);
}

/* Never more than it admits, each connection once. */
static void check_use(size_t i)
{
    const struct use *use = &world.usage.uses[i];

    REQUIRE(use->used <= CONNECTIONS_MAX && use->flow_count <= USE_FLOWS);
    for (uint32_t j = 0; j < use->flow_count; j++)
        for (uint32_t k = 0; k < j; k++)
            REQUIRE(use->flows[j] != use->flows[k]);
    REQUIRE(use->id == 0 || use->id == world.usage.watches[i].id);
    REQUIRE(world.usage.watches[i].connections == 0 ||
            use->used < world.usage.watches[i].connections || world.usage.watches[i].must_end);
}

static void hear_news(void)
{
    struct ended ended;

    watch_grants();
    for (int i = 0; i < 4 && news_hear(&world.news, &world.usage) != NEWS_HEARD; i++)
        news_let_go(&world.news, &world.usage);
    take_verdict();
    for (size_t i = 0; i < CAPACITY; i++)
        check_use(i);
    for (uint32_t i = 1; i <= GRANTS; i++) {
        const struct helper_event event = {.kind = EVENT_ENDED, .id = i, .end = END_WINDOW,
                                           .service_count = 1};

        usage_end(&world.usage, &event, &ended);
        REQUIRE(ended.end == END_WINDOW && ended.use <= USED_SOME);
    }
    REQUIRE(!usage_waits(&world.usage) && usage_next_question(&world.usage) == 0);
    world.usage.begun = world.usage.told = world.usage.lost = 0;
    world.usage.asked = world.news.held = 0;
}

static void fill_sets(void)
{
    struct sets set = {.kernel.fd = open_socket(), .plan = world.made.plan};
    struct error why = {""};

    put_grants();
    for (enum family family = IPV4; family < FAMILIES; family++) {
        REQUIRE(helper_sets->fill(&set, family, &world.grants, &why) || why.text[0]);
        helper_grants_remove_at(&world.grants, 0);
        REQUIRE(helper_sets->update(&set, family, &world.grants, &why) || why.text[0]);
        REQUIRE(helper_sets->remove(&set, family, &why) || why.text[0]);
    }
    helper_sets->close(&set.kernel);
}

/* Alice's first admits so many packets, and no more than the kernel ever said. */
static void read_budgets(void)
{
    struct door door;

    put_grants();
    budgets_note(&world.grants);
    for (size_t i = 0; i < GRANTS; i++) {
        door = helper_grants_door(&world.grants.items[i]);
        REQUIRE(world.grants.items[i].connections || budgets_left(&door) == UINT32_MAX);
    }
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
    case 'b':
        read_budgets();
        break;
    case 'f':
        read_flow();
        break;
    default:
        break;
    }
    return 0;
}
