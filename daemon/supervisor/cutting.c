#include "daemon/supervisor/cutting.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/supervisor/pair.h"
#include "privsep/event.h"
#include "privsep/grantfile.h"
#include "privsep/witnessmessage.h"

enum {
    KILL_SECONDS = CUT_LIFE_SECONDS + 1, /* a process that has not ended by itself by then */
    BURST = 8, /* questions of a profile at once, and then one for each: */
};
static const int64_t rest = NSEC_PER_SEC;

void cutting_init(struct cutting *c)
{
    *c = (struct cutting){.killer.fd = -1, .prober.fd = -1, .before.file = -1, .witness = -1};
}

/* ---- the processes ------------------------------------------------------ */

/* Starts a portsmith-cut. `news` is -1 where it needs none. False with the reason in the log. */
static bool start(struct cutter *cutter, int news)
{
    cutter->pid = pair_start_program(PORTSMITH_CUT, &cutter->fd, &news, news >= 0);
    if (cutter->pid == 0 && cutter->fd >= 0)
        close(cutter->fd);
    if (cutter->pid == 0)
        cutter->fd = -1;
    cutter->until = clock_boot_ns() + (int64_t)KILL_SECONDS * NSEC_PER_SEC;
    return cutter->pid != 0;
}

/* Receives the answer. False while there is none. A process that has ended without one has
 * failed. */
static bool receive(struct cutter *cutter, struct cut_result *result)
{
    ssize_t n;

    if (cutter->fd < 0)
        return false;
    if (clock_boot_ns() >= cutter->until && cutter->pid != 0)
        kill(cutter->pid, SIGKILL);
    n = recv(cutter->fd, result, sizeof *result, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && clock_boot_ns() < cutter->until)
        return false;
    if (n != sizeof *result || result->trouble >= CUT_TROUBLES)
        *result = (struct cut_result){.trouble = CUT_BROKEN};
    close(cutter->fd);
    cutter->fd = -1;
    return true;
}

bool cutting_note_end(struct cutting *c, pid_t child, int status)
{
    static struct log_limit said; /* a witness may have one started each second, and more */
    struct cutter *cutter = child == c->killer.pid   ? &c->killer
                            : child == c->prober.pid ? &c->prober
                                                     : NULL;

    if (!cutter)
        return false;
    if (WIFSIGNALED(status))
        log_warnx_limited(&said, LINES_A_MINUTE, "portsmith-cut (pid %ld) was ended by signal %d "
                          "(%s)", (long)child, WTERMSIG(status), strsignal(WTERMSIG(status)));
    cutter->pid = 0;
    return true;
}

static void end(struct cutter *cutter)
{
    if (cutter->fd >= 0)
        close(cutter->fd);
    if (cutter->pid != 0 && kill(cutter->pid, SIGKILL) == 0)
        waitpid(cutter->pid, NULL, 0);
    *cutter = (struct cutter){.fd = -1};
}

void cutting_close(struct cutting *c)
{
    end(&c->killer);
    end(&c->prober);
    free(c->doors);
    cutting_init(c);
}

int64_t cutting_next_end(const struct cutting *c)
{
    const int64_t killer = c->killer.fd >= 0 ? c->killer.until : 0;
    const int64_t prober = c->prober.fd >= 0 ? c->prober.until : 0;

    return killer == 0 || (prober != 0 && prober < killer) ? prober : killer;
}

/* ---- the table of grants ------------------------------------------------ */

/* Opens the table of the helper that serves, or served last. False with the reason. */
static bool open_table(struct granttable_view *table, const struct config *config,
                       struct error *why)
{
    char path[CONFIG_PATH_SIZE + sizeof "/helper"];
    int directory;
    bool opened;

    snprintf(path, sizeof path, "%s/helper", config->run_directory);
    directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (directory < 0) {
        error_set(why, "%s: %s", path, strerror(errno));
        return false;
    }
    opened = granttable_open(table, directory, why);
    close(directory);
    return opened;
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

    return (one > other) - (one < other);
}

/* Reads the ids of all grants in a table, ascending, which the caller frees. NULL without
 * memory. */
static uint32_t *read_ids(const struct granttable_view *table, size_t *count)
{
    uint32_t *ids = calloc(table->capacity + 1, sizeof *ids);
    struct grant grant;

    *count = 0;
    for (size_t i = table->capacity; ids && i > 0; i--)
        if (granttable_read_pending(table, i - 1, &grant))
            ids[(*count)++] = grant.id;
    if (ids)
        qsort(ids, *count, sizeof *ids, compare_ids);
    return ids;
}

