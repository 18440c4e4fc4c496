#include "privsep/helper/elements.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "privsep/nftables/batch.h"
#include "privsep/nftables/element.h"

enum {
    NEW_PACKETS = 3, /* of a connection: a client sends its SYN anew until it is answered */
    ROOM = 4 << 20,    /* bytes; ten thousand elements have 2 MB */
    ROOM_MARGIN = 8192, /* for all elements of one door, and more */
};

/* How much an element ends before its grant, in milliseconds. The kernel counts from when it reads
 * the message, and it may be busy by then: what took longer is written again. What sends a door on
 * ends after what lets in: else the first packet of a connection could pass between them, and reach
 * this host's own port. */
static const int64_t early[TABLE_SETS] = {
    [TABLE_GRANTS] = 40, [TABLE_COUNTED] = 40, [TABLE_SENDING] = 20};
enum { TRIES = 5 };

void elements_open(struct elements *e, int fd, const struct plan *plan)
{
    int room = ROOM;
    socklen_t size = sizeof room;

    *e = (struct elements){.fd = fd, .destroys = plan->table.destroys,
                           .in_use = {[TABLE_GRANTS] = true,
                                      [TABLE_COUNTED] = plan->counts,
                                      [TABLE_SENDING] = plan->table.sends_on}};
    e->messages = plan_part(plan, &plan->table.messages, 1, &e->size);
    e->over = plan_part(plan, &plan->table.over, 1, &e->over_size);
    e->head = plan->table.over_head;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &size) == 0 && room > 2 * ROOM_MARGIN)
        e->most = (size_t)(room - ROOM_MARGIN);
}

/* ---- what a door is to have ------------------------------------------------ */

/* In one set. */
struct wanted {
    int64_t end;               /* CLOCK_BOOTTIME, nanoseconds; 0: nothing */
    const struct grant *grant; /* that ends then */
    uint32_t connections;      /* of all grants together that admit only so many */
    bool admits_any;           /* one admits any number */
};

static void want(struct wanted *wanted, const struct grant *grant, int64_t end)
{
    if (end > wanted->end) {
        wanted->end = end;
        wanted->grant = grant;
    }
    wanted->connections += grant->connections;
    wanted->admits_any |= grant->connections == 0;
}

/* The grants of a door. */
struct found {
    const struct grant *const *grants;
    size_t count;
};

static struct found find(const struct grants *grants, const struct door *door)
{
    static const struct grant *found[MAX_GRANTS_MOST];
    const struct grant *grant = NULL;
    size_t count = 0;

    while ((grant = helper_grants_next_at(grants, door, grant)))
        found[count++] = grant;
    return (struct found){found, count};
}

/* Returns the newest of the grants that send the door on, or NULL. */
static const struct grant *find_sender(const struct found *found)
{
    const struct grant *newest = NULL;

    for (size_t i = 0; i < found->count; i++)
        if (found->grants[i]->destination_port && (!newest || found->grants[i]->id > newest->id))
            newest = found->grants[i];
    return newest;
}

static bool is_sent_to(const struct grant *grant, const struct grant *sender)
{
    return grant->destination_port == sender->destination_port &&
           address_equal(&grant->destination, &sender->destination);
}

/* Whatever lets in what is sent on adds to the map's budget: what the map does not take would reach
 * this host's own port. */
static void weigh(const struct found *found, struct wanted wanted[static TABLE_SETS])
{
    const struct grant *sender = find_sender(found);
    struct wanted *sending = &wanted[TABLE_SENDING];

    memset(wanted, 0, TABLE_SETS * sizeof *wanted);
    for (size_t i = 0; i < found->count; i++) {
        const struct grant *grant = found->grants[i];

        if (grant->destination_port)
            want(sending, grant, is_sent_to(grant, sender) ? grant->deadline : 0);
    }
    for (size_t i = 0; i < found->count; i++) {
        const struct grant *grant = found->grants[i];

        want(&wanted[grant->connections ? TABLE_COUNTED : TABLE_GRANTS], grant,
             grant->destination_port && grant->deadline > sending->end ? sending->end
                                                                       : grant->deadline);
    }
}

/* How many packets an element admits; 0: any number. */
static uint32_t count_packets(const struct wanted *wanted)
{
    const uint32_t most = ELEMENT_PACKETS_MAX / NEW_PACKETS;

    if (wanted->admits_any)
        return 0;
    return NEW_PACKETS * (wanted->connections < most ? wanted->connections : most);
}

/* Makes the element of a set that a door is to have. False: it is to have none. */
static bool make_element(struct element *element, enum table_set set, const struct door *door,
                         const struct wanted *wanted, int64_t now)
{
    const int64_t left = (wanted->end - now) / NSEC_PER_MSEC - early[set];

    *element = (struct element){.set = set, .address = door->address, .service = door->service,
                                .timeout = ELEMENT_TIMEOUT_MIN, .destination = door->destination,
                                .destination_port = door->destination_port};
    if (!wanted->grant || left < ELEMENT_TIMEOUT_MIN)
        return false;
    element->timeout = (uint64_t)left;
    element->packets = count_packets(wanted);
    element->destination = wanted->grant->destination;
    element->destination_port = wanted->grant->destination_port;
    memcpy(element->key_id, wanted->grant->key_id, KEY_ID_SIZE);
    return true;
}

/* ---- batches --------------------------------------------------------------- */

/* Makes room for what one door may take. */
static int make_room(struct elements *e)
{
    int error = 0;

    if (e->batch.size > e->most) {
        error = batch_send(&e->batch, e->fd);
        batch_begin(&e->batch);
    }
    return error;
}

