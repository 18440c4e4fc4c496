/* The grants file as the helper finds it at its start. Bits of the first byte: a
 * right header; a right count; a right checksum; another boot; damage. Then comes a
 * time of eight bytes; the rest is the file. */
#include "fuzz.h"

#include "clock.h"
#include "grants.h"

enum { CAPACITY = 4, FILE_MAX = 1024, HEADER_SIZE = 52, CHECKSUM_SIZE = 16, COUNT_AT = 44 };
enum { RIGHT_HEADER = 1, RIGHT_COUNT = 2, RIGHT_CHECKSUM = 4, OTHER_BOOT = 8, DAMAGE = 16 };

static struct grants empty;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error why;

    (void)count, (void)arguments;
    REQUIRE(helper_grants_create(&empty, fuzz_enter(), CAPACITY, &why));
    return 0;
}

static void make_right(uint8_t *file, size_t size, uint8_t what)
{
    uint32_t count = (uint32_t)((size - HEADER_SIZE - CHECKSUM_SIZE) / sizeof(struct grant));

    if (what & RIGHT_HEADER) {
        memcpy(file, "PSGRAN2", 8);
        memcpy(file + 8, empty.boot_id, BOOT_ID_SIZE);
    }
    if (what & OTHER_BOOT)
        file[8] ^= 1;
    if (what & RIGHT_COUNT)
        memcpy(file + COUNT_AT, &count, sizeof count);
    if (what & RIGHT_CHECKSUM)
        crypto_generichash(file + size - CHECKSUM_SIZE, CHECKSUM_SIZE, file, size - CHECKSUM_SIZE,
                           NULL, 0);
    if (what & DAMAGE)
        file[size - CHECKSUM_SIZE - 1] ^= 1;
}

/* By this boot, and not damaged since. */
static bool is_whole(const uint8_t *file, size_t size)
{
    uint8_t checksum[CHECKSUM_SIZE];

    if (size < HEADER_SIZE + CHECKSUM_SIZE)
        return false;
    crypto_generichash(checksum, CHECKSUM_SIZE, file, size - CHECKSUM_SIZE, NULL, 0);
    return memcmp(file, "PSGRAN2", 8) == 0 && memcmp(file + 8, empty.boot_id, BOOT_ID_SIZE) == 0 &&
           memcmp(checksum, file + size - CHECKSUM_SIZE, CHECKSUM_SIZE) == 0;
}

/* What the helper itself could have granted. */
static void check_loaded(const struct grants *grants, int64_t now)
{
    REQUIRE(grants->count <= CAPACITY);
    for (size_t i = 0; i < grants->count; i++) {
        const struct grant *g = &grants->items[i];
        int64_t wall = clock_wall_ns() + (g->deadline - clock_boot_ns());

        REQUIRE(address_is_grantable(&g->address));
        REQUIRE((g->service.protocol == 6 || g->service.protocol == 17) && g->service.port != 0);
        REQUIRE(g->signed_address <= 1 && g->touched == 0 && g->flow_count <= GRANT_FLOWS);
        REQUIRE(g->deadline > now && (g->deadline - now) / NSEC_PER_SEC <= UINT32_MAX);
        REQUIRE(g->last_second <= wall / NSEC_PER_SEC + 5); /* should the clock be set meanwhile */
    }
}

static void check_stored_again(const struct grants *grants, int64_t now)
{
    struct grant items[CAPACITY];
    struct grants again = empty;
    struct error why;

    again.items = items;
    REQUIRE(helper_grants_save(grants, &why));
    helper_grants_load(&again, now);
    REQUIRE(again.count == grants->count);
    for (size_t i = 0; i < again.count; i++) {
        REQUIRE(again.items[i].deadline == grants->items[i].deadline);
        REQUIRE(memcmp(&again.items[i], &grants->items[i], offsetof(struct grant, deadline)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t what = input_byte(&in), file[FILE_MAX];
    struct grant items[CAPACITY];
    struct grants grants = empty;
    int64_t now;

    input_take(&in, &now, sizeof now);
    now &= INT64_MAX / 4; /* no host runs for 73 years */
    size = in.size < sizeof file ? in.size : sizeof file;
    input_take(&in, file, size);
    if (size >= HEADER_SIZE + CHECKSUM_SIZE)
        make_right(file, size, what);
    fuzz_write("/run/grants", file, size);
    grants.items = items;
    helper_grants_load(&grants, now);
    REQUIRE(grants.count == 0 || is_whole(file, size));
    check_loaded(&grants, now);
    check_stored_again(&grants, now);
    return 0;
}
