/* What the helper tells of a knock, and of grants that end: facts in a struct of one size.
 * Nothing in it is text and nothing in it points anywhere, so that whoever puts it into words
 * (words.h) need not be near what it is about. */
#ifndef PORTSMITH_EVENTS_H
#define PORTSMITH_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/helper/grants.h"
#include "privsep/helper/trace.h"
#include "privsep/message.h"

enum event_kind {
    EVENT_VERDICT,   /* a request has its verdict, and the firewall is as that says */
    EVENT_MOVED,     /* a profile's one grant has left `address` for a newer one */
    EVENT_ENDED,     /* grants for `address` have ended, but by no knock */
    EVENT_NEWS_LOST, /* connections were made that could not be counted */
    EVENT_CROWDED,   /* more than CROWD grants are live, with a rule each */
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

/* Why a grant ended. Grants that end together are told in this order. */
enum grant_end {
    END_NONE,      /* it has not ended */
    END_USED_UP,   /* it has had its connections */
    END_UNCOUNTED, /* its connections could not be counted */
    END_WINDOW,    /* its window is over */
    END_CLOSED,    /* an admin closed it */
    END_KILLED,    /* an admin closed it, with its connections */
    END_FORBIDDEN, /* the policy that this helper was given does not permit it */
    END_STOPPED,   /* portsmithd stops */
};

/* What is known of a grant's use at its end. */
enum grant_use { USE_UNKNOWN, USE_NONE, USE_SOME };

struct helper_event {
    enum event_kind kind;
    enum verdict verdict;
    enum refusal refusal;   /* of a refused request */
    enum grant_end end;     /* of EVENT_ENDED */
    uint8_t key_id[KEY_ID_SIZE]; /* of the profile; there may be none that has it */
    struct address address;  /* the address that the grants are for */
    struct address observed; /* EVENT_VERDICT: where the knock came from */
    struct service services[POLICY_SERVICES]; /* of a knock whose signature is not right: none */
    uint8_t service_count;
    uint8_t ended_count;   /* grants of those services that ended: 255 is that, or more */
    uint16_t used;         /* bit i: a connection came in to services[i] */
    enum grant_use use;    /* of the grant that ended of whose use most is known */
    bool is_address_signed; /* the client named the address itself */
    bool is_cut;           /* the client wanted a longer window than the profile's maximum */
    int64_t wall;  /* when it was decided, seconds since the epoch */
    int64_t left;  /* seconds until the first of its grants ends, or until such knocks count */
    int64_t ahead; /* seconds by which the client's clock is ahead of this host's */
    struct helper_times times; /* for --trace; the sniffer may say anything in it */
    struct trace trace;
    size_t together;       /* requests in the batch */
};

/* Adds a grant that has ended to an event: its use, and its service, unless the event has that
 * already or has no room for it. */
void helper_event_add_end(struct helper_event *event, const struct grant *ended);

struct news;
struct words;

/* Tells that connections could not be counted, if news were lost since that was last told. */
void helper_events_tell_lost(struct words *words, struct news *news);

/* Tells of `count` grants that have ended, which it sorts. The grants of one profile and
 * address that ended for the same reason are one event, POLICY_SERVICES of them at most. With
 * `why` END_NONE the grants themselves say why they ended. */
void helper_events_tell_ends(struct words *words, struct grant *ended, size_t count,
                             enum grant_end why);

#endif
