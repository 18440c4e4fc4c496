/* What crosses between the helper and the witness (daemon/witness), over SOCK_SEQPACKET: one
 * struct of fixed size a message. Nothing in it is text and nothing in it points anywhere.
 *
 * The helper tells what it did, one way and without ever waiting. Where the socket is full an
 * event is lost, and the next one says how many were. The witness puts events into words for the
 * log, counts the connections that come in through grants, and answers with words of eight bytes.
 * No word can open anything. */
#ifndef PORTSMITH_EVENT_H
#define PORTSMITH_EVENT_H

#include <stdint.h>

#include "common/address.h"
#include "common/service.h"
#include "privsep/message.h"

/* ---- helper to witness -------------------------------------------------- */

enum event_kind {
    EVENT_VERDICT = 1, /* a request has its verdict, and the firewall is as that says. Through grants
                      that it has `opened` connections may have come before this event, but not
                      before `last_id` of the table of grants (granttable.h) was theirs */
    EVENT_BEGUN,   /* a grant that admits only so many connections is about to be opened, or admits
                      them anew: what came in until now does not count. Its rule is not in force
                      yet. The helper puts a mark into the news after this event: the kernel's
                      acknowledgement (NLMSG_ERROR, 0) with the number `begun` (nlmsg_seq). What
                      comes after that counts */
    EVENT_ENDED,   /* one grant has ended, and its door is shut */
    EVENT_REMOVED, /* another program has removed rules: they are about to be put back */
};

/* Why a grant ended. */
enum grant_end {
    END_NONE,
    END_COUNTED,   /* the witness wanted it: it has had its connections, or they could not be
                      counted */
    END_UNWITNESSED, /* it admits only so many connections, and nobody counts them */
    END_WINDOW,    /* its window is over */
    END_KNOCK,     /* a knock closed it; that knock's EVENT_VERDICT follows */
    END_MOVED,     /* a newer knock moved the profile's one grant; its EVENT_VERDICT follows */
    END_CLOSED,    /* an admin closed it */
    END_KILLED,    /* an admin closed it, and has its connections ended */
    END_FORBIDDEN, /* the policy that this helper was given does not permit it */
    END_STOPPED,   /* portsmithd stops */
};

/* The stages of a batch, for --trace. */
enum trace_stage {
    TRACE_RECEIVED,
    TRACE_VERIFIED, /* every signature in it */
    TRACE_MARKED,   /* durably */
    TRACE_DECIDED,  /* by policy */
    TRACE_CHANGED,  /* the firewall, acknowledged */
    TRACE_STAGES
};

struct helper_event {
    uint8_t kind;           /* enum event_kind */
    uint8_t verdict;        /* enum verdict */
    uint8_t is_close;       /* EVENT_VERDICT: the client wants doors closed */
    uint8_t is_unnoted;     /* EVENT_VERDICT: the clock was behind the counter, which could not be
                               noted as one that never counts; or another one was forgotten */
    uint8_t end;            /* EVENT_ENDED: enum grant_end */
    uint8_t is_more;        /* EVENT_ENDED: more grants have ended with this one: their events
                               follow, and are told together */
    uint8_t is_address_signed; /* the client named the address itself */
    uint8_t is_cut;         /* the client wanted a longer window than the profile's maximum */
    uint8_t service_count;  /* of a knock whose signature is not right: 0. Of a grant: 1 */
    uint8_t is_listening;   /* the helper has joined the kernel's news */
    uint16_t connections;   /* EVENT_BEGUN: that the grant admits */
    uint32_t id;            /* of the grant */
    uint32_t allowance;     /* EVENT_BEGUN: of the grant */
    uint32_t begun;         /* EVENT_BEGUN: how many there were in this boot, this one included.
                               Never 0 */
    uint32_t lost;          /* events that were lost before this one */
    uint32_t together;      /* requests in the batch */
    uint32_t opened[POLICY_SERVICES]; /* EVENT_VERDICT: the new grants of `services`, which are in
                               force if it is VERDICT_OPENED; 0: none */
    uint8_t key_id[KEY_ID_SIZE]; /* of the profile; there may be none that has it */
    struct address address;  /* that the grants are for */
    struct address observed; /* EVENT_VERDICT: where the knock came from */
    struct service services[POLICY_SERVICES];
    uint64_t wall;   /* EVENT_VERDICT: when it was decided, microseconds since the epoch */
    uint64_t counter; /* of the knock */
    uint64_t counters[MARK_COUNTERS]; /* as in the reply to the sniffer */
    int64_t left;    /* seconds until the first of its grants ends */
    struct helper_times times; /* for --trace; the sniffer may say anything in it */
    int64_t trace[TRACE_STAGES]; /* wall clock, nanoseconds; 0 without --trace */
};
_Static_assert(sizeof(struct helper_event) == 352, "no hidden padding");

/* ---- witness to helper -------------------------------------------------- */

enum witness_word_kind {
    WORD_END = 1, /* the grant `id` has had its connections, or they cannot be counted. It ends if
                     it admits only so many, and has still this `allowance` */
    WORD_HUSH,    /* no grant waits for a connection: leave the news, unless there was a grant after
                     the grant `id` */
    WORD_LOOK,    /* somebody changed nftables: look whether the rules are there */
};

struct witness_word {
    uint8_t kind;      /* enum witness_word_kind */
    uint8_t zero;
    uint16_t allowance; /* WORD_END: the grant's, its lower 16 bits */
    uint32_t id;
};
_Static_assert(sizeof(struct witness_word) == 8, "no hidden padding");

#endif
