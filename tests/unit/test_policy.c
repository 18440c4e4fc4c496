#include "check.h"

#include <netinet/in.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "people.h"
#include "privsep/helper/policy.h"
#include "privsep/prepare/receive.h"

static const struct helper_setup good_setup = {.mode = HELPER_RUN, .backend = BACKEND_NFT,
                                               .max_grants = 10};
static const struct helper_profile good_profile = {
    .name = "someone",
    .service_count = 1,
    .services = {{.protocol = IPPROTO_TCP, .port = 22}},
    .window = 30,
    .max_window = 60,
    .max_grants = 5,
};

/* What a supervisor might send. */
struct sent {
    const void *setup;
    size_t setup_size;
    const struct helper_profile *profiles;
    size_t profile_size;
    size_t profile_count;
};

static pid_t start_supervisor(const struct sent *sent, int fd)
{
    pid_t child = fork();

    if (child != 0)
        return child;
    send(fd, sent->setup, sent->setup_size, MSG_NOSIGNAL);
    for (size_t i = 0; i < sent->profile_count; i++)
        send(fd, &sent->profiles[i], sent->profile_size, MSG_NOSIGNAL);
    child_exit(0);
}

static bool receive(struct policy *policy, const struct sent *sent, struct error *why)
{
    bool received;
    int ends[2];
    pid_t child;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    child = start_supervisor(sent, ends[1]);
    close(ends[1]);
    *policy = (struct policy){0};
    received = helper_policy_receive(policy, ends[0], why);
    close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return received;
}

static void forget(struct policy *policy)
{
    free(policy->entries);
    free(policy->destinations);
    pool_free(&policy->profiles);
}

static bool receives(const struct helper_setup *setup,
                     const struct helper_profile *profiles, size_t count)
{
    struct sent sent = {setup, sizeof *setup, profiles, sizeof *profiles, count};
    struct policy policy;
    struct error why;
    bool received = receive(&policy, &sent, &why);

    forget(&policy);
    return received;
}

/* One profile with a value changed. */
static bool receives_profile(const struct helper_profile *profile)
{
    struct helper_setup setup = good_setup;

    setup.profile_count = 1;
    return receives(&setup, profile, 1);
}

/* ---- sizes -------------------------------------------------------------- */

static void a_setup_of_the_wrong_size_is_refused(void **state)
{
    uint8_t bytes[sizeof(struct helper_setup) + 8] = {0};

    (void)state;
    memcpy(bytes, &good_setup, sizeof good_setup);
    for (size_t size = 1; size <= sizeof bytes; size++) {
        struct sent sent = {.setup = bytes, .setup_size = size};
        struct policy policy;
        struct error why;

        if (receive(&policy, &sent, &why) != (size == sizeof(struct helper_setup)))
            fail_msg("a setup of %zu bytes", size);
        forget(&policy);
    }
}

static void a_profile_of_the_wrong_size_is_refused(void **state)
{
    struct helper_profile profiles[2] = {good_profile, good_profile};
    struct helper_setup setup = good_setup;

    (void)state;
    setup.profile_count = 1;
    for (size_t size = sizeof good_profile - 3; size <= sizeof good_profile + 3; size++) {
        struct sent sent = {&setup, sizeof setup, profiles, size, 1};
        struct policy policy;
        struct error why;

        assert_int_equal(receive(&policy, &sent, &why), size == sizeof good_profile);
        forget(&policy);
    }
}

static void a_supervisor_that_goes_away_is_noticed(void **state)
{
    struct helper_setup setup = good_setup;

    (void)state;
    setup.profile_count = 2;
    assert_false(receives(&setup, &good_profile, 1));
    setup.profile_count = 1;
    assert_false(receives(&setup, &good_profile, 0));
}

/* ---- ranges ------------------------------------------------------------- */

