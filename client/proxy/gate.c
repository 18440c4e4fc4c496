#include "client/proxy/gate.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/counter.h"
#include "client/known.h"
#include "client/resolve.h"
#include "common/log.h"
#include "common/text/timespan.h"

enum {
    ASSUMED_WINDOW = 30,   /* seconds: portsmithd's own default (portsmith.conf(5)) */
    SETTLE_MS = 10,        /* from a knock's arrival to the open door, with room to spare */
    AGAIN_MS = 400,        /* between two datagrams */
    ANEW_MS = 2000,        /* from a knock to one for a connection that began later, in vain */
    ANEW_LATE_MS = 3000,   /* from a knock to one for a connection that began earlier, in vain */
    CALM_MS = 5000,        /* so long without gate_prod: the doors have been open */
    RESOLVED_MS = 60000,   /* how long addresses are good for */
    UNRESOLVED_MS = 5000,  /* from a look-up that found no address to the next */
    WARNING_MS = 10000,    /* between two warnings */
};

/* ---- on another thread --------------------------------------------------- */

/* The server that this thread works for. Several may have an agent wait at the same time. */
static _Thread_local const char *worked_for;

/* In the foreground each line is one write(2). */
static void tell_waiting(const char *text)
{
    log_info("%s: %s", worked_for, text);
}

/* Looks the addresses up. If the resolver fails, the addresses that it has given before serve
 * on. */
static enum gate_outcome find_targets(const struct server *server, struct gate_job *job)
{
    struct target found[TARGETS_MAX];
    unsigned count = resolve_server(found, server, AF_UNSPEC, &job->why);

    if (count == 0)
        return job->count > 0 ? GATE_DONE : GATE_NO_ADDRESS;
    memcpy(job->targets, found, count * sizeof *found);
    job->count = count;
    return GATE_DONE;
}

static enum gate_outcome fail(const struct gate *g, struct gate_job *job,
                              const struct sending *failed)
{
    error_set(&job->why, "no knock was sent to %s: %.400s%s", g->server->host, failed->why.text,
              send_advice(failed));
    return failed->is_refused ? GATE_FAILED : GATE_NO_ROUTE;
}

static enum gate_outcome knock(const struct gate *g, struct gate_job *job, enum action action)
{
    const struct server *server = g->server;
    struct request r = knock_request(server, action);

    if (!counter_take_own(SENDINGS_MAX, &r.counter, &job->warning, &job->why))
        return GATE_FAILED;
    if (send_knocks(job->sendings, &job->sending_count, job->targets, job->count, g->knocker, &r,
                    server->address.source == ADDRESS_AUTO) > 0)
        return GATE_DONE;
    return fail(g, job, send_to_blame(job->sendings, job->sending_count));
}

/* Knocks at one address alone: whoever else is knocked at may pass a knock on before the server
 * sees it. */
static enum gate_outcome knock_anew(const struct gate *g, struct gate_job *job)
{
    struct sending *s = job->sendings;

    for (unsigned i = 0; i < job->sending_count; i++) {
        s = &job->sendings[(job->turn + i) % job->sending_count];
        if (send_knock_anew(s, g->knocker))
            return GATE_DONE;
        if (send_was_refused(s))
            break;
    }
    return fail(g, job, s);
}

static void work(uv_work_t *request)
{
    struct gate *g = request->data;
    struct gate_job *job = &g->job;

    worked_for = g->name;
    job->why.text[0] = job->warning.text[0] = '\0';
    switch (job->task) {
    case GATE_RESOLVE:
        job->outcome = find_targets(g->server, job);
        break;
    case GATE_OPEN:
    case GATE_RENEW:
        job->outcome = find_targets(g->server, job);
        if (job->outcome == GATE_DONE)
            job->outcome = knock(g, job, ACTION_OPEN);
        break;
    case GATE_ANEW:
        job->outcome = knock_anew(g, job);
        break;
    case GATE_AGAIN:
        send_knocks_again(job->sendings, job->sending_count, g->knocker);
        job->outcome = GATE_DONE; /* if nothing was sent, the connections will tell */
        break;
    case GATE_CLOSE:
        job->outcome = knock(g, job, ACTION_CLOSE);
        break;
    }
}

/* ---- one piece of work after the other ----------------------------------- */

static void after_work(uv_work_t *request, int status);

/* Starts the next task that is wanted, unless one is under way. A new knock at all addresses
 * makes the lesser tasks needless. A knock to close comes last, and only if nobody has come
 * meanwhile and nobody is asked for it, as nobody may be there. */
static void start_next(struct gate *g)
{
    if (g->is_busy)
        return;
    if (g->wanted[GATE_OPEN])
        g->wanted[GATE_RENEW] = false;
    if (g->wanted[GATE_OPEN] || g->wanted[GATE_RENEW])
        g->wanted[GATE_ANEW] = g->wanted[GATE_AGAIN] = g->wanted[GATE_RESOLVE] = false;
    if (g->users > 0 || g->asks)
        g->wanted[GATE_CLOSE] = false;
    for (enum gate_task task = GATE_RESOLVE; task <= GATE_CLOSE && !g->is_busy; task++)
        if (g->wanted[task]) {
            g->wanted[task] = false;
            g->job.task = task;
            memcpy(g->job.targets, g->targets, sizeof g->targets);
            g->job.count = g->count;
            g->job.turn = g->turn - 1;
            g->is_busy = uv_queue_work(g->loop, &g->work, work, after_work) == 0;
        }
}

