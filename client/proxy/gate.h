/* The way into one server, shared by all connections to it: one knock for those that
 * begin together, renewed while there are any. Everything here runs on the loop's thread;
 * what blocks (names, the counter's file) runs on libuv's others. */
#ifndef PORTSMITH_GATE_H
#define PORTSMITH_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "client/compose.h"
#include "client/send.h"
#include "client/server.h"
#include "client/target.h"
#include "common/error.h"

enum gate_outcome {
    GATE_DONE,
    GATE_NO_ADDRESS, /* the server's name has none */
    GATE_NO_ROUTE,   /* to any of them */
    GATE_FAILED,     /* something else; the log says what */
};

/* Somebody who waits; embedded in what it is a part of. */
TAILQ_HEAD(gate_waiters, gate_waiter);
struct gate_waiter {
    TAILQ_ENTRY(gate_waiter) links;
    struct gate_waiters *list; /* that it is in, or NULL */
    bool for_addresses;
    /* The waiting is over: the knock was sent or the addresses are known, or not. */
    void (*done)(struct gate_waiter *waiter, enum gate_outcome outcome);
};

/* What one piece of work on another thread is to do, and what came of it. */
struct gate_job {
    enum gate_task {
        GATE_RESOLVE,
        GATE_OPEN,
        GATE_RENEW, /* the same, before the window ends */
        GATE_ANEW,  /* to one address alone */
        GATE_AGAIN,
        GATE_CLOSE,
    } task;
    struct target targets[TARGETS_MAX]; /* those known before, then those found */
    unsigned count;
    struct sending sendings[SENDINGS_MAX]; /* of the last knock */
    unsigned sending_count;
    unsigned turn;                        /* GATE_ANEW: which of them */
    enum gate_outcome outcome;
    struct error why, warning; /* empty if there is nothing to say */
};

struct gate {
    uv_loop_t *loop;
    char name[SERVER_NAME_SIZE];
    struct server *server;   /* owned */
    struct knocker *knocker; /* owned */
    bool closes_after;

    struct target targets[TARGETS_MAX]; /* the server's addresses, its knock port in them */
    unsigned count;
    bool was_resolved;    /* or that was tried */
    uint64_t resolved_at; /* by uv_now, as are those below */
    bool is_knocked;
    uint64_t knocked_at;  /* with a new knock */
    uint64_t sent_at;     /* with whatever datagram */
    uint64_t warned_at;
    uint64_t prodded_at;
    uint64_t turned_at; /* with a new knock that was no renewal */
    unsigned turn;      /* what comes next if that does not help: N: one by the Nth way */
                        /* alone, 0: at all addresses */
    struct way {
        struct address to, source;
    } ways[SENDINGS_MAX]; /* that the last knocks took */
    unsigned way_count;

    unsigned users;
    struct gate_waiters waiters;
    bool wanted[GATE_CLOSE + 1]; /* by task */
    bool is_busy;                /* `work` and `job` are another thread's */
    uv_work_t work;
    struct gate_job job;
    uv_timer_t renewal;
    bool is_ending;
};

/* The gate to the server that the user knows as `name`. Reads its file and identity. NULL
 * with the reason. */
struct gate *gate_new(uv_loop_t *loop, const char *name, bool closes_after, struct error *why);

/* Begins a use of the gate, which gate_leave ends. True if the doors are open as far as is
 * known; otherwise `waiter` will be called, once a knock was sent or failed. */
bool gate_enter(struct gate *gate, struct gate_waiter *waiter);
void gate_leave(struct gate *gate);

/* Where a connection to the address that `to` has, whatever its port, must leave from: what
 * was knocked from. False if it was not knocked. */
bool gate_source(const struct gate *gate, const struct target *to, struct address *source);

/* Says that a connection begun at `since` (uv_now) meets silence: the same datagrams go
 * out again, or a new knock if the last one is from before; if that does not help, one at
 * one address alone, each in turn. Not more often than makes sense, however many say
 * so. */
void gate_prod(struct gate *gate, uint64_t since);

/* Milliseconds until it makes sense to connect: the server needs a moment after a knock. */
uint64_t gate_delay(const struct gate *gate);

/* Has the addresses looked up, unless that was done lately. */
void gate_refresh(struct gate *gate);

/* Has `waiter` called when the addresses were looked up. */
void gate_await_addresses(struct gate *gate, struct gate_waiter *waiter);

/* Waits no more; nothing happens if it did not wait. */
void gate_forget(struct gate_waiter *waiter);

/* No more renewals: lets the loop come to its end, after a last close knock if one is
 * due. */
void gate_end(struct gate *gate);

/* Wipes and frees, after the loop has come to its end; NULL is allowed. */
void gate_free(struct gate *gate);

#endif