/* A batch that has just begun has nothing that the kernel could answer. */
static int finish(struct elements *e, int error)
{
    return error != 0 || e->batch.at == 0 ? error : batch_send(&e->batch, e->fd);
}

/* Whether a set may change as a grant of the door, which is the one in *door, is new, extended or
 * gone. What does not send the door on leaves the map as it is. */
static bool may_change(const struct elements *e, enum table_set set, const struct door *door,
                       const struct wanted *wanted)
{
    if (set == TABLE_SENDING)
        return e->in_use[set] && door->destination_port != 0;
    return e->in_use[set] &&
           (wanted->grant || set == (door->connections ? TABLE_COUNTED : TABLE_GRANTS));
}

/* Writes what becomes of a door that a grant changed, or left. */
static int write_door(struct elements *e, const struct grants *grants, const struct door *door,
                      int64_t now)
{
    const struct found found = find(grants, door);
    struct wanted wanted[TABLE_SETS];
    struct element element;
    int error = make_room(e);

    weigh(&found, wanted);
    for (enum table_set set = 0; set < TABLE_SETS; set++) {
        if (!may_change(e, set, door, &wanted[set]))
            continue;
        if (make_element(&element, set, door, &wanted[set], now))
            element_put(&e->batch, &element, e->destroys);
        else
            element_remove(&e->batch, &element, e->destroys);
    }
    return error;
}

/* Takes what was spent off a budget. */
static void take_spent(const struct elements *e, struct element *element, const struct door *door)
{
    const uint32_t left = e->find_left ? e->find_left(door) : UINT32_MAX;

    if (element->set != TABLE_COUNTED || left >= element->packets)
        return;
    element->is_spent = left == 0;
    if (left > 0)
        element->packets = left;
}

/* Writes the elements of a door into sets that are new. */
static int fill_door(struct elements *e, const struct found *found, int64_t now)
{
    const struct door door = helper_grants_door(found->grants[0]);
    struct wanted wanted[TABLE_SETS];
    struct element element;
    int error = make_room(e);

    weigh(found, wanted);
    for (enum table_set set = 0; set < TABLE_SETS; set++)
        if (e->in_use[set] && make_element(&element, set, &door, &wanted[set], now)) {
            take_spent(e, &element, &door);
            element_add(&e->batch, &element);
        }
    return error;
}

static int by_door(const void *a, const void *b)
{
    const struct grant *one = *(const struct grant *const *)a,
                       *other = *(const struct grant *const *)b;
    const int order = memcmp(&one->address, &other->address, sizeof one->address);

    return order != 0 ? order : service_compare(&one->service, &other->service);
}

/* `skipped` bytes of the table's messages stand in the batch in another form. The grants are sorted,
 * as to find those of each door by walks takes a third of a second where there are ten thousand. */
static int fill(struct elements *e, const struct grants *grants, int64_t now, size_t skipped)
{
    static const struct grant *sorted[MAX_GRANTS_MOST];
    struct found found = {.count = 0};
    int error = 0;

    batch_append(&e->batch, (const uint8_t *)e->messages + skipped, e->size - skipped);
    for (size_t i = 0; i < grants->count; i++)
        sorted[i] = &grants->items[i];
    if (grants->count > 0)
        qsort(sorted, grants->count, sizeof *sorted, by_door);
    for (size_t i = 0; i < grants->count && error == 0; i += found.count) {
        found = (struct found){&sorted[i], 1};
        while (i + found.count < grants->count &&
               by_door(&sorted[i], &sorted[i + found.count]) == 0)
            found.count++;
        error = fill_door(e, &found, now);
    }
    return finish(e, error);
}

static int establish(struct elements *e, const struct grants *grants, int64_t now)
{
    if (e->over_size > 0) {
        batch_begin(&e->batch);
        batch_append(&e->batch, e->over, e->over_size);
        if (fill(e, grants, now, e->head) == 0)
            return 0;
    }
    batch_begin(&e->batch);
    return fill(e, grants, now, 0);
}

/* The walk goes from the table's end, where the newest grants are, down, and only until all that
 * were touched are found. */
static int change(struct elements *e, const struct grants *grants, int64_t now)
{
    size_t touched = grants->touched_count;
    int error = 0;

    batch_begin(&e->batch);
    for (size_t i = 0; i < grants->gone_count && error == 0; i++) {
        const struct door door = helper_grants_door(&grants->gone[i]);

        error = write_door(e, grants, &door, now);
    }
    for (size_t i = grants->count; i > 0 && touched > 0 && error == 0; i--) {
        const struct door door = helper_grants_door(&grants->items[i - 1]);

        if (!grants->items[i - 1].touched)
            continue;
        touched--;
        error = write_door(e, grants, &door, now);
    }
    return finish(e, error);
}

/* Writes until that goes fast enough for what it wrote to end in time. While others change rules the
 * kernel has a writer wait; a process may be stopped, too. */
static int write_in_time(struct elements *e, const struct grants *grants,
                         int (*write)(struct elements *, const struct grants *, int64_t))
{
    int64_t begun;
    int error, tries = TRIES;

    do {
        begun = clock_boot_ns();
        error = write(e, grants, begun);
    } while (error == 0 && --tries > 0 &&
             clock_boot_ns() - begun > early[TABLE_SENDING] * NSEC_PER_MSEC);
    return error;
}

int elements_establish(struct elements *e, const struct grants *grants)
{
    return write_in_time(e, grants, establish);
}

int elements_change(struct elements *e, const struct grants *grants)
{
    return write_in_time(e, grants, change);
}
