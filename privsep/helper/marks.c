#include "privsep/helper/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/clock.h"
#include "privsep/seal.h"

enum { SLOTS = 2, LOCK_POLL_MS = 20 };

/* An iptables that runs once waits up to 5 s for its own lock. */
#define LOCK_PATIENCE_NS (8 * (int64_t)NSEC_PER_SEC)

struct slot {
    char magic[8];
    uint64_t sequence; /* 1 for the first state of a mark; the higher slot counts */
    uint8_t key_id[KEY_ID_SIZE];
    uint64_t counters[MARK_COUNTERS];
    uint64_t refused[MARK_REFUSED]; /* this and `closed` are 0 where an older build wrote them */
    uint64_t closed;
    uint8_t seal[SEAL_SIZE]; /* of all before it */
};

struct record {
    struct slot slots[SLOTS];
};

_Static_assert(sizeof(struct slot) == 128, "a slot never straddles a disk sector");

static const char magic[8] = "PSMARK1";

static bool slot_is_whole(const struct slot *slot)
{
    return memcmp(slot->magic, magic, sizeof magic) == 0 && slot->sequence != 0 &&
           seal_is_right(slot->seal, slot, offsetof(struct slot, seal));
}

/* Returns the newest whole slot, or NULL when neither is whole. */
static const struct slot *newest_slot(const struct record *record)
{
    const struct slot *a = &record->slots[0], *b = &record->slots[1];
    bool a_whole = slot_is_whole(a), b_whole = slot_is_whole(b);

    if (a_whole && b_whole)
        return a->sequence > b->sequence ? a : b;
    return a_whole ? a : b_whole ? b : NULL;
}

/* Whether a record had a mark that is lost. Nothing was acknowledged before slot 0 was written.
 * Until then slot 1 holds a floor, the writing of which may have been cut short. */
static bool is_damaged(const struct record *record)
{
    return !newest_slot(record) &&
           !sodium_is_zero((const uint8_t *)&record->slots[0], sizeof record->slots[0]);
}

static int compare_marks(const void *a, const void *b)
{
    const struct mark *left = a, *right = b;

    return memcmp(left->key_id, right->key_id, KEY_ID_SIZE);
}

/* Compares by key id. Of one client's marks, those that are not in the file come last. */
static int compare_loaded(const void *a, const void *b)
{
    const struct mark *left = a, *right = b;
    int order = compare_marks(a, b);

    return order != 0 ? order : (left->sequence == 0) - (right->sequence == 0);
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
    memcpy(mark->refused, slot->refused, sizeof mark->refused);
    mark->closed = slot->closed;
    mark->sequence = slot->sequence;
    mark->record = record;
}

/* ---- floors ------------------------------------------------------------- */

static uint64_t latest_timely(const struct marks *marks, uint64_t now)
{
    return now < UINT64_MAX - marks->skew ? now + marks->skew : UINT64_MAX;
}

/* Returns the floor of a client that has no mark, or whose mark is lost. */
static uint64_t floor_at(const struct marks *marks, bool is_lost, uint64_t now)
{
    const uint64_t built = (uint64_t)PORTSMITH_BUILD_DATE * USEC_PER_SEC;
    uint64_t floor = is_lost ? latest_timely(marks, now) : now;

    return floor > built ? floor : built;
}

static void set_floor(const struct marks *marks, struct mark *mark, bool is_lost, uint64_t now)
{
    const uint64_t floor = floor_at(marks, is_lost, now);

    for (size_t i = 0; i < MARK_COUNTERS; i++)
        mark->counters[i] = floor;
    mark->closed = is_lost ? floor : 0;
}

static void add_mark(struct marks *marks, const uint8_t *key_id, bool is_lost, uint64_t now)
{
    struct mark *mark = &marks->items[marks->count++];

    *mark = (struct mark){.sequence = 0};
    memcpy(mark->key_id, key_id, KEY_ID_SIZE);
    set_floor(marks, mark, is_lost, now);
}

bool helper_mark_is_unspent(const struct mark *mark)
{
    return mark->counters[0] == mark->counters[MARK_COUNTERS - 1];
}

bool helper_mark_is_lost(const struct mark *mark)
{
    return mark->closed != 0 && helper_mark_is_unspent(mark);
}

/* ---- reading ------------------------------------------------------------ */

/* The clients that are to have a mark. */
struct clients {
    const uint8_t *key_ids;
    size_t stride, count;
};

