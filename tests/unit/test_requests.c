#include "check.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/text/member.h"
#include "netspace.h"
#include "people.h"
#include "privsep/helper/iptables.h"
#include "privsep/helper/requests.h"
#include "privsep/netlink.h"
#include "privsep/prepare/repair.h"
#include "privsep/prepare/rules.h"
#include "privsep/prepare/takeover.h"
#include "privsep/xtables/probe.h"
#include "stored.h"
#include "planned.h"
#include "table.h"

enum {
    SKEW = 300,
    WINDOW = 30,
    MAX_WINDOW = 60,
    MAX_GRANTS = 3,
    CAPACITY = 70,
    PEOPLE = 4,
};

enum { ALICE, BOB, CAROL, DAVE };

/* The parts of a plan that policy is in. */
struct plan_of_people {
    struct plan plan;
    struct plan_profile list[PEOPLE];
    struct helper_profile profiles[PEOPLE]; /* in the order of the people */
};

/* A helper without its loop: everything real, and the sniffer's end in hand. */
static struct {
    struct person people[PEOPLE];
    uint8_t server_public[KEY_SIZE];
    struct plan_of_people policy;
    struct xtables xtables;
    struct planned made;
    struct firewall *firewall;
    struct events events;
    int witness; /* our end */
    struct marks marks;
    struct grants grants;
    struct requests requests;
    int sniffer; /* our end */
    int directory;
} world;

static struct error why;

/* ---- before and after --------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    const struct plan_profile *left = a, *right = b;

    return memcmp(left->key_id, right->key_id, KEY_ID_SIZE);
}

/* Alice is free; Bob must sign an address of his; Carol's time is over. */
static void make_policy(void)
{
    struct helper_profile *bob = &world.policy.profiles[BOB];

    memset(&world.policy, 0, sizeof world.policy);
    for (size_t i = 0; i < PEOPLE; i++) {
        struct helper_profile *p = &world.policy.profiles[i];

        world.policy.list[i].profile.at =
            (uint32_t)(offsetof(struct plan_of_people, profiles) + i * sizeof *p);
        memcpy(world.policy.list[i].key_id, world.people[i].key_id, KEY_ID_SIZE);
        memcpy(p->signer.public_key, world.people[i].public_key, KEY_SIZE);
        snprintf(p->name, sizeof p->name, "person-%zu", i);
        p->services[0] = service_of("tcp/22");
        p->services[1] = service_of("tcp/80");
        p->service_count = 2;
        p->window = WINDOW;
        p->max_window = MAX_WINDOW;
        p->max_grants = MAX_GRANTS;
    }
    qsort(world.policy.list, PEOPLE, sizeof *world.policy.list, compare_entries);
    bob->needs_signed_address = 1;
    assert_true(prefix_parse(&bob->prefixes[0], "192.0.2.0/24", &why));
    assert_true(prefix_parse(&bob->prefixes[1], "2001:db8::/32", &why));
    bob->prefix_count = 2;
    world.policy.profiles[CAROL].expires = 1;
    world.policy.plan.size = sizeof world.policy;
    world.policy.plan.families[IPV4].in_use = world.policy.plan.families[IPV6].in_use = true;
    world.policy.plan.profiles.at = offsetof(struct plan_of_people, list);
    world.policy.plan.skew = (uint64_t)SKEW * USEC_PER_SEC;
    world.policy.plan.max_grants = CAPACITY;
    world.policy.plan.profile_count = PEOPLE;
    memcpy(world.policy.plan.server_public, world.server_public, KEY_SIZE);
}

/* Like a new sniffer's, after the old one was cut off. */
static void connect_sniffer(void)
{
    int ends[2];

    if (world.sniffer >= 0)
        close(world.sniffer);
    if (world.requests.sniffer >= 0)
        close(world.requests.sniffer);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    world.requests.sniffer = ends[0];
    world.sniffer = ends[1];
}

/* Like a new witness, which can be told of 16 events or so. */
static void connect_witness(void)
{
    const int little = 4096;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    world.events = (struct events){.witness = ends[0], .news = netlink_open(NETLINK_NETFILTER)};
    world.witness = ends[1];
}

static uint64_t an_hour_ago(void)
{
    return clock_wall_us() - (uint64_t)3600 * USEC_PER_SEC;
}

static bool open_marks(void)
{
    static uint8_t key_ids[PEOPLE][KEY_ID_SIZE];

    for (size_t i = 0; i < PEOPLE; i++)
        memcpy(key_ids[i], world.people[i].key_id, KEY_ID_SIZE);
    return helper_marks_open(&world.marks, world.directory, key_ids[0], sizeof *key_ids, PEOPLE,
                             an_hour_ago(), (uint64_t)SKEW * USEC_PER_SEC, &why);
}

/* A program built this minute lets new marks start now; these are to start an
 * hour ago, so that all times within the skew are new. */
static bool open_old_marks(void)
{
    if (!open_marks())
        return false;
    for (size_t i = 0; i < world.marks.count; i++)
        for (size_t c = 0; c < MARK_COUNTERS; c++)
            world.marks.items[i].counters[c] = an_hour_ago();
    return true;
}

static int start_world(void **state)
{
    (void)state;
    if (netspace_renew() != 0)
        return -1;
    make_policy();
    unlink("marks");
    unlink(GRANTTABLE_FILE);
    world.directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    world.sniffer = -1;
    world.requests = (struct requests){.plan = &world.policy.plan, .marks = &world.marks,
                                       .grants = &world.grants,
                                       .events = &world.events, .sniffer = -1};
    connect_sniffer();
    connect_witness();
    planned_make(&world.made, &(struct helper_setup){0}, NULL, 0, &world.xtables);
    world.requests.firewall = world.firewall = helper_firewall_open(world.made.plan);
    if (!helper_grants_create(&world.grants, world.directory, CAPACITY, clock_boot_ns(), &why))
        return -1;
    helper_firewall_begin(world.firewall, world.grants.table);
    if (open_old_marks() &&
        helper_iptables_establish(world.firewall, IPV4, &world.grants, &why) &&
        helper_iptables_establish(world.firewall, IPV6, &world.grants, &why))
        return 0;
    fprintf(stderr, "%s\n", why.text);
    return -1;
}

static int end_world(void **state)
{
    (void)state;
    close(world.sniffer);
    close(world.requests.sniffer);
    close(world.events.witness);
    close(world.events.news);
    close(world.witness);
    close(world.directory);
    helper_firewall_close(world.firewall);
    planned_free(&world.made);
    helper_marks_close(&world.marks);
    helper_grants_free(&world.grants);
    return 0;
}

static int enter_all(void **state)
{
    if (sodium_init() < 0 || netspace_enter(state) != 0)
        return -1;
    for (uint32_t i = 0; i < PEOPLE; i++)
        person_make(&world.people[i], i + 1);
    randombytes_buf(world.server_public, KEY_SIZE);
    log_open("test", true, false);
    if (probe_xtables(&world.xtables, BACKEND_NFT, 0, &why) == PROBE_USABLE)
        return 0;
    fprintf(stderr, "%s\n", why.text);
    return -1;
}

/* ---- asking ------------------------------------------------------------- */

static struct request open_request(uint64_t counter)
{
    return (struct request){.action = ACTION_OPEN, .counter = counter};
}

static struct request open_service(uint64_t counter, const char *service)
{
    struct request r = open_request(counter);

    r.service_count = 1;
    r.services[0] = service_of(service);
    return r;
}

static void sign(struct helper_request *m, size_t who)
{
    envelope_sign(&m->signature, world.people[who].signing, world.server_public, m->request);
}

static struct helper_request message_of(size_t who, const struct request *r)
{
    struct helper_request m = {.observed = address_of("192.0.2.7")};

    memcpy(m.key_id, world.people[who].key_id, KEY_ID_SIZE);
    request_encode(m.request, r);
    sign(&m, who);
    return m;
}

static void pass_bytes(const void *bytes, size_t size)
{
    assert_int_equal(send(world.sniffer, bytes, size, MSG_NOSIGNAL), size);
}

static void pass(const struct helper_request *m)
{
    pass_bytes(m, sizeof *m);
}

static enum sniffer_state serve(void)
{
    return helper_requests_serve(&world.requests);
}

static bool read_reply(struct helper_reply *reply)
{
    ssize_t n = recv(world.sniffer, reply, sizeof *reply, MSG_DONTWAIT | MSG_TRUNC);

    assert_true(n == sizeof *reply || (n < 0 && errno == EAGAIN));
    return n > 0;
}

/* Serves it, alone. What the reply tells of the mark goes to *reply. */
static enum verdict ask_fully(const struct helper_request *m, struct helper_reply *reply)
{
    pass(m);
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_true(read_reply(reply));
    return (enum verdict)reply->verdict;
}

static enum verdict ask(const struct helper_request *m)
{
    struct helper_reply reply;

    return ask_fully(m, &reply);
}

static enum verdict ask_for(size_t who, const struct request *r)
{
    struct helper_request m = message_of(who, r);

    return ask(&m);
}

static uint64_t now(void)
{
    return clock_wall_us();
}

