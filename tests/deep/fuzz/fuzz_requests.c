/* A sniffer that was taken over, and clients that were, too: messages to the helper
 * through its real socket, with its real marks and grants. The first byte of the
 * input chooses the firewall; then comes a row of steps: a message each, or something
 * that happens in between. */
#include "fuzz.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "privsep/grantfile.h"
#include "privsep/helper/iptables.h"
#include "privsep/helper/requests.h"
#include "privsep/netlink.h"
#include "privsep/prepare/lock.h"
#include "privsep/prepare/repair.h"
#include "privsep/prepare/rules.h"
#include "privsep/prepare/takeover.h"
#include "privsep/xtables/probe.h"
#include "tests/unit/planned.h"
#include "tests/unit/table.h"

enum { ALICE, BOB, CAROL, DORA, ERIN, FRED, PEOPLE, STEPS_MAX = 24 };
enum { SKEW = 300, MAX_WINDOW = 60, MAX_GRANTS = 3, CAPACITY = 5, SERVICES = 3 };
enum { CONNECTIONS = 2, ANY = 4, WAIT_SECONDS = 4 /* for each of a step's `window` */ };

/* One message: whose name, whose signature, what for, and what is wrong with it. */
struct step {
    uint8_t flags, named, signer, observed, action, services, signed_address, where, change;
    uint8_t window;
    int16_t age; /* seconds since it was made */
};

enum {
    FORGE = 1,   /* change a byte of the signature */
    ALTER = 2,   /* change a byte of the request before it is signed */
    TAMPER = 4,  /* change one after that */
    REPLAY = 8,  /* the message before, again */
    RESIZE = 16, /* another size */
    SWAP = 32,   /* the other action than was signed */
    SERVE = 64,  /* let the helper look */
    RESTART = 128,
};

/* What a step is, of `action / 4 % 8`; a message otherwise. */
enum { WAIT = 1, WORD = 2, WRONG_WORD = 3, BREAK = 4 };

struct sent {
    struct helper_request message;
    struct request request;
    bool regular;   /* what an honest sniffer could send */
    bool authentic; /* signed by the one that it names, and not changed since */
    bool honoured;
    uint32_t verdict; /* once it was served */
};

/* The last one is nobody's. The second is sent on, for ALICE and IPv4. */
static const struct service services[] = {
    {IPPROTO_TCP, 22}, {IPPROTO_TCP, 80}, {IPPROTO_UDP, 53}, {IPPROTO_TCP, 1}};
static const char *const addresses[] = {"192.0.2.7", "2001:db8::7", "198.51.100.7", "2001:db9::7",
                                        "192.0.2.8", "0.0.0.0",     "ff02::1",      "127.0.0.1"};

/* The parts of a plan that policy is in. */
struct plan_of_people {
    struct plan plan;
    struct plan_profile list[PEOPLE];
    struct helper_profile profiles[PEOPLE];
};

static struct {
    uint8_t signing[PEOPLE][SIGNING_KEY_SIZE], key_ids[PEOPLE][KEY_ID_SIZE];
    struct plan_of_people policy;
    struct helper_destination destination;
    struct planned planned, planned_of_sets, planned_quick, planned_broken;
    struct firewall *real, *quick, *sets, *broken;
    struct events events;
    int witness; /* its end */
    struct marks marks;
    struct grants grants;
    struct requests requests;
    int directory, sniffer; /* our end of the socket */
    struct sent sent[STEPS_MAX];
    size_t count, served; /* messages; of them, what the helper has looked at */
    int64_t ahead; /* of the clocks, nanoseconds */
} world;

/* ---- the world outside ------------------------------------------------------ */

int64_t __wrap_clock_boot_ns(void);
int64_t __real_clock_boot_ns(void);
int64_t __wrap_clock_wall_ns(void);
int64_t __real_clock_wall_ns(void);
uint64_t __wrap_clock_wall_us(void);
uint64_t __real_clock_wall_us(void);

int64_t __wrap_clock_boot_ns(void)
{
    return __real_clock_boot_ns() + world.ahead;
}

int64_t __wrap_clock_wall_ns(void)
{
    return __real_clock_wall_ns() + world.ahead;
}

