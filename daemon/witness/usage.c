#include "daemon/witness/usage.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/clock.h"
#include "privsep/grantfile.h"

enum { MARK_PATIENCE = 1 /* seconds; a mark comes microseconds after its event */ };

/* ---- what is written down ----------------------------------------------- */

static struct use *use_of(const struct usage *usage, const struct watch *watch)
{
    return &usage->uses[watch - usage->watches];
}

/* To be called before a use is changed, and after. Whoever reads it meanwhile, or finds it after
 * this process was killed, sees that nothing is known. So it is as long as there is something to
 * be asked. */
static void open_use(struct use *use)
{
    use->id = 0;
    atomic_thread_fence(memory_order_seq_cst);
}

static void close_use(struct use *use, const struct watch *watch)
{
    use->allowance = watch->allowance;
    use->known = watch->state == WATCH_COUNTS || use->used > 0 ? USE_COUNTED : USE_UNKNOWN;
    atomic_thread_fence(memory_order_seq_cst);
    use->id = watch->must_ask ? 0 : watch->id;
}

static bool is_known(const struct use *use, uint32_t flow)
{
    for (uint32_t i = 0; i < use->flow_count; i++)
        if (use->flows[i] == flow)
            return true;
    return false;
}

/* Keeps the number of a connection. Where there are too many, the oldest goes: it would be counted
 * again if the kernel was asked. */
static void remember(struct use *use, uint32_t flow)
{
    if (use->flow_count == USE_FLOWS) {
        memmove(use->flows, use->flows + 1, (USE_FLOWS - 1) * sizeof *use->flows);
        use->flow_count--;
    }
    use->flows[use->flow_count++] = flow;
}

/* ---- watches ------------------------------------------------------------ */

static struct watch *find(const struct usage *usage, uint32_t id)
{
    for (size_t i = 0; i < usage->top; i++)
        if (usage->watches[i].state != WATCH_NONE && usage->watches[i].id == id)
            return &usage->watches[i];
    return NULL;
}

/* Where there is no room, something goes that an earlier witness wrote down, of a grant that nobody
 * told of yet: it may have written anything. */
static struct watch *find_free(struct usage *usage)
{
    struct watch *unknown = NULL;

    for (size_t i = 0; i < usage->top; i++) {
        if (usage->watches[i].state == WATCH_NONE)
            return &usage->watches[i];
        if (usage->watches[i].service.port == 0)
            unknown = &usage->watches[i];
    }
    if (usage->top < usage->capacity)
        return &usage->watches[usage->top++];
    if (unknown) {
        *use_of(usage, unknown) = (struct use){.id = 0};
        *unknown = (struct watch){.state = WATCH_NONE};
    }
    return unknown;
}

static void forget(struct usage *usage, struct watch *watch)
{
    *use_of(usage, watch) = (struct use){.id = 0};
    *watch = (struct watch){.state = WATCH_NONE};
    while (usage->top > 0 && usage->watches[usage->top - 1].state == WATCH_NONE)
        usage->top--;
}

static bool is_through(const struct flow *flow, const struct watch *watch)
{
    return address_equal(&flow->from, &watch->address) &&
           service_compare(&flow->to, &watch->service) == 0;
}

/* Whether an id, or a mark, comes after another one. */
static bool is_after(uint32_t number, uint32_t other)
{
    return (int32_t)(number - other) > 0;
}

static bool is_waiting(const struct usage *usage, const struct watch *watch)
{
    return watch->state == WATCH_BEGINS ||
           (watch->state == WATCH_COUNTS &&
            (watch->connections > 0 || use_of(usage, watch)->used == 0));
}

/* From here on the connections of a grant are known, but for those that it must ask for. */
static void start(struct usage *usage, struct watch *watch, bool must_ask)
{
    struct use *use = use_of(usage, watch);

    open_use(use);
    watch->state = WATCH_COUNTS;
    watch->must_ask = must_ask;
    close_use(use, watch);
}

/* From here on it is not known whether connections come. A grant that admits only so many is asked
 * for. */
static void lose_sight(struct usage *usage, struct watch *watch)
{
    struct use *use = use_of(usage, watch);

    if (watch->connections > 0) {
        start(usage, watch, true);
        return;
    }
    open_use(use);
    watch->state = WATCH_BLIND;
    close_use(use, watch);
}