static void setups_out_of_range_are_refused(void **state)
{
    struct helper_setup s = good_setup;

    (void)state;
    assert_true(receives(&s, NULL, 0));
    s.mode = 0;
    assert_false(receives(&s, NULL, 0));
    s.mode = HELPER_RELEASE_OTHER + 1;
    assert_false(receives(&s, NULL, 0));
    s = good_setup;
    s.backend = BACKEND_NFTABLES + 1;
    assert_false(receives(&s, NULL, 0));
    s = good_setup;
    s.shut_count = SHUT_SERVICES + 1;
    assert_false(receives(&s, NULL, 0));
    s = good_setup;
    s.profile_count = UINT32_MAX;
    assert_false(receives(&s, NULL, 0));
    s = good_setup;
    s.trial_end = -1;
    assert_false(receives(&s, NULL, 0));
    s.trial_end = INT64_MAX;
    assert_false(receives(&s, NULL, 0));
    s.trial_end = clock_boot_ns() + (TRIAL_SECONDS_MAX + 1) * (int64_t)NSEC_PER_SEC;
    assert_false(receives(&s, NULL, 0));
    s.trial_end = clock_boot_ns() + TRIAL_SECONDS_MAX * (int64_t)NSEC_PER_SEC;
    assert_true(receives(&s, NULL, 0));
    s.trial_end = 1; /* over, for a helper that comes late */
    assert_true(receives(&s, NULL, 0));
}

static void shut_ports_out_of_range_are_refused(void **state)
{
    struct helper_setup s = good_setup;

    (void)state;
    s.shut_count = SHUT_SERVICES;
    for (size_t i = 0; i < SHUT_SERVICES; i++)
        s.shut[i] = service_of("udp/53");
    assert_true(receives(&s, NULL, 0));
    s.shut[SHUT_SERVICES - 1].port = 0;
    assert_false(receives(&s, NULL, 0));
    s.shut[SHUT_SERVICES - 1] = (struct service){.protocol = IPPROTO_ICMP, .port = 1};
    assert_false(receives(&s, NULL, 0));
}

static void profiles_out_of_range_are_refused(void **state)
{
    struct helper_profile p = good_profile;

    (void)state;
    assert_true(receives_profile(&p));
    p.service_count = 0;
    assert_false(receives_profile(&p));
    p.service_count = POLICY_SERVICES + 1;
    assert_false(receives_profile(&p));
    p = good_profile;
    p.prefix_count = POLICY_PREFIXES + 1;
    assert_false(receives_profile(&p));
    p = good_profile;
    p.prefix_count = 1;
    p.prefixes[0].length = 129;
    assert_false(receives_profile(&p));
    p = good_profile;
    p.services[0].protocol = IPPROTO_SCTP;
    assert_false(receives_profile(&p));
    p = good_profile;
    p.services[0].port = 0;
    assert_false(receives_profile(&p));
    p = good_profile;
    p.service_count = 2;
    p.services[1] = p.services[0];
    assert_false(receives_profile(&p));
    p.services[1].port++;
    assert_true(receives_profile(&p));
}

static void limits_out_of_range_are_refused(void **state)
{
    struct helper_profile p = good_profile;

    (void)state;
    p.window = 0;
    assert_false(receives_profile(&p));
    p.window = p.max_window + 1;
    assert_false(receives_profile(&p));
    p.window = p.max_window;
    assert_true(receives_profile(&p));
    p.connections = CONNECTIONS_MAX;
    assert_true(receives_profile(&p));
    p.connections++;
    assert_false(receives_profile(&p));
    p.connections = 0;
    p.max_grants = 0;
    assert_false(receives_profile(&p));
    p = good_profile;
    p.expires = -1;
    assert_false(receives_profile(&p));
    p = good_profile;
    p.needs_signed_address = 2;
    assert_false(receives_profile(&p));
    p.needs_signed_address = 1;
    p.untracked = 1;
    assert_true(receives_profile(&p));
    p.untracked = 2; /* of a second service */
    assert_false(receives_profile(&p));
}

static void signers_that_are_none_are_refused(void **state)
{
    struct helper_profile p = good_profile;

    (void)state;
    p.signer.form = SIGNER_SSH;
    assert_true(receives_profile(&p));
    p.signer.required = AUTHENTICATOR_TOUCHED; /* by nobody */
    assert_false(receives_profile(&p));
    p.signer.required = 0;
    p.signer.application[31] = 1;
    assert_false(receives_profile(&p));
    p.signer.form = SIGNER_NATIVE;
    assert_false(receives_profile(&p));
    p.signer.form = SIGNER_SECURITY_KEY;
    assert_true(receives_profile(&p));
    p.signer.required = AUTHENTICATOR_TOUCHED | AUTHENTICATOR_VERIFIED;
    assert_true(receives_profile(&p));
    p.signer.required = 2;
    assert_false(receives_profile(&p));
    p.signer.required = 0;
    p.signer.form = SIGNER_SECURITY_KEY + 1;
    assert_false(receives_profile(&p));
    p.signer.form = SIGNER_SECURITY_KEY;
    p.signer.application[31] = 0;
    assert_false(receives_profile(&p));
}

