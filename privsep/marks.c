#include "marks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "clock.h"

enum { CHECKSUM_SIZE = 16, SLOTS = 2, LOCK_POLL_MS = 20 };

#define LOCK_PATIENCE_NS (8 * (int64_t)NSEC_PER_SEC) /* iptables waits up to 5 s for its own */

struct slot {
    char magic[8];
    uint64_t sequence; /* 1 for the first state of a mark; the higher slot counts */
    uint8_t key_id[KEY_ID_SIZE];
    uint64_t counters[MARK_COUNTERS];
    uint8_t reserved[24];
    uint8_t checksum[CHECKSUM_SIZE]; /* BLAKE2b-128 of all before it */
};

struct record {
    struct slot slots[SLOTS];
};

_Static_assert(sizeof(struct slot) == 128, "a slot never straddles a disk sector");

static const char magic[8] = "PSMARK1";

static void seal_slot(struct slot *slot)
{
    crypto_generichash(slot->checksum, CHECKSUM_SIZE, (const uint8_t *)slot,
                       offsetof(struct slot, checksum), NULL, 0);
}

static bool slot_is_whole(const struct slot *slot)
{
    struct slot again = *slot;

    if (memcmp(slot->magic, magic, sizeof magic) != 0 || slot->sequence == 0)
        return false;
    seal_slot(&again);
    return memcmp(again.checksum, slot->checksum, CHECKSUM_SIZE) == 0;
}

/* The newest whole slot, or NULL when neither is. */
static const struct slot *newest_slot(const struct record *record)
{
    const struct slot *a = &record->slots[0], *b = &record->slots[1];
    bool a_whole = slot_is_whole(a), b_whole = slot_is_whole(b);

    if (a_whole && b_whole)
        return a->sequence > b->sequence ? a : b;
    return a_whole ? a : b_whole ? b : NULL;
}

static int compare_marks(const void *a, const void *b)
{
    const struct mark *left = a, *right = b;

    return memcmp(left->key_id, right->key_id, KEY_ID_SIZE);
}