/* ---- the state of things ------------------------------------------------ */

static size_t count_rules(const char *program, const char *pattern)
{
    char *text = output_of("(%s -w 5 -t mangle -S; %s -w 5 -S) | grep datestop | grep -c -e '%s'",
                           program, program, pattern);
    size_t count = (size_t)atoi(text);

    free(text);
    return count;
}

/* In both tables, of both families. */
static size_t rules(void)
{
    return count_rules("iptables-nft", "") + count_rules("ip6tables-nft", "");
}

/* When nothing waits. */
static size_t swept_rules(void)
{
    assert_done(helper_firewall_mend(world.firewall, &world.grants, &why), why);
    assert_int_equal(helper_firewall_litter(world.firewall), 0);
    return rules();
}

static bool is_spent(size_t who, uint64_t counter)
{
    return !helper_mark_is_new(helper_marks_find(&world.marks, world.people[who].key_id), counter);
}

static void check_untouched(void)
{
    assert_int_equal(world.grants.count, 0);
    assert_int_equal(rules(), 0);
}

/* That this message, sent to a fresh helper, ends the sniffer and does nothing. */
static void check_cut_off(const void *bytes, size_t size)
{
    size_t before = world.grants.count;
    struct helper_reply reply;

    pass_bytes(bytes, size);
    assert_int_equal(serve(), SNIFFER_MISBEHAVES);
    assert_false(read_reply(&reply));
    assert_int_equal(world.grants.count, before);
    connect_sniffer();
}

static void check_message_cut_off(struct helper_request *m)
{
    sign(m, ALICE);
    check_cut_off(m, sizeof *m);
}

/* ---- what an honest sniffer cannot send --------------------------------- */

static void every_wrong_size_is_fatal(void **state)
{
    struct request r = open_request(now());
    struct helper_request m = message_of(ALICE, &r);
    uint8_t bytes[400] = {0};

    (void)state;
    memcpy(bytes, &m, sizeof m);
    for (size_t size = 0; size <= sizeof bytes; size++)
        if (size != sizeof m)
            check_cut_off(bytes, size);
    check_untouched();
    assert_false(is_spent(ALICE, r.counter));
    assert_int_equal(ask(&m), VERDICT_OPENED); /* it was the size alone */
}

static size_t count_descriptors(void)
{
    size_t count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void pass_with_descriptors(const void *bytes, size_t size, size_t descriptors)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_len = size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                            .msg_controllen = (socklen_t)CMSG_SPACE(descriptors * sizeof(int))};
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);

    memcpy(&part.iov_base, &bytes, sizeof bytes);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = (socklen_t)CMSG_LEN(descriptors * sizeof(int));
    for (size_t i = 0; i < descriptors; i++)
        memcpy(CMSG_DATA(first) + i * sizeof(int), &world.directory, sizeof(int));
    assert_int_equal(sendmsg(world.sniffer, &header, MSG_NOSIGNAL), size);
}

static void a_passed_descriptor_is_fatal(void **state)
{
    struct request r = open_request(now());
    struct helper_request m = message_of(ALICE, &r);
    size_t before = count_descriptors();

    (void)state;
    for (size_t n = 1; n <= 8; n++) {
        pass_with_descriptors(&m, sizeof m, n);
        assert_int_equal(serve(), SNIFFER_MISBEHAVES);
        connect_sniffer();
        pass_with_descriptors(&m, 0, n);
        assert_int_equal(serve(), SNIFFER_MISBEHAVES);
        connect_sniffer();
        assert_int_equal(count_descriptors(), before); /* none came through */
    }
    check_untouched();
    assert_int_equal(ask(&m), VERDICT_OPENED);
}

/* Each byte of the request that has one valid value, with every other one. */
static void a_request_has_one_valid_encoding(void **state)
{
    enum { VERSION = 0, FLAGS = 2, ADDRESS = 16, SERVICE = 32, RESERVED = 48 };
    struct request r = open_service(now(), "tcp/22");
    struct helper_request m = message_of(ALICE, &r);
    struct request unused;

    (void)state;
    assert_true(helper_request_is_canonical(&m, &unused));
    for (size_t at = 0; at < REQUEST_SIZE; at++) {
        uint8_t right = m.request[at];
        bool fixed = at == VERSION || at == FLAGS || (at >= ADDRESS && at < SERVICE) ||
                     at == SERVICE + 1 || at >= SERVICE + 4;

        for (unsigned value = 0; fixed && value < 256; value++) {
            m.request[at] = (uint8_t)value;
            assert_int_equal(helper_request_is_canonical(&m, &unused), value == right);
        }
        m.request[at] = right;
    }
}

static void what_is_not_canonical_is_fatal(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        {0, 0},   {0, 2},    {1, 0},  {1, 3},  {1, 255}, {2, 1},  {2, 2},    {2, 128},
        {3, 2},   {3, 5},    {3, 255}, {16, 1}, {31, 1},  {32, 1}, {32, 0},   {33, 1},
        {35, 0}, {36, 6},   {47, 1}, {48, 1}, {63, 1},
    };
    struct request r = open_service(now(), "tcp/22");
    struct helper_request honest = message_of(ALICE, &r);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        struct helper_request m = honest;

        m.request[changes[i].at] = changes[i].value;
        check_message_cut_off(&m);
    }
    check_untouched();
    assert_int_equal(ask(&honest), VERDICT_OPENED);
}

static void services_out_of_order_are_fatal(void **state)
{
    struct request r = open_request(now());
    struct helper_request m;

    (void)state;
    r.service_count = 2;
    r.services[0] = service_of("tcp/80");
    r.services[1] = service_of("tcp/22");
    m = message_of(ALICE, &r);
    check_cut_off(&m, sizeof m);
    r.services[1] = r.services[0];
    m = message_of(ALICE, &r);
    check_cut_off(&m, sizeof m);
}

static void addresses_that_cannot_be_are_fatal(void **state)
{
    static const char *const addresses[] = {
        "0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255",
        "::",      "::1",     "ff02::1",
    };
    struct request r = open_request(now());

    (void)state;
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        struct helper_request m = message_of(ALICE, &r);
        struct request named = r;

        m.observed = address_of(addresses[i]);
        check_cut_off(&m, sizeof m);
        named.has_address = true;
        named.address = address_of(addresses[i]);
        m = message_of(ALICE, &named);
        check_cut_off(&m, sizeof m);
    }
    check_untouched();
}

static void one_that_does_not_listen_is_cut_off(void **state)
{
    enum sniffer_state end = SNIFFER_SOUND;
    struct request r = open_request(1);
    struct helper_request m = message_of(ALICE, &r);

    (void)state;
    for (int i = 0; i < 10000 && end == SNIFFER_SOUND; i++) {
        pass(&m);
        end = serve();
    }
    assert_int_equal(end, SNIFFER_MISBEHAVES);
    check_untouched();
}

static void one_that_has_gone_is_noticed(void **state)
{
    (void)state;
    shutdown(world.sniffer, SHUT_RDWR);
    close(world.sniffer);
    world.sniffer = -1;
    assert_int_equal(serve(), SNIFFER_GONE);
}

static void requests_before_the_end_are_served(void **state)
{
    struct request r = open_request(now());
    struct helper_request m = message_of(ALICE, &r);

    (void)state;
    pass(&m);
    close(world.sniffer);
    world.sniffer = -1;
    assert_int_equal(serve(), SNIFFER_GONE);
    assert_int_equal(world.grants.count, 2);
    assert_int_equal(rules(), 4);
}

static void requests_before_a_wrong_one_are_served(void **state)
{
    struct request r = open_service(now(), "tcp/22"), later = open_service(now() + 1, "tcp/80");
    struct helper_request m = message_of(ALICE, &r), after = message_of(ALICE, &later);

    (void)state;
    pass(&m);
    pass_bytes("x", 1);
    pass(&after);
    assert_int_equal(serve(), SNIFFER_MISBEHAVES);
    assert_int_equal(world.grants.count, 1);
    assert_int_equal(count_rules("iptables-nft", "dport 80"), 0);
}

/* ---- who asks ----------------------------------------------------------- */

static void check_no_mark(const struct helper_reply *reply)
{
    static const uint64_t zeros[MARK_COUNTERS] = {0};

    assert_memory_equal(reply->counters, zeros, sizeof zeros);
}

static void an_unknown_profile_is_refused(void **state)
{
    struct request r = open_request(now());
    struct helper_request m = message_of(ALICE, &r);
    struct helper_reply reply;

    (void)state;
    m.key_id[0] ^= 1;
    assert_int_equal(ask_fully(&m, &reply), VERDICT_UNKNOWN_PROFILE);
    check_no_mark(&reply);
    check_untouched();
}

static void every_changed_signature_is_refused(void **state)
{
    struct request r = open_request(now());
    struct helper_request m = message_of(ALICE, &r);
    struct helper_reply reply;

    (void)state;
    for (size_t i = 0; i < SIGNATURE_SIZE; i++) {
        m.signature.bytes[i] ^= 1;
        assert_int_equal(ask_fully(&m, &reply), VERDICT_BAD_SIGNATURE);
        check_no_mark(&reply);
        m.signature.bytes[i] ^= 1;
    }
    check_untouched();
    assert_false(is_spent(ALICE, r.counter));
    assert_int_equal(ask(&m), VERDICT_OPENED);
}