static void add_connection(struct usage *usage, struct watch *watch, uint32_t flow)
{
    struct use *use = use_of(usage, watch);

    open_use(use);
    remember(use, flow);
    if (use->used < CONNECTIONS_MAX)
        use->used++;
    watch->must_end = watch->connections > 0 && use->used >= watch->connections;
    close_use(use, watch);
}

/* Counts a connection for a grant that waits for one, if it came in through that. */
static void count_through(struct usage *usage, struct watch *watch, const struct flow *flow)
{
    if (!is_waiting(usage, watch) || !is_through(flow, watch) ||
        is_known(use_of(usage, watch), flow->id)) /* UDP may be told of twice */
        return;
    if (watch->state == WATCH_COUNTS)
        add_connection(usage, watch, flow->id);
    else
        remember(use_of(usage, watch), flow->id);
}

/* ---- the table of grants ------------------------------------------------ */

static bool is_sound(const struct use *use)
{
    return use->id != 0 && use->known <= USE_COUNTED && use->used <= CONNECTIONS_MAX &&
           use->flow_count <= USE_FLOWS;
}

/* Goes on with what an earlier witness has written down. Whose grant it is the table tells, or the
 * event that it has ended. */
static void adopt(struct usage *usage, struct watch *watch)
{
    struct use *use = use_of(usage, watch);

    usage->top = (size_t)(watch - usage->watches) + 1;
    if (!is_sound(use)) {
        forget(usage, watch);
        return;
    }
    *watch = (struct watch){.id = use->id, .allowance = use->allowance,
                            .state = use->known == USE_COUNTED ? WATCH_COUNTS : WATCH_BLIND};
}

/* Whether something was written into record `i`. To read the mapping would give each record
 * memory. */
static bool is_written(int file, size_t i)
{
    static const struct use none;
    struct use use;

    return pread(file, &use, sizeof use, (off_t)(i * sizeof use)) != (ssize_t)sizeof use ||
           memcmp(&use, &none, sizeof use) != 0;
}