static bool is_client(const struct clients *clients, const uint8_t *key_id)
{
    for (size_t i = 0; i < clients->count; i++)
        if (memcmp(clients->key_ids + i * clients->stride, key_id, KEY_ID_SIZE) == 0)
            return true;
    return false;
}

/* Returns the key id of a damaged record's owner: a client that one of the slots still names, or
 * whomever both slots name. NULL: nobody can tell. */
static const uint8_t *owner_of(const struct record *record, const struct clients *clients)
{
    const struct slot *a = &record->slots[0], *b = &record->slots[1];

    if (is_client(clients, a->key_id))
        return a->key_id;
    if (is_client(clients, b->key_id))
        return b->key_id;
    if (memcmp(a->magic, magic, sizeof magic) == 0 && memcmp(b->magic, magic, sizeof magic) == 0 &&
        memcmp(a->key_id, b->key_id, KEY_ID_SIZE) == 0)
        return a->key_id;
    return NULL;
}

/* A record, the bytes that are missing at the end of the file as zeros. Returns how
 * many were there, 0 behind the end, or -1 with errno set. */
static ssize_t read_record(const struct marks *marks, uint32_t number, struct record *record)
{
    memset(record, 0, sizeof *record);
    return pread(marks->fd, record, sizeof *record, (off_t)number * (off_t)sizeof *record);
}

static bool load(struct marks *marks, size_t room, const struct clients *clients, uint64_t now,
                 struct error *why)
{
    struct record record;
    ssize_t n;

    while ((n = read_record(marks, marks->records, &record)) > 0) {
        const struct slot *slot = newest_slot(&record);
        const uint8_t *owner;

        if (slot && marks->count < room) {
            take_slot(marks, slot, marks->records);
        } else if (is_damaged(&record) && marks->count < room) {
            marks->damaged++;
            owner = owner_of(&record, clients);
            if (owner)
                add_mark(marks, owner, true, now);
            else
                marks->is_nameless = true;
        }
        marks->records++; /* a record cut short counts, too: nobody else's mark may go there */
    }
    if (n < 0)
        return error_set(why, "marks: %s", strerror(errno));
    qsort(marks->items, marks->count, sizeof *marks->items, compare_loaded);
    return true;
}

/* The lowest of the eight makes room. */
static void put_counter(struct mark *mark, uint64_t counter)
{
    mark->counters[0] = counter;
    qsort(mark->counters, MARK_COUNTERS, sizeof *mark->counters, compare_counters);
}

static bool is_spent(const struct mark *mark, uint64_t counter)
{
    if (counter <= mark->counters[0])
        return true;
    for (size_t i = 1; i < MARK_COUNTERS; i++)
        if (mark->counters[i] == counter)
            return true;
    return false;
}

bool helper_mark_refuses(const struct mark *mark, uint64_t counter)
{
    for (size_t i = 0; i < MARK_REFUSED; i++)
        if (mark->refused[i] == counter)
            return true;
    return false;
}

bool helper_mark_is_new(const struct mark *mark, uint64_t counter)
{
    return !is_spent(mark, counter) && !helper_mark_refuses(mark, counter);
}

/* See helper_marks_refuse. */
static bool list_refused(const struct marks *marks, struct mark *mark, uint64_t counter,
                         uint64_t now)
{
    uint64_t *highest = &mark->refused[0];

    if (helper_mark_refuses(mark, counter))
        return true;
    for (size_t i = 0; i < MARK_REFUSED; i++) {
        uint64_t *listed = &mark->refused[i];

        /* A counter that would be refused without being listed makes room. */
        if (*listed <= mark->counters[0] || (*listed < now && now - *listed > marks->skew)) {
            *listed = counter;
            return true;
        }
        if (*listed > *highest)
            highest = listed;
    }
    if (counter < *highest)
        *highest = counter;
    return false;
}

/* What either mark calls spent is spent: their counters, and all that is not
 * above the lowest of each. That there are two means that one was lost for a while. */