/* ---- doors that are shut ------------------------------------------------ */

static void forget_expired(struct cutting *c)
{
    const int64_t now = clock_boot_ns();
    size_t kept = 0;

    for (size_t i = 0; i < c->count; i++)
        if (c->doors[i].deadline > now)
            c->doors[kept++] = c->doors[i];
    c->count = kept;
}

/* Returns the door that was added; NULL, with a line in the log, where there is no room. */
static struct shut_door *add_door(struct cutting *c, const struct grant *grant)
{
    static struct log_limit said;
    struct shut_door *door;

    if (!c->doors)
        c->doors = calloc(CUT_DOORS_MAX, sizeof *c->doors);
    if (!c->doors || c->count == CUT_DOORS_MAX) {
        log_warnx_limited(&said, 1, "connections that came in by a closed grant cannot be ended: "
                                    "there is no memory for so many grants");
        return NULL;
    }
    door = &c->doors[c->count++];
    memset(door, 0, sizeof *door); /* what is between the fields is sent, too */
    door->door.deed = CUT_KILL;
    door->door.id = grant->id;
    door->door.address = grant->address;
    door->door.service.protocol = grant->service.protocol;
    door->door.service.port = grant->service.port;
    memcpy(door->key_id, grant->key_id, KEY_ID_SIZE);
    door->deadline = grant->deadline;
    return door;
}

void cutting_note_table(struct cutting *c, const struct config *config)
{
    struct error unused;

    if (!open_table(&c->before, config, &unused)) /* no helper has ever served */
        c->before.file = -1;
}

/* The old helper's file is another one than the new one's, and is as that left it. */
void cutting_keep_dropped(struct cutting *c, const struct config *config)
{
    struct granttable_view after;
    struct error unused;
    struct grant grant;
    uint32_t *ids = NULL;
    size_t count;

    if (c->before.file < 0)
        return;
    if (open_table(&after, config, &unused)) {
        ids = read_ids(&after, &count);
        granttable_close(&after);
    }
    for (size_t i = c->before.capacity; ids && i > 0; i--) {
        struct shut_door *door;

        if (!granttable_read_pending(&c->before, i - 1, &grant) ||
            bsearch(&grant.id, ids, count, sizeof *ids, compare_ids))
            continue;
        door = add_door(c, &grant);
        if (door)
            door->was_dropped = true;
    }
    free(ids);
    granttable_close(&c->before);
    c->before.file = -1;
    if (!cutting_is_busy(c)) /* else they are being sent */
        forget_expired(c);
}

/* ---- a close ------------------------------------------------------------ */

static bool is_meant(const struct helper_order *order, uint32_t id,
                     const uint8_t key_id[static KEY_ID_SIZE])
{
    switch (order->scope) {
    case HELPER_SCOPE_ID:
        return id == order->id;
    case HELPER_SCOPE_PROFILE:
        return id <= order->last_id && memcmp(key_id, order->key_id, KEY_ID_SIZE) == 0;
    default:
        return id <= order->last_id;
    }
}

/* Notes the doors of the grants that an order means. */
static void add_meant(struct cutting *c, const struct helper_order *order,
                      const struct granttable_view *table)
{
    struct grant grant;

    for (size_t i = table->capacity; i > 0; i--) {
        struct shut_door *door;

        if (!granttable_read_pending(table, i - 1, &grant) ||
            !is_meant(order, grant.id, grant.key_id))
            continue;
        door = add_door(c, &grant);
        if (door)
            door->is_meant = true;
        else
            c->result.trouble = CUT_TOO_MANY;
    }
}

void cutting_complete(struct cutting *c, struct helper_order *order, const struct config *config)
{
    struct granttable_view table;
    struct error why;
    const bool is_open = open_table(&table, config, &why);

    c->is_ordered = order->kill;
    c->result = (struct cut_result){.trouble = CUT_DONE};
    if (order->scope != HELPER_SCOPE_ID)
        order->last_id = is_open ? table.last_id : UINT32_MAX;
    forget_expired(c);
    for (size_t i = 0; i < c->count; i++)
        c->doors[i].is_meant =
            order->kill && is_meant(order, c->doors[i].door.id, c->doors[i].key_id);
    if (order->kill && is_open) {
        add_meant(c, order, &table);
    } else if (order->kill) {
        log_warnx("the table of grants cannot be read: %s", why.text);
        c->result.trouble = CUT_UNTABLED;
    }
    if (is_open)
        granttable_close(&table);
}