static int compare_counters(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

static void take_slot(struct marks *marks, const struct slot *slot, uint32_t record)
{
    struct mark *mark = &marks->items[marks->count++];

    memcpy(mark->key_id, slot->key_id, KEY_ID_SIZE);
    memcpy(mark->counters, slot->counters, sizeof mark->counters);
    qsort(mark->counters, MARK_COUNTERS, sizeof *mark->counters, compare_counters);
    mark->sequence = slot->sequence;
    mark->record = record;
    if (mark->counters[MARK_COUNTERS - 1] > marks->highest)
        marks->highest = mark->counters[MARK_COUNTERS - 1];
}

/* The next record, the bytes that are missing at the end of the file as zeros.
 * Returns how many were there, 0 at the end, or -1 with errno set. */
static ssize_t read_record(const struct marks *marks, struct record *record)
{
    memset(record, 0, sizeof *record);
    return pread(marks->fd, record, sizeof *record, (off_t)(marks->records * sizeof *record));
}

static bool load(struct marks *marks, size_t room, struct error *why)
{
    struct record record;
    bool damaged = false;
    ssize_t n;

    while ((n = read_record(marks, &record)) > 0) {
        const struct slot *slot = newest_slot(&record);
        bool whole = n == sizeof record &&
                     (slot || sodium_is_zero((const uint8_t *)&record, sizeof record));

        if (slot && marks->count < room)
            take_slot(marks, slot, marks->records);
        damaged = damaged || !whole;
        marks->records++; /* one cut short, too: nobody else's mark may go there */
    }
    if (n < 0)
        return error_set(why, "marks: %s", strerror(errno));
    /* Somebody's mark is lost, and the clock may be wrong, too. Otherwise one
     * client's counter is nothing that another's should start from. */
    if (damaged && marks->highest > marks->floor)
        marks->floor = marks->highest;
    qsort(marks->items, marks->count, sizeof *marks->items, compare_marks);
    return true;
}

/* The lowest of the eight makes room. */
static void put_counter(struct mark *mark, uint64_t counter)
{
    mark->counters[0] = counter;
    qsort(mark->counters, MARK_COUNTERS, sizeof *mark->counters, compare_counters);
}

/* What either mark calls spent is spent: their counters, and all that is not
 * above the lowest of each. */
static void merge(struct mark *mark, const struct mark *other)
{
    uint64_t floor = mark->counters[0] > other->counters[0] ? mark->counters[0]
                                                            : other->counters[0];

    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (helper_mark_is_new(mark, other->counters[i]))
            put_counter(mark, other->counters[i]);
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (mark->counters[i] < floor)
            mark->counters[i] = floor;
}

/* After sorting: a client has two records when one was unreadable for a while. */
static void merge_doubles(struct marks *marks)
{
    size_t kept = 0;

    for (size_t i = 0; i < marks->count; i++) {
        struct mark *last = kept ? &marks->items[kept - 1] : NULL;

        if (last && compare_marks(last, &marks->items[i]) == 0)
            merge(last, &marks->items[i]);
        else
            marks->items[kept++] = marks->items[i];
    }
    marks->count = kept;
}

static void note_unwritten(struct marks *marks, struct mark *mark)
{
    if (mark->unwritten)
        return;
    mark->unwritten = true;
    marks->unwritten[marks->unwritten_count++] = (size_t)(mark - marks->items);
}

/* Gives every key id that has no mark one that starts at the floor. */
static bool add_missing(struct marks *marks, const uint8_t *key_ids, size_t stride, size_t count,
                        struct error *why)
{
    size_t known = marks->count;

    for (size_t i = 0; i < count; i++) {
        const uint8_t *key_id = key_ids + i * stride;
        struct mark wanted = {0}, *mark;

        memcpy(wanted.key_id, key_id, KEY_ID_SIZE);
        if (bsearch(&wanted, marks->items, known, sizeof wanted, compare_marks))
            continue;
        mark = &marks->items[marks->count++];
        *mark = (struct mark){.record = marks->records++};
        memcpy(mark->key_id, key_id, KEY_ID_SIZE);
        for (size_t c = 0; c < MARK_COUNTERS; c++)
            mark->counters[c] = marks->floor;
    }
    qsort(marks->items, marks->count, sizeof *marks->items, compare_marks);
    for (size_t i = 0; i < marks->count; i++)
        if (marks->items[i].sequence == 0)
            note_unwritten(marks, &marks->items[i]);
    return helper_marks_commit(marks, why);
}

static bool keep_lock(int fd, struct error *why)
{
    bool kept = dup3(fd, HELPER_FD_LOCK, O_CLOEXEC) == HELPER_FD_LOCK;

    if (!kept)
        error_set(why, "cannot keep the lock of the state directory: %s", strerror(errno));
    close(fd);
    return kept;
}

bool helper_marks_lock(int state_dir, struct error *why)
{
    /* A description of our own: one shared with the supervisor would keep the
     * lock after our end. It stays open until then. */
    int fd = openat(state_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t deadline = clock_boot_ns() + LOCK_PATIENCE_NS;

    /* A helper whose supervisor was killed, or the iptables program of one that was
     * killed itself, may still be finishing a transaction. */
    while (fd >= 0) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return keep_lock(fd, why);
        if (errno != EWOULDBLOCK || clock_boot_ns() >= deadline)
            break;
        poll(NULL, 0, LOCK_POLL_MS);
    }
    if (fd >= 0 && errno == EWOULDBLOCK)
        error_set(why, "the state directory is in use by another portsmithd");
    else
        error_set(why, "cannot lock the state directory: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return false;
}

static bool open_file(struct marks *marks, int state_dir, struct error *why)
{
    marks->fd = openat(state_dir, "marks", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (marks->fd < 0)
        return error_set(why, "cannot open the marks in the state directory: %s", strerror(errno));
    /* The file's name must be as durable as what it holds. */
    if (fsync(state_dir) != 0)
        return error_set(why, "cannot sync the state directory: %s", strerror(errno));
    /* What a helper that was killed wrote may not be on the disk yet. Were it only
     * read, the next write would go over the one slot that is. */
    if (fdatasync(marks->fd) != 0)
        return error_set(why, "cannot sync the marks: %s", strerror(errno));
    return true;
}

static uint64_t first_floor(uint64_t now)
{
    uint64_t built = (uint64_t)PORTSMITH_BUILD_DATE * USEC_PER_SEC;

    return now > built ? now : built;
}

bool helper_marks_open(struct marks *marks, int state_dir, const uint8_t *key_ids, size_t stride,
                       size_t count, uint64_t now, struct error *why)
{
    off_t size;
    size_t room;

    *marks = (struct marks){.fd = -1, .floor = first_floor(now)};
    if (!open_file(marks, state_dir, why))
        return false;
    size = lseek(marks->fd, 0, SEEK_END);
    if (size < 0)
        return error_set(why, "marks: %s", strerror(errno));
    room = (size_t)size / sizeof(struct record) + count + 1;
    marks->items = calloc(room, sizeof *marks->items);
    marks->unwritten = calloc(room, sizeof *marks->unwritten);
    if (!marks->items || !marks->unwritten)
        return error_set(why, "no memory for %zu marks", room);
    if (!load(marks, room - count, why))
        return false;
    merge_doubles(marks);
    return add_missing(marks, key_ids, stride, count, why);
}

struct mark *helper_marks_find(struct marks *marks, const uint8_t key_id[static KEY_ID_SIZE])
{
    struct mark wanted = {0};

    memcpy(wanted.key_id, key_id, KEY_ID_SIZE);
    return bsearch(&wanted, marks->items, marks->count, sizeof wanted, compare_marks);
}

bool helper_mark_is_new(const struct mark *mark, uint64_t counter)
{
    if (counter <= mark->counters[0])
        return false;
    for (size_t i = 1; i < MARK_COUNTERS; i++)
        if (mark->counters[i] == counter)
            return false;
    return true;
}

void helper_marks_spend(struct marks *marks, struct mark *mark, uint64_t counter)
{
    put_counter(mark, counter);
    note_unwritten(marks, mark);
}

static bool write_mark(struct marks *marks, const struct mark *mark)
{
    struct slot slot = {.sequence = mark->sequence + 1};
    off_t at = (off_t)(mark->record * sizeof(struct record) +
                       slot.sequence % SLOTS * sizeof(struct slot));

    memcpy(slot.magic, magic, sizeof magic);
    memcpy(slot.key_id, mark->key_id, KEY_ID_SIZE);
    memcpy(slot.counters, mark->counters, sizeof slot.counters);
    seal_slot(&slot);
    errno = ENOSPC; /* what a short write means here */
    return pwrite(marks->fd, &slot, sizeof slot, at) == sizeof slot;
}

bool helper_marks_commit(struct marks *marks, struct error *why)
{
    if (marks->unwritten_count == 0)
        return true;
    /* One slot a mark between two syncs, so that the other stays whole. */
    for (size_t i = 0; i < marks->unwritten_count; i++)
        if (!write_mark(marks, &marks->items[marks->unwritten[i]]))
            return error_set(why, "cannot write the marks: %s", strerror(errno));
    if (fdatasync(marks->fd) != 0)
        return error_set(why, "cannot sync the marks: %s", strerror(errno));
    for (size_t i = 0; i < marks->unwritten_count; i++) {
        struct mark *mark = &marks->items[marks->unwritten[i]];

        mark->unwritten = false;
        mark->sequence++;
    }
    marks->unwritten_count = 0;
    return true;
}

void helper_marks_close(struct marks *marks)
{
    if (marks->fd >= 0)
        close(marks->fd);
    free(marks->items);
    free(marks->unwritten);
    *marks = (struct marks){.fd = -1};
}