static void names_that_are_none_are_refused(void **state)
{
    static const char *const wrong[] = {"", "Someone", "some one", "a/b", "a\n"};
    struct helper_profile p = good_profile;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        memset(p.name, 0, sizeof p.name);
        strcpy(p.name, wrong[i]);
        assert_false(receives_profile(&p));
    }
    memset(p.name, 'a', sizeof p.name);
    assert_false(receives_profile(&p));
    p.name[sizeof p.name - 1] = '\0';
    assert_true(receives_profile(&p));
    p.name[1] = '\0'; /* and something behind it */
    assert_false(receives_profile(&p));
}

static void a_profile_is_as_long_as_its_last_list(void **state)
{
    struct helper_profile p = good_profile;

    (void)state;
    p.service_count = POLICY_SERVICES;
    assert_int_equal(helper_profile_size(&p), offsetof(struct helper_profile, prefixes));
    p.prefix_count = 2;
    assert_int_equal(helper_profile_size(&p), offsetof(struct helper_profile, prefixes[2]));
    p.hours_count = 3;
    assert_int_equal(helper_profile_size(&p), offsetof(struct helper_profile, hours[3]));
    p.prefix_count = 0;
    assert_int_equal(helper_profile_size(&p), offsetof(struct helper_profile, hours[3]));
    p.destination_count = POLICY_DESTINATIONS;
    assert_int_equal(helper_profile_size(&p), sizeof p);
}

/* Of a profile with one service, everything behind that. */
static void what_is_not_in_use_must_be_zero(void **state)
{
    struct helper_profile p = good_profile;
    uint8_t bytes[sizeof p];

    (void)state;
    assert_int_equal(helper_profile_size(&p), offsetof(struct helper_profile, services[1]));
    for (size_t at = helper_profile_size(&p); at < sizeof p; at++) {
        memcpy(bytes, &good_profile, sizeof bytes);
        bytes[at] = 1;
        memcpy(&p, bytes, sizeof p);
        assert_false(receives_profile(&p));
    }
    memcpy(bytes, &good_profile, sizeof bytes);
    bytes[offsetof(struct helper_profile, services) + 1] = 1; /* between protocol and port */
    memcpy(&p, bytes, sizeof p);
    assert_false(receives_profile(&p));
}

/* ---- finding ------------------------------------------------------------ */

enum { MANY = 1000 };

/* Unlike others: of each list another number, up to all that there can be. */
static struct helper_profile profile_number(uint32_t i)
{
    struct helper_profile p = good_profile;
    struct person person;

    person_make(&person, i);
    memcpy(p.signer.public_key, person.public_key, KEY_SIZE);
    memset(p.name, 0, sizeof p.name);
    snprintf(p.name, sizeof p.name, "client-%u", i);
    p.window = i % 60 + 1;
    p.max_grants = i + 1;
    p.expires = i;
    p.service_count = (uint8_t)(i % POLICY_SERVICES + 1);
    for (uint16_t n = 0; n < p.service_count; n++) {
        p.services[n].protocol = IPPROTO_UDP;
        p.services[n].port = (uint16_t)(i + n + 1);
    }
    p.prefix_count = (uint8_t)(i % (POLICY_PREFIXES + 1));
    memset(p.prefixes, (int)(i % 100) + 1, p.prefix_count * sizeof *p.prefixes);
    p.hours_count = (uint8_t)(i / 2 % (POLICY_HOURS + 1));
    for (uint16_t n = 0; n < p.hours_count; n++)
        p.hours[n] = (struct hours){(uint16_t)(n * 9u + i % 3), (uint16_t)(n * 9u + 4 + i % 5)};
    p.destination_count = (uint8_t)(i / 3 % (POLICY_DESTINATIONS + 1));
    for (uint16_t n = 0; n < p.destination_count; n++) {
        p.destinations[n].service.protocol = IPPROTO_TCP;
        p.destinations[n].service.port = p.destinations[n].port = (uint16_t)(i + n + 1);
        p.destinations[n].address = address_of("192.168.1.10");
    }
    return p;
}

