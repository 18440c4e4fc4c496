/* What nft and the programs that save iptables' rules say of packets that are not tracked,
 * in the order in which they are asked, and which tables iptables-legacy has, parted by
 * lines of "%%". */
#include "fuzz.h"

#include <netinet/in.h>

#include "daemon/host/tool.h"
#include "daemon/host/tracking.h"

static struct input left;

FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);
bool __wrap_tool_run(struct tool *tool, const char *path, const char *const *arguments,
                     const char *input, struct error *why);

/* A part without a byte is a file that is not there, or a program that fails. */
FILE *__wrap_fopen64(const char *path, const char *mode)
{
    struct input part;

    if (!strstr(path, "_tables_names"))
        return __real_fopen64(path, mode);
    part = input_part(&left);
    return part.size > 0 ? fmemopen((void *)(uintptr_t)part.bytes, part.size, "r") : NULL;
}

bool __wrap_tool_run(struct tool *tool, const char *path, const char *const *arguments,
                     const char *input, struct error *why)
{
    struct input part = input_part(&left);

    (void)path, (void)arguments, (void)input, (void)why;
    *tool = (struct tool){.said = input_text(&part), .status = part.size == 0};
    return true;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter(); /* for a network of which only loopback is there */
    return 0;
}

static void count_report(void *data, const char *what, const char *advice)
{
    unsigned *count = data;

    REQUIRE(what[0] && advice[0]);
    (*count)++;
}

/* Told of as often as it is so; what a profile asks of it is refused. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct helper_profile policy = {
        .name = "laptop", .services = {{IPPROTO_TCP, 22}, {IPPROTO_UDP, 53}}, .service_count = 2,
        .connections = 1};
    const struct service *services = policy.services;
    struct profile profile = {.policy = &policy};
    struct config config = {.interface_count = 1, .profiles = &profile, .profile_count = 1,
                            .shut_count = 1, .shut[0] = {IPPROTO_TCP, 80}};
    struct untracked found, again;
    struct error why = {""};
    unsigned reports = 0, same = 0;
    bool is_possible;

    strcpy(config.interfaces[0], "lo");
    left = (struct input){bytes, size};
    is_possible = tracking_find(&found, &config, count_report, &reports, &why);
    REQUIRE(reports == found.count && found.count <= 3);
    REQUIRE(is_possible == !(tracking_is_untracked(&found, &services[0]) ||
                             tracking_is_untracked(&found, &services[1])));
    REQUIRE(is_possible || why.text[0]);
    for (size_t i = 0; i < found.count; i++)
        REQUIRE(tracking_is_untracked(&found, &found.services[i]));
    policy.connections = 0;
    left = (struct input){bytes, size};
    REQUIRE(tracking_find(&again, &config, count_report, &same, &why));
    REQUIRE(same == reports && tracking_equal(&found, &again));
    tracking_free_untracked(&found);
    tracking_free_untracked(&again);
    return 0;
}
