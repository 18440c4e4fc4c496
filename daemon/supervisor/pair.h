/* The pair: one sniffer and one helper, started together and ended together, with a witness.
 * There is one way to start it and one way to end it. */
#ifndef PORTSMITH_PAIR_H
#define PORTSMITH_PAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config/config.h"
#include "privsep/message.h"

struct untracked; /* tracking.h */

struct pair {
    pid_t sniffer, helper, witness; /* 0: none */
    int lifeline;          /* to the sniffer; -1: none */
    int orders;            /* to the helper, SOCK_SEQPACKET; -1: none */
    int questions;         /* to the witness, SOCK_SEQPACKET; -1: none */
    int uses;              /* the file of uses.h, for all witnesses in turn; -1: none yet */
    int news;              /* the kernel's of connections, for all in turn; -1: none yet */
    uint32_t serial;       /* of the last order given to the helper */
    uint64_t verdicts[VERDICTS];      /* of this helper, as it last reported */
    uint64_t verdicts_before[VERDICTS]; /* of the helpers before it. What a helper counted after
                                           its last report is lost if it is killed */
    uint32_t live; /* grants, as a helper last reported */
    uint32_t rules; /* enum helper_rules; unknown while no helper serves */
    uint32_t owned; /* 1: nobody else can change the rules; 0 while no helper serves */
    uint32_t removals; /* of our rules, since nobody removed any for QUIET_SECONDS */
    int64_t quiet_at;  /* when nobody has removed any for so long; CLOCK_BOOTTIME, nanoseconds */
    uint32_t interfaces[CONFIG_INTERFACES]; /* the kernel's index of each; 0: the interface was
                                               not there, or down, and is not captured */
    bool unsupported[CONFIG_INTERFACES]; /* the interface is there, but not captured, as its link
                                            type is not known */
};

/* What the command line says of a pair, and what was found of this host. */
struct pair_options {
    bool foreground, debug; /* for the log */
    bool trace; /* the log tells how long each step of a knock took */
    const struct untracked *untracked; /* what this host does not track; NULL: nothing */
    int64_t trial_end; /* CLOCK_BOOTTIME, nanoseconds: from then on what is shut is open again,
                          whatever becomes of the pair; 0: this is no trial */
};

enum pair_result {
    PAIR_STARTED,
    PAIR_FAILED,   /* what was in the way may pass */
    PAIR_UNUSABLE, /* this host cannot do what the configuration asks */
    PAIR_MISSING,  /* the programs of the back end are not there */
};

/* Begins with no pair. */
void pair_init(struct pair *pair);

/* Starts a new pair in place of *pair, which may be empty. First the new sniffer opens its
 * captures, then the old pair ends, then the new helper takes over its grants: so no knock is
 * lost. Last of all the new witness starts. `counters` is the file of counters_create. The back
 * end that the new helper chose is the configuration's from then on. When the sniffer cannot
 * start, the old pair is left as it was; when the helper cannot, *pair is empty. Failures are in
 * the log. Waits for the processes, a minute at most for each. */
enum pair_result pair_replace(struct pair *pair, struct config *config, int counters,
                              const struct pair_options *options);

/* Tries what a helper would need for this configuration. What is made for that is gone again when
 * it returns, and a helper that serves goes on. PAIR_STARTED: all is there. Otherwise *why says
 * what is missing, and what to do. Waits for a minute at most. */
enum pair_result pair_probe(const struct config *config, const struct pair_options *options,
                            struct error *why);

/* Removes every chain, rule and set of Portsmith's from the firewall, with a helper of its own.
 * `in_use` is the back end in use, as far as it is known; else BACKEND_AUTO. False, with the reason
 * in the log, where something may be left, or that back end's program is missing. */
bool pair_release(enum backend in_use, const struct pair_options *options);

/* Ends all three processes and waits for them. With `remove_grants` live grants are taken out
 * of the firewall; otherwise they stay for the next pair, or until their
 * deadlines. False if there was no helper that could be told to remove them: one that was killed
 * may not be known to have ended. */
bool pair_end(struct pair *pair, bool remove_grants);

/* Has rules that nobody has removed for a while be contested no more. Returns when to look again, 0
 * if they are not contested; CLOCK_BOOTTIME, nanoseconds. */
int64_t pair_follow_quiet(struct pair *pair);

/* Takes the wait status of a child that has ended, or with -1 of any child, and ends whatever
 * processes it has left behind. Returns its process id, 0 if none has ended, -1 if there is no such
 * child. */
pid_t pair_reap(pid_t child, int *status);

/* Starts a program with our end of its socket (SOCK_SEQPACKET) in *ours, the other end at 3, and
 * copies of `count` descriptors from 4 on. 0 with the reason in the log; *ours may be open then,
 * too. */
pid_t pair_start_program(const char *path, int *ours, const int *descriptors, int count);

enum pair_end {
    PAIR_END_OF_ANOTHER, /* the child was none of the pair's */
    PAIR_END_ACCIDENT,
    PAIR_END_INTERFACE, /* the sniffer ended as an interface that it captured is gone, down or
                           another by now */
};

/* Takes note that a child has ended, and says in the log how. `config` is the one that
 * the pair runs with. */
enum pair_end pair_note_end(struct pair *pair, const struct config *config, pid_t child,
                            int status);

/* Gives the helper an order, without waiting, and puts its serial into *order. The report with that
 * serial comes by pair_read_report. False when there is no helper, or it does not read. */
bool pair_order(struct pair *pair, struct helper_order *order);

/* Reads the helper's message, if any waits. Returns 0, HELPER_PEER_BROKEN, or HELPER_REPORT with
 * a checked report in *report. A helper that hung up, or said anything else, is killed. */
uint32_t pair_read_report(struct pair *pair, struct helper_report *report);

/* Reads the witness's question into *id, if any waits. A witness that hung up, or said anything
 * else, is killed. */
bool pair_read_question(struct pair *pair, uint32_t *id);

/* Opens the helper's part of the run directory, where its table of grants is (granttable.h), and
 * returns a descriptor for the caller to close; -1 with the reason in the log. */
int pair_open_helper_directory(const struct config *config);

/* Returns how many requests had a verdict, of all helpers so far. */
uint64_t pair_count(const struct pair *pair, enum verdict verdict);

/* Whether an interface that is not captured is there by now, or one that is captured has gone. A
 * capture does not always notice the latter. */
bool pair_has_other_interfaces(const struct pair *pair, const struct config *config);

#endif