uint64_t __wrap_clock_wall_us(void)
{
    return __real_clock_wall_us() + (uint64_t)world.ahead / 1000;
}

/* ---- before ----------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    return memcmp(a, b, KEY_ID_SIZE); /* the first member */
}

/* Alice is free, and a gateway's for one service; Bob must sign an address of his; Carol's
 * time is over; Dora has one grant, which moves; Erin's admit two connections each;
 * Fred may open to loopback alone, which nobody may. */
static void make_people(void)
{
    struct helper_profile *people = world.policy.profiles;
    static const struct helper_destination of_alice = {
        .service = {IPPROTO_TCP, 80}, .port = 8080,
        .address = {{[10] = 0xff, [11] = 0xff, 198, 51, 100, 9}}};
    struct plan_profile *e = world.policy.list;

    for (size_t i = 0; i < PEOPLE; i++) {
        uint8_t seed[KEY_SIZE] = {(uint8_t)(i + 1)};
        struct helper_profile *p = &people[i];

        e[i].profile.at = (uint32_t)(offsetof(struct plan_of_people, profiles) + i * sizeof *p);
        crypto_sign_seed_keypair(p->signer.public_key, world.signing[i], seed);
        envelope_key_id(e[i].key_id, p->signer.public_key);
        memcpy(world.key_ids[i], e[i].key_id, KEY_ID_SIZE);
        memcpy(p->services, services, sizeof services);
        p->service_count = SERVICES;
        p->window = 30;
        p->max_window = MAX_WINDOW;
        p->max_grants = MAX_GRANTS;
    }
    people[ALICE].destinations[0] = of_alice;
    people[ALICE].destination_count = 1;
    people[ERIN].connections = CONNECTIONS;
    people[FRED].prefixes[0] = (struct prefix){.address = {{[15] = 1}}, .length = 128};
    people[FRED].prefix_count = 1;
    people[BOB].needs_signed_address = 1;
    people[BOB].prefixes[0] =
        (struct prefix){.address = {{0x20, 0x01, 0x0d, 0xb8}}, .length = 32};
    people[BOB].prefix_count = 1;
    people[CAROL].expires = 1;
    people[DORA].service_count = 1;
    people[DORA].max_grants = 1;
    qsort(e, PEOPLE, sizeof *e, compare_entries);
    world.policy.plan.size = sizeof world.policy;
    world.policy.plan.profiles.at = offsetof(struct plan_of_people, list);
    world.policy.plan.skew = (uint64_t)SKEW * USEC_PER_SEC;
    world.policy.plan.profile_count = PEOPLE;
    world.policy.plan.families[IPV4].in_use = world.policy.plan.families[IPV6].in_use = true;
    world.destination = of_alice;
}

static struct firewall *open_firewall(struct planned *planned, const struct helper_setup *setup,
                                      const struct xtables *xtables)
{
    struct firewall *fw;

    planned_make(planned, setup, &world.destination, 1, xtables);
    fw = helper_firewall_open(planned->plan);
    helper_firewall_begin(fw, world.grants.table);
    return fw;
}

static void establish(struct firewall *fw)
{
    struct error why;

    for (enum family family = IPV4; family < FAMILIES; family++)
        if (!helper_iptables_establish(fw, family, &world.grants, &why)) {
            printf("# %s\n", why.text);
            exit(EXIT_FAILURE);
        }
    REQUIRE(fw->restore[IPV6].standing);
}

static void write_script(const char *path, const char *script)
{
    fuzz_write_text(path, script);
    REQUIRE(chmod(path, 0700) == 0);
}

/* The kernel takes milliseconds for each change of rules. The quick firewall is cat
 * instead, which acknowledges all that it is told; run for one text, it finds no jump to
 * remove. So is the one whose grants are in the kernel's sets. The broken one refuses all. */
