/* What crosses between the supervisor and the witness (daemon/witness), over SOCK_SEQPACKET: one
 * struct of fixed size a message. */
#ifndef PORTSMITH_WITNESSMESSAGE_H
#define PORTSMITH_WITNESSMESSAGE_H

#include <stdint.h>

/* The descriptors that the supervisor leaves open in the witness. */
enum {
    WITNESS_FD_SUPERVISOR = 3, /* struct witness_setup and _answer in, witness_question out; its
                                  end is the witness's end, once that has heard all events */
    WITNESS_FD_HELPER = 4,     /* struct helper_event in, witness_word out */
    WITNESS_FD_NEWS = 5,       /* the kernel's news of connections: the same socket as
                                  HELPER_FD_NEWS, in which the helper joins and leaves the group */
    WITNESS_FD_BELL = 6,       /* the kernel's news of changes to nftables, joined; /dev/null where
                                  none are needed */
    WITNESS_FD_PLAN = 7,       /* privsep/plan.h, sealed */
    WITNESS_FD_GRANTS = 8,     /* the table of grants, to be read */
    WITNESS_FD_USES = 9,       /* privsep/uses.h, to be written */
};

/* When witness and supervisor call rules contested, each by itself. */
enum {
    REMOVALS_OFTEN = 3, /* after more of them */
    QUIET_SECONDS = 60, /* without a removal: then no more */
};

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