static void each_of_many_profiles_is_found_as_it_was_sent(void **state)
{
    static struct helper_profile profiles[MANY];
    struct helper_setup setup = good_setup;
    struct sent sent = {&setup, sizeof setup, profiles, sizeof *profiles, MANY};
    struct policy policy;
    struct person person;
    struct error why;

    (void)state;
    setup.profile_count = MANY;
    for (uint32_t i = 0; i < MANY; i++)
        profiles[i] = profile_number(i);
    assert_true(receive(&policy, &sent, &why));
    for (uint32_t i = 0; i < MANY; i++) {
        const struct policy_entry *entry;

        person_make(&person, i);
        entry = helper_policy_entry(&policy, person.key_id);
        assert_non_null(entry);
        assert_memory_equal(entry->profile, &profiles[i], helper_profile_size(&profiles[i]));
    }
    person_make(&person, MANY);
    assert_null(helper_policy_entry(&policy, person.key_id));
    forget(&policy);
}

static void without_profiles_none_is_found(void **state)
{
    struct sent sent = {.setup = &good_setup, .setup_size = sizeof good_setup};
    const uint8_t zeros[KEY_ID_SIZE] = {0};
    struct policy policy;
    struct error why;

    (void)state;
    assert_true(receive(&policy, &sent, &why));
    assert_null(helper_policy_entry(&policy, zeros));
    forget(&policy);
}

/* ---- permitting --------------------------------------------------------- */

static bool permits_service(const struct helper_profile *p, const char *text)
{
    struct service s = service_of(text);

    return helper_policy_permits_service(p, &s);
}

static void services_of_the_profile_are_permitted(void **state)
{
    const struct helper_profile p = {
        .service_count = 2,
        .services = {service_of("tcp/22"), service_of("udp/51820"),
                     service_of("tcp/80") /* beyond the count */}};

    (void)state;
    assert_true(permits_service(&p, "tcp/22"));
    assert_true(permits_service(&p, "udp/51820"));
    assert_false(permits_service(&p, "udp/22"));
    assert_false(permits_service(&p, "tcp/51820"));
    assert_false(permits_service(&p, "tcp/80"));
    assert_false(permits_service(&p, "tcp/23"));
}

static void which_services_are_tracked_is_told_by_their_place(void **state)
{
    const struct helper_profile p = {
        .service_count = 3,
        .services = {service_of("tcp/22"), service_of("udp/51820"), service_of("udp/51821")},
        .untracked = 2};

    (void)state;
    assert_true(helper_policy_is_tracked(&p, &p.services[0]));
    assert_false(helper_policy_is_tracked(&p, &p.services[1]));
    assert_true(helper_policy_is_tracked(&p, &p.services[2]));
    assert_true(helper_policy_is_tracked(&p, &(struct service){IPPROTO_TCP, 80}));
}

static bool permits_address(const struct helper_profile *p, const char *text)
{
    struct address a = address_of(text);

    return helper_policy_permits_address(p, &a);
}

static void addresses_of_the_profile_are_permitted(void **state)
{
    struct helper_profile p = {0};
    struct error why;

    (void)state;
    assert_true(permits_address(&p, "192.0.2.1"));
    assert_true(permits_address(&p, "2001:db8::1"));
    p.prefix_count = 1;
    assert_true(prefix_parse(&p.prefixes[0], "192.0.2.0/25", &why));
    assert_true(permits_address(&p, "192.0.2.127"));
    assert_false(permits_address(&p, "192.0.2.128"));
    assert_false(permits_address(&p, "2001:db8::1"));
    p.prefix_count = 2;
    assert_true(prefix_parse(&p.prefixes[1], "2001:db8::/64", &why));
    assert_true(permits_address(&p, "192.0.2.127"));
    assert_true(permits_address(&p, "2001:db8::1"));
    assert_false(permits_address(&p, "2001:db8:0:1::1"));
}

static void every_ipv6_address_is_not_every_ipv4_address(void **state)
{
    struct helper_profile p = {.prefix_count = 1};
    struct error why;

    (void)state;
    assert_true(prefix_parse(&p.prefixes[0], "::/0", &why));
    assert_true(permits_address(&p, "2001:db8::1"));
    assert_false(permits_address(&p, "192.0.2.1"));
}

/* ---- destinations ------------------------------------------------------- */

static struct helper_destination destination_of(const char *service, const char *address,
                                                uint16_t port)
{
    struct helper_destination d = {0};
    const struct service s = service_of(service);

    d.service.protocol = s.protocol; /* without its padding, which is sent, too */
    d.service.port = s.port;
    d.address = address_of(address);
    d.port = port;
    return d;
}

static struct helper_profile with_destinations(size_t count,
                                               const struct helper_destination *destinations)
{
    struct helper_profile p = good_profile;

    p.destination_count = (uint8_t)count;
    memcpy(p.destinations, destinations, count * sizeof *destinations);
    return p;
}

