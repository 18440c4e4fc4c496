/* What a client of the proxy sends. The first byte says whether a password is wanted, the
 * second into what pieces the rest is cut: cuts must not matter. */
#include "fuzz.h"

#include "client/proxy/socks.h"

static const struct socks_account accounts[2] = {[1] = {.username = "ann", .password = "s3cret"}};

struct heard {
    struct socks socks;
    enum socks_verdict end;
    size_t taken;
    unsigned answers;
};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    REQUIRE(sodium_init() >= 0);
    return 0;
}

static void hold(struct heard *h, const struct socks_account *account, const uint8_t *bytes,
                 size_t size, size_t piece)
{
    memset(h, 0, sizeof *h);
    socks_begin(&h->socks, account);
    while (h->taken < size && (h->end == SOCKS_MORE || h->end == SOCKS_ANSWER)) {
        size_t left = size - h->taken, n = left < piece ? left : piece, taken;

        taken = socks_take(&h->socks, bytes + h->taken, n, &h->end);
        REQUIRE(taken > 0 && taken <= n);
        REQUIRE(h->end != SOCKS_MORE || taken == n);
        h->taken += taken;
        h->answers += h->end == SOCKS_ANSWER;
        REQUIRE(h->socks.reply_size <= SOCKS_REPLY_MAX && h->answers <= 2);
    }
}

static void check_destination(const struct destination *to)
{
    REQUIRE(to->port != 0);
    if (to->has_address)
        return;
    REQUIRE(to->name[0] != '\0' && to->name[0] != '.');
    REQUIRE(strlen(to->name) < SOCKS_NAME_SIZE && to->name[strlen(to->name) - 1] != '.');
    for (const char *c = to->name; *c != '\0'; c++)
        REQUIRE(*c > ' ' && *c < 127 && !strchr("/:%@\\", *c));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    const struct socks_account *account = &accounts[input_byte(&in) & 1];
    size_t piece = input_byte(&in) % 32 + 1u;
    struct heard whole, cut;

    hold(&whole, account, in.bytes, in.size, in.size ? in.size : 1);
    hold(&cut, account, in.bytes, in.size, piece);
    REQUIRE(whole.end == cut.end && whole.taken == cut.taken && whole.answers == cut.answers);
    REQUIRE(memcmp(whole.socks.reply, cut.socks.reply, sizeof cut.socks.reply) == 0);
    REQUIRE(whole.taken <= 2 + 255 + 3 + 255 + 255 + 4 + 1 + 255 + 2);
    if (whole.end == SOCKS_REQUESTED)
        check_destination(&whole.socks.destination);
    if (whole.end == SOCKS_REQUESTED && account->username[0]) /* by these alone */
        REQUIRE(memmem(in.bytes, in.size, "\3ann\6s3cret", 11));
    return 0;
}