/* Compares what is, or begins with, a struct cut_door. */
static int compare_doors(const void *a, const void *b)
{
    const struct cut_door *one = a, *other = b;
    int by_address = memcmp(&one->address, &other->address, sizeof one->address);

    return by_address != 0 ? by_address : service_compare(&one->service, &other->service);
}

static bool begin_to_end(struct cutting *c)
{
    qsort(c->doors, c->count, sizeof *c->doors, compare_doors);
    c->sent = 0;
    return start(&c->killer, -1);
}

bool cutting_begin(struct cutting *c, const struct helper_report *report)
{
    size_t meant = 0;

    c->report = *report;
    if (!c->is_ordered)
        return false;
    c->is_ordered = false;
    for (size_t i = 0; i < c->count; i++) {
        struct shut_door *door = &c->doors[i];

        meant += door->is_meant;
        c->report.closed += door->is_meant && door->was_dropped;
        door->was_dropped = door->was_dropped && !door->is_meant;
    }
    if (meant == 0)
        return false;
    c->until = clock_boot_ns() + (int64_t)CUT_SECONDS * NSEC_PER_SEC;
    if (begin_to_end(c))
        return true;
    c->result.trouble = CUT_BROKEN;
    return false;
}

bool cutting_is_ordered(const struct cutting *c)
{
    return c->is_ordered;
}

void cutting_forget_order(struct cutting *c)
{
    c->is_ordered = false;
}

bool cutting_is_busy(const struct cutting *c)
{
    return c->killer.fd >= 0;
}

