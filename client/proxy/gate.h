/* The gate: the way into one server, which all connections to it share. Connections that begin
 * together share a knock, and it is renewed while there are connections, unless somebody has to be
 * asked for each. All functions here are for the loop's thread. What blocks, such as looking names
 * up, the counter's file and an ssh-agent, runs on libuv's other threads. */
#ifndef PORTSMITH_GATE_H
#define PORTSMITH_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "client/compose.h"
#include "client/send.h"
#include "client/server.h"
#include "client/target.h"
#include "common/error.h"

enum gate_outcome {
    GATE_DONE,
    GATE_NO_ADDRESS, /* the server's name has no address */
    GATE_NO_ROUTE,   /* there is no route to any of its addresses */
    GATE_FAILED,     /* something else went wrong; the log says what */
};

/* Somebody who waits for a gate. The caller embeds it in a struct of its own. */
struct gate_waiter {
    struct gate_waiters *list;        /* the list that it is in, or NULL */
    struct gate_waiter *next, **link; /* in it; `link` is the pointer to this one */
    bool for_addresses;        /* it waits for the addresses alone, not for a knock */
    /* Is called at the end of the waiting, with the outcome of the knock or the look-up. */
    void (*done)(struct gate_waiter *waiter, enum gate_outcome outcome);
};

struct gate_waiters {
    struct gate_waiter *first, **end; /* `end` is the pointer that is NULL */
};

/* What a piece of work on another thread is to do, and what came of it. */
struct gate_job {
    enum gate_task {
        GATE_RESOLVE, /* look the addresses up */
        GATE_OPEN,    /* look the addresses up and knock at all of them */
        GATE_RENEW,   /* the same, before the window ends */
        GATE_ANEW,    /* knock at one address alone */
        GATE_AGAIN,   /* send the same datagrams again */
        GATE_CLOSE,   /* knock to close */
    } task;
    struct target targets[TARGETS_MAX]; /* before: those known; afterwards: those found */
    unsigned count;
    struct sending sendings[SENDINGS_MAX]; /* of the last knock */
    unsigned sending_count;
    unsigned turn; /* GATE_ANEW: which sending is tried first */
    enum gate_outcome outcome;
    struct error why, warning; /* empty: there is nothing to say */
};

struct gate {
    uv_loop_t *loop;
    char name[SERVER_NAME_SIZE];
    struct server *server;   /* owned */
    struct knocker *knocker; /* owned */
    bool closes_after;       /* knock to close after the last connection, unless the gate asks */
    bool asks;               /* what the knocker's was when it was last at rest */

    struct target targets[TARGETS_MAX]; /* the server's addresses, with its knock port */
    unsigned count;
    bool was_resolved;    /* the addresses were looked up, if in vain */
    uint64_t resolved_at; /* when; uv_now, as are all times below */
    bool is_knocked;      /* the last new knock was sent, and was one to open */
    uint64_t knocked_at;  /* when a new knock was last made */
    uint64_t sent_at;     /* when any datagram was last sent */
    uint64_t warned_at;   /* when a failure was last logged */
    uint64_t prodded_at;  /* when gate_prod was last called */
    uint64_t turned_at;   /* when a new knock was last made that was no renewal */
    unsigned turn; /* the knock to try next if that does not help: 0: one at all addresses, N: one
                      by the Nth way alone */
    struct way {
        struct address to, source;
    } ways[SENDINGS_MAX]; /* the ways that the last datagrams took */
    unsigned way_count;

    unsigned users; /* calls of gate_enter without gate_leave */
    struct gate_waiters waiters;
    bool wanted[GATE_CLOSE + 1]; /* the tasks that are to be done */
    bool is_busy;                /* another thread has `work` and `job` */
    uv_work_t work;
    struct gate_job job;
    uv_timer_t renewal;
    bool is_ending; /* gate_end was called */
};

/* Makes a gate to the server that the user knows as `name`. Reads the server file and the
 * identity. The caller ends the gate with gate_end and gate_free. NULL with the reason. */
struct gate *gate_new(uv_loop_t *loop, const char *name, bool closes_after, struct error *why);

/* Begins a use of the gate. True if the doors are open, as far as is known. Otherwise waiter->done
 * will be called, after a knock was sent or could not be sent. */
bool gate_enter(struct gate *gate, struct gate_waiter *waiter);

/* Ends a use of the gate. */
void gate_leave(struct gate *gate);

/* Stores where a connection to the address of `to`, at any port, must leave from: where the
 * knock to it left from. False if no knock was sent there. */
bool gate_source(const struct gate *gate, const struct target *to, struct address *source);

/* Says that a connection that began at `since`, uv_now, meets silence. The same datagrams are
 * sent again, or a new knock is made if the last one is older than the connection. If that does
 * not help, each address gets a knock of its own, one after the other; but not if somebody is asked
 * for each. However often this is
 * called, knocks keep a distance that gives each of them time to work. */
void gate_prod(struct gate *gate, uint64_t since);

/* How many milliseconds to wait before connecting: the server needs a moment after a knock. */
uint64_t gate_delay(const struct gate *gate);

/* Has the addresses looked up, unless that was done a short while ago. */
void gate_refresh(struct gate *gate);

/* Has the addresses looked up, and waiter->done called afterwards. */
void gate_await_addresses(struct gate *gate, struct gate_waiter *waiter);

/* Ends the waiting of `waiter`, without a call. It need not have waited. */
void gate_forget(struct gate_waiter *waiter);

/* Ends the renewals, so that the loop can come to its end. A knock to close that is due is still
 * sent. */
void gate_end(struct gate *gate);

/* Wipes and frees the gate, after the loop has come to its end. NULL is allowed. */
void gate_free(struct gate *gate);

#endif
