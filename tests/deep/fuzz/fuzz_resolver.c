/* What resolvers answer: the first byte says what is asked for; then come addresses, each
 * with a byte that says which answer it is in. */
#include "fuzz.h"

#include <netinet/in.h>

#include "client/nat64.h"
#include "client/resolve.h"

enum { RECORDS_MAX = 24, SIGNS = 4, HAS_NO_NAME = 8, HAS_NO_PREFIX = 16 };

/* Whose addresses they are. */
enum { OF_HOST, OF_IPV4ONLY, ANSWERS };

struct record {
    uint8_t which;
    struct address address;
};

struct answered {
    struct addrinfo info;
    struct sockaddr_storage at;
};

static struct {
    uint8_t what;
    struct record records[RECORDS_MAX];
    size_t count;
} world;

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found);
void __wrap_freeaddrinfo(struct addrinfo *found);

static void fill(struct answered *a, const struct address *address, in_port_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};

    memcpy(&v4.sin_addr, address->bytes + 12, sizeof v4.sin_addr);
    memcpy(&v6.sin6_addr, address->bytes, sizeof v6.sin6_addr);
    if (address_is_ipv4(address))
        memcpy(&a->at, &v4, sizeof v4);
    else
        memcpy(&a->at, &v6, sizeof v6);
    a->info.ai_family = a->at.ss_family;
    a->info.ai_addr = (struct sockaddr *)&a->at;
    a->info.ai_addrlen = address_is_ipv4(address) ? sizeof v4 : sizeof v6;
}

static bool is_asked_for(const struct record *record, unsigned which, int family)
{
    int own = address_is_ipv4(&record->address) ? AF_INET : AF_INET6;

    return record->which % ANSWERS == which && (family == AF_UNSPEC || family == own);
}

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    unsigned which = strcmp(name, "ipv4only.arpa.") == 0 ? OF_IPV4ONLY : OF_HOST;

    *found = NULL;
    if (world.what & (which == OF_HOST ? HAS_NO_NAME : HAS_NO_PREFIX))
        return EAI_NONAME;
    for (size_t i = world.count; i > 0; i--) {
        struct answered *a;

        if (!is_asked_for(&world.records[i - 1], which, hints->ai_family))
            continue;
        a = calloc(1, sizeof *a);
        REQUIRE(a);
        fill(a, &world.records[i - 1].address, service ? htons(47000) : 0);
        a->info.ai_next = *found;
        *found = &a->info;
    }
    return *found ? 0 : EAI_NONAME;
}

void __wrap_freeaddrinfo(struct addrinfo *found)
{
    while (found) {
        struct addrinfo *next = found->ai_next;

        free(found); /* the first member of what was allocated */
        found = next;
    }
}

/* With an address that is not the network's own, and a way to all others. */
int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    REQUIRE(system("ip link set lo up && ip address add 2600::1/64 dev lo && "
                   "ip route add default dev lo && ip -6 route add default dev lo") == 0);
    return 0;
}

/* Whether an answer about ipv4only.arpa has one of its addresses, behind whatever prefix. */
static bool has_prefix(void)
{
    static const unsigned lengths[] = {32, 40, 48, 56, 64, 96};
    struct address v4;

    for (size_t i = 0; i < world.count * COUNT_OF(lengths); i++) {
        const struct record *record = &world.records[i / COUNT_OF(lengths)];

        if (is_asked_for(record, OF_IPV4ONLY, AF_INET6) &&
            nat64_embedded(&record->address, lengths[i % COUNT_OF(lengths)], &v4) &&
            (v4.bytes[15] | 1) == 171 && memcmp(v4.bytes + 12, "\300\0\0", 3) == 0)
            return true;
    }
    return false;
}

/* Only what stands for one of the name's own IPv4 addresses is left unsigned, however many
 * prefixes the resolver makes up. */
static void check_signing(const struct target *target, const struct address *to)
{
    struct address v4[RECORDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < world.count; i++)
        if (is_asked_for(&world.records[i], OF_HOST, AF_INET))
            v4[count++] = world.records[i].address;
    REQUIRE(!nat64_is_well_known(to) || !target->may_sign);
    REQUIRE(target->may_sign || nat64_is_well_known(to) || nat64_may_translate(to, v4, count));
    REQUIRE(target->may_sign || nat64_is_well_known(to) ||
            (has_prefix() && !(world.what & HAS_NO_PREFIX)));
}

static void check_target(const struct target *target)
{
    struct target other = *target;
    struct address to, same;
    struct error why;

    REQUIRE(address_from_sockaddr(&to, (const struct sockaddr *)&target->to));
    REQUIRE(target_is_possible(&to, "", &why));
    target_set_port(&other, 1);
    REQUIRE(address_from_sockaddr(&same, (const struct sockaddr *)&other.to));
    REQUIRE(address_equal(&to, &same));
    if (world.what & SIGNS)
        check_signing(target, &to);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNSPEC};
    static struct server server = {.host = "host.example", .port = 47000,
                                   .members = {"a.example", "b.example"}};
    struct target targets[TARGETS_MAX];
    struct input in = {bytes, size};
    struct error why = {""};
    unsigned count;

    world.what = input_byte(&in);
    for (world.count = 0; in.size > 0 && world.count < RECORDS_MAX; world.count++) {
        world.records[world.count].which = input_byte(&in);
        input_take(&in, world.records[world.count].address.bytes, sizeof(struct address));
    }
    server.member_count = world.count % 3;
    server.address.source = world.what & SIGNS ? ADDRESS_AUTO : ADDRESS_OBSERVED;
    count = resolve_server(targets, &server, families[world.what % 4], &why);
    REQUIRE(count <= TARGETS_MAX && (count > 0 || why.text[0]));
    for (unsigned i = 0; i < count; i++) {
        check_target(&targets[i]);
        REQUIRE(sodium_is_zero(targets[i].member, MEMBER_SIZE) == (server.member_count == 0));
        for (unsigned j = 0; j < i; j++)
            REQUIRE(memcmp(&targets[i].to, &targets[j].to, targets[i].size) != 0 ||
                    memcmp(targets[i].member, targets[j].member, MEMBER_SIZE) != 0);
    }
    return 0;
}
