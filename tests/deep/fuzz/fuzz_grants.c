/* The grants file as the helper finds it at its start. Bits of the first byte: a
 * right header; its right checksum; right checksums of the slots; another boot; damage. Then
 * comes a time of eight bytes; the rest is the file. */
#include "fuzz.h"

#include "common/clock.h"
#include "privsep/helper/grants.h"

enum {
    CAPACITY = 4,
    FILE_MAX = 2048,
    CHECKSUM_SIZE = 16,
    HEADER_SIZE = 64,
    SLOT_SIZE = sizeof(struct grant) + CHECKSUM_SIZE,
};
enum { RIGHT_HEADER = 1, RIGHT_CHECKSUM = 2, RIGHT_SLOTS = 4, OTHER_BOOT = 8, DAMAGE = 16 };

static const char magic[8] = "PSGRAN5";

static struct grants empty;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error why;

    (void)count, (void)arguments;
    REQUIRE(helper_grants_create(&empty, fuzz_enter(), CAPACITY, &why));
    return 0;
}

static void put_checksum(uint8_t *bytes, size_t size)
{
    crypto_generichash(bytes + size - CHECKSUM_SIZE, CHECKSUM_SIZE, bytes, size - CHECKSUM_SIZE,
                       NULL, 0);
}

static void make_right(uint8_t *file, size_t size, uint8_t what)
{
    if (what & RIGHT_HEADER) {
        memcpy(file, magic, sizeof magic);
        memcpy(file + sizeof magic, empty.boot_id, BOOT_ID_SIZE);
    }
    if (what & OTHER_BOOT)
        file[sizeof magic] ^= 1;
    if (what & RIGHT_CHECKSUM)
        put_checksum(file, HEADER_SIZE);
    for (size_t at = HEADER_SIZE; what & RIGHT_SLOTS && at + SLOT_SIZE <= size; at += SLOT_SIZE)
        put_checksum(file + at, SLOT_SIZE);
    if (what & DAMAGE)
        file[size - CHECKSUM_SIZE - 1] ^= 1;
}

static bool is_right(const uint8_t *bytes, size_t size)
{
    uint8_t copy[SLOT_SIZE];

    memcpy(copy, bytes, size);
    put_checksum(copy, size);
    return memcmp(copy, bytes, size) == 0;
}

/* How many slots this boot wrote, and nobody damaged since. */
static size_t count_slots(const uint8_t *file, size_t size)
{
    size_t count = 0;

    if (size < HEADER_SIZE || memcmp(file, magic, sizeof magic) != 0 ||
        memcmp(file + sizeof magic, empty.boot_id, BOOT_ID_SIZE) != 0 ||
        !is_right(file, HEADER_SIZE))
        return 0;
    for (size_t at = HEADER_SIZE; at + SLOT_SIZE <= size; at += SLOT_SIZE)
        count += is_right(file + at, SLOT_SIZE);
    return count;
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
        REQUIRE(g->signed_address <= GRANT_SIGNED_ELSEWHERE && g->touched == 0);
        REQUIRE(g->used <= GRANT_FLOWS && g->watched <= 1);
        REQUIRE(g->deadline > now && (g->deadline - now) / NSEC_PER_SEC <= UINT32_MAX);
        REQUIRE(g->last_second <= wall / NSEC_PER_SEC + 5); /* should the clock be set meanwhile */
    }
}

static void check_stored_again(struct grants *grants, int64_t now)
{
    struct grants again;
    struct error why;

    REQUIRE(helper_grants_save(grants, &why));
    REQUIRE(helper_grants_create(&again, grants->run_dir, CAPACITY, &why));
    helper_grants_load(&again, now);
    REQUIRE(again.count == grants->count);
    for (size_t i = 0; i < again.count; i++) {
        REQUIRE(again.items[i].deadline == grants->items[i].deadline);
        REQUIRE(memcmp(&again.items[i], &grants->items[i], offsetof(struct grant, deadline)) == 0);
    }
    helper_grants_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t what = input_byte(&in), file[FILE_MAX];
    struct grants grants;
    struct error why;
    int64_t now;

    input_take(&in, &now, sizeof now);
    now &= INT64_MAX / 4; /* no host runs for 73 years */
    size = in.size < sizeof file ? in.size : sizeof file;
    input_take(&in, file, size);
    if (size >= HEADER_SIZE)
        make_right(file, size, what);
    fuzz_write("/run/grants", file, size);
    REQUIRE(helper_grants_create(&grants, empty.run_dir, CAPACITY, &why));
    helper_grants_load(&grants, now);
    REQUIRE(grants.count <= count_slots(file, size));
    check_loaded(&grants, now);
    check_stored_again(&grants, now);
    helper_grants_free(&grants);
    return 0;
}
