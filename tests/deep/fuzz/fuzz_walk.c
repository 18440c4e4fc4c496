/* The way of a packet through rules as iptables-save prints them. The first byte is
 * about the packet, the second chooses its port; the rest is the rules. */
#include "fuzz.h"

#include <netinet/in.h>

#include "daemon/host/walk.h"

enum { LOOPS_MAX = 1 };

/* Bits of the first byte. */
enum {
    OVER_UDP = 1,
    ESTABLISHED = 2,
    REPLY = 4,
    GRANTED = 8,
    ELSEWHERE = 16,
    TO_ANOTHER = 32,
    UNTRACKED = 64,
};

static const uint16_t ports[] = {22, 53, 80, 2222};
/* Where packets come in, or leave. */
static const struct {
    const char *table, *name;
} chains[] = {{"filter", "INPUT"}, {"filter", "OUTPUT"}, {"mangle", "PREROUTING"}};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    return 0;
}

static struct packet packet_of(struct input *in)
{
    static const struct address another = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 9}};
    uint8_t flags = input_byte(in);

    return (struct packet){
        .service = {.protocol = flags & OVER_UDP ? IPPROTO_UDP : IPPROTO_TCP,
                    .port = ports[input_byte(in) % COUNT_OF(ports)]},
        .interface = "eth0",
        .is_established = flags & ESTABLISHED,
        .is_reply = flags & REPLY,
        .is_granted = flags & GRANTED,
        .is_elsewhere = flags & ELSEWHERE,
        .is_untracked = flags & UNTRACKED,
        .to = flags & TO_ANOTHER ? &another : NULL,
    };
}

static bool is_inside(const struct walk_rules *rules, size_t size, const char *text)
{
    return text[0] == '\0' || (text >= rules->text && text + strlen(text) <= rules->text + size);
}

/* What was read, as iptables-save would print it. */
static char *print(const struct walk_rules *rules)
{
    const char *table = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    REQUIRE(out);
    for (size_t i = 0; i < rules->count; i++) {
        const struct walk_line *line = &rules->lines[i];

        if (line->table != table)
            fprintf(out, "*%s\n", line->table);
        table = line->table;
        fprintf(out, line->is_policy ? ":%s %s\n" : "-A %s %s\n", line->chain, line->rest);
    }
    REQUIRE(fclose(out) == 0);
    return text;
}

/* A policy is cut behind its first word, perhaps inside of quotes. */
static bool has_quoted_policy(const struct walk_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        if (rules->lines[i].is_policy &&
            (strchr(rules->lines[i].rest, '"') || strchr(rules->lines[i].chain, '"')))
            return true;
    return false;
}

static struct walk_end walk(const struct walk_rules *rules, const struct packet *packet,
                            const char *table, const char *chain)
{
    struct walk_end end = walk_through(rules, table, chain, packet);

    REQUIRE(!(end.accepts && end.drops));
    REQUIRE(!end.by_policy || end.line.is_policy);
    REQUIRE(!end.by_policy || end.line.rest);
    return end;
}

static void check_walks(const struct walk_rules *rules, const struct walk_rules *again,
                        const struct packet *packet)
{
    for (size_t i = 0; i < COUNT_OF(chains); i++) {
        struct walk_end end = walk(rules, packet, chains[i].table, chains[i].name);
        struct walk_end other = walk(again, packet, chains[i].table, chains[i].name);

        REQUIRE(end.accepts == other.accepts && end.drops == other.drops &&
                end.by_policy == other.by_policy);
    }
}

/* Jumps to a chain whose name comes no later than that of the one they are in: the kernel
 * allows no loops, and two take a walk as long as a walk may be. */
static unsigned count_loops(const struct walk_rules *rules)
{
    unsigned count = 0;

    for (size_t i = 0; i < rules->count; i++)
        for (size_t j = 0; j < rules->count && !rules->lines[i].is_policy; j++) {
            const struct walk_line *to = &rules->lines[j];

            if (to->is_policy && strcmp(to->table, rules->lines[i].table) == 0 &&
                to->chain[0] && strstr(rules->lines[i].rest, to->chain))
                count += strcmp(to->chain, rules->lines[i].chain) <= 0;
        }
    return count;
}

static void check_dnat(const struct walk_rules *rules, const struct packet *packet)
{
    struct address to;
    uint16_t port;

    if (walk_finds_dnat(rules, packet, &to, &port) && port != 0)
        REQUIRE(address_is_grantable(&to));
}

/* What keeps packets from being tracked is a rule of the raw table. */
static void check_notrack(const struct walk_rules *rules, const struct packet *packet)
{
    const struct walk_line *line = walk_find_notrack(rules, packet);

    REQUIRE(!line || (strcmp(line->table, "raw") == 0 && !line->is_policy));
    REQUIRE(!line || walk_has_target(rules, "NOTRACK") || walk_has_target(rules, "CT"));
}

static void check_lookups(const struct walk_rules *rules, size_t size)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct walk_line *line = &rules->lines[i];

        REQUIRE(is_inside(rules, size, line->table) && is_inside(rules, size, line->chain) &&
                is_inside(rules, size, line->rest));
        if (line->is_policy) {
            REQUIRE(walk_has_chain(rules, line->table, line->chain));
            continue;
        }
        REQUIRE(walk_has_rules(rules));
        REQUIRE(walk_has_rule(rules, line->table, line->chain, line->rest));
        REQUIRE(walk_has_text(rules, line->table, line->chain, line->rest));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    struct packet packet = packet_of(&in);
    struct walk_rules rules, again;
    char *text = input_text(&in);

    size = strlen(text);
    REQUIRE(walk_read(&rules, text));
    REQUIRE(walk_read(&again, print(&rules)));
    check_lookups(&rules, size);
    if (count_loops(&rules) <= LOOPS_MAX) {
        if (!has_quoted_policy(&rules))
            check_walks(&rules, &again, &packet);
        check_dnat(&rules, &packet);
        check_notrack(&rules, &packet);
    }
    walk_free(&rules);
    walk_free(&again);
    return 0;
}