/* Tells of the doors, as far as there is room, and at last that these were all. */
static void send_doors(struct cutting *c)
{
    for (; c->killer.fd >= 0 && c->sent < c->count; c->sent++)
        if (c->doors[c->sent].is_meant &&
            send(c->killer.fd, &c->doors[c->sent].door, sizeof c->doors[c->sent].door,
                 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return; /* one that has ended is found out when its answer is read */
    if (c->killer.fd >= 0)
        shutdown(c->killer.fd, SHUT_WR);
}

/* Forgets the doors that are meant; with `open`, those that are among these alone. Returns how many
 * that are meant are left. */
static size_t forget_meant(struct cutting *c, const struct cut_door *open, size_t open_count)
{
    size_t kept = 0, meant = 0;

    for (size_t i = 0; i < c->count; i++) {
        const struct shut_door *door = &c->doors[i];

        if (door->is_meant &&
            (!open || bsearch(door, open, open_count, sizeof *open, compare_doors)))
            continue;
        meant += door->is_meant;
        c->doors[kept++] = *door;
    }
    c->count = kept;
    return meant;
}

/* Forgets the doors to which grants are live by now. Returns how many that are meant are left. */
static size_t forget_reopened(struct cutting *c, const struct config *config)
{
    struct granttable_view table;
    struct cut_door *open;
    struct error unused;
    struct grant grant;
    size_t count = 0, left;

    if (!open_table(&table, config, &unused))
        return SIZE_MAX;
    open = calloc(table.capacity + 1, sizeof *open);
    for (size_t i = table.capacity; open && i > 0; i--)
        if (granttable_read(&table, i - 1, &grant))
            open[count++] = (struct cut_door){.address = grant.address, .service = grant.service};
    granttable_close(&table);
    if (!open)
        return SIZE_MAX;
    qsort(open, count, sizeof *open, compare_doors);
    left = forget_meant(c, open, count);
    free(open);
    return left;
}

bool cutting_explain(const struct cut_result *result, struct error *why)
{
    const char *error = strerror((int)result->error);

    switch (result->trouble) {
    case CUT_DONE:
        return false;
    case CUT_REFUSED:
        error_set(why, "the kernel did not end %u of the connections of this host: %s",
                  result->left, error);
        return true;
    case CUT_NO_SOCKETS:
        error_set(why, "the kernel does not end connections of this host "
                       "(CONFIG_INET_DIAG_DESTROY): %s", error);
        return true;
    case CUT_UNTRACKED:
        error_set(why, "the kernel does not tell of its connections (nf_conntrack_netlink): %s",
                  error);
        return true;
    case CUT_TOO_MANY:
        error_set(why, "there are too many connections");
        return true;
    case CUT_UNTABLED:
        error_set(why, "by which grants they came in is not known without the table of grants: "
                       "run portsmithctl reload, which makes it again");
        return true;
    default:
        error_set(why, "portsmith-cut did not do its work%s%s", result->error ? ": " : "",
                  result->error ? error : "");
        return true;
    }
}

/* ---- the witness's questions -------------------------------------------- */

void cutting_answer_to(struct cutting *c, int witness)
{
    c->witness = witness;
    c->asked = 0;
}

static void answer(const struct cutting *c, uint32_t id, uint32_t error)
{
    const struct witness_answer said = {.id = id, .error = error};

    if (c->witness >= 0)
        send(c->witness, &said, sizeof said, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Whether a profile may ask now; if so, that counts. Others that have rested for long enough give
 * their place away: so all profiles together may not ask more often than there are places. */
static bool may_ask(struct cutting *c, const uint8_t key_id[static KEY_ID_SIZE])
{
    const int64_t now = clock_boot_ns();
    struct asker *asker = NULL;

    for (size_t i = 0; i < CUTTING_ASKERS; i++) {
        if (memcmp(c->askers[i].key_id, key_id, KEY_ID_SIZE) == 0) {
            asker = &c->askers[i];
            break;
        }
        if (c->askers[i].rests_until <= now)
            asker = &c->askers[i];
    }
    if (!asker)
        return false;
    if (asker->rests_until <= now) {
        memcpy(asker->key_id, key_id, KEY_ID_SIZE);
        asker->rests_until = now;
    }
    if (asker->rests_until > now + (BURST - 1) * rest)
        return false;
    asker->rests_until += rest;
    return true;
}

/* Finds a live grant that admits only so many connections. */
static bool find_grant(const struct config *config, uint32_t id, struct grant *grant)
{
    struct granttable_view table;
    struct error unused;
    bool found = false;

    if (!open_table(&table, config, &unused))
        return false;
    for (size_t i = table.capacity; i > 0 && !found; i--)
        found = granttable_read_pending(&table, i - 1, grant) && grant->id == id;
    granttable_close(&table);
    return found && grant->connections != 0;
}

void cutting_ask(struct cutting *c, const struct config *config, int news, uint32_t id)
{
    struct cut_door door = {.deed = CUT_ASK, .id = id};
    struct grant grant;

    if (c->prober.fd >= 0) {
        answer(c, id, EBUSY);
    } else if (!find_grant(config, id, &grant)) {
        answer(c, id, ENOENT);
    } else if (!may_ask(c, grant.key_id)) {
        answer(c, id, EDQUOT);
    } else if (!start(&c->prober, news)) {
        answer(c, id, EIO);
    } else {
        door.address = grant.address;
        door.service.protocol = grant.service.protocol;
        door.service.port = grant.service.port;
        send(c->prober.fd, &door, sizeof door, MSG_DONTWAIT | MSG_NOSIGNAL);
        c->asked = id;
    }
}

/* ---- serving ------------------------------------------------------------ */

void cutting_poll(const struct cutting *c, struct pollfd fds[static CUTTING_FDS])
{
    const short sends = c->sent < c->count ? POLLOUT : 0;

    fds[0] = (struct pollfd){.fd = c->killer.fd, .events = POLLIN | sends};
    fds[1] = (struct pollfd){.fd = c->prober.fd, .events = POLLIN};
}

/* Takes portsmith-cut's answer. Connections come back for good where somebody has knocked anew
 * meanwhile: those came in by a door that is open. But they have kept it from telling whether any
 * are left elsewhere: then the other doors' are ended again. True when it is over. */
static bool take_result(struct cutting *c, const struct config *config,
                        const struct cut_result *result)
{
    const uint32_t ended = c->result.ended + result->ended;
    const size_t before = c->count;

    if (result->trouble == CUT_DONE) {
        forget_meant(c, NULL, 0);
    } else if (result->trouble == CUT_TOO_MANY && clock_boot_ns() < c->until) {
        const size_t left = forget_reopened(c, config);

        c->result.ended = ended;
        if (left == 0)
            return true;
        if (c->count < before && begin_to_end(c))
            return false;
    }
    if (result->trouble != CUT_DONE)
        c->result = *result;
    c->result.ended = ended;
    return true;
}

bool cutting_serve(struct cutting *c, const struct config *config)
{
    struct cut_result result;

    if (receive(&c->prober, &result) && c->asked != 0) {
        answer(c, c->asked, result.trouble == CUT_DONE ? 0 : result.error ? result.error : EIO);
        c->asked = 0;
    }
    send_doors(c);
    return receive(&c->killer, &result) && take_result(c, config, &result);
}