static void signatures_of_others_are_refused(void **state)
{
    struct request r = open_request(now());
    struct helper_request m = message_of(ALICE, &r);
    uint8_t other_server[KEY_SIZE] = {9};

    (void)state;
    sign(&m, BOB);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    /* Alice's own, meant for another server. */
    envelope_sign(&m.signature, world.people[ALICE].signing, other_server, m.request);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    /* Her right one under Bob's name. */
    sign(&m, ALICE);
    memcpy(m.key_id, world.people[BOB].key_id, KEY_ID_SIZE);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    memset(&m.signature, 0, sizeof m.signature);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    check_untouched();
}

/* Signs as an agent does: over the blob, or over what an authenticator makes of it. */
static void sign_by_agent(struct helper_request *m, const struct signer *signer, uint8_t flags)
{
    const uint8_t *signing = world.people[ALICE].signing;
    uint8_t blob[SSH_BLOB_SIZE], text[69];

    memset(&m->signature, 0, sizeof m->signature);
    envelope_ssh_blob(blob, world.server_public, m->request);
    if (signer->form == SIGNER_SSH) {
        crypto_sign_detached(m->signature.bytes, NULL, blob, sizeof blob, signing);
        return;
    }
    m->signature.authenticator[0] = flags;
    memcpy(text, signer->application, APPLICATION_HASH_SIZE);
    memcpy(text + APPLICATION_HASH_SIZE, m->signature.authenticator, AUTHENTICATOR_SIZE);
    crypto_hash_sha256(text + 37, blob, sizeof blob);
    crypto_sign_detached(m->signature.bytes, NULL, text, sizeof text, signing);
}

static void a_profile_takes_signatures_of_its_form_alone(void **state)
{
    struct signer *signer = &world.policy.profiles[ALICE].signer;
    const struct signer plain = {.form = SIGNER_SSH};
    struct request r = open_request(now());
    struct helper_request m = message_of(ALICE, &r);

    (void)state;
    sign_by_agent(&m, &plain, 0);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    signer->form = SIGNER_SSH;
    sign(&m, ALICE);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    check_untouched();
    sign_by_agent(&m, signer, 0);
    assert_int_equal(ask(&m), VERDICT_OPENED);
}

static void a_security_key_does_what_its_profile_requires(void **state)
{
    struct signer *signer = &world.policy.profiles[ALICE].signer, other;
    struct request r = open_request(now());
    struct helper_request m = message_of(ALICE, &r);

    (void)state;
    signer->form = SIGNER_SECURITY_KEY;
    signer->required = AUTHENTICATOR_TOUCHED | AUTHENTICATOR_VERIFIED;
    signer->application[0] = 7;
    other = *signer;
    other.application[0] = 8;
    for (uint8_t flags = 0; flags < 5; flags++) {
        sign_by_agent(&m, signer, flags);
        assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    }
    sign_by_agent(&m, &other, 5);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    sign_by_agent(&m, signer, 5);
    m.signature.authenticator[4]++;
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    check_untouched();
    m.signature.authenticator[4]--;
    assert_int_equal(ask(&m), VERDICT_OPENED);
}

static void a_changed_request_is_refused(void **state)
{
    struct request r = open_service(now(), "tcp/22"), wider = r;
    struct helper_request m = message_of(ALICE, &r);

    (void)state;
    wider.window = MAX_WINDOW;
    request_encode(m.request, &wider);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    wider = open_service(r.counter, "tcp/80");
    request_encode(m.request, &wider);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    wider = open_service(r.counter + 1, "tcp/22");
    request_encode(m.request, &wider);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    check_untouched();
}

/* An open is not made a close, nor a close an open: the client signs which it is. */
static void another_action_than_the_signed_one_is_refused(void **state)
{
    enum { ACTION = 1 };
    struct request r = open_request(now()), shut = {.action = ACTION_CLOSE, .counter = now() + 1};
    struct helper_request m = message_of(ALICE, &shut);

    (void)state;
    m.request[ACTION] = ACTION_OPEN;
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    check_untouched();
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    r.counter += 2;
    m = message_of(ALICE, &r);
    m.request[ACTION] = ACTION_CLOSE;
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    assert_int_equal(rules(), 4);
}

/* ---- when, and how often ------------------------------------------------ */

static void a_replay_is_refused(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    struct helper_request m = message_of(ALICE, &r);

    (void)state;
    assert_int_equal(ask(&m), VERDICT_OPENED);
    assert_int_equal(ask(&m), VERDICT_REPEATED);
    m.observed = address_of("198.51.100.1"); /* from elsewhere */
    assert_int_equal(ask(&m), VERDICT_REPEATED);
    assert_int_equal(world.grants.count, 1);
    /* After a restart, too. */
    helper_marks_close(&world.marks);
    assert_done(open_marks(), why);
    assert_int_equal(ask(&m), VERDICT_REPEATED);
    assert_int_equal(count_rules("iptables-nft", "198.51.100.1"), 0);
}

static void a_replay_in_one_batch_is_refused(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    struct helper_request m = message_of(ALICE, &r), replay = m;
    struct helper_reply reply;

    (void)state;
    replay.observed = address_of("198.51.100.1");
    pass(&m);
    pass(&replay);
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_true(read_reply(&reply));
    assert_int_equal(reply.verdict, VERDICT_OPENED);
    assert_true(read_reply(&reply));
    assert_int_equal(reply.verdict, VERDICT_REPEATED);
    assert_int_equal(world.grants.count, 1);
    assert_int_equal(rules(), 2);
}

static void knocks_may_overtake_each_other(void **state)
{
    struct request late = open_service(now(), "tcp/22"), early = open_service(now() - 1000,
                                                                              "tcp/80");

    (void)state;
    assert_int_equal(ask_for(ALICE, &late), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &early), VERDICT_OPENED);
    assert_int_equal(world.grants.count, 2);
}

static void a_wrong_clock_spends_nothing(void **state)
{
    uint64_t skew = (uint64_t)(SKEW + 10) * USEC_PER_SEC;
    struct request ahead = open_request(now() + skew), behind = open_request(now() - skew);
    struct request right = open_service(now(), "tcp/22");

    (void)state;
    assert_int_equal(ask_for(ALICE, &ahead), VERDICT_AHEAD);
    assert_false(is_spent(ALICE, ahead.counter - 1)); /* it alone never counts */
    assert_false(is_spent(ALICE, ahead.counter + 1));
    assert_int_equal(ask_for(ALICE, &behind), VERDICT_BEHIND);
    assert_false(is_spent(ALICE, behind.counter));
    check_untouched();
    assert_int_equal(ask_for(ALICE, &right), VERDICT_OPENED);
}

/* Whoever recorded it has nothing: it does not count once it is timely, nor after a
 * restart. Her own next knock counts at once. */
static void one_ahead_of_the_clock_never_counts(void **state)
{
    struct request ahead = open_request(now() + (uint64_t)(SKEW + 1) * USEC_PER_SEC);
    struct request right = open_service(now(), "tcp/22");
    struct helper_request m = message_of(ALICE, &ahead);

    (void)state;
    assert_int_equal(ask(&m), VERDICT_AHEAD);
    assert_int_equal(ask_for(ALICE, &right), VERDICT_OPENED);
    helper_marks_close(&world.marks);
    assert_done(open_marks(), why);
    world.marks.skew = 2 * SKEW * UINT64_C(1000000); /* as if time had passed */
    m.observed = address_of("198.51.100.1");
    assert_int_equal(ask(&m), VERDICT_REPEATED);
    assert_int_equal(count_rules("iptables-nft", "198.51.100.1"), 0);
    ahead.counter++;
    assert_int_equal(ask_for(ALICE, &ahead), VERDICT_OPENED);
}

static void within_the_skew_all_is_well(void **state)
{
    uint64_t skew = (uint64_t)(SKEW - 10) * USEC_PER_SEC;
    struct request ahead = open_request(now() + skew), behind = open_request(now() - skew);

    (void)state;
    assert_int_equal(ask_for(ALICE, &ahead), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &behind), VERDICT_EXTENDED);
}

static void without_skew_any_time_is_well(void **state)
{
    struct request ahead = open_request(UINT64_MAX);

    (void)state;
    world.marks.skew = UINT64_MAX;
    assert_int_equal(ask_for(ALICE, &ahead), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &ahead), VERDICT_REPEATED);
}

/* ---- what policy says --------------------------------------------------- */

/* Whatever policy says, the knock is spent. */
static void check_denied(size_t who, const struct request *r, enum verdict verdict)
{
    size_t before = world.grants.count;

    assert_int_equal(ask_for(who, r), verdict);
    assert_true(is_spent(who, r->counter));
    assert_int_equal(ask_for(who, r), VERDICT_REPEATED);
    assert_int_equal(world.grants.count, before);
    assert_int_equal(rules(), 2 * before);
}

