/* Ending connections, and asking the kernel for them. Both are portsmith-cut's, which is started
 * for each deed: here is what it is told, and what becomes of that. The supervisor waits for none
 * of it.
 *
 * Which doors are meant is read in the helper's table of grants, never taken from anybody who
 * asks. */
#ifndef PORTSMITH_CUTTING_H
#define PORTSMITH_CUTTING_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config/config.h"
#include "privsep/cut/cutmessage.h"
#include "privsep/grantfile.h"
#include "privsep/granttable.h"
#include "privsep/message.h"
#include "privsep/witnessmessage.h"

enum { CUTTING_FDS = 2, CUTTING_ASKERS = 64 };

/* A portsmith-cut. */
struct cutter {
    pid_t pid;     /* 0: none, or it was reaped */
    int fd;        /* to it; -1: it has answered, or there is none */
    int64_t until; /* when it is killed: CLOCK_BOOTTIME, nanoseconds */
};

/* A door that is shut, or is being shut, and to which there may be connections. */
struct shut_door {
    struct cut_door door;
    uint8_t key_id[KEY_ID_SIZE]; /* of the profile */
    int64_t deadline; /* of the grant. It is forgotten then, as other grants that end are */
    bool was_dropped; /* a helper did not take the grant over, and no close has counted it yet */
    bool is_meant;    /* by the close that is being carried out */
};

/* How much a profile has asked. */
struct asker {
    uint8_t key_id[KEY_ID_SIZE];
    int64_t rests_until; /* CLOCK_BOOTTIME, nanoseconds: from then on it is as if it had not
                            asked */
};

struct cutting {
    struct cutter killer, prober;
    struct shut_door *doors; /* allocated */
    size_t count;
    size_t sent;      /* those that are meant, up to here */
    int64_t until;    /* that doors are ended again, if others were opened anew meanwhile */
    bool is_ordered;  /* the helper was ordered to close, for connections to be ended */
    struct helper_report report; /* of the close, with what dropped grants add to it */
    struct cut_result result;    /* of the close; CUT_DONE where it ends no connections */
    struct granttable_view before; /* the table of the helper that is replaced; its file is -1
                                      where there is none */
    int witness;      /* where questions are answered; -1: nobody waits for an answer */
    uint32_t asked;   /* the grant that the question is about; 0: its witness has gone */
    struct asker askers[CUTTING_ASKERS];
};

void cutting_init(struct cutting *cutting);

/* Ends both processes. */
void cutting_close(struct cutting *cutting);

/* ---- ending connections ------------------------------------------------- */

/* Before the helper is replaced, and after that: what the next one did not take over is kept until
 * its window is over, as connections may have come in through it. */
void cutting_note_table(struct cutting *cutting, const struct config *config);
void cutting_keep_dropped(struct cutting *cutting, const struct config *config);

/* Completes an order to close grants: so that no grant of later ends whose connections would stay.
 * With `kill` their doors are noted, and those of dropped grants that the order means. Where the
 * table cannot be read the order means the grants of later, too, and `kill` ends with
 * CUT_UNTABLED, as their doors are not known. */
void cutting_complete(struct cutting *cutting, struct helper_order *order,
                      const struct config *config);

/* Takes the helper's report on that order. True: connections are being ended, and cutting_serve
 * tells when that is over. False: it is over. */
bool cutting_begin(struct cutting *cutting, const struct helper_report *report);

/* Whether a report on an order is awaited after which connections are ended. There is one such
 * order at a time. The helper that had the order may have ended, or have never had it: then it is
 * forgotten. */
bool cutting_is_ordered(const struct cutting *cutting);
void cutting_forget_order(struct cutting *cutting);

/* Whether connections are being ended. */
bool cutting_is_busy(const struct cutting *cutting);

/* Puts it into words what `result` says, if connections may be left: true. */
bool cutting_explain(const struct cut_result *result, struct error *why);

/* ---- the witness's questions -------------------------------------------- */

/* Answers go to this socket from now on, -1: to none. */
void cutting_answer_to(struct cutting *cutting, int witness);

/* Has the kernel tell on `news` of the connections to the door of a grant that admits only so many.
 * Each question is answered once, by struct witness_answer. One that comes before the answer to the
 * one before is answered EBUSY. A grant that is not there, or that admits any number: ENOENT. A
 * profile that has asked eight questions at once may ask one more each second (EDQUOT): each has
 * the kernel go through all its connections, which takes it up to some tenths of a second, and a
 * witness that is not itself any more may go on asking. Whoever is answered EBUSY or EDQUOT may ask
 * again later. */
void cutting_ask(struct cutting *cutting, const struct config *config, int news, uint32_t id);

/* ---- the processes ------------------------------------------------------ */

/* Fills in the descriptors to wait for; CUTTING_FDS. */
void cutting_poll(const struct cutting *cutting, struct pollfd fds[static CUTTING_FDS]);

/* Sends and receives what can be without waiting, and kills what has had its time. True when
 * connections were being ended, and that is over. */
bool cutting_serve(struct cutting *cutting, const struct config *config);

/* When the next process will have had its time; 0: there is none. */
int64_t cutting_next_end(const struct cutting *cutting);

/* Takes note that a child has ended. False if it was no portsmith-cut. */
bool cutting_note_end(struct cutting *cutting, pid_t child, int status);

#endif
