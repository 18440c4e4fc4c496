/* What else proc(5) says of this host: sockets, routes, tables and switches. The first
 * byte is about what; then come the files in the order of `files`, parted by lines of
 * "%%". */
#include "fuzz.h"

#include <netinet/in.h>

#include "common/linux/kernel.h"
#include "daemon/host/links.h"
#include "daemon/host/listeners.h"
#include "privsep/xtables/probe.h"

static const char *const of_sockets[] = {"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp",
                                         "/proc/net/udp6", NULL};
static const char *const of_routes[] = {"/proc/net/route", "/proc/net/ipv6_route", NULL};
static const char *const of_kernel[] = {"/proc/sys/net/ipv4/ip_early_demux",
                                        "/proc/sys/net/ipv4/tcp_early_demux", "/proc/net/ip_vs",
                                        NULL};
static const char *const of_tables[] = {"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names",
                                        NULL};

static const char *const *files;
static struct input all;

FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);

/* A part without a byte is a file that is not there. */
FILE *__wrap_fopen64(const char *path, const char *mode)
{
    struct input in = all, part;

    if (!files) /* what counts which lines are run, and the sanitizers, have some, too */
        return __real_fopen64(path, mode);
    part = input_part(&in);
    for (size_t i = 0; strcmp(files[i], path) != 0; i++) {
        REQUIRE(files[i + 1]); /* no others are looked at */
        part = input_part(&in);
    }
    return part.size > 0 ? fmemopen((void *)(uintptr_t)part.bytes, part.size, "r") : NULL;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter(); /* for a network of its own */
    REQUIRE(system("ip link set lo up && ip link add docker0 type bridge && "
                   "ip address add 172.17.0.1/16 dev docker0") == 0);
    return 0;
}

static void check_listener(void *into, const struct service *service)
{
    unsigned *count = into;

    REQUIRE(service->protocol == IPPROTO_TCP || service->protocol == IPPROTO_UDP);
    if ((*count)++ < 4) /* each looks at all */
        REQUIRE(listeners_find(service) == LISTENERS_REACHABLE);
}

static void check_sockets(void)
{
    static const struct service ssh = {.protocol = IPPROTO_TCP, .port = 22};
    unsigned count = 0;

    files = of_sockets;
    listeners_each(check_listener, &count);
    REQUIRE(listeners_find(&ssh) <= LISTENERS_REACHABLE);
}

/* By its own network alone. */
static void check_docker(void)
{
    static const struct address inside = {{[10] = 0xff, [11] = 0xff, 172, 17, 0, 2}};
    static const struct address outside = {{[10] = 0xff, [11] = 0xff, 172, 18, 0, 2}};
    char name[CONFIG_INTERFACE_NAME_SIZE];

    REQUIRE(links_find_docker(&inside, name) && strcmp(name, "docker0") == 0);
    REQUIRE(!links_find_docker(&outside, name));
}

static void check_routes(void)
{
    struct link links[LINKS_MAX];
    struct config config = {.interface_count = 1};
    size_t count;

    files = of_routes;
    strcpy(config.interfaces[0], "lo");
    count = links_find(links);
    REQUIRE(count >= 1 && links_by_name(links, count, "lo") && !links_by_name(links, count, "-"));
    for (size_t i = 0; i < count; i++) {
        REQUIRE(links_is_watched(&links[i], &config) == (strcmp(links[i].name, "lo") == 0));
        REQUIRE(links[i].is_loopback == links_is_watched(&links[i], &config));
    }
    strcpy(config.interfaces[0], "any");
    REQUIRE(!links_is_watched(links_by_name(links, count, "lo"), &config));
    count = links_of_strangers(links, &config);
    for (size_t i = 0; i < count; i++)
        REQUIRE(!links[i].is_loopback);
    check_docker();
}

static void check_kernel(void)
{
    struct error why = {""};

    files = of_kernel;
    REQUIRE(kernel_finds_sockets(&why) == (why.text[0] == '\0'));
}

static void check_tables(void)
{
    files = of_tables;
    for (enum family family = IPV4; family < FAMILIES; family++) {
        REQUIRE(!probe_has_nat(BACKEND_LEGACY, family) ||
                probe_legacy_in_use(family));
        REQUIRE(probe_has_nat(BACKEND_NFT, family));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const checks[])(void) = {check_sockets, check_routes, check_kernel, check_tables};
    static const char letters[] = "srkt";
    struct input in = {bytes, size};
    const char *which = memchr(letters, input_byte(&in), sizeof letters - 1);

    all = in;
    if (which)
        checks[which - letters]();
    files = NULL;
    return 0;
}