static void an_expired_profile_is_refused(void **state)
{
    struct request r = open_request(now());

    (void)state;
    check_denied(CAROL, &r, VERDICT_EXPIRED_PROFILE);
}

static void services_beyond_the_profile_are_refused(void **state)
{
    struct request r = open_service(now(), "tcp/23");

    (void)state;
    check_denied(ALICE, &r, VERDICT_SERVICE_DENIED);
    r = open_service(now(), "udp/22");
    check_denied(ALICE, &r, VERDICT_SERVICE_DENIED);
    /* One of two is enough. */
    r.counter = now();
    r.service_count = 2;
    r.services[0] = service_of("tcp/22");
    r.services[1] = service_of("tcp/23");
    check_denied(ALICE, &r, VERDICT_SERVICE_DENIED);
}

static void addresses_beyond_the_profile_are_refused(void **state)
{
    struct request r = open_request(now());

    (void)state;
    check_denied(BOB, &r, VERDICT_ADDRESS_DENIED); /* his own, but not signed */
    r.counter = now();
    r.has_address = true;
    r.address = address_of("198.51.100.1");
    check_denied(BOB, &r, VERDICT_ADDRESS_DENIED);
    r.counter = now();
    r.address = address_of("2001:db9::1");
    check_denied(BOB, &r, VERDICT_ADDRESS_DENIED);
}

static void a_signed_address_counts_whatever_was_observed(void **state)
{
    struct request r = open_service(now(), "tcp/22");

    (void)state;
    r.has_address = true;
    r.address = address_of("2001:db8::9");
    assert_int_equal(ask_for(BOB, &r), VERDICT_OPENED);
    assert_int_equal(count_rules("ip6tables-nft", "2001:db8::9/128"), 2);
    assert_int_equal(rules(), 2);
    assert_int_equal(world.grants.items[0].signed_address, GRANT_SIGNED_ELSEWHERE);
}

/* The last knock that signed tells, and one that did not tells nothing. */
static void a_grant_knows_whether_its_knock_came_from_elsewhere(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    struct helper_request m;

    (void)state;
    r.has_address = true;
    r.address = address_of("198.51.100.1");
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(world.grants.items[0].signed_address, GRANT_SIGNED_ELSEWHERE);
    r = open_service(now(), "tcp/22");
    m = message_of(ALICE, &r);
    m.observed = address_of("198.51.100.1");
    assert_int_equal(ask(&m), VERDICT_EXTENDED);
    assert_int_equal(world.grants.items[0].signed_address, GRANT_SIGNED_ELSEWHERE);
    r.counter = now();
    r.has_address = true;
    r.address = address_of("198.51.100.1");
    m = message_of(ALICE, &r);
    m.observed = r.address;
    assert_int_equal(ask(&m), VERDICT_EXTENDED);
    assert_int_equal(world.grants.items[0].signed_address, GRANT_SIGNED);
}

/* On every link there can be a host that has it. */
static void no_door_is_opened_to_a_link_local_address(void **state)
{
    static const char *const addresses[] = {"fe80::1", "febf::1"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        struct request r = open_service(now(), "tcp/22");
        struct helper_request m = message_of(ALICE, &r);

        m.observed = address_of(addresses[i]);
        assert_int_equal(ask(&m), VERDICT_ADDRESS_DENIED);
        r.counter = now();
        r.has_address = true;
        r.address = address_of(addresses[i]);
        assert_int_equal(ask_for(ALICE, &r), VERDICT_ADDRESS_DENIED);
        r.counter = now(); /* but who signs another one gets that */
        r.address = address_of("198.51.100.1");
        m = message_of(ALICE, &r);
        m.observed = address_of(addresses[i]);
        assert_int_equal(ask(&m), i == 0 ? VERDICT_OPENED : VERDICT_EXTENDED);
    }
    assert_int_equal(world.grants.count, 1);
}

static void too_many_grants_are_refused(void **state)
{
    struct request r = open_request(now()), more = open_service(now() + 1, "tcp/22");
    struct helper_request m;

    (void)state;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    r.counter = now();
    m = message_of(ALICE, &r);
    m.observed = address_of("192.0.2.8"); /* two more would be four */
    assert_int_equal(ask(&m), VERDICT_TOO_MANY_GRANTS);
    assert_int_equal(world.grants.count, 2);
    m = message_of(ALICE, &more);
    m.observed = address_of("192.0.2.8");
    assert_int_equal(ask(&m), VERDICT_OPENED);
    assert_int_equal(world.grants.count, MAX_GRANTS);
    assert_int_equal(rules(), 2 * MAX_GRANTS);
}

/* What is open already needs no new room. */
static void a_grant_counts_once(void **state)
{
    struct request one = open_service(now(), "tcp/22"), both = open_request(now() + 1);

    (void)state;
    world.policy.profiles[ALICE].max_grants = 2;
    assert_int_equal(ask_for(ALICE, &one), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &both), VERDICT_OPENED);
    both.counter = now();
    assert_int_equal(ask_for(ALICE, &both), VERDICT_EXTENDED);
    assert_int_equal(swept_rules(), 4);
}

static void a_full_table_refuses(void **state)
{
    struct request r = open_service(now(), "tcp/22");

    (void)state;
    world.grants.capacity = 1;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    r.counter = now();
    assert_int_equal(ask_for(DAVE, &r), VERDICT_TOO_MANY_GRANTS);
    r.counter = now();
    assert_int_equal(ask_for(ALICE, &r), VERDICT_EXTENDED);
}

/* ---- for how long ------------------------------------------------------- */

static void check_window(uint32_t asked, uint32_t seconds)
{
    struct request r = open_service(now(), "tcp/22");
    int64_t before = clock_boot_ns(), after;

    helper_grants_clear(&world.grants);
    r.window = asked;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    after = clock_boot_ns();
    assert_true(world.grants.items[0].deadline >= before + (int64_t)seconds * NSEC_PER_SEC);
    assert_true(world.grants.items[0].deadline <= after + (int64_t)seconds * NSEC_PER_SEC);
}

static void windows_are_capped(void **state)
{
    (void)state;
    check_window(0, WINDOW);
    check_window(1, 1);
    check_window(MAX_WINDOW, MAX_WINDOW);
    check_window(MAX_WINDOW + 1, MAX_WINDOW);
    check_window(UINT32_MAX, MAX_WINDOW);
}

static void no_window_outlives_its_profile(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    int64_t end = clock_wall_ns() / NSEC_PER_SEC + 10;

    (void)state;
    world.policy.profiles[ALICE].expires = end;
    r.window = MAX_WINDOW;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_true(clock_wall_ns() + world.grants.items[0].deadline - clock_boot_ns() <=
                (end + 1) * NSEC_PER_SEC);
}

static void a_second_knock_extends(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    int64_t first;

    (void)state;
    r.window = 10;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    first = world.grants.items[0].deadline;
    r.counter = now();
    r.window = 20;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_EXTENDED);
    assert_true(world.grants.items[0].deadline > first);
    assert_int_equal(rules(), 4);
    assert_int_equal(swept_rules(), 2);
    first = world.grants.items[0].deadline;
    r.counter = now();
    r.window = 5; /* shorter: the later deadline stays */
    assert_int_equal(ask_for(ALICE, &r), VERDICT_EXTENDED);
    assert_true(world.grants.items[0].deadline == first);
    assert_int_equal(rules(), 2);
}

/* ---- closing ------------------------------------------------------------ */

static void closing_takes_away_what_is_named(void **state)
{
    struct request r = open_request(now()), shut = open_service(now() + 1, "tcp/80");

    (void)state;
    shut.action = ACTION_CLOSE;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &shut), VERDICT_CLOSED);
    assert_int_equal(count_rules("iptables-nft", "dport 80"), 0);
    assert_int_equal(count_rules("iptables-nft", "dport 22"), 2);
    shut = (struct request){.action = ACTION_CLOSE, .counter = now()};
    assert_int_equal(ask_for(ALICE, &shut), VERDICT_CLOSED);
    check_untouched();
}

static void closing_nothing_says_so(void **state)
{
    struct request shut = {.action = ACTION_CLOSE, .counter = now()}, r = open_request(now() + 1);

    (void)state;
    assert_int_equal(ask_for(ALICE, &shut), VERDICT_NOTHING_TO_CLOSE);
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    shut.counter = now();
    assert_int_equal(ask_for(DAVE, &shut), VERDICT_NOTHING_TO_CLOSE); /* not his */
    assert_int_equal(rules(), 4);
}

static void opened_and_closed_in_one_batch_is_closed(void **state)
{
    struct request r = open_request(now()), shut = {.action = ACTION_CLOSE, .counter = now() + 1};
    struct helper_request first = message_of(ALICE, &r), second = message_of(ALICE, &shut);
    struct helper_reply reply;

    (void)state;
    pass(&first);
    pass(&second);
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_true(read_reply(&reply) && reply.verdict == VERDICT_OPENED);
    assert_true(read_reply(&reply) && reply.verdict == VERDICT_CLOSED);
    check_untouched();
}