static void merge(const struct marks *marks, struct mark *mark, const struct mark *other)
{
    uint64_t floor = mark->counters[0] > other->counters[0] ? mark->counters[0]
                                                            : other->counters[0];
    bool was_spent = !helper_mark_is_unspent(mark) || !helper_mark_is_unspent(other);

    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (!is_spent(mark, other->counters[i]))
            put_counter(mark, other->counters[i]);
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (mark->counters[i] < floor)
            mark->counters[i] = floor;
    for (size_t i = 0; i < MARK_REFUSED; i++)
        if (other->refused[i])
            list_refused(marks, mark, other->refused[i], 0);
    if (was_spent && helper_mark_is_unspent(mark))
        mark->counters[0]--; /* else it would come down, and what was spent with it */
    if (mark->closed < other->closed)
        mark->closed = other->closed;
    if (mark->closed < floor)
        mark->closed = floor;
}

/* After sorting: a client has two records when one was unreadable for a while. Where the
 * other is damaged, this one replaced it. */
static void merge_doubles(struct marks *marks)
{
    size_t kept = 0;

    for (size_t i = 0; i < marks->count; i++) {
        struct mark *last = kept ? &marks->items[kept - 1] : NULL;

        if (!last || compare_marks(last, &marks->items[i]) != 0)
            marks->items[kept++] = marks->items[i];
        else if (marks->items[i].sequence > 0)
            merge(marks, last, &marks->items[i]);
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

/* Gives every key id that has no mark a mark that starts at a floor, and stores the marks that are
 * not in the file yet. From here on the marks stay where they are. */
static bool add_missing(struct marks *marks, const struct clients *clients, uint64_t now,
                        struct error *why)
{
    size_t known = marks->count;

    for (size_t i = 0; i < clients->count; i++) {
        struct mark wanted = {0};

        memcpy(wanted.key_id, clients->key_ids + i * clients->stride, KEY_ID_SIZE);
        if (!bsearch(&wanted, marks->items, known, sizeof wanted, compare_marks))
            add_mark(marks, wanted.key_id, marks->is_nameless, now);
    }
    qsort(marks->items, marks->count, sizeof *marks->items, compare_marks);
    for (size_t i = 0; i < marks->count; i++) {
        struct mark *mark = &marks->items[i];

        if (mark->sequence == 0) {
            mark->record = marks->records++;
            note_unwritten(marks, mark);
        }
    }
    helper_marks_follow_clock(marks, now);
    return helper_marks_commit(marks, why);
}

/* Wipes damaged records, whose owners have other records by now. So each is found damaged only
 * once, and a client that is added later has nothing to do with it. */
static bool wipe_damaged(const struct marks *marks, struct error *why)
{
    static const struct record nothing;
    struct record record;

    if (marks->damaged == 0)
        return true;
    for (uint32_t i = 0; i < marks->records; i++) {
        errno = ENOSPC; /* what a short write means here */
        if (read_record(marks, i, &record) < 0 ||
            (is_damaged(&record) && pwrite(marks->fd, &nothing, sizeof nothing,
                                           (off_t)i * (off_t)sizeof nothing) != sizeof nothing))
            return error_set(why, "cannot wipe what is damaged of the marks: %s", strerror(errno));
    }
    return fdatasync(marks->fd) == 0 ||
           error_set(why, "cannot sync the marks: %s", strerror(errno));
}

bool helper_marks_lock(int state_dir, struct error *why)
{
    /* The helper opens the directory again: a lock on the supervisor's open file description would
     * outlive the helper. */
    int fd = openat(state_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t deadline = clock_boot_ns() + LOCK_PATIENCE_NS;
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;

    /* A helper whose supervisor was killed, or the iptables program of one that was
     * killed itself, may still be finishing a transaction. */
    while (fd >= 0 && !locked && errno == EWOULDBLOCK && clock_boot_ns() < deadline) {
        poll(NULL, 0, LOCK_POLL_MS);
        locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    }
    if (locked && dup3(fd, HELPER_FD_LOCK, O_CLOEXEC) != HELPER_FD_LOCK)
        locked = error_set(why, "cannot keep the lock of the state directory: %s", strerror(errno));
    else if (!locked && fd >= 0 && errno == EWOULDBLOCK)
        error_set(why, "the state directory is in use by another portsmithd, or by iptables that a "
                       "killed one left behind");
    else if (!locked)
        error_set(why, "cannot lock the state directory: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return locked;
}

bool helper_marks_open(struct marks *marks, int state_dir, const uint8_t *key_ids, size_t stride,
                       size_t count, uint64_t now, uint64_t skew, struct error *why)
{
    const struct clients clients = {key_ids, stride, count};
    off_t size;
    size_t room;

    *marks = (struct marks){.fd = -1, .skew = skew};
    marks->fd = openat(state_dir, "marks", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (marks->fd < 0)
        return error_set(why, "cannot open the marks in the state directory: %s", strerror(errno));
    /* The file's name must be as durable as what it holds. */
    if (fsync(state_dir) != 0)
        return error_set(why, "cannot sync the state directory: %s", strerror(errno));
    /* What a helper that was killed wrote may not be on the disk yet. Were it only read, the next
     * write would go over the one slot that is. */
    if (fdatasync(marks->fd) != 0)
        return error_set(why, "cannot sync the marks: %s", strerror(errno));
    size = lseek(marks->fd, 0, SEEK_END);
    if (size < 0)
        return error_set(why, "marks: %s", strerror(errno));
    room = (size_t)size / sizeof(struct record) + count + 1;
    marks->items = calloc(room, sizeof *marks->items);
    marks->unwritten = calloc(room, sizeof *marks->unwritten);
    if (!marks->items || !marks->unwritten)
        return error_set(why, "no memory for %zu marks", room);
    if (!load(marks, room - count, &clients, now, why))
        return false;
    merge_doubles(marks);
    return add_missing(marks, &clients, now, why) && wipe_damaged(marks, why);
}

struct mark *helper_marks_find(struct marks *marks, const uint8_t key_id[static KEY_ID_SIZE])
{
    struct mark wanted = {0};

    memcpy(wanted.key_id, key_id, KEY_ID_SIZE);
    return bsearch(&wanted, marks->items, marks->count, sizeof wanted, compare_marks);
}

void helper_marks_follow_clock(struct marks *marks, uint64_t now)
{
    for (size_t i = 0; i < marks->count; i++) {
        struct mark *mark = &marks->items[i];

        /* Without MaxSkew the latest floor is the end of time: no floor is above it. */
        if (helper_mark_is_unspent(mark) && mark->counters[0] > floor_at(marks, true, now)) {
            set_floor(marks, mark, helper_mark_is_lost(mark), now);
            note_unwritten(marks, mark);
        }
    }
}

void helper_marks_spend(struct marks *marks, struct mark *mark, uint64_t counter)
{
    put_counter(mark, counter);
    note_unwritten(marks, mark);
}

bool helper_marks_refuse(struct marks *marks, struct mark *mark, uint64_t counter, uint64_t now)
{
    bool had_room;

    if (helper_mark_refuses(mark, counter))
        return true;
    had_room = list_refused(marks, mark, counter, now);
    if (helper_mark_refuses(mark, counter))
        note_unwritten(marks, mark);
    return had_room;
}

/* Returns the highest counter that can stand for a time that was, by the clock `now`. */
static uint64_t latest_credible(const struct marks *marks, uint64_t now)
{
    return marks->skew == UINT64_MAX ? now : latest_timely(marks, now);
}

void helper_marks_close_at(struct marks *marks, struct mark *mark, uint64_t counter, uint64_t now)
{
    if (counter <= mark->closed || counter > latest_credible(marks, now))
        return;
    mark->closed = counter;
    note_unwritten(marks, mark);
}

bool helper_mark_was_closed_since(const struct marks *marks, const struct mark *mark,
                                  uint64_t counter, uint64_t now)
{
    return counter < mark->closed && mark->closed <= latest_credible(marks, now);
}

static bool write_mark(struct marks *marks, const struct mark *mark)
{
    struct slot slot = {.sequence = mark->sequence + 1};
    off_t at = (off_t)(mark->record * sizeof(struct record) +
                       slot.sequence % SLOTS * sizeof(struct slot));

    memcpy(slot.magic, magic, sizeof magic);
    memcpy(slot.key_id, mark->key_id, KEY_ID_SIZE);
    memcpy(slot.counters, mark->counters, sizeof slot.counters);
    memcpy(slot.refused, mark->refused, sizeof slot.refused);
    slot.closed = mark->closed;
    seal_make(slot.seal, &slot, offsetof(struct slot, seal));
    errno = ENOSPC; /* what a short write means here */
    return pwrite(marks->fd, &slot, sizeof slot, at) == sizeof slot;
}

bool helper_marks_commit(struct marks *marks, struct error *why)
{
    if (marks->unwritten_count == 0)
        return true;
    /* Between two syncs one slot of a mark is written, so that its other slot stays whole. */
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
