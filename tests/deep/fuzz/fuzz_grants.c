/* The table of grants as the supervisor finds it whenever it looks, and the next helper at its
 * start. Bits of the first byte: a right head; its right seal; right seals of the records;
 * another boot; damage. Then comes a time of eight bytes; the rest is the file. */
#include "fuzz.h"

#include "common/clock.h"
#include "daemon/supervisor/reply.h"
#include "privsep/grantfile.h"
#include "privsep/helper/grants.h"
#include "privsep/prepare/takeover.h"

enum { CAPACITY = 4, FILE_MAX = 8192, HEAD = sizeof(struct granttable),
       RECORD = sizeof(struct grant), HEAD_SEALED = offsetof(struct granttable, seal) };
enum { RIGHT_HEAD = 1, RIGHT_SEAL = 2, RIGHT_RECORDS = 4, OTHER_BOOT = 8, DAMAGE = 16 };

static struct granttable right; /* the head of an empty one */
static int directory;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    directory = fuzz_enter();
    REQUIRE(granttable_begin(&right, 0));
    return 0;
}

static void seal(uint8_t *bytes, size_t size)
{
    crypto_generichash(bytes + size, SEAL_SIZE, bytes, size, NULL, 0);
}

static void make_right(uint8_t *file, size_t size, uint8_t what)
{
    uint32_t capacity = (uint32_t)((size - HEAD) / RECORD);

    if (what & RIGHT_HEAD) {
        memcpy(file, &right, offsetof(struct granttable, capacity));
        memcpy(file + offsetof(struct granttable, capacity), &capacity, sizeof capacity);
    }
    if (what & OTHER_BOOT)
        file[offsetof(struct granttable, boot_id)] ^= 1;
    if (what & RIGHT_SEAL)
        seal(file, HEAD_SEALED);
    for (size_t at = HEAD; what & RIGHT_RECORDS && at + RECORD <= size; at += RECORD)
        seal(file + at, RECORD - SEAL_SIZE);
    if (what & DAMAGE)
        file[size - SEAL_SIZE - 1] ^= 1;
}

static bool is_sealed(const uint8_t *bytes, size_t size)
{
    uint8_t copy[RECORD];

    memcpy(copy, bytes, size);
    seal(copy, size);
    return memcmp(copy + size, bytes + size, SEAL_SIZE) == 0;
}

/* How many records this boot sealed, and nobody damaged since. */
static size_t count_records(const uint8_t *file, size_t size)
{
    size_t count = 0;

    if (size < HEAD || memcmp(file, &right, offsetof(struct granttable, capacity)) != 0 ||
        !is_sealed(file, HEAD_SEALED))
        return 0;
    for (size_t at = HEAD; at + RECORD <= size; at += RECORD)
        count += is_sealed(file + at, RECORD - SEAL_SIZE);
    return count;
}

/* What the helper itself could have granted. */
static void check_taken_over(const struct grants *grants, int64_t now)
{
    for (size_t i = 0; i < grants->count; i++) {
        const struct grant *g = &grants->items[i];
        int64_t wall = clock_wall_ns() + (g->deadline - clock_boot_ns());

        REQUIRE(address_is_grantable(&g->address));
        REQUIRE((g->service.protocol == 6 || g->service.protocol == 17) && g->service.port != 0);
        REQUIRE(g->signed_address <= GRANT_SIGNED_ELSEWHERE && g->touched == 0);
        REQUIRE(g->deadline > now && (g->deadline - now) / NSEC_PER_SEC <= UINT32_MAX);
        REQUIRE(g->last_second <= wall / NSEC_PER_SEC + 5); /* should the clock be set meanwhile */
    }
}

/* The next helper finds in the new file what this one took over. */
static void check_new_file(const struct grants *grants)
{
    struct granttable_view view;
    struct error why;
    struct grant grant;

    REQUIRE(!helper_grants_lost_file(grants));
    REQUIRE(granttable_open(&view, directory, &why) && view.capacity == CAPACITY);
    for (size_t i = 0; i < CAPACITY; i++) {
        REQUIRE(granttable_read(&view, i, &grant) == (i < grants->count));
        REQUIRE(i >= grants->count || memcmp(&grant, &grants->items[i], sizeof grant) == 0);
    }
    granttable_close(&view);
}

static void list(size_t records)
{
    static const struct config config;
    static const struct control_request request = {.verb = CONTROL_LIST};
    struct granttable_view view;
    struct control_reply reply;
    struct error why;

    if (!granttable_open(&view, directory, &why)) {
        REQUIRE(why.text[0]);
        return;
    }
    reply_list(&reply, &request, &config, &view, -1);
    REQUIRE(reply.result == CONTROL_DONE && reply.count <= CONTROL_GRANTS);
    REQUIRE(reply.count <= records && (!reply.more || records > CONTROL_GRANTS));
    for (uint32_t i = 0; i < reply.count; i++)
        REQUIRE(reply.grants[i].id > (i ? reply.grants[i - 1].id : 0));
    granttable_close(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t what = input_byte(&in), file[FILE_MAX];
    struct grants grants;
    struct error why;
    size_t records;
    int64_t now;

    input_take(&in, &now, sizeof now);
    now &= INT64_MAX / 4; /* no host runs for 73 years */
    size = in.size < sizeof file ? in.size : sizeof file;
    input_take(&in, file, size);
    if (size >= HEAD)
        make_right(file, size, what);
    unlink("/run/" GRANTTABLE_FILE);
    fuzz_write("/run/" GRANTTABLE_FILE, file, size);
    records = count_records(file, size);
    list(records);
    REQUIRE(helper_grants_create(&grants, directory, CAPACITY, now, &why));
    REQUIRE(grants.count <= records && grants.count <= CAPACITY);
    helper_grants_expire(&grants, now);
    check_taken_over(&grants, now);
    check_new_file(&grants);
    helper_grants_free(&grants);
    return 0;
}