static void a_destination_is_of_one_service_and_family(void **state)
{
    const struct helper_profile p = {
        .destination_count = 3,
        .destinations = {destination_of("tcp/2222", "192.168.1.10", 22),
                         destination_of("tcp/2222", "fd00::10", 23),
                         destination_of("udp/2222", "192.168.1.11", 24),
                         destination_of("tcp/2223", "192.168.1.12", 25) /* beyond the count */}};
    const struct service both = service_of("tcp/2222"), one = service_of("udp/2222"),
                         none = service_of("tcp/2223");

    (void)state;
    assert_ptr_equal(helper_policy_destination(&p, &both, IPV4), &p.destinations[0]);
    assert_ptr_equal(helper_policy_destination(&p, &both, IPV6), &p.destinations[1]);
    assert_ptr_equal(helper_policy_destination(&p, &one, IPV4), &p.destinations[2]);
    assert_null(helper_policy_destination(&p, &one, IPV6));
    assert_null(helper_policy_destination(&p, &none, IPV4));
    assert_true(helper_policy_sends_on(&p, &both));
    assert_true(helper_policy_sends_on(&p, &one));
    assert_false(helper_policy_sends_on(&p, &none));
}

static void destinations_out_of_range_are_refused(void **state)
{
    const struct helper_destination good = destination_of("tcp/2222", "192.168.1.10", 22);
    struct helper_profile p = with_destinations(1, &good);

    (void)state;
    assert_true(receives_profile(&p));
    p.destinations[0].port = 0;
    assert_false(receives_profile(&p));
    p = with_destinations(1, &good);
    p.destinations[0].service.port = 0;
    assert_false(receives_profile(&p));
    p = with_destinations(1, &good);
    p.destinations[0].service.protocol = IPPROTO_ICMP;
    assert_false(receives_profile(&p));
    p = with_destinations(1, &good);
    p.destinations[0].address = address_of("127.0.0.1");
    assert_false(receives_profile(&p));
    p = with_destinations(1, &good);
    p.destination_count = POLICY_DESTINATIONS + 1;
    assert_false(receives_profile(&p));
}

static bool is_same(const struct helper_destination *a, const struct helper_destination *b)
{
    return service_compare(&a->service, &b->service) == 0 && a->port == b->port &&
           address_equal(&a->address, &b->address);
}

static void each_destination_of_all_profiles_is_told_once(void **state)
{
    const struct helper_destination of_one[] = {
        destination_of("tcp/2222", "192.168.1.10", 22),
        destination_of("tcp/2222", "fd00::10", 22),
        destination_of("udp/53", "192.168.1.10", 53),
    };
    const struct helper_destination of_another[] = {
        destination_of("tcp/2222", "192.168.1.10", 22),
        destination_of("tcp/2222", "192.168.1.10", 23),
        destination_of("tcp/2223", "192.168.1.10", 22),
    };
    struct helper_profile profiles[3];
    struct helper_setup setup = good_setup;
    const struct sent sent = {&setup, sizeof setup, profiles, sizeof *profiles,
                              COUNT_OF(profiles)};
    size_t found[2] = {0};
    struct policy policy;
    struct error why;

    (void)state;
    /* Not as initialisers: -ftrivial-auto-var-init=zero of gcc 12 clears a byte of each then,
     * which is no padding (tried). */
    profiles[0] = with_destinations(3, of_one);
    profiles[1] = good_profile;
    profiles[2] = with_destinations(3, of_another);
    setup.profile_count = COUNT_OF(profiles);
    assert_true(receive(&policy, &sent, &why));
    assert_int_equal(policy.destination_count, 5);
    for (size_t i = 0; i < policy.destination_count; i++) {
        found[0] += is_same(&policy.destinations[i], &of_one[0]);
        found[1] += is_same(&policy.destinations[i], &of_another[1]);
    }
    assert_int_equal(found[0], 1);
    assert_int_equal(found[1], 1);
    forget(&policy);
}

