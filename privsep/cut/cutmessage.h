/* What the supervisor says to portsmith-cut, and back: fixed-size structs over SOCK_SEQPACKET on
 * descriptor 3. One process serves one deed and exits. */
#ifndef PORTSMITH_CUTMESSAGE_H
#define PORTSMITH_CUTMESSAGE_H

#include <stdint.h>

#include "common/address.h"
#include "common/service.h"

enum {
    CUT_FD_SUPERVISOR = 3,
    CUT_FD_NEWS = 4, /* CUT_ASK: the kernel's news of connections, on which it asks */
};

enum cut_deed {
    CUT_KILL = 1, /* end the connections to all doors that follow, one message each, until end of
                     file; then answer */
    CUT_ASK = 2,  /* have the kernel tell on CUT_FD_NEWS of the connections to this door; then
                     answer */
};

struct cut_door {
    uint32_t deed; /* enum cut_deed, the same in each message */
    uint32_t id;   /* the grant's; CUT_ASK: also the question's number (nlmsg_seq) */
    struct address address;
    struct service service;
};

struct cut_result {
    uint32_t ended; /* connections */
    uint32_t error; /* an errno: some connections may be left, or nothing was asked; 0: none */
};

#endif
