/* What crosses between the helper and the witness (daemon/witness), over SOCK_SEQPACKET: one
 * struct of fixed size a message. Nothing in it is text and nothing in it points anywhere.
 *
 * The helper tells what it did, one way and without ever waiting. Where the socket is full an
 * event is lost, and the next one says how many were. The witness puts events into words for the
 * log, counts the connections that come in through grants, and answers with words of eight bytes.
 * No word can open anything. */
#ifndef PORTSMITH_EVENT_H
#define PORTSMITH_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/service.h"
#include "common/verdict.h"
#include "privsep/message.h"

/* The descriptors that the supervisor leaves open in the witness. */
enum {
    WITNESS_FD_SUPERVISOR = 3, /* struct witness_setup and _answer in, witness_question out; its
                                  end is the witness's end, once that has heard all events */
    WITNESS_FD_HELPER = 4,     /* struct helper_event in, witness_word out */
    WITNESS_FD_NEWS = 5,       /* the kernel's news of connections: the same socket as
                                  HELPER_FD_NEWS, in which the helper joins and leaves the group */
    WITNESS_FD_BELL = 6,       /* the kernel's news of changes to nftables, joined; /dev/null where
                                  there are none */
    WITNESS_FD_PLAN = 7,       /* privsep/plan.h, sealed */
    WITNESS_FD_GRANTS = 8,     /* the table of grants, to be read */
    WITNESS_FD_USES = 9,       /* privsep/uses.h, to be written */
};

/* ---- helper to witness -------------------------------------------------- */

enum event_kind {
    EVENT_VERDICT = 1, /* a request has its verdict, and the firewall is as that says */
    EVENT_BEGUN,   /* a grant is about to be opened, or admits connections anew: what came in
                      until now does not count. Its rule is not in force yet. Where it
                      `is_tracked`, the helper puts a mark into the news after this event: the
                      kernel's acknowledgement (NLMSG_ERROR, 0) with the number `begun`
                      (nlmsg_seq). What comes after that counts */
    EVENT_ENDED,   /* one grant has ended, and its door is shut */
    EVENT_CROWDED, /* more than CROWD grants are live, with a rule each */
    EVENT_RULES,   /* another program removed rules (HELPER_RULES_MISSING), keeps removing them
                      (_CONTESTED), or has removed none for QUIET_SECONDS (_IN_FORCE) */
};

enum {
    QUIET_SECONDS = 60, /* without a removal: then the rules are contested no more */
    LOOK_SECONDS = 2,   /* between looks at rules that are contested, or where no bell rings */
};

/* Each new connection walks along all rules: some 10 ns for each with iptables-nft, so
 * that this many cost as much as the rest of its way in. */
enum { CROWD = 200 };

/* Why a request was refused. */
enum refusal {
    REFUSAL_PLAIN,         /* the verdict says it all */
    REFUSAL_OF_CLOCK,      /* the client's clock differs by `ahead` */
    REFUSAL_UNNOTED,       /* the same; and not all knocks of that kind could be noted */
    REFUSAL_KEPT,          /* the counter was ahead of the clock once, and never counts */
    REFUSAL_DAMAGED,       /* the client's record was damaged, and MaxSkew is off */
    REFUSAL_OF_FLOOR,      /* the counter is older than the client's first one, by `left` */
    REFUSAL_SINCE_AHEAD,   /* the client knocked while its clock was ahead, by `left` */
    REFUSAL_USED,          /* the counter was spent, or is older than the last eight */
    REFUSAL_CLOSED_SINCE,  /* the knock opens, and is older than one that closed */
    REFUSAL_OPENED_SINCE,  /* the knock closes, and is older than one that opened */
    REFUSAL_OF_TIME,       /* the profile opens nothing at `wall` */
    REFUSAL_OF_SERVICE,    /* the profile does not have services[0] */
    REFUSAL_OF_DESTINATION, /* the profile names no host of the family behind services[0] */
    REFUSAL_UNSIGNED,      /* the profile wants the address signed */
    REFUSAL_LINK_LOCAL,    /* the address is link-local */
    REFUSAL_OF_ADDRESS,    /* the profile does not permit the address */
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
    uint8_t refusal;        /* enum refusal, of a refused request */
    uint8_t end;            /* EVENT_ENDED: enum grant_end */
    uint8_t is_more;        /* EVENT_ENDED: more grants have ended with this one: their events
                               follow, and are told together */
    uint8_t is_address_signed; /* the client named the address itself */
    uint8_t is_cut;         /* the client wanted a longer window than the profile's maximum */
    uint8_t service_count;  /* of a knock whose signature is not right: 0. Of a grant: 1 */
    uint8_t is_tracked;     /* EVENT_BEGUN: the kernel tells of connections to the service */
    uint8_t rules;          /* EVENT_RULES: enum helper_rules */
    uint16_t connections;   /* EVENT_BEGUN: that the grant admits; 0: any number */
    uint32_t id;            /* of the grant */
    uint32_t allowance;     /* EVENT_BEGUN: of the grant */
    uint32_t begun;         /* EVENT_BEGUN: how many there were in this boot, this one included.
                               Never 0 */
    uint32_t removals;      /* EVENT_RULES: of our rules, since nobody removed any for a while */
    uint32_t lost;          /* events that were lost before this one */
    uint32_t together;      /* requests in the batch */
    uint8_t key_id[KEY_ID_SIZE]; /* of the profile; there may be none that has it */
    struct address address;  /* that the grants are for */
    struct address observed; /* EVENT_VERDICT: where the knock came from */
    struct service services[POLICY_SERVICES];
    uint32_t zero;
    int64_t wall;    /* when it was decided, seconds since the epoch */
    int64_t left;    /* seconds until the first of its grants ends, or until such knocks count */
    int64_t ahead;   /* seconds by which the client's clock is ahead of this host's */
    struct helper_times times; /* for --trace; the sniffer may say anything in it */
    int64_t trace[TRACE_STAGES]; /* wall clock, nanoseconds; 0 without --trace */
};

/* ---- witness to helper -------------------------------------------------- */

enum witness_word_kind {
    WORD_END = 1, /* the grant `id` has had its connections, or they cannot be counted. It ends if
                     it admits only so many, and has still this `allowance` */
    WORD_HUSH,    /* no grant waits for a connection: leave the news, unless more than `id` grants
                     have begun (helper_event.begun) */
    WORD_LOOK,    /* somebody changed nftables: look whether the rules are there */
};

struct witness_word {
    uint8_t kind;      /* enum witness_word_kind */
    uint8_t zero;
    uint16_t allowance; /* WORD_END: the grant's, its lower 16 bits */
    uint32_t id;
};
_Static_assert(sizeof(struct witness_word) == 8, "no hidden padding");

/* ---- supervisor and witness --------------------------------------------- */

/* The first message to the witness. */
struct witness_setup {
    uint32_t uid, gid; /* whom it becomes */
    uint8_t foreground, debug; /* for the log */
    uint8_t zero[2];
    char empty[256]; /* the directory that it locks itself into */
};

/* That connections to the door of the grant `id` be asked for again, as news were lost. The
 * kernel's answer comes in the news, and its numbers (nlmsg_seq) are the grant's. */
struct witness_question {
    uint32_t id;
};

/* What became of a question, once for each. The kernel was asked if `error` is 0. If it is EBUSY or
 * EDQUOT, the kernel can be asked later. */
struct witness_answer {
    uint32_t id;
    uint32_t error; /* an errno */
};

#endif