static struct request close_service(uint64_t counter, const char *service)
{
    struct request r = open_service(counter, service);

    r.action = ACTION_CLOSE;
    return r;
}

/* ---- in a group --------------------------------------------------------- */

static struct request name_member(struct request r, const char *name)
{
    member_id(r.member, name);
    return r;
}

/* That it is refused, and nothing of it is kept: it counts where it belongs. */
static void check_other_member(struct request r)
{
    struct helper_request m = message_of(ALICE, &r);
    struct helper_reply reply;

    assert_int_equal(ask_fully(&m, &reply), VERDICT_OTHER_MEMBER);
    assert_true(reply.counters[0] > 0); /* the signature was right */
    assert_false(is_spent(ALICE, r.counter));
    check_untouched();
}

static void a_member_hears_what_names_it_or_an_address(void **state)
{
    struct request r = open_service(now(), "tcp/22"), shut = close_service(now(), "tcp/22");
    struct request elsewhere = open_service(0, "tcp/22");

    (void)state;
    member_id(world.policy.plan.member, "a.example.org");
    check_other_member(r);
    check_other_member(name_member(r, "b.example.org"));
    check_other_member(name_member(shut, "b.example.org"));
    r.counter = now() + (uint64_t)2 * SKEW * USEC_PER_SEC; /* nor is it noted as ahead */
    check_other_member(name_member(r, "b.example.org"));
    r.counter = now();
    r = name_member(r, "A.Example.org");
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &r), VERDICT_REPEATED);
    shut.counter = now() + 1;
    shut = name_member(shut, "a.example.org");
    assert_int_equal(ask_for(ALICE, &shut), VERDICT_CLOSED);
    elsewhere.counter = shut.counter + 1;
    elsewhere.has_address = true;
    elsewhere.address = address_of("203.0.113.9");
    assert_int_equal(ask_for(ALICE, &elsewhere), VERDICT_OPENED);
    assert_true(address_equal(&world.grants.items[0].address, &elsewhere.address));
    assert_int_equal(world.grants.count, 1);
}

/* A knock of another key than the client's does not get so far. */
static void a_member_believes_no_name_that_is_not_signed(void **state)
{
    struct request r = name_member(open_service(now(), "tcp/22"), "b.example.org");
    struct request here = name_member(r, "a.example.org");
    struct helper_request m = message_of(ALICE, &r);

    (void)state;
    member_id(world.policy.plan.member, "a.example.org");
    request_encode(m.request, &here);
    assert_int_equal(ask(&m), VERDICT_BAD_SIGNATURE);
    assert_false(is_spent(ALICE, r.counter));
    check_untouched();
}

static void a_host_of_no_group_refuses_what_names_a_member(void **state)
{
    struct request r = open_service(now(), "tcp/22");

    (void)state;
    check_other_member(name_member(r, "a.example.org"));
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
}

/* ---- in which order they were made -------------------------------------- */

static void take_grants_over(size_t capacity)
{
    helper_grants_free(&world.grants);
    assert_done(helper_grants_create(&world.grants, world.directory, capacity, clock_boot_ns(),
                                     &why), why);
}

/* As a helper that is replaced: the next one has what the files say. */
static void start_again(void)
{
    helper_marks_close(&world.marks);
    assert_done(open_marks(), why);
    take_grants_over(CAPACITY);
}

static void an_older_open_does_not_undo_a_close(void **state)
{
    uint64_t counter = now();
    struct request held = open_service(counter, "tcp/22"), r = open_service(counter + 2, "tcp/22");
    struct request shut = close_service(counter + 3, "tcp/22");

    (void)state;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &shut), VERDICT_CLOSED);
    check_denied(ALICE, &held, VERDICT_OVERTAKEN);
    start_again();
    held.counter = counter + 1;
    check_denied(ALICE, &held, VERDICT_OVERTAKEN);
    r.counter = counter + 4;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    held.counter = counter + 1;
    assert_int_equal(ask_for(DAVE, &held), VERDICT_OPENED); /* another client's close */
}

/* Nor does one that closed nothing, or came in the same batch. */
static void an_older_open_in_one_batch_does_not_undo_a_close(void **state)
{
    struct request held = open_request(now()), shut = {.action = ACTION_CLOSE,
                                                       .counter = held.counter + 1};
    struct helper_request first = message_of(ALICE, &shut), second = message_of(ALICE, &held);
    struct helper_reply reply;

    (void)state;
    pass(&first);
    pass(&second);
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_true(read_reply(&reply) && reply.verdict == VERDICT_NOTHING_TO_CLOSE);
    assert_true(read_reply(&reply) && reply.verdict == VERDICT_OVERTAKEN);
    check_untouched();
}

static void an_older_close_leaves_what_a_newer_knock_opened(void **state)
{
    uint64_t counter = now();
    struct request held = close_service(counter, "tcp/22");
    struct request r = open_service(counter + 2, "tcp/22");

    (void)state;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &held), VERDICT_OVERTAKEN);
    assert_int_equal(rules(), 2);
    start_again();
    held.counter = counter + 1;
    assert_int_equal(ask_for(ALICE, &held), VERDICT_OVERTAKEN);
    assert_int_equal(rules(), 2);
    held.counter = counter + 3;
    assert_int_equal(ask_for(ALICE, &held), VERDICT_CLOSED);
    assert_int_equal(rules(), 0);
}

/* It is the newest of the knocks that set it, in whatever order they came. */
static void an_older_close_leaves_what_a_newer_knock_extended(void **state)
{
    uint64_t counter = now();
    struct request r = open_service(counter, "tcp/22");
    struct request held = close_service(counter + 2, "tcp/22");

    (void)state;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    r.counter = counter + 3;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_EXTENDED);
    r.counter = counter + 1;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_EXTENDED);
    assert_int_equal(ask_for(ALICE, &held), VERDICT_OVERTAKEN);
    assert_int_equal(swept_rules(), 2);
}

static void an_older_close_takes_what_is_older_still(void **state)
{
    uint64_t counter = now();
    struct request r = open_service(counter, "tcp/22"), newer = open_service(counter + 2, "tcp/80");
    struct request held = {.action = ACTION_CLOSE, .counter = counter + 1};

    (void)state;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &newer), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &held), VERDICT_CLOSED);
    assert_int_equal(count_rules("iptables-nft", "dport 22"), 0);
    assert_int_equal(count_rules("iptables-nft", "dport 80"), 2);
}

/* Else one with a clock ahead would shut its client out until then. */
static void without_skew_a_close_ahead_of_the_clock_is_not_kept(void **state)
{
    struct request r = open_service(now(), "tcp/22"), shut = close_service(UINT64_MAX, "tcp/22");

    (void)state;
    world.marks.skew = UINT64_MAX;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &shut), VERDICT_CLOSED);
    assert_int_equal(rules(), 0);
    r.counter = now();
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    shut.counter = now();
    assert_int_equal(ask_for(ALICE, &shut), VERDICT_CLOSED);
    r.counter = shut.counter - 1;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OVERTAKEN);
}

/* Nor an open: with her clock right again, she can close what she opened. */
static void without_skew_an_open_ahead_of_the_clock_is_not_kept(void **state)
{
    uint64_t counter = now();
    struct request r = open_service(UINT64_MAX, "tcp/22"), shut = close_service(counter, "tcp/22");

    (void)state;
    world.marks.skew = UINT64_MAX;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(ask_for(ALICE, &shut), VERDICT_CLOSED);
    r.counter = counter + 2;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    r.counter = UINT64_MAX - 1;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_EXTENDED);
    shut.counter = counter + 1;
    assert_int_equal(ask_for(ALICE, &shut), VERDICT_OVERTAKEN);
}

/* ---- batches ------------------------------------------------------------ */

/* From as many addresses. */
static void pass_many(size_t who, size_t count, uint64_t counter)
{
    for (size_t i = 0; i < count; i++) {
        struct request r = open_service(counter + i, "tcp/22");
        struct helper_request m = message_of(who, &r);
        char address[ADDRESS_TEXT_SIZE];

        snprintf(address, sizeof address, i % 2 ? "192.0.2.%zu" : "2001:db8::%zu", i + 1);
        m.observed = address_of(address);
        pass(&m);
    }
}

static size_t count_replies(enum verdict verdict)
{
    struct helper_reply reply;
    size_t count = 0;

    while (read_reply(&reply)) {
        assert_int_equal(reply.verdict, verdict);
        count++;
    }
    return count;
}

static void a_batch_is_served_at_once(void **state)
{
    uint64_t counter = now();

    (void)state;
    world.policy.profiles[ALICE].max_grants = CAPACITY;
    pass_many(ALICE, BATCH_MAX + 1, counter);
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_int_equal(count_replies(VERDICT_OPENED), BATCH_MAX);
    assert_int_equal(rules(), 2 * BATCH_MAX);
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_int_equal(count_replies(VERDICT_OPENED), 1);
    assert_int_equal(rules(), 2 * (BATCH_MAX + 1));
    /* All of them durably. */
    helper_marks_close(&world.marks);
    assert_done(open_marks(), why);
    for (size_t i = 0; i <= BATCH_MAX; i++)
        assert_true(is_spent(ALICE, counter + i));
}

