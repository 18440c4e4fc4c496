#include "privsep/prepare/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "privsep/prepare/floor.h"
#include "privsep/seal.h"

/* The clients that are to have a mark. */
struct clients {
    const uint8_t *key_ids;
    size_t stride, count;
};

/* What the file holds besides marks. */
struct found {
    uint32_t records; /* unreadable ones included */
    size_t damaged;   /* of those */
    bool is_nameless; /* nobody can tell whose one of the damaged records was */
};

static int compare_marks(const void *a, const void *b)
{
    const struct mark *left = a, *right = b;

    return memcmp(left->key_id, right->key_id, KEY_ID_SIZE);
}

static bool slot_is_whole(const struct mark_slot *slot)
{
    return memcmp(slot->magic, mark_magic, sizeof mark_magic) == 0 && slot->sequence != 0 &&
           seal_is_right(slot->seal, slot, offsetof(struct mark_slot, seal));
}

/* Returns the newest whole slot, or NULL when neither is whole. */
static const struct mark_slot *newest_slot(const struct mark_record *record)
{
    const struct mark_slot *a = &record->slots[0], *b = &record->slots[1];
    bool a_whole = slot_is_whole(a), b_whole = slot_is_whole(b);

    if (a_whole && b_whole)
        return a->sequence > b->sequence ? a : b;
    return a_whole ? a : b_whole ? b : NULL;
}

/* Whether a record had a mark that is lost. Nothing was acknowledged before slot 0 was written.
 * Until then slot 1 holds a floor, the writing of which may have been cut short. */
static bool is_damaged(const struct mark_record *record)
{
    return !newest_slot(record) &&
           !sodium_is_zero((const uint8_t *)&record->slots[0], sizeof record->slots[0]);
}

/* Compares by key id. Of one client's marks, those that are not in the file come last. */
static int compare_loaded(const void *a, const void *b)
{
    const struct mark *left = a, *right = b;
    int order = compare_marks(a, b);

    return order != 0 ? order : (left->sequence == 0) - (right->sequence == 0);
}

static void take_slot(struct marks *marks, const struct mark_slot *slot, uint32_t record)
{
    struct mark *mark = &marks->items[marks->count++];

    memcpy(mark->key_id, slot->key_id, KEY_ID_SIZE);
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        helper_mark_put(mark, slot->counters[i]);
    memcpy(mark->refused, slot->refused, sizeof mark->refused);
    mark->closed = slot->closed;
    mark->sequence = slot->sequence;
    mark->record = record;
}

static void add_mark(struct marks *marks, const uint8_t *key_id, bool is_lost, uint64_t now)
{
    struct mark *mark = &marks->items[marks->count++];

    *mark = (struct mark){.sequence = 0};
    memcpy(mark->key_id, key_id, KEY_ID_SIZE);
    helper_mark_set_floor(marks, mark, is_lost, now);
}

/* ---- reading ------------------------------------------------------------ */

static bool is_client(const struct clients *clients, const uint8_t *key_id)
{
    for (size_t i = 0; i < clients->count; i++)
        if (memcmp(clients->key_ids + i * clients->stride, key_id, KEY_ID_SIZE) == 0)
            return true;
    return false;
}

/* Returns the key id of a damaged record's owner: a client that one of the slots still names, or
 * whomever both slots name. NULL: nobody can tell. */
static const uint8_t *owner_of(const struct mark_record *record, const struct clients *clients)
{
    const struct mark_slot *a = &record->slots[0], *b = &record->slots[1];

    if (is_client(clients, a->key_id))
        return a->key_id;
    if (is_client(clients, b->key_id))
        return b->key_id;
    if (memcmp(a->magic, mark_magic, sizeof mark_magic) == 0 &&
        memcmp(b->magic, mark_magic, sizeof mark_magic) == 0 &&
        memcmp(a->key_id, b->key_id, KEY_ID_SIZE) == 0)
        return a->key_id;
    return NULL;
}

/* A record, the bytes that are missing at the end of the file as zeros. Returns how
 * many were there, 0 behind the end, or -1 with errno set. */
static ssize_t read_record(const struct marks *marks, uint32_t number, struct mark_record *record)
{
    memset(record, 0, sizeof *record);
    return pread(marks->fd, record, sizeof *record, (off_t)number * (off_t)sizeof *record);
}

static bool load(struct marks *marks, size_t room, const struct clients *clients, uint64_t now,
                 struct found *found, struct error *why)
{
    struct mark_record record;
    ssize_t n;

    while ((n = read_record(marks, found->records, &record)) > 0) {
        const struct mark_slot *slot = newest_slot(&record);
        const uint8_t *owner;

        if (slot && marks->count < room) {
            take_slot(marks, slot, found->records);
        } else if (is_damaged(&record) && marks->count < room) {
            found->damaged++;
            owner = owner_of(&record, clients);
            if (owner)
                add_mark(marks, owner, true, now);
            else
                found->is_nameless = true;
        }
        found->records++; /* a record cut short counts, too: nobody else's mark may go there */
    }
    if (n < 0)
        return error_set(why, "marks: %s", strerror(errno));
    if (found->damaged > 0)
        log_warnx("of the marks in the state directory %zu were damaged", found->damaged);
    qsort(marks->items, marks->count, sizeof *marks->items, compare_loaded);
    return true;
}

