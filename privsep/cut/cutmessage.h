/* What the supervisor says to portsmith-cut, and back: fixed-size structs over SOCK_SEQPACKET on
 * descriptor 3. One process serves one deed and exits. */
#ifndef PORTSMITH_CUTMESSAGE_H
#define PORTSMITH_CUTMESSAGE_H

#include <stdint.h>

#include "common/address.h"
#include "common/service.h"
#include "privsep/message.h"

enum {
    CUT_FD_SUPERVISOR = 3,
    CUT_FD_NEWS = 4, /* CUT_ASK: the kernel's news of connections, on which it asks */
};

enum {
    CUT_DOORS_MAX = 2 * MAX_GRANTS_MOST, /* live grants, and those that ended before */
    CUT_SECONDS = 20,      /* that it goes on ending connections, at most */
    CUT_LIFE_SECONDS = 25, /* that it lives, at most */
};

enum cut_deed {
    CUT_KILL = 1, /* end the connections to all doors that follow until end of file, one message
                     each, ascending by address and then by service; then answer */
    CUT_ASK = 2,  /* have the kernel tell on CUT_FD_NEWS of the connections to this one door; then
                     answer. What the kernel tells has the number of the question (nlmsg_seq), an
                     error too. Whoever filters that socket has to let such messages through. An
                     older kernel, or one that is asked about an IPv6 address, tells of others as
                     well */
};

struct cut_door {
    uint32_t deed; /* enum cut_deed, the same in each message */
    uint32_t id;   /* the grant's; CUT_ASK: also the question's number (nlmsg_seq), not 0 */
    struct address address;
    struct service service;
};

/* Why connections may be left. */
enum cut_trouble {
    CUT_DONE,       /* there are none left, or the kernel was asked */
    CUT_REFUSED,    /* the kernel did not end `left` of those of this host */
    CUT_NO_SOCKETS, /* the kernel does not end connections of this host */
    CUT_UNTRACKED,  /* the kernel does not tell of its connections */
    CUT_TOO_MANY,   /* they came again and again, or time was up */
    CUT_BROKEN,     /* the process could not do its work */
    CUT_TROUBLES,
    CUT_UNTABLED,   /* the supervisor's alone: it could not read to which doors */
};

struct cut_result {
    uint32_t ended;   /* connections */
    uint32_t trouble; /* enum cut_trouble */
    uint32_t error;   /* the errno of the trouble; 0 where it has none */
    uint32_t left;
};

#endif