static void nothing_waiting_is_fine(void **state)
{
    (void)state;
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_int_equal(count_replies(VERDICT_OPENED), 0);
}

static void replies_tell_the_mark(void **state)
{
    uint64_t counter = now(), before = 0;
    struct helper_reply reply;

    (void)state;
    for (unsigned i = 0; i < MARK_COUNTERS + 2; i++) {
        struct request r = open_service(counter + i, "tcp/22");
        struct helper_request m = message_of(ALICE, &r);

        assert_int_equal(ask_fully(&m, &reply), i == 0 ? VERDICT_OPENED : VERDICT_EXTENDED);
        assert_int_equal(reply.counters[MARK_COUNTERS - 1], counter + i);
        assert_int_equal(ask_fully(&m, &reply), VERDICT_REPEATED);
        assert_int_equal(reply.counters[MARK_COUNTERS - 1], counter + i);
    }
    for (size_t i = 0; i < MARK_COUNTERS; i++) {
        assert_true(reply.counters[i] > before);
        before = reply.counters[i];
    }
    assert_int_equal(reply.counters[0], counter + 2);
}

/* ---- failures ----------------------------------------------------------- */

static void limit_files_to(rlim_t size)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void what_is_not_recorded_is_not_opened(void **state)
{
    uint64_t counter = now();

    (void)state;
    world.policy.profiles[ALICE].max_grants = CAPACITY;
    pass_many(ALICE, BATCH_MAX, counter);
    limit_files_to(0);
    assert_int_equal(serve(), SNIFFER_SOUND);
    limit_files_to(RLIM_INFINITY);
    assert_int_equal(count_replies(VERDICT_NOT_RECORDED), BATCH_MAX);
    check_untouched();
    for (size_t i = 0; i < BATCH_MAX; i++)
        assert_true(is_spent(ALICE, counter + i));
    /* Once there is room again, the next knocks open. */
    pass_many(ALICE, 2, counter + BATCH_MAX);
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_int_equal(count_replies(VERDICT_OPENED), 2);
}

/* It is refused for its clock all the same. */
static void what_is_ahead_is_refused_where_it_cannot_be_noted(void **state)
{
    struct request r = open_service(now() + 2 * SKEW * UINT64_C(1000000), "tcp/22");
    struct helper_request m = message_of(ALICE, &r);

    (void)state;
    limit_files_to(0);
    assert_int_equal(ask(&m), VERDICT_AHEAD);
    limit_files_to(RLIM_INFINITY);
    check_untouched();
}

static void replace_programs(const char *script)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/restore", getcwd((char[200]){0}, 200));
    scratch_write_text(path, 0755, script);
    for (enum family family = IPV4; family < FAMILIES; family++) {
        restore_end(&world.firewall->restore[family]);
        world.firewall->restore[family].path = path;
    }
}

static void put_programs_back(void)
{
    for (enum family family = IPV4; family < FAMILIES; family++) {
        restore_end(&world.firewall->restore[family]);
        world.firewall->restore[family].path = world.xtables.paths[family];
    }
}

/* In the file is what the firewall has, and no more while that is not known. */
static void stored_grants_follow_the_firewall(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    struct grant before, stored;

    (void)state;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(stored_grants(&before, 1), 1);
    assert_int_equal(before.deadline, world.grants.items[0].deadline);
    replace_programs("#!/bin/sh\nexit 1\n");
    r = open_service(now(), "tcp/22");
    assert_int_equal(ask_for(ALICE, &r), VERDICT_FIREWALL_FAILED);
    r = open_service(now(), "tcp/80");
    assert_int_equal(ask_for(ALICE, &r), VERDICT_FIREWALL_FAILED);
    put_programs_back();
    assert_int_equal(stored_grants(&stored, 1), 1);
    assert_int_equal(stored.deadline, before.deadline);
    take_grants_over(CAPACITY);
    assert_int_equal(world.grants.count, 1);
}

static void a_firewall_that_fails_opens_nothing(void **state)
{
    static const char *const scripts[] = {
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\nexit 4\n",
        "#!/bin/sh\nkill -KILL $$\n",
    };
    struct request r = open_service(now(), "tcp/22");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        replace_programs(scripts[i]);
        r.counter = now();
        assert_int_equal(ask_for(ALICE, &r), VERDICT_FIREWALL_FAILED);
        assert_true(world.firewall->unsure[IPV4]);
        put_programs_back();
        check_untouched();
        assert_int_equal(ask_for(ALICE, &r), VERDICT_REPEATED); /* spent it is */
    }
    r.counter = now();
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_false(world.firewall->unsure[IPV4]);
    assert_int_equal(rules(), 2);
}

static void an_extension_that_fails_leaves_the_old_deadline(void **state)
{
    struct request r = open_service(now(), "tcp/22"), other = open_service(now() + 1, "tcp/80");
    int64_t deadline;

    (void)state;
    r.window = 10;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    deadline = world.grants.items[0].deadline;
    replace_programs("#!/bin/sh\nexit 1\n");
    r.counter = now() + 2;
    r.window = 50;
    assert_int_equal(ask_for(ALICE, &r), VERDICT_FIREWALL_FAILED);
    assert_int_equal(ask_for(ALICE, &other), VERDICT_FIREWALL_FAILED);
    put_programs_back();
    assert_int_equal(world.grants.count, 1);
    assert_true(world.grants.items[0].deadline == deadline);
}

static void one_family_fails_for_itself(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    struct helper_request v4 = message_of(ALICE, &r), v6;
    struct helper_reply reply;

    (void)state;
    r.counter++;
    v6 = message_of(DAVE, &r);
    v6.observed = address_of("2001:db8::7");
    world.policy.plan.families[IPV6].in_use = false;
    pass(&v4);
    pass(&v6);
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_true(read_reply(&reply) && reply.verdict == VERDICT_OPENED);
    assert_true(read_reply(&reply) && reply.verdict == VERDICT_FIREWALL_FAILED);
    assert_int_equal(world.grants.count, 1);
    assert_int_equal(rules(), 2);
}

/* ---- a client that moves --------------------------------------------------- */

/* Dave, with room for one grant. */
static void let_dave_roam(void)
{
    struct helper_profile *p = &world.policy.profiles[DAVE];

    p->service_count = 1;
    p->max_grants = 1;
}

static struct helper_request knock_from(const char *address, uint64_t counter)
{
    struct request r = open_request(counter);
    struct helper_request m = message_of(DAVE, &r);

    m.observed = address_of(address);
    return m;
}

static enum verdict ask_from(const char *address)
{
    struct helper_request m = knock_from(address, now());

    return ask(&m);
}

/* One grant, for this address, in the table, in the file and in the kernel. */
static void check_it_is_at(const char *address)
{
    struct address expected = address_of(address);
    struct grant stored;

    assert_int_equal(world.grants.count, 1);
    assert_true(address_equal(&world.grants.items[0].address, &expected));
    assert_int_equal(swept_rules(), 2);
    assert_int_equal(count_rules(address_is_ipv4(&expected) ? "iptables-nft" : "ip6tables-nft",
                                 address), 2);
    assert_int_equal(stored_grants(&stored, 1), 1);
    assert_true(address_equal(&stored.address, &expected));
}

static void the_one_grant_moves_to_the_newest_address(void **state)
{
    static const char *const places[] = {"192.0.2.7", "192.0.2.8", "2001:db8::8", "2001:db8::9",
                                         "192.0.2.7"};

    (void)state;
    let_dave_roam();
    world.grants.capacity = 1; /* it needs no more */
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        assert_int_equal(ask_from(places[i]), VERDICT_OPENED);
        check_it_is_at(places[i]);
        assert_int_equal(ask_from(places[i]), VERDICT_EXTENDED);
        check_it_is_at(places[i]);
    }
}

static void a_replay_moves_nothing(void **state)
{
    struct helper_request m;

    (void)state;
    let_dave_roam();
    m = knock_from("192.0.2.7", now());
    assert_int_equal(ask(&m), VERDICT_OPENED);
    m.observed = address_of("192.0.2.8");
    assert_int_equal(ask(&m), VERDICT_REPEATED);
    m.observed = address_of("2001:db8::8");
    assert_int_equal(ask(&m), VERDICT_REPEATED);
    check_it_is_at("192.0.2.7");
}

static void an_older_knock_moves_nothing(void **state)
{
    struct helper_request held_back;

    (void)state;
    let_dave_roam();
    held_back = knock_from("192.0.2.9", now());
    assert_int_equal(ask_from("192.0.2.7"), VERDICT_OPENED);
    assert_int_equal(ask(&held_back), VERDICT_TOO_MANY_GRANTS);
    check_it_is_at("192.0.2.7");
}

static void of_a_batch_the_newest_counts(void **state)
{
    uint64_t counter = now();
    struct helper_request m[] = {knock_from("192.0.2.7", counter),
                                 knock_from("2001:db8::8", counter + 2),
                                 knock_from("192.0.2.9", counter + 1)};

    (void)state;
    let_dave_roam();
    for (size_t i = 0; i < COUNT_OF(m); i++)
        pass(&m[i]);
    assert_int_equal(serve(), SNIFFER_SOUND);
    check_it_is_at("2001:db8::8");
}

