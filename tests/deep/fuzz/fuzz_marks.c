/* The marks file as the helper finds it at its start. The first eight bytes are
 * flags: a bit for each slot of 128 bytes that is to be whole, with a right
 * checksum, and the last for MaxSkew, on where it is set; the rest is the file. */
#include "fuzz.h"

#include "privsep/helper/marks.h"
#include "privsep/prepare/lock.h"
#include "privsep/prepare/floor.h"
#include "privsep/prepare/repair.h"

enum { SLOTS_MAX = 16, CHECKSUM_SIZE = 16, CLIENTS = 3 };

/* As marks.c stores it. */
struct slot {
    char magic[8];
    uint64_t sequence;
    uint8_t key_id[KEY_ID_SIZE];
    uint64_t counters[MARK_COUNTERS];
    uint64_t refused[MARK_REFUSED], closed;
    uint8_t checksum[CHECKSUM_SIZE];
};

/* Later than any date of a build, so that it decides the floor. */
static const uint64_t now = 4000000000000000;
static uint64_t skew;
static const uint8_t clients[CLIENTS][KEY_ID_SIZE] = {"aaaaaaa", "bbbbbbb", "ccccccc"};
static int directory;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error why;

    (void)count, (void)arguments;
    directory = fuzz_enter();
    REQUIRE(helper_marks_lock(directory, &why));
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

    REQUIRE(helper_marks_open(marks, directory, clients[0], sizeof *clients, CLIENTS, now, skew,
                              &why));
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
    bool is_floor = true;

    REQUIRE(mark);
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        is_floor = is_floor && slot->counters[i] == slot->counters[0];
    if (is_floor && skew != UINT64_MAX && slot->counters[0] > now + skew)
        return; /* nobody spent from it, and it came down */
    for (size_t i = 0; i < MARK_COUNTERS; i++) {
        REQUIRE(!helper_mark_is_new(mark, slot->counters[i]));
        lowest = slot->counters[i] < lowest ? slot->counters[i] : lowest;
    }
    REQUIRE(mark->counters[0] >= lowest || mark->counters[0] == lowest - 1);
}

static bool names(const struct slot *slot, const uint8_t *key_id)
{
    return memcmp(slot->key_id, key_id, KEY_ID_SIZE) == 0;
}

static bool has_magic(const struct slot *slot)
{
    return memcmp(slot->magic, "PSMARK1", sizeof slot->magic) == 0;
}

/* Of a record without a whole slot: the first client that a slot names, CLIENTS if both
 * name the same stranger, or -1. */
static int owner_of(const struct slot *record)
{
    for (int slot = 0; slot < 2; slot++)
        for (int i = 0; i < CLIENTS; i++)
            if (names(&record[slot], clients[i]))
                return i;
    return has_magic(&record[0]) && has_magic(&record[1]) && names(&record[0], record[1].key_id)
               ? CLIENTS
               : -1;
}

/* A client without a whole record starts at the clock; where its record may be damaged,
 * as far ahead as MaxSkew lets a knock be. */
static void check_floor(struct marks *marks, const struct slot *slots, size_t size)
{
    bool known[CLIENTS] = {false}, lost[CLIENTS + 1] = {false}, nameless = false;

    for (size_t i = 0; 2 * i * sizeof *slots < size; i++) {
        const struct slot *slot = newest(&slots[2 * i]);

        for (size_t c = 0; slot && c < CLIENTS; c++)
            known[c] |= names(slot, clients[c]);
        if (slot)
            check_spent(marks, slot);
        else if (!sodium_is_zero((const uint8_t *)&slots[2 * i], sizeof *slots)) {
            int owner = owner_of(&slots[2 * i]);

            nameless |= owner < 0;
            lost[owner < 0 ? CLIENTS : owner] = true;
        }
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct mark *mark = helper_marks_find(marks, clients[i]);

        if (known[i])
            continue;
        REQUIRE(helper_mark_is_lost(mark) == (lost[i] || nameless));
        REQUIRE(mark->counters[0] ==
                (!helper_mark_is_lost(mark) ? now : skew == UINT64_MAX ? UINT64_MAX : now + skew));
    }
}

/* A counter that is refused is not new; unless there was no room, which is told. Whatever
 * was refused and is lower stays refused, but for what is out of time. */
static void check_refusal(struct marks *marks, struct mark *mark, uint64_t counter)
{
    struct mark before = *mark;
    bool had_room = helper_marks_refuse(marks, mark, counter, now);

    REQUIRE(!had_room || !helper_mark_is_new(mark, counter));
    for (size_t i = 0; i < MARK_REFUSED; i++)
        REQUIRE(!helper_mark_is_new(mark, before.refused[i]) || before.refused[i] < now ||
                (!had_room && before.refused[i] > counter));
}

/* What is spent to close is closed: what is older opens nothing, unless the clock is to
 * blame for what is newer. */
static void spend(struct marks *marks, struct mark *mark, uint64_t counter)
{
    uint64_t before = mark->closed;

    helper_marks_spend(marks, mark, counter);
    if (counter % 4 == 1)
        return;
    helper_marks_close_at(marks, mark, counter, now);
    REQUIRE(mark->closed == before || (mark->closed == counter && counter > before));
    REQUIRE(!helper_mark_was_closed_since(marks, mark, mark->closed, now));
    REQUIRE(mark->closed == before || helper_mark_was_closed_since(marks, mark, counter - 1, now));
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
                       sizeof again.items[i].counters) == 0 &&
                helper_mark_is_lost(&again.items[i]) == helper_mark_is_lost(&marks->items[i]));
    for (size_t i = 0; i < CLIENTS; i++) {
        struct mark *mark = helper_marks_find(&again, clients[i]);

        if (helper_mark_is_new(mark, counter) && counter % 2)
            spend(&again, mark, counter);
        else
            check_refusal(&again, mark, counter);
    }
    REQUIRE(helper_marks_commit(&again, &why));
    helper_marks_close(&again);
    open_marks(&again);
    for (size_t i = 0; i < CLIENTS && counter % 2; i++)
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
    skew = whole >> 63 ? UINT64_C(300000000) : UINT64_MAX;
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
