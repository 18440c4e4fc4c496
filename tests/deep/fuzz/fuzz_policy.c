/* The setup and the profiles that the supervisor sends. The input changes a right
 * setup and right profiles: it is their exclusive or with what is sent. */
#include "fuzz.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "privsep/helper/policy.h"
#include "privsep/prepare/receive.h"

enum { MESSAGES_MAX = 6 };

static const struct helper_setup right_setup = {.mode = HELPER_RUN, .skew_checked = 1,
                                                .max_skew = 300, .max_grants = 1000};
static const struct helper_profile right_profile = {
    .name = "laptop", .service_count = 1, .services[0] = {.protocol = IPPROTO_TCP, .port = 22},
    .window = 30, .max_window = 60, .max_grants = 3};

/* With more of what there can be. */
static const struct helper_profile rich_profile = {
    .name = "office", .needs_signed_address = 1, .service_count = 2, .prefix_count = 1,
    .services = {{.protocol = IPPROTO_TCP, .port = 22}, {.protocol = IPPROTO_TCP, .port = 80}},
    .prefixes[0] = {.address = {{0x20, 0x01, 0x0d, 0xb8}}, .length = 32},
    .destination_count = 2,
    .destinations = {{.service = {.protocol = IPPROTO_TCP, .port = 80}, .port = 8080,
                      .address = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 9}}},
                     {.service = {.protocol = IPPROTO_TCP, .port = 80}, .port = 8080,
                      .address = {{0xfd, [15] = 1}}}},
    .window = 30, .max_window = 60, .max_grants = 3, .connections = 2, .expires = 1800000000};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    REQUIRE(sodium_init() >= 0);
    return 0;
}

/* One message, some bytes longer or shorter than it should be if the input says so. The input
 * changes it from its end on, where a profile has its lists: one more value, which goes before
 * them, moves little of what the kept inputs change. */
static bool send_changed(int fd, struct input *in, void *message, size_t size)
{
    uint8_t bytes[sizeof(struct helper_setup) + sizeof(struct helper_profile)] = {0};
    int8_t longer = (int8_t)input_byte(in);
    uint8_t change[sizeof bytes];

    input_take(in, change, size);
    memcpy(bytes, message, size);
    for (size_t i = 0; i < size; i++)
        bytes[size - 1 - i] ^= change[i];
    memcpy(message, bytes, size);
    longer = longer == 1 || longer == -1 ? longer : 0;
    REQUIRE(send(fd, bytes, (size_t)((ssize_t)size + longer), 0) >= 0);
    return longer == 0;
}

static void require_service(const struct service *s)
{
    REQUIRE((s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP) && s->port != 0);
}

/* A service has the destination of its family that the profile names, and no other. */
static void check_destinations(const struct helper_profile *p)
{
    for (size_t i = 0; i < p->service_count; i++)
        for (enum family family = IPV4; family < FAMILIES; family++) {
            const struct helper_destination *d =
                helper_policy_destination(p, &p->services[i], family);

            REQUIRE(!d || helper_policy_sends_on(p, &p->services[i]));
            REQUIRE(!d || (address_family(&d->address) == family && d->port != 0 &&
                           address_is_grantable(&d->address)));
        }
}

/* A door that may be opened is shut in time. */
static void check_times(const struct policy_entry *entry, int64_t now)
{
    int64_t end = helper_policy_latest_end(entry->profile, now);
    enum verdict verdict = helper_policy_judge(entry->profile, now);

    REQUIRE((verdict != 0) == (end <= now));
    REQUIRE(entry->profile->expires == 0 || end <= entry->profile->expires || verdict);
}

static void check_profile(const struct policy_entry *entry)
{
    static const int64_t times[] = {0, 1700000000, 1799999999, 1800000000, 1763500000, 4000000000};
    const struct helper_profile *p = entry->profile;
    struct address any = {{0x20, 1}};

    REQUIRE(p->service_count > 0 && p->service_count <= POLICY_SERVICES);
    for (size_t i = 0; i < p->service_count; i++) {
        require_service(&p->services[i]);
        REQUIRE(helper_policy_permits_service(p, &p->services[i]));
        REQUIRE(helper_policy_is_tracked(p, &p->services[i]) == !(p->untracked >> i & 1));
    }
    REQUIRE(p->prefix_count <= POLICY_PREFIXES);
    REQUIRE(p->prefix_count > 0 || helper_policy_permits_address(p, &any));
    helper_policy_permits_address(p, &any);
    REQUIRE(memchr(p->name, '\0', sizeof p->name));
    REQUIRE(p->window > 0 && p->window <= p->max_window && p->max_grants > 0);
    check_destinations(p);
    for (size_t i = 0; i < COUNT_OF(times); i++)
        check_times(entry, times[i]);
}

static void check_policy(const struct policy *policy, const struct helper_profile *sent)
{
    bool any_counts = false;

    REQUIRE(policy->setup.mode >= HELPER_RUN && policy->setup.mode <= HELPER_RELEASE_OTHER);
    REQUIRE(policy->setup.backend <= BACKEND_NFTABLES);
    REQUIRE(policy->setup.shut_count <= SHUT_SERVICES);
    for (size_t i = 0; i < policy->setup.shut_count; i++)
        require_service(&policy->setup.shut[i]);
    for (size_t i = 0; i < policy->setup.profile_count; i++) {
        uint8_t key_id[KEY_ID_SIZE];
        const struct policy_entry *entry;
        bool is_as_sent = false;

        envelope_key_id(key_id, sent[i].signer.public_key);
        entry = helper_policy_entry(policy, key_id);
        REQUIRE(entry);
        for (size_t j = 0; j < policy->setup.profile_count && !is_as_sent; j++)
            is_as_sent = memcmp(entry->profile, &sent[j], helper_profile_size(&sent[j])) == 0;
        REQUIRE(is_as_sent);
        check_profile(entry);
        any_counts = any_counts || entry->profile->connections > 0;
    }
    REQUIRE(helper_policy_counts(policy) == any_counts);
    for (size_t i = 1; i < policy->destination_count; i++)
        REQUIRE(memcmp(&policy->destinations[i - 1], &policy->destinations[i],
                       sizeof *policy->destinations) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    size_t profiles = input_byte(&in) % MESSAGES_MAX;
    struct helper_profile sent[MESSAGES_MAX];
    struct helper_setup setup = right_setup;
    struct policy policy = {0};
    struct error why = {""};
    bool right_sizes;
    int ends[2];

    setup.profile_count = (uint32_t)profiles;
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    right_sizes = send_changed(ends[0], &in, &setup, sizeof setup);
    for (size_t i = 0; i < profiles; i++) {
        sent[i] = i % 2 == 0 ? right_profile : rich_profile;
        sent[i].signer.public_key[0] = (uint8_t)i;
        right_sizes = send_changed(ends[0], &in, &sent[i], sizeof sent[i]) && right_sizes;
    }
    close(ends[0]);
    if (helper_policy_receive(&policy, ends[1], &why)) {
        REQUIRE(policy.setup.profile_count <= profiles);
        REQUIRE(right_sizes || policy.setup.profile_count < profiles);
        check_policy(&policy, sent);
    } else {
        REQUIRE(why.text[0]);
    }
    free(policy.entries);
    free(policy.destinations);
    pool_free(&policy.profiles);
    close(ends[1]);
    return 0;
}