static void want(struct gate *g, enum gate_task task)
{
    g->wanted[task] = true;
    start_next(g);
}

/* ---- what comes of it ---------------------------------------------------- */

static uint64_t window_ms(const struct gate *g)
{
    return (g->server->window ? g->server->window : ASSUMED_WINDOW) * UINT64_C(1000);
}

static void renew(uv_timer_t *timer)
{
    want(timer->data, GATE_RENEW);
}

/* The renewal is due at half of the window, so that one knock may be lost. If somebody is asked for
 * it, it waits until a new connection needs it. */
static void arm_renewal(struct gate *g)
{
    if (g->users > 0 && !g->is_ending && !g->asks)
        uv_timer_start(&g->renewal, renew, window_ms(g) / 2, 0);
}

static void report(struct gate *g)
{
    const struct gate_job *job = &g->job;
    uint64_t now = uv_now(g->loop);

    if (job->warning.text[0] != '\0')
        log_warnx("%s: %s", g->name, job->warning.text);
    if (job->outcome == GATE_DONE)
        return;
    if (g->warned_at == 0 || now - g->warned_at >= WARNING_MS) {
        g->warned_at = now;
        log_warnx("%s: %s", g->name, job->why.text);
    }
}

static void keep_knock(struct gate *g)
{
    bool is_sent = g->job.outcome == GATE_DONE;
    unsigned asked = g->job.task == GATE_ANEW ? 1 : g->job.count;

    g->is_knocked = is_sent && g->job.task != GATE_CLOSE;
    g->knocked_at = uv_now(g->loop);
    if (g->job.task != GATE_RENEW) {
        g->turned_at = g->knocked_at;
        g->turn = g->job.task == GATE_OPEN ? 1 : (g->turn + 1) % (g->job.sending_count + 1);
    }
    if (is_sent)
        log_debug("%s: asked to %s, at %u address%s", g->name, g->is_knocked ? "open" : "close",
                  asked, asked == 1 ? "" : "es");
    arm_renewal(g);
}

static void keep_ways(struct gate *g)
{
    g->sent_at = uv_now(g->loop);
    g->way_count = 0;
    for (unsigned i = 0; i < g->job.sending_count; i++) {
        const struct sending *s = &g->job.sendings[i];
        struct way *way = &g->ways[g->way_count];

        way->source = s->source;
        if (s->sent && address_from_sockaddr(&way->to, (const struct sockaddr *)&s->target.to))
            g->way_count++;
    }
}

static void take_out(struct gate_waiter *waiter)
{
    *waiter->link = waiter->next;
    if (waiter->next)
        waiter->next->link = waiter->link;
    else
        waiter->list->end = waiter->link;
}

static void append(struct gate_waiter *waiter, struct gate_waiters *to)
{
    waiter->next = NULL;
    waiter->link = to->end;
    *to->end = waiter;
    to->end = &waiter->next;
}

static void move_waiter(struct gate_waiter *waiter, struct gate_waiters *to)
{
    if (waiter->list)
        take_out(waiter);
    waiter->list = to;
    if (to)
        append(waiter, to);
}

/* Calls the waiters. They may wait again during the call, and then for what comes next. */
static void tell_waiters(struct gate *g, bool addresses_alone)
{
    struct gate_waiters told = {.end = &told.first};
    struct gate_waiter *waiter, *next;

    for (waiter = g->waiters.first; waiter; waiter = next) {
        next = waiter->next;
        if (waiter->for_addresses || !addresses_alone)
            move_waiter(waiter, &told);
    }
    while ((waiter = told.first)) {
        move_waiter(waiter, NULL);
        waiter->done(waiter, g->job.outcome);
    }
}

static bool is_at_all(enum gate_task task)
{
    return task == GATE_OPEN || task == GATE_RENEW;
}

static void after_work(uv_work_t *request, int status)
{
    struct gate *g = request->data;
    enum gate_task task = g->job.task;

    (void)status; /* always 0, as nobody cancels */
    g->is_busy = false;
    g->asks = g->knocker->asks;
    report(g);
    if (task == GATE_RESOLVE || is_at_all(task)) {
        g->was_resolved = true;
        g->resolved_at = uv_now(g->loop);
        memcpy(g->targets, g->job.targets, sizeof g->targets);
        g->count = g->job.count;
    }
    if (is_at_all(task) || task == GATE_ANEW || task == GATE_CLOSE)
        keep_knock(g);
    if (task != GATE_RESOLVE)
        keep_ways(g);
    if (task == GATE_RESOLVE || is_at_all(task))
        tell_waiters(g, task == GATE_RESOLVE);
    start_next(g);
}

/* ---- for those who want through ------------------------------------------ */