static void with_room_for_more_nothing_moves(void **state)
{
    (void)state;
    let_dave_roam();
    world.policy.profiles[DAVE].max_grants = 2;
    assert_int_equal(ask_from("192.0.2.7"), VERDICT_OPENED);
    assert_int_equal(ask_from("192.0.2.8"), VERDICT_OPENED);
    assert_int_equal(ask_from("192.0.2.9"), VERDICT_TOO_MANY_GRANTS);
    assert_int_equal(world.grants.count, 2);
}

/* Nobody else's. */
static void a_move_leaves_the_others_alone(void **state)
{
    struct request r = open_service(now(), "tcp/22");

    (void)state;
    let_dave_roam();
    assert_int_equal(ask_for(ALICE, &r), VERDICT_OPENED);
    assert_int_equal(ask_from("192.0.2.8"), VERDICT_OPENED);
    assert_int_equal(ask_from("192.0.2.9"), VERDICT_OPENED);
    assert_int_equal(world.grants.count, 2);
    assert_int_equal(count_rules("iptables-nft", "192.0.2.8"), 2);
    assert_true(helper_firewall_litter(world.firewall) <= 250);
    assert_int_equal(swept_rules(), 4);
    assert_int_equal(count_rules("iptables-nft", "192.0.2.7"), 2);
    assert_int_equal(count_rules("iptables-nft", "192.0.2.9"), 2);
}

/* Back where it was, its rules may be there twice, all of them the same. */
static void what_moved_back_is_closed_at_once(void **state)
{
    struct request shut = {.action = ACTION_CLOSE};

    (void)state;
    let_dave_roam();
    assert_int_equal(ask_from("192.0.2.7"), VERDICT_OPENED);
    assert_int_equal(ask_from("192.0.2.8"), VERDICT_OPENED);
    assert_int_equal(ask_from("192.0.2.7"), VERDICT_OPENED);
    shut.counter = now();
    assert_int_equal(ask_for(DAVE, &shut), VERDICT_CLOSED);
    assert_int_equal(rules(), 0);
}

/* To either family: neither the old grant nor the new one is left, and nothing that
 * was stored brings one back. */
static void a_move_that_fails_leaves_none(void **state)
{
    static const char *const places[] = {"192.0.2.8", "2001:db8::8"};

    (void)state;
    let_dave_roam();
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        assert_int_equal(ask_from("192.0.2.7"), VERDICT_OPENED);
        replace_programs("#!/bin/sh\nexit 1\n");
        assert_int_equal(ask_from(places[i]), VERDICT_FIREWALL_FAILED);
        put_programs_back();
        assert_int_equal(world.grants.count, 0);
        assert_true(world.firewall->unsure[IPV4]);
        take_grants_over(CAPACITY);
        assert_int_equal(world.grants.count, 0);
        assert_int_equal(count_rules("ip6tables-nft", ""), 0);
        assert_done(helper_iptables_change(world.firewall, IPV4, RULES_REWRITE,
                                           &world.grants, &why), why);
        assert_int_equal(rules(), 0);
    }
}

/* The other one works on. */
static void break_family(int family)
{
    replace_programs("#!/bin/sh\nexit 1\n");
    family = family == IPV4 ? IPV6 : IPV4;
    world.firewall->restore[family].path = world.xtables.paths[family];
}

/* Where the old address cannot be shut, the new one is not opened. */
static void there_are_never_two(void **state)
{
    (void)state;
    let_dave_roam();
    assert_int_equal(ask_from("2001:db8::8"), VERDICT_OPENED);
    break_family(IPV6);
    assert_int_equal(ask_from("192.0.2.7"), VERDICT_FIREWALL_FAILED);
    put_programs_back();
    assert_int_equal(world.grants.count, 0);
    assert_int_equal(count_rules("iptables-nft", ""), 0);
    assert_true(world.firewall->unsure[IPV6]);
}

/* Nor is what the same client knocks for besides; but others are served. */
static void a_move_that_fails_is_its_own_clients_trouble(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    struct helper_request m[3] = {message_of(ALICE, &r)};
    static const enum verdict expected[] = {VERDICT_OPENED, VERDICT_FIREWALL_FAILED,
                                            VERDICT_FIREWALL_FAILED};
    struct helper_reply reply;

    (void)state;
    let_dave_roam();
    assert_int_equal(ask_from("2001:db8::8"), VERDICT_OPENED);
    m[1] = knock_from("192.0.2.7", now() + 2000);
    m[2] = knock_from("192.0.2.7", now() + 1000); /* extends, but for that */
    break_family(IPV6);
    for (size_t i = 0; i < COUNT_OF(m); i++)
        pass(&m[i]);
    assert_int_equal(serve(), SNIFFER_SOUND);
    put_programs_back();
    for (size_t i = 0; i < COUNT_OF(m); i++)
        assert_true(read_reply(&reply) && reply.verdict == expected[i]);
    assert_int_equal(world.grants.count, 1);
    assert_int_equal(count_rules("iptables-nft", "datestop"), 2);
}

/* Alice goes from IPv6 to IPv4, and Dave the other way. */
static void pass_two_that_cross(uint64_t counter)
{
    struct request r = open_service(counter, "tcp/22");
    struct helper_request to_v4 = message_of(ALICE, &r), to_v6 = knock_from("2001:db8::7", counter);

    to_v4.observed = address_of("192.0.2.9");
    pass(&to_v6);
    pass(&to_v4);
}

static void let_two_roam(void)
{
    struct request r = open_service(now(), "tcp/22");
    struct helper_request m = message_of(ALICE, &r);

    let_dave_roam();
    world.policy.profiles[ALICE].max_grants = 1;
    m.observed = address_of("2001:db8::9");
    assert_int_equal(ask(&m), VERDICT_OPENED);
    assert_int_equal(ask_from("192.0.2.7"), VERDICT_OPENED);
}

static void two_that_cross_have_one_each(void **state)
{
    (void)state;
    let_two_roam();
    pass_two_that_cross(now());
    assert_int_equal(serve(), SNIFFER_SOUND);
    assert_int_equal(count_replies(VERDICT_OPENED), 2);
    assert_int_equal(world.grants.count, 2);
    assert_int_equal(rules(), 4);
    assert_int_equal(count_rules("iptables-nft", "192.0.2.9"), 2);
    assert_int_equal(count_rules("ip6tables-nft", "2001:db8::7"), 2);
}

/* Whichever family fails, nobody has two: one could not arrive, the other not leave. */
static void two_that_cross_never_have_two(void **state)
{
    (void)state;
    for (int family = IPV4; family < FAMILIES; family++) {
        const char *other = family == IPV4 ? "ip6tables-nft" : "iptables-nft";

        let_two_roam();
        break_family(family);
        pass_two_that_cross(now());
        assert_int_equal(serve(), SNIFFER_SOUND);
        put_programs_back();
        assert_int_equal(count_replies(VERDICT_FIREWALL_FAILED), 2);
        assert_int_equal(world.grants.count, 0);
        assert_int_equal(count_rules(other, ""), 0);
        assert_true(world.firewall->unsure[family]);
        assert_done(helper_iptables_change(world.firewall, family, RULES_REWRITE,
                                           &world.grants, &why), why);
        assert_int_equal(rules(), 0);
    }
}

/* ---- what the witness is told -------------------------------------------- */

/* The next event; its kind is 0 when none waits. */
static struct helper_event next_event(void)
{
    struct helper_event event;
    ssize_t n = recv(world.witness, &event, sizeof event, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0)
        return (struct helper_event){.kind = 0};
    assert_int_equal(n, sizeof event);
    return event;
}

static void forget_events(void)
{
    while (next_event().kind != 0)
        ;
}

static void a_knock_is_told_of_with_what_it_opens(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    struct helper_event verdict;

    (void)state;
    ask_for(ALICE, &r);
    verdict = next_event();
    assert_int_equal(verdict.kind, EVENT_VERDICT);
    assert_int_equal(verdict.verdict, VERDICT_OPENED);
    assert_int_equal(verdict.left, WINDOW);
    assert_int_equal(verdict.together, 1);
    assert_int_equal(verdict.trace[0], 0);
    assert_int_equal(verdict.opened[0], world.grants.items[0].id);
    assert_int_equal(verdict.is_listening, 1);
    assert_int_equal(next_event().kind, 0);
    r.counter++;
    ask_for(ALICE, &r); /* it counts on */
    verdict = next_event();
    assert_int_equal(verdict.verdict, VERDICT_EXTENDED);
    assert_int_equal(verdict.opened[0], 0);
    assert_int_equal(next_event().kind, 0);
}