/* What either mark calls spent is spent: their counters, and all that is not
 * above the lowest of each. That there are two means that one was lost for a while. */
static void merge(const struct marks *marks, struct mark *mark, const struct mark *other)
{
    uint64_t floor = mark->counters[0] > other->counters[0] ? mark->counters[0]
                                                            : other->counters[0];
    bool was_spent = !helper_mark_is_unspent(mark) || !helper_mark_is_unspent(other);

    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (!helper_mark_is_spent(mark, other->counters[i]))
            helper_mark_put(mark, other->counters[i]);
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (mark->counters[i] < floor)
            mark->counters[i] = floor;
    for (size_t i = 0; i < MARK_REFUSED; i++)
        if (other->refused[i])
            helper_mark_list(marks, mark, other->refused[i], 0);
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

/* Gives every key id that has no mark a mark that starts at a floor, and stores the marks that are
 * not in the file yet. From here on the marks stay where they are. */
static bool add_missing(struct marks *marks, const struct clients *clients, uint64_t now,
                        struct found *found, struct error *why)
{
    size_t known = marks->count;

    for (size_t i = 0; i < clients->count; i++) {
        struct mark wanted = {0};

        memcpy(wanted.key_id, clients->key_ids + i * clients->stride, KEY_ID_SIZE);
        if (!bsearch(&wanted, marks->items, known, sizeof wanted, compare_marks))
            add_mark(marks, wanted.key_id, found->is_nameless, now);
    }
    qsort(marks->items, marks->count, sizeof *marks->items, compare_marks);
    for (size_t i = 0; i < marks->count; i++) {
        struct mark *mark = &marks->items[i];

        if (mark->sequence == 0) {
            mark->record = found->records++;
            helper_mark_note(marks, mark);
        }
    }
    helper_marks_follow_clock(marks, now);
    return helper_marks_commit(marks, why);
}

/* Wipes damaged records, whose owners have other records by now. So each is found damaged only
 * once, and a client that is added later has nothing to do with it. */
static bool wipe_damaged(const struct marks *marks, const struct found *found, struct error *why)
{
    static const struct mark_record nothing;
    struct mark_record record;

    if (found->damaged == 0)
        return true;
    for (uint32_t i = 0; i < found->records; i++) {
        errno = ENOSPC; /* what a short write means here */
        if (read_record(marks, i, &record) < 0 ||
            (is_damaged(&record) && pwrite(marks->fd, &nothing, sizeof nothing,
                                           (off_t)i * (off_t)sizeof nothing) != sizeof nothing))
            return error_set(why, "cannot wipe what is damaged of the marks: %s", strerror(errno));
    }
    return fdatasync(marks->fd) == 0 ||
           error_set(why, "cannot sync the marks: %s", strerror(errno));
}

bool helper_marks_open(struct marks *marks, int state_dir, const uint8_t *key_ids, size_t stride,
                       size_t count, uint64_t now, uint64_t skew, struct error *why)
{
    const struct clients clients = {key_ids, stride, count};
    struct found found = {0};
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
    room = (size_t)size / sizeof(struct mark_record) + count + 1;
    marks->items = calloc(room, sizeof *marks->items);
    marks->unwritten = calloc(room, sizeof *marks->unwritten);
    if (!marks->items || !marks->unwritten)
        return error_set(why, "no memory for %zu marks", room);
    if (!load(marks, room - count, &clients, now, &found, why))
        return false;
    merge_doubles(marks);
    return add_missing(marks, &clients, now, &found, why) && wipe_damaged(marks, &found, why);
}

struct mark *helper_marks_find(struct marks *marks, const uint8_t key_id[static KEY_ID_SIZE])
{
    struct mark wanted = {0};

    memcpy(wanted.key_id, key_id, KEY_ID_SIZE);
    return bsearch(&wanted, marks->items, marks->count, sizeof wanted, compare_marks);
}

void helper_marks_tell_lost(struct marks *marks, const struct policy *policy)
{
    enum { NAMED = 20 };
    size_t lost = 0;

    for (size_t i = 0; i < policy->setup.profile_count; i++) {
        const struct policy_entry *entry = &policy->entries[i];
        const struct mark *mark = helper_marks_find(marks, entry->key_id);
        const struct log_about about = {.profile = entry->profile->name};

        if (!helper_mark_is_lost(mark) || mark->counters[0] <= clock_wall_us() || ++lost > NAMED)
            continue;
        if (mark->counters[0] == UINT64_MAX && !policy->setup.skew_checked)
            log_warnx_about(&about, "%s: the record of its knocks was damaged: it stays out until "
                                    "it is added again, with a new key", about.profile);
        else
            log_warnx_about(&about, "%s: the record of its knocks was damaged: it is heard again "
                                    "in a while (MaxSkew)", about.profile);
    }
    if (lost > NAMED)
        log_warnx("and so were those of %zu more profiles", lost - NAMED);
}

void helper_marks_close(struct marks *marks)
{
    if (marks->fd >= 0)
        close(marks->fd);
    free(marks->items);
    free(marks->unwritten);
    *marks = (struct marks){.fd = -1};
}
