/* What a helper tells the witness: a row of events, each with a byte that says whether it is made
 * sound. Whatever they say is worded, or ends the witness. */
#include "fuzz.h"

#include "common/clock.h"
#include "common/log.h"
#include "daemon/witness/witness.h"

enum { IDS = 8, EVENTS_MAX = 32, CAPACITY = EVENTS_MAX * POLICY_SERVICES, IS_MADE_SOUND = 1 };

static struct witness w;
static struct client client = {.key_id = {1}};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static struct helper_profile profile = {.name = "home", .hours_count = 1,
                                            .hours = {{60, 120}}};
    int directory = fuzz_enter(), uses = open("/run/uses", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct error why;

    (void)count, (void)arguments, (void)directory;
    client.profile = &profile;
    w = (struct witness){.supervisor = -1, .helper = -1, .bell = -1, .news.fd = -1,
                         .table.file = -1, .clients = {.items = &client, .count = 1},
                         .words.clients = &w.clients};
    REQUIRE(uses >= 0 && ftruncate(uses, CAPACITY * sizeof(struct use)) == 0);
    REQUIRE(usage_open(&w.usage, &w.clients, &w.table, uses, CAPACITY, &why));
    w.ended = calloc(CAPACITY + 1, sizeof *w.ended);
    return w.ended ? 0 : -1;
}

static void make_sound(struct helper_event *event)
{
    event->kind = (uint8_t)(event->kind % EVENT_REMOVED + 1);
    event->verdict = (uint8_t)(event->verdict % (VERDICTS - 1) + 1);
    event->end = (uint8_t)(event->end % END_STOPPED + 1);
    event->id = event->id % IDS + 1;
    event->begun |= 1;
    event->connections = event->connections % CONNECTIONS_MAX + 1;
    for (size_t i = 0; i < POLICY_SERVICES; i++)
        event->opened[i] %= IDS + 1;
    event->service_count %= POLICY_SERVICES + 1;
    if (event->kind == EVENT_BEGUN || event->kind == EVENT_ENDED)
        event->service_count = 1;
    event->key_id[0] %= 3;
}

static void forget(void)
{
    for (size_t i = w.usage.top; i-- > 0;) {
        const struct helper_event event = {.kind = EVENT_ENDED, .id = w.usage.watches[i].id,
                                           .end = END_WINDOW};
        struct ended unused;

        if (event.id != 0)
            usage_end(&w.usage, &event, &unused);
    }
    w.ended_count = 0;
    w.closed = (struct ending){.end = END_NONE};
    client.told = (struct log_limit){0};
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    struct helper_event event;

    forget();
    for (int i = 0; i < EVENTS_MAX && in.size > 0; i++) {
        uint8_t how = input_byte(&in);

        input_take(&in, &event, sizeof event);
        if (how & IS_MADE_SOUND)
            make_sound(&event);
        REQUIRE(!witness_event_is_sound(&event, sizeof event - 1));
        if (!witness_event_is_sound(&event, sizeof event)) {
            REQUIRE(!(how & IS_MADE_SOUND));
            continue;
        }
        witness_take_event(&w, &event);
        REQUIRE(w.ended_count <= CAPACITY);
    }
    return 0;
}