bool usage_open(struct usage *usage, const struct clients *clients,
                const struct granttable_view *table, int file, size_t capacity,
                struct error *why)
{
    *usage = (struct usage){.clients = clients, .capacity = capacity, .table = table,
                            .told = table->last_id_before, .lost = table->last_id_before};
    /* calloc(3) would give memory to watches that no grant needs. */
    usage->watches = mmap(NULL, capacity * sizeof *usage->watches, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    usage->uses = mmap(NULL, capacity * sizeof *usage->uses, PROT_READ | PROT_WRITE, MAP_SHARED,
                       file, 0);
    if (usage->watches == MAP_FAILED || usage->uses == MAP_FAILED)
        return error_set(why, "cannot map the uses of %zu grants: %s", capacity, strerror(errno));
    for (size_t i = 0; i < capacity; i++)
        if (is_written(file, i))
            adopt(usage, &usage->watches[i]);
    return true;
}

static bool is_tracked(const struct usage *usage, const struct watch *watch)
{
    const struct client *client = clients_find(usage->clients, watch->key_id);

    return client && client_is_tracked(client, &watch->service);
}

/* Watches a grant that no event told of. */
static void recognise(struct usage *usage, struct watch *watch, const struct grant *grant)
{
    const bool is_same = watch->state != WATCH_NONE && watch->allowance == grant->allowance;
    const bool is_counted = is_same && watch->state == WATCH_COUNTS;
    struct use *use = use_of(usage, watch);

    if (!is_same)
        use->used = 0;
    *watch = (struct watch){.id = grant->id, .allowance = grant->allowance,
                            .connections = grant->connections, .address = grant->address,
                            .service = grant->service};
    memcpy(watch->key_id, grant->key_id, KEY_ID_SIZE);
    if (is_counted && is_tracked(usage, watch))
        start(usage, watch, false);
    else
        lose_sight(usage, watch);
    watch->must_end = watch->connections > 0 &&
                      (use->used >= watch->connections || !is_tracked(usage, watch));
}

void usage_follow_table(struct usage *usage)
{
    const struct granttable_view *table = usage->table;
    enum { ABSENCES = 2 };
    struct grant grant;

    for (size_t i = 0; i < usage->top; i++)
        if (usage->watches[i].state != WATCH_NONE)
            usage->watches[i].absences++;
    for (size_t i = table->capacity; i > 0; i--) { /* downwards, as granttable.h says */
        struct watch *watch;

        if (!granttable_read(table, i - 1, &grant))
            continue;
        watch = find(usage, grant.id);
        if (!watch)
            watch = find_free(usage);
        if (!watch)
            break;
        if (watch->service.port == 0)
            recognise(usage, watch, &grant);
        watch->absences = 0;
    }
    for (size_t i = 0; i < usage->top; i++)
        if (usage->watches[i].absences >= ABSENCES)
            forget(usage, &usage->watches[i]);
}

/* ---- events ------------------------------------------------------------- */

bool usage_begin(struct usage *usage, const struct helper_event *event, int64_t now)
{
    struct watch *watch = find(usage, event->id);

    if (!watch)
        watch = find_free(usage);
    if (!watch)
        return false;
    usage->begun = event->begun;
    open_use(use_of(usage, watch));
    use_of(usage, watch)->used = 0;
    *watch = (struct watch){.id = event->id, .allowance = event->allowance,
                            .connections = event->connections, .begun = event->begun,
                            .begun_at = now, .address = event->address,
                            .service = event->services[0], .state = WATCH_BEGINS};
    memcpy(watch->key_id, event->key_id, KEY_ID_SIZE);
    return true;
}

/* Watches a new grant, and counts what came before its event did. */
static void begin_opened(struct usage *usage, struct watch *watch,
                         const struct helper_event *event, size_t i)
{
    *use_of(usage, watch) = (struct use){.id = 0};
    *watch = (struct watch){.id = event->opened[i], .address = event->address,
                            .service = event->services[i]};
    memcpy(watch->key_id, event->key_id, KEY_ID_SIZE);
    if (!event->is_listening || !is_tracked(usage, watch) || !is_after(watch->id, usage->lost)) {
        lose_sight(usage, watch);
        return;
    }
    start(usage, watch, false);
    for (size_t j = 0; j < usage->early_count; j++)
        count_through(usage, watch, &usage->early[j].flow);
}

/* Forgets what did not come in through any grant that is still to be told of. */
static void forget_early(struct usage *usage)
{
    size_t kept = 0;

    for (size_t i = 0; i < usage->early_count; i++)
        if (is_after(usage->early[i].last_id, usage->told))
            usage->early[kept++] = usage->early[i];
    usage->early_count = kept;
}

bool usage_begin_opened(struct usage *usage, const struct helper_event *event)
{
    for (size_t i = 0; i < event->service_count; i++) {
        struct watch *watch = find(usage, event->opened[i]);

        if (event->opened[i] == 0)
            continue;
        usage->told = event->opened[i];
        if (event->verdict != VERDICT_OPENED || (watch && watch->connections > 0))
            continue; /* what admits only so many has begun before */
        if (!watch)
            watch = find_free(usage);
        if (!watch)
            return false;
        begin_opened(usage, watch, event, i);
    }
    forget_early(usage);
    return true;
}

/* Returns what is known of the use of a grant that has ended, which may be nothing. */
static enum was_used what_is_known(const struct usage *usage, const struct watch *watch)
{
    if (!watch)
        return USED_UNKNOWN;
    if (use_of(usage, watch)->used > 0)
        return USED_SOME;
    return watch->state == WATCH_BLIND || watch->must_ask ? USED_UNKNOWN : USED_NOT;
}

void usage_end(struct usage *usage, const struct helper_event *event, struct ended *ended)
{
    struct watch *watch = find(usage, event->id);

    *ended = (struct ended){.address = event->address, .service = event->services[0],
                            .end = event->end, .use = what_is_known(usage, watch)};
    memcpy(ended->key_id, event->key_id, KEY_ID_SIZE);
    if (event->end == END_COUNTED &&
        (!watch || use_of(usage, watch)->used < watch->connections))
        ended->end = END_UNWITNESSED;
    if (watch)
        forget(usage, watch);
}

/* ---- news --------------------------------------------------------------- */

bool usage_pass_mark(struct usage *usage, uint32_t begun)
{
    for (size_t i = 0; i < usage->top; i++) {
        struct watch *watch = &usage->watches[i];

        if (watch->state == WATCH_BEGINS && watch->begun == begun)
            start(usage, watch, false);
    }
    return !is_after(begun, usage->begun);
}

void usage_count(struct usage *usage, const struct flow *flow)
{
    const uint32_t last_id = granttable_last_id(usage->table);

    for (size_t i = 0; i < usage->top; i++)
        count_through(usage, &usage->watches[i], flow);
    if (!is_after(last_id, usage->told))
        return;
    if (usage->early_count < EARLY_MAX)
        usage->early[usage->early_count++] = (struct early){*flow, last_id};
    else
        usage->lost = last_id;
}

void usage_lose_news(struct usage *usage)
{
    for (size_t i = 0; i < usage->top; i++)
        if (is_waiting(usage, &usage->watches[i]))
            lose_sight(usage, &usage->watches[i]);
    usage->ask_again = true;
    usage->lost = granttable_last_id(usage->table);
}

int64_t usage_give_up_marks(struct usage *usage, int64_t now)
{
    const int64_t patience = (int64_t)MARK_PATIENCE * NSEC_PER_SEC;
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < usage->top; i++) {
        struct watch *watch = &usage->watches[i];

        if (watch->state != WATCH_BEGINS)
            continue;
        if (now - watch->begun_at >= patience)
            lose_sight(usage, watch);
        else if (watch->begun_at + patience < next)
            next = watch->begun_at + patience;
    }
    return next;
}