static void await(struct gate *g, struct gate_waiter *waiter, bool for_addresses)
{
    waiter->for_addresses = for_addresses;
    move_waiter(waiter, &g->waiters);
}

bool gate_enter(struct gate *gate, struct gate_waiter *waiter)
{
    bool is_closing = gate->is_busy && gate->job.task == GATE_CLOSE;
    uint64_t passed = uv_now(gate->loop) - gate->knocked_at;

    gate->users++;
    gate->wanted[GATE_CLOSE] = false;
    /* A quarter of the window is left to spare. */
    if (gate->is_knocked && !is_closing && passed < window_ms(gate) * 3 / 4) {
        if (!uv_is_active((uv_handle_t *)&gate->renewal))
            arm_renewal(gate);
        return true;
    }
    await(gate, waiter, false);
    if (!gate->is_busy || !is_at_all(gate->job.task))
        want(gate, GATE_OPEN);
    return false;
}

void gate_leave(struct gate *gate)
{
    if (--gate->users > 0)
        return;
    if (!gate->is_ending)
        uv_timer_stop(&gate->renewal);
    if (gate->closes_after && (gate->is_knocked || gate->is_busy))
        want(gate, GATE_CLOSE);
}

bool gate_source(const struct gate *gate, const struct target *to, struct address *source)
{
    struct address address;

    if (!address_from_sockaddr(&address, (const struct sockaddr *)&to->to))
        return false;
    for (unsigned i = 0; i < gate->way_count; i++)
        if (address_equal(&gate->ways[i].to, &address)) {
            *source = gate->ways[i].source;
            return true;
        }
    return false;
}

/* If all was well so far, a grant has ended before its time, or an address is another by now.
 * Then the first remedy is a knock at all addresses. If somebody is asked for a knock, it is the only
 * one. */
void gate_prod(struct gate *gate, uint64_t since)
{
    uint64_t now = uv_now(gate->loop);
    bool is_late = gate->turned_at < since;

    if (is_late && (gate->asks || now - gate->prodded_at >= CALM_MS))
        gate->turn = 0;
    gate->prodded_at = now;
    if (gate->is_busy || now - gate->sent_at < AGAIN_MS)
        return;
    if ((gate->asks && !is_late) || now - gate->turned_at < (is_late ? ANEW_MS : ANEW_LATE_MS))
        want(gate, GATE_AGAIN);
    else
        want(gate, gate->turn == 0 ? GATE_OPEN : GATE_ANEW);
}

uint64_t gate_delay(const struct gate *gate)
{
    uint64_t passed = uv_now(gate->loop) - gate->knocked_at;

    return passed < SETTLE_MS ? SETTLE_MS - passed : 0;
}

void gate_refresh(struct gate *gate)
{
    uint64_t limit = gate->count > 0 ? RESOLVED_MS : UNRESOLVED_MS;

    if (!gate->was_resolved || uv_now(gate->loop) - gate->resolved_at >= limit)
        if (!gate->is_busy)
            want(gate, GATE_RESOLVE);
}

void gate_await_addresses(struct gate *gate, struct gate_waiter *waiter)
{
    await(gate, waiter, true);
    if (!gate->is_busy)
        want(gate, GATE_RESOLVE);
}

void gate_forget(struct gate_waiter *waiter)
{
    move_waiter(waiter, NULL);
}

/* ---- making and ending --------------------------------------------------- */

/* Each knock takes a touch of the key. So the longest window is asked for, which the server cuts to
 * that of the profile, unless the user counts on a knock to close. */
static void spare_touches(struct gate *g)
{
    if (g->closes_after)
        log_warnx("%s: CloseAfter has no effect, as a knock to close would want a touch of the "
                  "security key: the port shuts when its window ends", g->name);
    else if (g->server->window == 0)
        g->server->window = TIMESPAN_MAX;
}

struct gate *gate_new(uv_loop_t *loop, const char *name, bool closes_after, struct error *why)
{
    struct gate *g = calloc(1, sizeof *g);

    if (!g) {
        error_set(why, "out of memory");
        return NULL;
    }
    g->loop = loop;
    g->closes_after = closes_after;
    g->work.data = g;
    g->waiters.end = &g->waiters.first;
    strcpy(g->name, name);
    g->server = server_new(why);
    if (g->server && known_read(g->server, name, why)) {
        cli_tell_notes(&g->server->notes);
        g->knocker = knocker_read(g->server, tell_waiting, why);
    }
    if (!g->server || !g->knocker) {
        gate_free(g);
        return NULL;
    }
    g->asks = g->knocker->asks;
    if (g->knocker->signer.form == SIGNER_SECURITY_KEY)
        spare_touches(g);
    uv_timer_init(loop, &g->renewal);
    g->renewal.data = g;
    return g;
}

void gate_end(struct gate *gate)
{
    gate->is_ending = true;
    uv_close((uv_handle_t *)&gate->renewal, NULL);
}

void gate_free(struct gate *gate)
{
    if (!gate)
        return;
    knocker_free(gate->knocker);
    server_free(gate->server);
    free(gate);
}
