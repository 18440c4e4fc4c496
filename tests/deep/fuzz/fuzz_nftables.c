/* The way of a packet through rules as nft prints them in JSON. The first byte says of
 * what family the packet is, the second chooses its port; the rest is what nft says. */
#include "fuzz.h"

#include <netinet/in.h>

#include "daemon/host/nftables.h"
#include "daemon/host/tool.h"

enum { OVER_IPV6 = 1, OVER_UDP = 2, TOOL_FAILS = 4, FORWARDED = 8, IS_MARKED = 16 };

static const uint16_t ports[] = {22, 53, 80, 2222};
static const struct input *said; /* by nft */
static int status;

bool __wrap_tool_run(struct tool *tool, const char *path, const char *const *arguments,
                     const char *input, struct error *why);

bool __wrap_tool_run(struct tool *tool, const char *path, const char *const *arguments,
                     const char *input, struct error *why)
{
    (void)path, (void)arguments, (void)input, (void)why;
    *tool = (struct tool){.said = input_text(said), .status = status};
    return true;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    return 0;
}

/* A chain that drops the packet. */
struct closed {
    json_t *ruleset;
    const struct nftables_chains *chains;
    enum family of;
    const struct packet *packet;
    unsigned count;
};

static void is_reopened(void *data, const char *family, const char *table, const char *chain)
{
    const json_t *const *first = data;

    REQUIRE(strcmp(family, json_string_value(json_object_get(*first, "family"))) != 0 ||
            strcmp(table, json_string_value(json_object_get(*first, "table"))) != 0 ||
            strcmp(chain, json_string_value(json_object_get(*first, "chain"))) != 0);
}

/* With a first rule that accepts all, it does not drop. */
static void check_closed(void *data, const char *family, const char *table, const char *chain)
{
    struct closed *closed = data;
    const struct packet *packet = closed->packet;
    json_t *all = json_object_get(closed->ruleset, "nftables");
    json_t *rule = json_pack("{s:s, s:s, s:s, s:[{s:n}]}", "family", family, "table", table,
                             "chain", chain, "expr", "accept");

    REQUIRE(strcmp(family, "inet") == 0 || strcmp(family, closed->of == IPV6 ? "ip6" : "ip") == 0);
    if (!rule || closed->count++ > 0) /* no UTF-8; each more would have to look at all */
        return;
    REQUIRE(json_array_insert_new(all, 0, json_pack("{s:O}", "rule", rule)) == 0);
    nftables_find_drops(closed->ruleset, closed->chains, closed->of, packet, is_reopened, &rule);
    REQUIRE(json_array_remove(all, 0) == 0);
    json_decref(rule);
}

/* Where nothing is said to be untracked, nothing is. */
static void check_early(enum family of, const struct packet *packet)
{
    json_t *early = nftables_read_early();
    char by[300] = "";

    if (nftables_is_untracked(early, of, packet, by, sizeof by))
        REQUIRE(by[0] && (nftables_has_statement(early, "notrack") ||
                          memmem(said->bytes, said->size, "notrack", 7)));
    json_decref(early);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t flags = input_byte(&in);
    struct packet packet = {.interface = "eth0",
                            .service = {.protocol = flags & OVER_UDP ? IPPROTO_UDP : IPPROTO_TCP,
                                        .port = ports[input_byte(&in) % COUNT_OF(ports)]},
                            .mark = flags & IS_MARKED ? 0x100 : 0};
    const struct nftables_chains chains = {flags & FORWARDED ? "forward" : "input",
                                           flags & IS_MARKED};
    struct closed closed = {.chains = &chains, .of = flags & OVER_IPV6 ? IPV6 : IPV4, .packet = &packet};
    struct error why = {""};

    said = &in;
    status = !!(flags & TOOL_FAILS);
    closed.ruleset = nftables_read(&why);
    REQUIRE(closed.ruleset || strncmp(why.text, "nft: ", 5) == 0);
    REQUIRE(!closed.ruleset || status == 0);
    if (closed.ruleset)
        nftables_find_drops(closed.ruleset, closed.chains, closed.of, &packet, check_closed, &closed);
    check_early(closed.of, &packet);
    json_decref(closed.ruleset);
    return 0;
}