/* ---- questions ---------------------------------------------------------- */

uint32_t usage_next_question(const struct usage *usage)
{
    for (size_t i = 1; usage->asked == 0 && i <= usage->top; i++) {
        const struct watch *watch = &usage->watches[(usage->asked_at + i) % usage->top];

        if (watch->state == WATCH_COUNTS && watch->must_ask && !watch->must_end)
            return watch->id;
    }
    return 0;
}

void usage_ask(struct usage *usage, uint32_t id)
{
    struct watch *watch = find(usage, id);

    usage->asked = id;
    usage->asked_at = (size_t)(watch - usage->watches);
    usage->asked_allowance = watch->allowance;
    usage->ask_again = false;
}

/* Returns the grant that was asked for, unless that has ended, or admits connections anew. */
static struct watch *find_asked(const struct usage *usage, uint32_t id)
{
    struct watch *watch = id != 0 && id == usage->asked ? find(usage, id) : NULL;

    return watch && watch->state == WATCH_COUNTS && watch->allowance == usage->asked_allowance
               ? watch : NULL;
}

void usage_count_answer(struct usage *usage, uint32_t id, const struct flow *flow)
{
    struct watch *watch = find_asked(usage, id);

    if (watch && flow->was_made && is_through(flow, watch) &&
        !is_known(use_of(usage, watch), flow->id))
        add_connection(usage, watch, flow->id);
}

void usage_put_off_question(struct usage *usage, uint32_t id)
{
    if (id == usage->asked)
        usage->asked = 0;
}

void usage_end_question(struct usage *usage, uint32_t id, bool is_answered)
{
    struct watch *watch = find_asked(usage, id);

    if (id != usage->asked)
        return;
    usage->asked = 0;
    if (watch && !is_answered) {
        watch->must_end = true;
    } else if (watch && !usage->ask_again) {
        watch->must_ask = false;
        close_use(use_of(usage, watch), watch);
    }
}

/* ---- what the helper is to be told -------------------------------------- */

struct watch *usage_next_end(const struct usage *usage, struct witness_word *word)
{
    for (size_t i = 0; i < usage->top; i++) {
        struct watch *watch = &usage->watches[i];

        if (watch->state == WATCH_NONE || !watch->must_end || watch->is_end_told)
            continue;
        *word = (struct witness_word){.kind = WORD_END, .id = watch->id,
                                      .allowance = (uint16_t)watch->allowance};
        return watch;
    }
    return NULL;
}

size_t usage_live(const struct usage *usage)
{
    size_t count = 0;

    for (size_t i = 0; i < usage->top; i++)
        count += usage->watches[i].state != WATCH_NONE;
    return count;
}

bool usage_waits(const struct usage *usage)
{
    for (size_t i = 0; i < usage->top; i++)
        if (is_waiting(usage, &usage->watches[i]))
            return true;
    return false;
}
