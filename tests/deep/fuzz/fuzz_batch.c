/* What the kernel answers to transactions of nf_tables: the first byte says what is asked; then
 * comes a row of datagrams, each with a byte about it, its size and its bytes. */
#include "fuzz.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "privsep/helper/elements.h"
#include "privsep/nftables/batch.h"
#include "privsep/nftables/glance.h"
#include "privsep/prepare/takeover.h"
#include "tests/unit/table.h"

enum { CAPACITY = 4 };

/* Bits of a datagram's byte. */
enum {
    STALE = 1,    /* it waits before anything is asked */
    FAILS = 2,    /* there is no datagram: more were sent than fit; or, with the next bit, */
    HAS_NONE = 4, /* none is left for what is asked now */
    CANNOT = 8,   /* the first byte: nothing can be sent */
};

static struct {
    struct input left; /* datagrams */
    bool is_asked, cannot_send;
    bool is_refused, is_answered; /* by the answers since it was asked */
    struct grants grants;
    struct elements elements;
} world;

static const struct service ssh = {IPPROTO_TCP, 22}, dns = {IPPROTO_UDP, 53};
static const struct address alice = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 7}};
static const struct address bob = {{0x20, 0x01, 0x0d, 0xb8, [15] = 7}};

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);

/* Whole messages, of which each attribute is whole. */
static void check_attributes(const uint8_t *bytes, size_t size)
{
    struct nlattr head;

    for (size_t at = 0; at < size; at += (size_t)NLA_ALIGN(head.nla_len)) {
        REQUIRE(size - at >= sizeof head);
        memcpy(&head, bytes + at, sizeof head);
        REQUIRE(head.nla_len >= sizeof head && (size_t)NLA_ALIGN(head.nla_len) <= size - at);
        if (head.nla_type & NLA_F_NESTED)
            check_attributes(bytes + at + sizeof head, head.nla_len - sizeof head);
    }
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    const size_t before = sizeof(struct nlmsghdr) + 4;
    struct nlmsghdr header;

    (void)fd, (void)flags;
    for (size_t at = 0; at < size; at += header.nlmsg_len) {
        REQUIRE(size - at >= sizeof header);
        memcpy(&header, (const uint8_t *)bytes + at, sizeof header);
        REQUIRE(header.nlmsg_len >= before && header.nlmsg_len % 4 == 0);
        REQUIRE(header.nlmsg_len <= size - at);
        check_attributes((const uint8_t *)bytes + at + before, header.nlmsg_len - before);
    }
    world.is_asked = true;
    world.is_refused = world.is_answered = false;
    errno = EMSGSIZE;
    return world.cannot_send ? -1 : (ssize_t)size;
}

/* Takes note of an answer, as whoever may trust the kernel would read it. */
static void note(const struct input *in)
{
    struct nlmsghdr header;
    int32_t error = 1;

    if (in->size >= sizeof header + sizeof error) {
        memcpy(&header, in->bytes, sizeof header);
        memcpy(&error, in->bytes + sizeof header, sizeof error);
        error = header.nlmsg_type == NLMSG_ERROR ? error : 1;
        world.is_answered |= header.nlmsg_seq == 1;
    }
    world.is_refused |= error != 0;
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    struct input in;
    uint8_t about;

    (void)fd;
    errno = EAGAIN;
    if (world.left.size == 0 || (!world.is_asked && !(world.left.bytes[0] & STALE)))
        return -1;
    about = input_byte(&world.left);
    if ((about & FAILS) && (about & HAS_NONE)) {
        world.is_asked = false; /* answers of the next batch follow */
        return -1;
    }
    if (about & FAILS) {
        world.is_refused = true;
        errno = ENOBUFS;
        return -1;
    }
    in = input_message(&world.left);
    if (world.is_asked)
        note(&in);
    memcpy(bytes, in.bytes, in.size < size ? in.size : size);
    return (ssize_t)((flags & MSG_TRUNC) || in.size < size ? in.size : size);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error why;

    (void)count, (void)arguments;
    REQUIRE(helper_grants_create(&world.grants, fuzz_enter(), CAPACITY, 0, &why));
    return 0;
}

/* What is said to be in force is. */
static void check(int error)
{
    REQUIRE(error >= 0);
    REQUIRE(error != 0 || (world.is_answered && !world.is_refused));
    world.is_asked = false;
}

static void put_grants(void)
{
    const uint8_t profile[KEY_ID_SIZE] = {1};
    int64_t deadline = clock_boot_ns() + 60 * (int64_t)NSEC_PER_SEC;

    helper_grants_clear(&world.grants);
    helper_grants_settle(&world.grants, IPV4, true);
    helper_grants_settle(&world.grants, IPV6, true);
    table_open(&world.grants, profile, &alice, &ssh, deadline);
    table_open(&world.grants, profile, &alice, &dns, deadline);
    table_open(&world.grants, profile, &bob, &ssh, deadline);
    world.grants.items[0].connections = 2;
    world.grants.items[1].destination = alice;
    world.grants.items[1].destination_port = 53;
}

/* Each door by itself, as more is too much at once. */
static void keep_elements(bool destroys)
{
    struct elements *e = &world.elements;

    e->fd = -1;
    e->messages = "";
    e->most = 512;
    e->destroys = destroys;
    for (enum table_set set = 0; set < TABLE_SETS; set++)
        e->in_use[set] = true;
    put_grants();
    check(elements_change(e, &world.grants));
    check(elements_establish(e, &world.grants));
    helper_grants_remove_at(&world.grants, 1);
    check(elements_change(e, &world.grants));
}

static void try_table(void)
{
    static struct netwriter w;

    batch_begin(&w);
    batch_message(&w, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    netwriter_text(&w, NFTA_TABLE_NAME, TABLE_NAME);
    netwriter_end(&w);
    check(batch_try(&w, -1));
}

static void take_glances(void)
{
    static struct glance one, other;
    static struct netwriter w;
    int error = glance_take(&one, &w, -1);

    REQUIRE(error >= 0 && one.size <= sizeof one.bytes);
    world.is_asked = false;
    error = glance_take(&other, &w, -1);
    REQUIRE(error >= 0 && other.size <= sizeof other.bytes);
    REQUIRE(glance_is_same(&one, &one) && glance_is_same(&other, &other));
    REQUIRE(!glance_is_same(&one, &other) || one.size == other.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t what = input_byte(&in);

    world.cannot_send = input_byte(&in) & CANNOT;
    world.left = in;
    world.is_asked = false;
    switch (what) {
    case 'e':
        keep_elements(true);
        break;
    case 'o': /* an older kernel */
        keep_elements(false);
        break;
    case 't':
        try_table();
        break;
    case 'g':
        take_glances();
        break;
    default:
        break;
    }
    return 0;
}
