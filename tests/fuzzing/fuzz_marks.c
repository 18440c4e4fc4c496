/* The marks file as the helper finds it at its start. The first eight bytes are
 * flags: a bit for each slot of 128 bytes that is to be whole, with a right
 * checksum; the rest is the file. */
#include "fuzz.h"

#include "marks.h"

enum { SLOTS_MAX = 16, CHECKSUM_SIZE = 16, CLIENTS = 3 };

/* As marks.c stores it. */
struct slot {
    char magic[8];
    uint64_t sequence;
    uint8_t key_id[KEY_ID_SIZE];
    uint64_t counters[MARK_COUNTERS];
    uint8_t reserved[24];
    uint8_t checksum[CHECKSUM_SIZE];
};

/* Later than any date of a build, so that it decides the floor. */
static const uint64_t now = 4000000000000000;
static const uint8_t clients[CLIENTS][KEY_ID_SIZE] = {"aaaaaaa", "bbbbbbb", "ccccccc"};
static int directory;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    directory = fuzz_enter();
    return 0;
}

/* The key id becomes that of a client, as its first byte says. No client knocks
 * often enough for the sequence to reach its end. */
static void make_whole(struct slot *slot)
{
    slot->sequence >>= 1;
    memcpy(slot->magic, "PSMARK1", sizeof slot->magic);
    memcpy(slot->key_id, clients[slot->key_id[0] % CLIENTS], KEY_ID_SIZE);
    crypto_generichash(slot->checksum, CHECKSUM_SIZE, (const uint8_t *)slot,
                       offsetof(struct slot, checksum), NULL, 0);
}

static bool is_whole(const struct slot *slot)
{
    uint8_t checksum[CHECKSUM_SIZE];

    crypto_generichash(checksum, CHECKSUM_SIZE, (const uint8_t *)slot,
                       offsetof(struct slot, checksum), NULL, 0);
    return memcmp(slot->magic, "PSMARK1", sizeof slot->magic) == 0 && slot->sequence != 0 &&
           memcmp(checksum, slot->checksum, CHECKSUM_SIZE) == 0;
}

/* The state that a record of two slots stands for. */
static const struct slot *newest(const struct slot *record)
{
    bool first = is_whole(&record[0]), second = is_whole(&record[1]);

    if (first && second)
        return record[0].sequence > record[1].sequence ? &record[0] : &record[1];
    return first ? &record[0] : second ? &record[1] : NULL;
}

static void open_marks(struct marks *marks)
{
    struct error why;

    REQUIRE(helper_marks_open(marks, directory, clients[0], sizeof *clients, CLIENTS, now, &why));
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct mark *mark = helper_marks_find(marks, clients[i]);

        REQUIRE(mark);
        for (size_t c = 1; c < MARK_COUNTERS; c++)
            REQUIRE(mark->counters[c - 1] <= mark->counters[c]);
    }
}

/* Whatever a whole record calls spent is spent, and so is all below it. */
static void check_spent(struct marks *marks, const struct slot *slot)
{
    struct mark *mark = helper_marks_find(marks, slot->key_id);
    uint64_t lowest = UINT64_MAX;

    REQUIRE(mark);
    for (size_t i = 0; i < MARK_COUNTERS; i++) {
        REQUIRE(!helper_mark_is_new(mark, slot->counters[i]));
        lowest = slot->counters[i] < lowest ? slot->counters[i] : lowest;
    }
    REQUIRE(mark->counters[0] >= lowest);
}

/* A client without a whole record starts at the clock; where a record is damaged,
 * not below what the others have spent, for the lost one was of that time. */
static void check_floor(struct marks *marks, const struct slot *slots, size_t size)
{
    bool known[CLIENTS] = {false}, damaged = size % (2 * sizeof *slots) != 0;
    uint64_t floor = now, highest = 0;

    for (size_t i = 0; 2 * i * sizeof *slots < size; i++) {
        const struct slot *slot = newest(&slots[2 * i]);

        damaged |= !slot && !sodium_is_zero((const uint8_t *)&slots[2 * i], 2 * sizeof *slots);
        for (size_t c = 0; slot && c < MARK_COUNTERS; c++)
            highest = slot->counters[c] > highest ? slot->counters[c] : highest;
        for (size_t c = 0; slot && c < CLIENTS; c++)
            known[c] |= memcmp(slot->key_id, clients[c], KEY_ID_SIZE) == 0;
        if (slot)
            check_spent(marks, slot);
    }
    if (damaged && highest > floor)
        floor = highest;
    for (size_t i = 0; i < CLIENTS; i++)
        REQUIRE(known[i] || helper_marks_find(marks, clients[i])->counters[0] == floor);
}

/* The same after a restart; and a counter spent then stays spent after another. */
static void check_restarts(struct marks *marks, uint64_t counter)
{
    struct marks again;
    struct error why;

    open_marks(&again);
    REQUIRE(again.count == marks->count);
    for (size_t i = 0; i < again.count; i++)
        REQUIRE(memcmp(again.items[i].counters, marks->items[i].counters,
                       sizeof again.items[i].counters) == 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct mark *mark = helper_marks_find(&again, clients[i]);

        if (helper_mark_is_new(mark, counter))
            helper_marks_spend(&again, mark, counter);
    }
    REQUIRE(helper_marks_commit(&again, &why));
    helper_marks_close(&again);
    open_marks(&again);
    for (size_t i = 0; i < CLIENTS; i++)
        REQUIRE(!helper_mark_is_new(helper_marks_find(&again, clients[i]), counter));
    helper_marks_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    struct slot slots[SLOTS_MAX] = {0};
    struct marks marks;
    uint64_t whole, counter;

    input_take(&in, &whole, sizeof whole);
    input_take(&in, &counter, sizeof counter);
    size = in.size < sizeof slots ? in.size : sizeof slots;
    input_take(&in, slots, size);
    for (size_t i = 0; i < size / sizeof *slots; i++)
        if (whole & UINT64_C(1) << i)
            make_whole(&slots[i]);
    fuzz_write("/run/marks", slots, size);
    open_marks(&marks);
    check_floor(&marks, slots, size);
    check_restarts(&marks, counter);
    helper_marks_close(&marks);
    return 0;
}