static int start(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

enum {
    MONDAY = 1764547200, /* 2025-12-01T00:00:00Z */
    HOUR = 3600,
    DAY = 24 * HOUR,
};

static void a_profile_ends_at_its_second(void **state)
{
    struct helper_profile p = {0};

    (void)state;
    assert_int_equal(helper_policy_judge(&p, INT64_MAX - 1), 0);
    p.expires = 1000;
    assert_int_equal(helper_policy_judge(&p, 999), 0);
    assert_int_equal(helper_policy_judge(&p, 1000), VERDICT_EXPIRED_PROFILE);
    assert_int_equal(helper_policy_judge(&p, 1001), VERDICT_EXPIRED_PROFILE);
}

static void hours_begin_and_end_in_utc(void **state)
{
    struct helper_profile p = {
        .hours_count = 2, .hours = {{8 * 60, 18 * 60}, {1440 + 8 * 60, 1440 + 9 * 60}}};
    const struct helper_profile always = {0};
    int64_t eight = MONDAY + 8 * HOUR;

    (void)state;
    assert_int_equal(helper_policy_judge(&p, eight - 1), VERDICT_OUTSIDE_HOURS);
    assert_int_equal(helper_policy_judge(&p, eight), 0);
    assert_int_equal(helper_policy_judge(&p, eight + 10 * HOUR - 1), 0);
    assert_int_equal(helper_policy_judge(&p, eight + 10 * HOUR), VERDICT_OUTSIDE_HOURS);
    assert_int_equal(helper_policy_latest_end(&p, eight + 59), eight + 10 * HOUR);
    assert_int_equal(helper_policy_latest_end(&p, eight - 1), eight - 1);
    p.expires = eight + HOUR;
    assert_int_equal(helper_policy_latest_end(&p, eight), eight + HOUR);
    assert_int_equal(helper_policy_judge(&always, eight), 0);
    assert_true(helper_policy_latest_end(&always, eight) == INT64_MAX);
}

static void hours_go_on_after_midnight(void **state)
{
    const struct helper_profile nights = {
        .hours_count = 2, .hours = {{0, 6 * 60}, {MINUTES_A_WEEK - 60, MINUTES_A_WEEK}}};
    const struct helper_profile week = {.hours_count = 2,
                                        .hours = {{0, 1440}, {1440, MINUTES_A_WEEK}}};

    (void)state;
    assert_int_equal(helper_policy_latest_end(&nights, MONDAY - 1), MONDAY + 6 * HOUR);
    assert_true(helper_policy_latest_end(&week, MONDAY + DAY) == INT64_MAX);
}

static void wrong_hours_are_refused(void **state)
{
    const struct hours wrong[] = {{5, 5}, {6, 5}, {0, MINUTES_A_WEEK + 1}};
    struct helper_profile two = good_profile;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct helper_profile p = good_profile;

        p.hours_count = 1;
        p.hours[0] = wrong[i];
        assert_false(receives_profile(&p));
        p.hours[0] = (struct hours){5, 6};
        assert_true(receives_profile(&p));
        p.hours_count = POLICY_HOURS + 1;
        assert_false(receives_profile(&p));
    }
    two.hours_count = 2;
    two.hours[0] = two.hours[1] = (struct hours){5, 6};
    assert_false(receives_profile(&two));
    two.hours[1] = (struct hours){6, 7};
    assert_true(receives_profile(&two));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setup_of_the_wrong_size_is_refused),
        cmocka_unit_test(a_profile_of_the_wrong_size_is_refused),
        cmocka_unit_test(a_supervisor_that_goes_away_is_noticed),
        cmocka_unit_test(setups_out_of_range_are_refused),
        cmocka_unit_test(shut_ports_out_of_range_are_refused),
        cmocka_unit_test(profiles_out_of_range_are_refused),
        cmocka_unit_test(limits_out_of_range_are_refused),
        cmocka_unit_test(signers_that_are_none_are_refused),
        cmocka_unit_test(names_that_are_none_are_refused),
        cmocka_unit_test(a_profile_is_as_long_as_its_last_list),
        cmocka_unit_test(what_is_not_in_use_must_be_zero),
        cmocka_unit_test(each_of_many_profiles_is_found_as_it_was_sent),
        cmocka_unit_test(without_profiles_none_is_found),
        cmocka_unit_test(services_of_the_profile_are_permitted),
        cmocka_unit_test(which_services_are_tracked_is_told_by_their_place),
        cmocka_unit_test(addresses_of_the_profile_are_permitted),
        cmocka_unit_test(every_ipv6_address_is_not_every_ipv4_address),
        cmocka_unit_test(a_destination_is_of_one_service_and_family),
        cmocka_unit_test(destinations_out_of_range_are_refused),
        cmocka_unit_test(each_destination_of_all_profiles_is_told_once),
        cmocka_unit_test(a_profile_ends_at_its_second),
        cmocka_unit_test(hours_begin_and_end_in_utc),
        cmocka_unit_test(hours_go_on_after_midnight),
        cmocka_unit_test(wrong_hours_are_refused),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