static void open_firewalls(void)
{
    struct helper_setup setup = {.sends_on = 1};
    struct xtables xtables;
    struct error why;

    REQUIRE(probe_xtables(&xtables, BACKEND_NFT, PROBE_LIMITS | PROBE_SENDS_ON | PROBE_DEADLINES,
                         &why) == PROBE_USABLE);
    xtables.tells_sessions[IPV4] = xtables.tells_sessions[IPV6] = false;
    world.real = open_firewall(&world.planned, &setup, &xtables);
    establish(world.real);
    write_script("/run/cat", "#!/bin/sh\n[ $# -eq 3 ] && exec cat\n! grep -q -e '^-D'\n");
    write_script("/run/false", "#!/bin/sh\nexit 2\n");
    xtables.paths[IPV4] = xtables.paths[IPV6] = "/run/cat";
    world.quick = open_firewall(&world.planned_quick, &setup, &xtables);
    establish(world.quick);
    setup.grant_store = GRANT_STORE_SET;
    setup.max_grants = CAPACITY;
    world.sets = open_firewall(&world.planned_of_sets, &setup, &xtables);
    establish(world.sets);
    setup.grant_store = GRANT_STORE_RULES;
    xtables.paths[IPV4] = xtables.paths[IPV6] = "/run/false";
    world.broken = open_firewall(&world.planned_broken, &setup, &xtables);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error why;

    (void)count, (void)arguments;
    world.directory = fuzz_enter();
    REQUIRE(helper_marks_lock(world.directory, &why)); /* what the programs inherit */
    make_people();
    REQUIRE(helper_grants_create(&world.grants, world.directory, CAPACITY, 0, &why));
    open_firewalls();
    world.sniffer = -1;
    world.events = (struct events){.witness = -1, .news = netlink_open(NETLINK_NETFILTER)};
    world.witness = -1;
    REQUIRE(world.events.news >= 0);
    world.requests = (struct requests){.plan = &world.policy.plan,
                                       .marks = &world.marks,
                                       .grants = &world.grants,
                                       .events = &world.events,
                                       .sniffer = -1};
    return 0;
}

static void connect_sniffer(void)
{
    int ends[2];

    close(world.sniffer);
    close(world.requests.sniffer);
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    world.requests.sniffer = ends[0];
    world.sniffer = ends[1];
}

/* A witness that reads nothing: it has room for all events of an input. */
static void connect_witness(void)
{
    const int room = 1 << 20;
    int ends[2];

    close(world.witness);
    close(world.events.witness);
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    world.events.witness = ends[0];
    world.witness = ends[1];
    world.events.is_unwitnessed = false;
}

static void open_marks(void)
{
    struct error why;

    REQUIRE(helper_marks_open(&world.marks, world.directory, world.key_ids[0], KEY_ID_SIZE, PEOPLE,
                              clock_wall_us() - UINT64_C(3600000000),
                              (uint64_t)SKEW * USEC_PER_SEC, &why));
}

static void clear_firewall(void)
{
    struct error why;

    if (world.grants.count == 0)
        return;
    helper_grants_clear(&world.grants);
    REQUIRE(helper_firewall_change(world.requests.firewall, &world.grants, &why) ||
            world.requests.firewall == world.broken);
}

/* A program built this minute lets new marks start now; these start at 1970. */
static void start_anew(void)
{
    clear_firewall();
    world.ahead = 0;
    connect_witness();
    unlinkat(world.directory, "marks", 0);
    open_marks();
    for (size_t i = 0; i < world.marks.count; i++)
        memset(world.marks.items[i].counters, 0, sizeof world.marks.items[i].counters);
    connect_sniffer();
    world.count = world.served = 0;
}

/* ---- the sniffer's side ----------------------------------------------------- */

static struct address address_of(uint8_t which)
{
    struct address a;

    REQUIRE(address_parse(&a, addresses[which % COUNT_OF(addresses)]));
    return a;
}

static struct request request_of(const struct step *step)
{
    struct request r = {.action = step->action % 4 ? ACTION_OPEN : ACTION_CLOSE,
                        .has_address = step->signed_address % 2,
                        .counter = clock_wall_us() - (uint64_t)step->age * USEC_PER_SEC};

    if (r.has_address)
        r.address = address_of(step->signed_address / 2);
    if (r.action == ACTION_OPEN)
        r.window = step->window;
    for (size_t i = 0; i < COUNT_OF(services); i++)
        if (step->services & 1u << i)
            r.services[r.service_count++] = services[i];
    r.service_count = request_order_services(r.services, r.service_count);
    return r;
}