/* Before its rule is in force, each time. */
static void a_grant_that_counts_is_told_of_before_the_verdict(void **state)
{
    struct request r = open_service(now(), "tcp/22");

    (void)state;
    world.policy.profiles[ALICE].connections = 2;
    for (int i = 0; i < 2; i++, r.counter++) {
        struct helper_event begun, verdict;

        ask_for(ALICE, &r);
        begun = next_event();
        assert_int_equal(begun.kind, EVENT_BEGUN);
        assert_int_equal(begun.id, world.grants.items[0].id);
        assert_int_equal(begun.begun, world.grants.table->begun);
        assert_int_equal(begun.service_count, 1);
        assert_int_equal(begun.connections, 2);
        assert_int_equal(begun.allowance, i + 1);
        verdict = next_event();
        assert_int_equal(verdict.kind, EVENT_VERDICT);
        assert_int_equal(verdict.opened[0], i == 0 ? begun.id : 0);
        assert_int_equal(next_event().kind, 0);
    }
}

static void a_batch_is_told_of_in_its_order(void **state)
{
    const uint64_t counter = now();
    const struct request all[] = {open_service(counter, "tcp/22"),
                                  {.action = ACTION_CLOSE, .counter = counter + 1},
                                  open_service(counter + 2, "tcp/22")};
    const enum event_kind kinds[] = {EVENT_VERDICT, EVENT_ENDED, EVENT_VERDICT, EVENT_VERDICT};
    struct helper_event told[COUNT_OF(kinds)];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        const struct helper_request message = message_of(ALICE, &all[i]);

        pass(&message);
    }
    assert_int_equal(serve(), SNIFFER_SOUND);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        told[i] = next_event();
        assert_int_equal(told[i].kind, kinds[i]);
    }
    assert_int_equal(told[0].opened[0], told[1].id);
    assert_int_equal(told[2].verdict, VERDICT_CLOSED);
    assert_int_equal(told[3].opened[0], world.grants.items[0].id);
    assert_int_equal(next_event().kind, 0);
}

static void what_a_knock_closes_is_told_of_before_it(void **state)
{
    struct request r = open_request(now());
    struct helper_event first, second;

    (void)state;
    ask_for(ALICE, &r);
    forget_events();
    r = (struct request){.action = ACTION_CLOSE, .counter = now()};
    ask_for(ALICE, &r);
    first = next_event();
    second = next_event();
    assert_true(first.kind == EVENT_ENDED && first.end == END_KNOCK && first.is_more);
    assert_true(second.kind == EVENT_ENDED && second.end == END_KNOCK && !second.is_more);
    assert_int_not_equal(first.id, second.id);
    assert_int_equal(next_event().verdict, VERDICT_CLOSED);
}

static void with_a_trace_all_stages_are_told(void **state)
{
    struct request r = open_service(now(), "tcp/22");
    struct helper_event event;

    (void)state;
    world.policy.plan.trace = 1;
    ask_for(ALICE, &r);
    event = next_event();
    for (size_t i = 0; i < TRACE_STAGES; i++)
        assert_true(event.trace[i] > 0 && (i == 0 || event.trace[i] >= event.trace[i - 1]));
}

/* And no longer than until then; its rule lets nobody through. */
static void without_a_witness_nothing_that_counts_is_opened(void **state)
{
    struct request r = open_service(now(), "tcp/22");

    (void)state;
    world.policy.profiles[ALICE].connections = 2;
    close(world.events.witness);
    world.events.witness = -1;
    ask_for(ALICE, &r);
    assert_int_equal(world.grants.count, 1);
    assert_true(world.grants.items[0].deadline <= clock_boot_ns());
    assert_int_equal(world.grants.items[0].end, END_UNWITNESSED);
    assert_true(world.events.is_unwitnessed);
}

/* As soon as there is room again, it is told how many were lost. */
static void what_does_not_fit_is_lost_and_counted(void **state)
{
    enum { KNOCKS = 40 };
    struct request r = open_service(now(), "tcp/22");
    uint32_t heard = 0, lost = 0;

    (void)state;
    for (int i = 0; i < KNOCKS; i++, r.counter++)
        ask_for(ALICE, &r);
    while (next_event().kind != 0)
        heard++;
    ask_for(ALICE, &r);
    lost = next_event().lost;
    assert_true(lost > 0);
    assert_int_equal(heard + lost, KNOCKS);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, start_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(every_wrong_size_is_fatal),
        IN_WORLD(a_passed_descriptor_is_fatal),
        IN_WORLD(a_request_has_one_valid_encoding),
        IN_WORLD(what_is_not_canonical_is_fatal),
        IN_WORLD(services_out_of_order_are_fatal),
        IN_WORLD(addresses_that_cannot_be_are_fatal),
        IN_WORLD(one_that_does_not_listen_is_cut_off),
        IN_WORLD(one_that_has_gone_is_noticed),
        IN_WORLD(requests_before_the_end_are_served),
        IN_WORLD(requests_before_a_wrong_one_are_served),
        IN_WORLD(an_unknown_profile_is_refused),
        IN_WORLD(every_changed_signature_is_refused),
        IN_WORLD(signatures_of_others_are_refused),
        IN_WORLD(a_profile_takes_signatures_of_its_form_alone),
        IN_WORLD(a_security_key_does_what_its_profile_requires),
        IN_WORLD(a_changed_request_is_refused),
        IN_WORLD(another_action_than_the_signed_one_is_refused),
        IN_WORLD(a_replay_is_refused),
        IN_WORLD(a_replay_in_one_batch_is_refused),
        IN_WORLD(knocks_may_overtake_each_other),
        IN_WORLD(a_wrong_clock_spends_nothing),
        IN_WORLD(one_ahead_of_the_clock_never_counts),
        IN_WORLD(within_the_skew_all_is_well),
        IN_WORLD(without_skew_any_time_is_well),
        IN_WORLD(an_expired_profile_is_refused),
        IN_WORLD(services_beyond_the_profile_are_refused),
        IN_WORLD(addresses_beyond_the_profile_are_refused),
        IN_WORLD(a_signed_address_counts_whatever_was_observed),
        IN_WORLD(a_grant_knows_whether_its_knock_came_from_elsewhere),
        IN_WORLD(no_door_is_opened_to_a_link_local_address),
        IN_WORLD(too_many_grants_are_refused),
        IN_WORLD(a_grant_counts_once),
        IN_WORLD(a_full_table_refuses),
        IN_WORLD(windows_are_capped),
        IN_WORLD(no_window_outlives_its_profile),
        IN_WORLD(a_second_knock_extends),
        IN_WORLD(closing_takes_away_what_is_named),
        IN_WORLD(closing_nothing_says_so),
        IN_WORLD(opened_and_closed_in_one_batch_is_closed),
        IN_WORLD(a_member_hears_what_names_it_or_an_address),
        IN_WORLD(a_member_believes_no_name_that_is_not_signed),
        IN_WORLD(a_host_of_no_group_refuses_what_names_a_member),
        IN_WORLD(an_older_open_does_not_undo_a_close),
        IN_WORLD(an_older_open_in_one_batch_does_not_undo_a_close),
        IN_WORLD(an_older_close_leaves_what_a_newer_knock_opened),
        IN_WORLD(an_older_close_leaves_what_a_newer_knock_extended),
        IN_WORLD(an_older_close_takes_what_is_older_still),
        IN_WORLD(without_skew_a_close_ahead_of_the_clock_is_not_kept),
        IN_WORLD(without_skew_an_open_ahead_of_the_clock_is_not_kept),
        IN_WORLD(a_batch_is_served_at_once),
        IN_WORLD(nothing_waiting_is_fine),
        IN_WORLD(replies_tell_the_mark),
        IN_WORLD(what_is_not_recorded_is_not_opened),
        IN_WORLD(what_is_ahead_is_refused_where_it_cannot_be_noted),
        IN_WORLD(stored_grants_follow_the_firewall),
        IN_WORLD(a_firewall_that_fails_opens_nothing),
        IN_WORLD(an_extension_that_fails_leaves_the_old_deadline),
        IN_WORLD(one_family_fails_for_itself),
        IN_WORLD(the_one_grant_moves_to_the_newest_address),
        IN_WORLD(a_replay_moves_nothing),
        IN_WORLD(an_older_knock_moves_nothing),
        IN_WORLD(of_a_batch_the_newest_counts),
        IN_WORLD(with_room_for_more_nothing_moves),
        IN_WORLD(a_move_leaves_the_others_alone),
        IN_WORLD(what_moved_back_is_closed_at_once),
        IN_WORLD(a_move_that_fails_leaves_none),
        IN_WORLD(there_are_never_two),
        IN_WORLD(a_move_that_fails_is_its_own_clients_trouble),
        IN_WORLD(two_that_cross_have_one_each),
        IN_WORLD(two_that_cross_never_have_two),
        IN_WORLD(a_knock_is_told_of_with_what_it_opens),
        IN_WORLD(a_grant_that_counts_is_told_of_before_the_verdict),
        IN_WORLD(a_batch_is_told_of_in_its_order),
        IN_WORLD(what_a_knock_closes_is_told_of_before_it),
        IN_WORLD(with_a_trace_all_stages_are_told),
        IN_WORLD(without_a_witness_nothing_that_counts_is_opened),
        IN_WORLD(what_does_not_fit_is_lost_and_counted),
    };

    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, enter_all, scratch_leave);
}
