/* The pair: one sniffer and one helper, started together and ended together.
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
    pid_t sniffer, helper; /* 0: none */
    int lifeline;          /* to the sniffer; -1: none */
    int orders;            /* to the helper, SOCK_SEQPACKET; -1: none */
    int news;              /* of connections, for this helper and the next; -1: none yet */
    uint32_t serial;       /* of the last order given to the helper */
    uint64_t verdicts[VERDICTS];      /* of this helper, when it last answered */
    uint64_t verdicts_before[VERDICTS]; /* of those before it; a helper that is killed takes
                                           the counts with it that it had not told */
    uint32_t live; /* grants, when a helper last answered */
    uint32_t rules; /* enum helper_rules; unknown while no helper serves */
    uint32_t interfaces[CONFIG_INTERFACES]; /* kernel's index of each one captured; 0: was
                                               not there, or down */
    bool unsupported[CONFIG_INTERFACES]; /* is there, but its link type is not known: not
                                            captured */
};

/* What the command line says of a pair, and what was found of this host. */
struct pair_options {
    bool foreground, debug; /* for the log */
    bool trace; /* each knock's way */
    const struct untracked *untracked; /* NULL: nothing */
    int64_t trial_end; /* CLOCK_BOOTTIME, nanoseconds: what is shut is open again from then
                          on, whatever becomes of the pair; 0: not on trial */
};

enum pair_result {
    PAIR_STARTED,
    PAIR_FAILED,   /* may pass */
    PAIR_UNUSABLE, /* this host cannot do what the configuration asks */
    PAIR_MISSING,  /* as the programs of the back end are not there */
};

void pair_init(struct pair *pair);

/* Starts a new pair in place of *pair, which may be empty: first the new sniffer
 * opens its captures, then the old pair ends, then the new helper takes over
 * its grants; so no knock is lost. The back end that this one chose is from then on the
 * configuration's. When the sniffer cannot start the old pair
 * is left as it was; when the helper cannot, *pair is empty. Failures are in
 * the log. Waits for the processes, a minute at most each. `counters`: the file of
 * counters_create. */
enum pair_result pair_replace(struct pair *pair, struct config *config, int counters,
                              const struct pair_options *options);

/* Tries what a helper would need for this configuration, changing nothing. */
enum pair_result pair_probe(const struct config *config, const struct pair_options *options);

/* Removes every trace of Portsmith from the firewall, with a helper of its own; false, too,
 * where the program of the back end `in_use` is missing. BACKEND_AUTO: none is known to be. */
bool pair_release(enum backend in_use, const struct pair_options *options);

/* Ends both and waits for them. With `remove_grants` live grants are taken out
 * of the firewall; otherwise they stay for the next pair, or until their
 * deadlines. */
void pair_end(struct pair *pair, bool remove_grants);

/* Takes the wait status of a child, or of any with -1, that has ended, and ends
 * whatever it has left behind. Returns its process id, 0 if none has ended, -1 if
 * there is no such child. */
pid_t pair_reap(pid_t child, int *status);

enum pair_end {
    PAIR_END_OF_ANOTHER, /* no child of the pair's */
    PAIR_END_ACCIDENT,
    PAIR_END_INTERFACE, /* the sniffer's, as an interface that it captured is gone, down or
                           another by now */
};

/* Takes note that a child has ended, and says in the log how. `config` is the one that
 * the pair runs with. */
enum pair_end pair_note_end(struct pair *pair, const struct config *config, pid_t child,
                            int status);

/* Gives the helper an order, without waiting; the report comes by pair_read_report, with
 * the serial that is put into *order. False when there is no helper, or it does not
 * read. */
bool pair_order(struct pair *pair, struct helper_order *order);

/* The helper's message, if any waits: 0, HELPER_SNIFFER_BROKEN, or HELPER_REPORT with a
 * checked report in *report. A helper that hung up, or said anything else, is ended. */
uint32_t pair_read_report(struct pair *pair, struct helper_report *report);

/* The part of the run directory that is the helper's, where its table of grants is
 * (granttable.h); -1 with the reason in the log. */
int pair_open_helper_directory(const struct config *config);

/* How many requests had a verdict, of all helpers so far. */
uint64_t pair_count(const struct pair *pair, enum verdict verdict);

/* Whether an interface that was not captured is there by now, or one that was
 * captured has gone: its capture does not always notice. */
bool pair_has_other_interfaces(const struct pair *pair, const struct config *config);

#endif
