/* iptables-restore and ip6tables-restore: the only programs that the helper runs.
 * The helper keeps one program per family running, and feeds it transactions. Where the program
 * does not acknowledge them (iptables 1.8.4), one is run per transaction. */
#ifndef PORTSMITH_RESTORE_H
#define PORTSMITH_RESTORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "privsep/xtables/text.h"

enum { RESTORE_STARTED = 2 };

struct restore {
    const char *path; /* absolute */
    bool standing;    /* acknowledges each transaction, so it is kept */
    pid_t pid;        /* 0: not running */
    uint32_t *started; /* where the process ids of the last RESTORE_STARTED programs stand, the
                          newest first, for others to read; NULL: nowhere. A program is there before
                          it changes anything */
    int in, out;      /* pipes, ours, non-blocking; -1: not running */
    unsigned serial;  /* of the last transaction */
};

enum restore_result {
    RESTORE_DONE,    /* the kernel has it */
    RESTORE_REFUSED, /* iptables refused a block, which changed nothing; the blocks before it are
                        in force */
    RESTORE_IMPOSSIBLE, /* the kernel refused a block, and would again; the same is in force */
    RESTORE_BUSY,    /* a block was refused, but trying again may help: the xtables lock was held,
                        no memory, or the like; the same is in force */
    RESTORE_UNKNOWN, /* no answer in time: it may or may not be in force */
};

/* Begins without a program that runs. `path` must stay valid. */
void restore_init(struct restore *restore, const char *path);

/* Feeds the program a text, one or more whole "*table ... COMMIT" blocks, which it ends and frees.
 * Waits for the outcome, some seconds at most. What the program printed when it failed is in
 * *why, made safe for a log line. */
enum restore_result restore_run(struct restore *restore, struct text *text, struct error *why);

/* The same, but with a program that is run for this text alone. */
enum restore_result restore_run_once(const char *path, struct text *text, struct error *why);

/* Tries whether the program, kept running, acknowledges an empty transaction within three seconds.
 * If it does, it is kept running from then on. */
void restore_try_standing(struct restore *restore);

/* Ends the program that is kept running, if any, and waits for its end. */
void restore_end(struct restore *restore);

#endif