static void make_message(struct sent *sent, const struct step *step)
{
    struct helper_request *m = &sent->message;
    struct request r = request_of(step);
    uint8_t signer = step->signer % PEOPLE, change = step->change ? step->change : 1;

    m->observed = address_of(step->observed);
    memset(m->key_id, 0xff, KEY_ID_SIZE); /* a stranger's */
    if (step->named <= PEOPLE)
        memcpy(m->key_id, world.key_ids[step->named % PEOPLE], KEY_ID_SIZE);
    request_encode(m->request, &r);
    if (step->flags & ALTER)
        m->request[step->where % REQUEST_SIZE] ^= change;
    envelope_sign(&m->signature, world.signing[signer], world.policy.plan.server_public,
                  m->request);
    if (step->flags & TAMPER)
        m->request[step->where % REQUEST_SIZE] ^= change;
    if (step->flags & FORGE)
        m->signature.bytes[step->where % SIGNATURE_SIZE] ^= change;
    if (step->flags & SWAP)
        m->request[1] ^= ACTION_OPEN ^ ACTION_CLOSE;
    sent->authentic = step->named <= PEOPLE && step->named % PEOPLE == signer &&
                      !(step->flags & (TAMPER | FORGE | SWAP));
}

static void pass(const struct step *step)
{
    struct sent *sent = &world.sent[world.count];
    uint8_t bytes[512] = {0};
    size_t size = sizeof sent->message;

    *sent = (struct sent){.regular = true};
    if ((step->flags & REPLAY) && world.count > 0) {
        sent->message = sent[-1].message;
        sent->authentic = sent[-1].authentic;
    } else {
        make_message(sent, step);
    }
    world.count++;
    if (step->flags & RESIZE)
        size = step->where + step->change;
    memcpy(bytes, &sent->message, sizeof sent->message);
    REQUIRE(send(world.sniffer, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
    sent->regular = size == sizeof sent->message &&
                    helper_request_is_canonical(&sent->message, &sent->request);
}

/* ---- what must be so -------------------------------------------------------- */

static bool is_of(const struct sent *sent, size_t who)
{
    return memcmp(sent->message.key_id, world.key_ids[who], KEY_ID_SIZE) == 0;
}

static const struct address *address_for(const struct sent *sent)
{
    return sent->request.has_address ? &sent->request.address : &sent->message.observed;
}

/* Whether a counter was refused as it was ahead of the clock, and no more of the client's
 * were than are remembered. */
static bool is_refused_for_good(const struct sent *sent)
{
    size_t refused = 0;
    bool is_one = false;

    for (const struct sent *other = world.sent; other < sent; other++) {
        if (other->verdict != VERDICT_AHEAD ||
            memcmp(other->message.key_id, sent->message.key_id, KEY_ID_SIZE) != 0)
            continue;
        refused++;
        is_one |= other->request.counter == sent->request.counter;
    }
    return is_one && refused <= MARK_REFUSED;
}

/* What was honoured was new, fresh and permitted. */
static void check_honoured(const struct sent *sent)
{
    uint64_t now = clock_wall_us(), slack = (uint64_t)(SKEW + 30) * USEC_PER_SEC;
    static const struct prefix bobs = {.address = {{0x20, 0x01, 0x0d, 0xb8}}, .length = 32};

    for (const struct sent *other = world.sent; other < sent; other++) {
        if (!(other->honoured || other->verdict == VERDICT_NOTHING_TO_CLOSE) ||
            memcmp(other->message.key_id, sent->message.key_id, KEY_ID_SIZE) != 0)
            continue;
        REQUIRE(other->request.counter != sent->request.counter);
        REQUIRE(other->request.action == ACTION_OPEN || sent->request.action == ACTION_CLOSE ||
                other->request.counter < sent->request.counter);
    }
    REQUIRE(!is_refused_for_good(sent));
    REQUIRE(sent->request.counter <= now + slack && sent->request.counter + slack >= now);
    REQUIRE(!is_of(sent, CAROL) && !is_of(sent, FRED));
    REQUIRE(!is_of(sent, BOB) ||
            (sent->request.has_address && prefix_contains(&bobs, address_for(sent))));
}

static void check_reply(struct sent *sent)
{
    struct helper_reply reply;

    REQUIRE(recv(world.sniffer, &reply, sizeof reply, MSG_DONTWAIT | MSG_TRUNC) == sizeof reply);
    REQUIRE(reply.verdict < VERDICTS);
    REQUIRE(sent->authentic == (reply.verdict != VERDICT_UNKNOWN_PROFILE &&
                                reply.verdict != VERDICT_BAD_SIGNATURE));
    REQUIRE(sent->authentic ||
            sodium_is_zero((const uint8_t *)reply.counters, sizeof reply.counters));
    sent->verdict = (uint32_t)reply.verdict;
    sent->honoured = reply.verdict == VERDICT_OPENED || reply.verdict == VERDICT_EXTENDED ||
                     reply.verdict == VERDICT_CLOSED;
    if (sent->honoured)
        check_honoured(sent);
}

static bool asks_for(const struct sent *sent, const struct grant *grant)
{
    bool asked = sent->request.service_count == 0; /* all of the profile's */

    for (size_t i = 0; i < sent->request.service_count; i++)
        asked |= service_compare(&sent->request.services[i], &grant->service) == 0;
    return asked && sent->honoured && sent->request.action == ACTION_OPEN &&
           memcmp(sent->message.key_id, grant->key_id, KEY_ID_SIZE) == 0 &&
           address_equal(address_for(sent), &grant->address);
}

/* Every grant was asked for by a client, in its own name, and will end. */
static void check_grant(const struct grant *grant)
{
    int64_t longest = (int64_t)MAX_WINDOW * NSEC_PER_SEC;
    bool asked = false;

    for (size_t i = 0; i < world.served; i++)
        asked |= asks_for(&world.sent[i], grant);
    REQUIRE(asked);
    REQUIRE(grant->touched == 0);
    REQUIRE((grant->destination_port != 0) ==
            (grant->service.port == 80 && address_is_ipv4(&grant->address) &&
             memcmp(grant->key_id, world.key_ids[ALICE], KEY_ID_SIZE) == 0));
    REQUIRE(grant->connections ==
            (memcmp(grant->key_id, world.key_ids[ERIN], KEY_ID_SIZE) == 0 ? CONNECTIONS : 0u));
    REQUIRE(grant->end == END_NONE || grant->connections);
    REQUIRE(grant->deadline > 0 && grant->deadline <= clock_boot_ns() + longest);
    REQUIRE(grant->last_second <= (clock_wall_ns() + longest) / NSEC_PER_SEC);
    REQUIRE(service_compare(&grant->service, &services[0]) == 0 ||
            service_compare(&grant->service, &services[1]) == 0 ||
            service_compare(&grant->service, &services[2]) == 0);
    REQUIRE(table_count_of(&world.grants, grant->key_id) <=
            (memcmp(grant->key_id, world.key_ids[DORA], KEY_ID_SIZE) == 0 ? 1 : MAX_GRANTS));
}

/* The next helper would find the same. */
static void check_grants(void)
{
    struct granttable_view stored;
    struct grant grant;
    struct error why;

    REQUIRE(world.grants.count <= CAPACITY);
    for (size_t i = 0; i < world.grants.count; i++)
        check_grant(&world.grants.items[i]);
    REQUIRE(granttable_open(&stored, world.directory, &why) && stored.capacity == CAPACITY);
    for (size_t i = 0; i < CAPACITY; i++) {
        REQUIRE(granttable_read(&stored, i, &grant) == (i < world.grants.count));
        REQUIRE(i >= world.grants.count ||
                memcmp(&grant, &world.grants.items[i], sizeof grant) == 0);
    }
    granttable_close(&stored);
}

/* Whatever comes before the first irregular message is served; that one ends the
 * sniffer, and what comes behind it is never heard. */
static void serve(void)
{
    enum sniffer_state state = helper_requests_serve(&world.requests);
    bool regular = true;
    char more;

    for (; world.served < world.count; world.served++) {
        struct sent *sent = &world.sent[world.served];

        regular = regular && sent->regular;
        if (regular)
            check_reply(sent);
    }
    REQUIRE(state == (regular ? SNIFFER_SOUND : SNIFFER_MISBEHAVES));
    REQUIRE(recv(world.sniffer, &more, 1, MSG_DONTWAIT) < 0);
    check_grants();
    if (!regular)
        connect_sniffer();
}

static void restart(void)
{
    struct error why;

    helper_marks_close(&world.marks);
    open_marks();
    helper_grants_free(&world.grants);
    REQUIRE(helper_grants_create(&world.grants, world.directory, CAPACITY, 0, &why));
    check_grants();
}

/* ---- what happens in between ------------------------------------------------ */

/* As the helper does at each deadline. */
static void expire(void)
{
    struct error why;

    helper_grants_expire(&world.grants, clock_boot_ns());
    REQUIRE(helper_firewall_change(world.requests.firewall, &world.grants, &why) ||
            world.requests.firewall == world.broken);
}

/* What a witness says, as it should or not; or it goes. Only Erin's grants can end by that. */
static void hear(const struct step *step, bool is_wrong)
{
    struct witness_word word = {.kind = (uint8_t)(step->where % 4), .id = step->services,
                                .allowance = step->observed % 4u, .zero = is_wrong};
    size_t kept = 0;

    if (world.events.witness < 0) /* it is not heard any more */
        return;
    for (size_t i = 0; i < world.grants.count; i++)
        kept += world.grants.items[i].connections == 0;
    if (is_wrong && step->window % 2)
        shutdown(world.witness, SHUT_RDWR);
    else
        REQUIRE(send(world.witness, &word, sizeof word - step->window % 2u, 0) > 0);
    while (helper_events_hear(&world.events, &word))
        if (word.kind == WORD_END)
            helper_events_obey(&world.grants, &word);
        else if (word.kind == WORD_HUSH)
            helper_events_hush(&world.events, &world.grants, word.id);
    if (world.events.is_unwitnessed)
        helper_events_end_unwitnessed(&world.events, &world.grants);
    expire();
    for (size_t i = 0; i < world.grants.count; i++) {
        REQUIRE(world.grants.items[i].end == END_NONE);
        REQUIRE(world.events.witness >= 0 || world.grants.items[i].connections == 0);
        kept -= world.grants.items[i].connections == 0;
    }
    REQUIRE(kept == 0);
    check_grants();
}

/* From here on the firewall takes no change: what was to move cannot leave. */
static void break_firewall(void)
{
    if (world.requests.firewall != world.quick)
        return;
    world.requests.firewall = world.broken;
    world.broken->unsure[IPV4] = world.broken->unsure[IPV6] = true;
}

static void take_step(const struct step *step)
{
    switch (step->action / ANY % 8) {
    case WAIT:
        world.ahead += (int64_t)step->window * WAIT_SECONDS * NSEC_PER_SEC;
        expire();
        break;
    case WORD:
        hear(step, false);
        break;
    case WRONG_WORD:
        hear(step, true);
        break;
    case BREAK:
        break_firewall();
        break;
    default:
        pass(step);
        break;
    }
}

/* Each grant has its rules, with its deadline. */
static void check_firewall(void)
{
    struct error why;

    for (enum family family = IPV4; family < FAMILIES; family++)
        REQUIRE(world.requests.firewall->unsure[family] ||
                helper_iptables_look(world.requests.firewall, family, &world.grants, &why) !=
                    HELPER_RULES_MISSING);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    struct step step;
    uint8_t which;

    start_anew();
    which = input_byte(&in);
    world.requests.firewall = which == 'r'   ? world.real
                              : which == 's' ? world.sets
                              : which == 'b' ? world.broken
                                             : world.quick;
    while (in.size > 0 && world.count < STEPS_MAX) {
        input_take(&in, &step, sizeof step);
        take_step(&step);
        if (step.flags & SERVE)
            serve();
        if ((step.flags & RESTART) && world.served == world.count)
            restart();
    }
    serve();
    if (world.grants.count > 0)
        check_firewall();
    helper_marks_close(&world.marks);
    return 0;
}
