/* One client's knocks, from the sniffer's socket to the kernel's rules, and back
 * from every crash. tests/deep/model/run runs it through spin(1).
 *
 * What is modelled. The helper, step by step in the order of the code: each
 * inline below that does not begin with "world_" is named as the function whose
 * step it is (tests/deep/model/run compares the names). A step that others can see (a
 * write, a sync, a firewall transaction, a reply) is atomic, and between any two
 * of them anything may happen: time passes, a process is killed, the power fails.
 * What prepares a helper is one process with it, as a kill may hit it before the helper is
 * executed or after, and what it hands over is in no file. The supervisor, as far as it starts,
 * replaces, reloads and stops. What outlives
 * them: the marks as programs read them and as the disk holds them, the file of
 * grants, the kernel's rules, the program that carries out a transaction.
 *
 * The sniffer is a hostile one: helper_requests_serve() may find any knock that the
 * client ever made in the socket, at any time, as often as it likes, from any
 * address, and there is always one. Only where a client is to be heard (HEARD) its
 * newest knock gets through: a sniffer may always drop it.
 *
 * Time is counted in ticks. A deadline is kept as what is left of it, so that time
 * never ends: NONE, OVER, or OVER + ticks. A counter is the number of a knock: 1 is
 * the client's first. "Now" as a counter is the number of knocks made, for a
 * counter is the time when its knock was made.
 *
 * Left out, and why:
 * - Cryptography, parsing, policy but for "is there a profile": they have tests
 *   and proofs of their own, and no crash comes in between.
 * - MaxSkew: it only refuses more. Without it all recorded knocks are fresh.
 * - A second client: marks and grants are kept for each alone.
 * - A second address family and table: a grant is its rule; half a rule opens
 *   nothing. That a failed transaction may be in force in part or in whole is in.
 * - A client with room for one grant, which a knock moves: that is a removal and an
 *   addition, in one rewrite or in two. tests/unit/test_requests.c has them.
 * - Removed chains, and the shutting rules: tests/lab.d/net and the drills have them.
 * - Steps of the wall clock, but for one that is lost with the power (CLOCK_LOST).
 * - The mark keeps two counters, not eight; a batch holds two requests, not 64.
 *   Both are enough for knocks that overtake each other and for a knock that comes
 *   twice in a batch.
 * - Backoff: a restart may take any time.
 * - The witness: it can only have a grant end early, as any knock that closes may.
 *
 * A power cut may leave each slot of the marks that was not synced as it was, as
 * it was to be, or torn, one slot independently of the other. That is worse than
 * disks are: the two lie in one sector.
 *
 * One property is checked at a time: -DPROPERTY=. How often bad things happen is
 * limited (-DKILLS=, ...), and every order of them is searched. A mutant is the
 * model with one mistake, -DMUTANT=: it must fail. */

/* ---- the properties ------------------------------------------------------- */

#define AT_MOST_ONCE 1    /* a knock opens once, whatever is killed */
#define RECORDED_FIRST 2  /* a rule's knock is spent on the disk, not only in memory */
#define ENDS 3            /* no rule lets through after its deadline */
#define DEADLINES_FIRST 4 /* what was over when the helper woke goes before a request */
#define CLOSED 5          /* what was closed by a knock, and told, does not come back, nor by
                             an older knock that comes late */
#define REVOKED 6         /* no grant of a removed profile outlives the reload */
#define STOPPED 7         /* what a stop ended does not come back */
#define REMOVED 8         /* liveness: a rule that is over is removed, under a flood */
#define HEARD 9           /* liveness: a knock made after the last crash opens */

/* ---- the mutants ---------------------------------------------------------- */

#define MARK_AFTER_RULE 1          /* the firewall is changed before the commit */
#define MARK_NOT_SYNCED 2          /* no fdatasync */
#define MARK_IN_ONE_SLOT 3         /* each write over the newest state */
#define MARKS_READ_UNSYNCED 4      /* a killed helper's write is read, but never synced */
#define FLOOR_ZERO 5               /* a lost mark starts from 0 instead of now */
#define FLOOR_AHEAD 6              /* or from later than now */
#define CLIENT_AHEAD 7             /* not ours: the client's clock is ahead, its mark lost */
#define TWO_HELPERS 8              /* the state directory is not locked */
#define LOCK_KEPT 9                /* the lock outlives a killed helper */
#define NO_KERNEL_DEADLINE 10      /* a rule lets through until it is removed */
#define TAKEN_OVER_AFRESH 11       /* grants are taken over without their deadlines */
#define BOOT_ID_UNCHECKED 12       /* grants of another boot are taken over */
#define REQUESTS_FIRST 13          /* requests before deadlines */
#define SERVE_WHILE_ANY_WAIT 14    /* no deadline while requests wait */
#define TIMER_NOT_ARMED 15         /* no deadline wakes the helper */
#define RETRY_PUT_OFF 16           /* each turn of the loop plans the retry anew */
#define PERMITTED_UNCHECKED 17     /* all grants are taken over */
#define REMOVED_PROFILES_KEPT 18   /* a reload that fails goes back to all profiles */
#define SEAL_OUTLIVES_REPLY 19     /* of a grant that is closed, until after the reply */
#define TORN_TAKEN_OVER 20         /* a record is taken over without a look at its seal */
#define STOP_LEAVES_SEALS 21       /* a stop leaves the table of grants as it is */
#define RESTORE_WITHOUT_LOCK 22    /* iptables-restore does not inherit it */
#define CLOSE_NOT_KEPT 23          /* the mark knows of no close */
#define CLOSE_NOT_STORED 24        /* but only in memory */

#ifndef PROPERTY
#define PROPERTY AT_MOST_ONCE
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

/* ---- how much may happen -------------------------------------------------- */

#ifndef KNOCKS
#define KNOCKS 3     /* made by the client */
#endif
#ifndef CLOSING
#define CLOSING 0    /* 1: the last of them closes */
#endif
#ifndef ADDRESSES
#define ADDRESSES 1  /* that a knock may come from */
#endif
#ifndef BATCH
#define BATCH 2      /* requests served together */
#endif
#ifndef WINDOW
#define WINDOW 1     /* ticks */
#endif
#ifndef HAS_TIME
#define HAS_TIME 1   /* 0: it stands still */
#endif
#ifndef QUIET
#define QUIET 0      /* 1: in the sniffer's socket is only what is new */
#endif
#ifndef KILLS
#define KILLS 0      /* SIGKILL: of the helper, of the supervisor, of all */
#endif
#ifndef CUTS
#define CUTS 0       /* power cuts */
#endif
#ifndef CLOCK_LOST
#define CLOCK_LOST 0 /* 1: after which the clock starts from 1970 */
#endif
#ifndef FAILURES
#define FAILURES 0   /* firewall transactions that fail, all tries of them */
#endif
#ifndef NO_ROOM
#define NO_ROOM 0    /* times that the disk is full */
#endif
#ifndef DAMAGES
#define DAMAGES 0    /* times that the marks are lost while no helper runs */
#endif
#ifndef REPLACEMENTS
#define REPLACEMENTS 0 /* of a healthy pair: a reload, a dead sniffer */
#endif
#ifndef REVOCATIONS
#define REVOCATIONS 0 /* removals of the profile, each with a reload */
#endif
#ifndef BROKEN
#define BROKEN 0     /* reloads of a configuration with an error elsewhere */
#endif
#ifndef STOPS
#define STOPS 0      /* stops, each with a start afterwards */
#endif

/* ---- the world ------------------------------------------------------------ */

#define NONE 0
#define OVER 1
#define WHOLE (OVER + WINDOW)
#define SOON (OVER + 1)
#define CLIENT 0

typedef slot {
    byte sequence; /* 0: nothing that can be read */
    byte low, high; /* the two highest counters spent */
    bool shut      /* the highest close: of the last knock, or none */
};

typedef memory { /* of a helper, as far as time or the world touch it */
    byte grants[ADDRESSES];
    byte before[ADDRESSES]; /* deadline_before */
    byte retry;             /* look_at */
    byte wanted[ADDRESSES]; /* the transaction that is with the program */
    bool wanted_whole;      /* written whole: else only added to */
    byte granting           /* bits: the counters that it is for */
};

memory helpers[2];     /* two places: an old helper may not have ended yet */
bool alive[2];
bool forgotten[2] = true; /* the memory of the one before */
bool in_flight[2];     /* the program has a transaction; it may survive its helper */
bool end_of_file[2];   /* the supervisor's socket has ended */
bool told_to_stop[2];
bool ready[2];
bool has_profile[2];   /* in the policy that it was born with */
byte lock;             /* of the state directory: place + 1 */

slot cache[2];         /* the file "marks", as programs read it */
slot disk[2];          /* as the disk holds it */
bool dirty[2];         /* not synced: either, or torn */
byte file[ADDRESSES];  /* the file "grants", as whoever reads it now takes it */
byte torn;             /* bits: its records that are being changed */
byte rule[ADDRESSES];  /* the kernel's */

byte made;             /* knocks, so far; "now" as a counter */
bool clock_lost;
byte honoured;         /* bits: counters that have opened or closed something */
byte due[ADDRESSES];   /* when the door must be shut, by what was promised last */
bool waits;            /* the newest knock is in the socket (HEARD) */
bool told_shut;        /* the knock that closes was done, and told (CLOSED) */

bool profile_there = true; /* its file */
bool hangup, supervisor_killed;

byte kills = KILLS, cuts = CUTS, failures = FAILURES, no_room = NO_ROOM, damages = DAMAGES;
byte replacements = REPLACEMENTS, revocations = REVOCATIONS, broken = BROKEN, stops = STOPS;

hidden byte a; /* an address, within one step */
hidden byte n;

#define claim(property, holds) assert(PROPERTY != property || (holds))
#define bit_of(counter) (1 << (counter))
#define later_of(x, y) ((x) > (y) -> (x) : (y))
#define is_spent(slot, counter) ((counter) <= slot.low || (counter) == slot.high)
#define newest(slots) (slots[0].sequence > slots[1].sequence -> 0 : 1)
#define is_recorded(counter) (disk[newest(disk)].sequence > 0 && \
                              is_spent(disk[newest(disk)], counter))

/* Its last second is before the deadline, and the kernel keeps it. */
#if MUTANT == NO_KERNEL_DEADLINE
#define lets_through(rule) ((rule) > NONE)
#else
#define lets_through(rule) ((rule) > OVER)
#endif

#define is_calm (kills + cuts + failures + no_room + damages + replacements == 0 && \
                 cache[0].sequence + cache[1].sequence > 0)
#define some_rule_is_over (rule[0] == OVER || rule[ADDRESSES - 1] == OVER)
#define last_was_made (made == KNOCKS)
#define last_was_honoured (honoured & bit_of(KNOCKS))

inline world_check_doors()
{
    for (a : 0 .. ADDRESSES - 1) {
        assert((PROPERTY != ENDS && PROPERTY != CLOSED && PROPERTY != REVOKED &&
                PROPERTY != STOPPED) || !lets_through(rule[a]) || due[a] > OVER)
    }
}

/* From now on the doors are promised to be shut. */
inline world_promise_shut(property)
{
    if
    :: PROPERTY == property -> for (a : 0 .. ADDRESSES - 1) { due[a] = NONE } world_check_doors()
    :: else
    fi
}

inline world_pass_time(left)
{
    if :: left > OVER -> left-- :: else fi
}

inline world_tick()
{
    atomic {
        for (a : 0 .. ADDRESSES - 1) {
            world_pass_time(rule[a]);
            world_pass_time(file[a]);
            world_pass_time(due[a]);
            for (n : 0 .. 1) {
                world_pass_time(helpers[n].grants[a]);
                world_pass_time(helpers[n].before[a]);
                world_pass_time(helpers[n].wanted[a])
            }
        }
        for (n : 0 .. 1) { world_pass_time(helpers[n].retry) }
        world_check_doors()
    }
}

/* The program carries out what it was given. */
inline world_apply(place)
{
    for (a : 0 .. ADDRESSES - 1) {
        rule[a] = (helpers[place].wanted_whole -> helpers[place].wanted[a]
                                               : later_of(rule[a], helpers[place].wanted[a]))
    }
    for (n : 1 .. KNOCKS) {
        if
        :: helpers[place].granting & bit_of(n) ->
            claim(AT_MOST_ONCE, !(honoured & bit_of(n)));
            claim(RECORDED_FIRST, is_recorded(n));
            honoured = honoured | bit_of(n)
        :: else
        fi
    }
    world_check_doors()
}

inline world_forget_transaction(place)
{
    for (a : 0 .. ADDRESSES - 1) { helpers[place].wanted[a] = NONE }
    helpers[place].wanted_whole = false;
    helpers[place].granting = 0;
    in_flight[place] = false
}

inline world_unlock(place)
{
    if :: lock == place + 1 -> lock = 0 :: else fi
}

/* A process ends, by itself or killed. The program that it runs goes on to the end
 * of its transaction, and has the lock until then. */
inline world_end(place)
{
    ready[place] = false;
    end_of_file[place] = false;
    told_to_stop[place] = false;
    has_profile[place] = false;
    helpers[place].retry = NONE;
    for (a : 0 .. ADDRESSES - 1) {
        helpers[place].grants[a] = NONE;
        helpers[place].before[a] = NONE
    }
    if
    :: MUTANT == LOCK_KEPT && kills < KILLS
    :: else ->
        if
        :: !in_flight[place] || MUTANT == RESTORE_WITHOUT_LOCK -> world_unlock(place)
        :: else
        fi
    fi;
    alive[place] = false /* last: the helper itself goes no further */
}

/* The transaction of a helper that is dead: carried out late, or not at all. */
inline world_finish_orphan(place)
{
    atomic {
        in_flight[place] && !alive[place];
        if
        :: world_apply(place)
        :: true
        fi;
        world_forget_transaction(place);
        world_unlock(place)
    }
}

inline world_lose_power()
{
    atomic {
        cuts > 0;
        for (n : 0 .. 1) {
            if
            :: dirty[n] && cache[n].sequence != disk[n].sequence ->
                if
                :: disk[n].sequence = cache[n].sequence; disk[n].low = cache[n].low;
                   disk[n].high = cache[n].high; disk[n].shut = cache[n].shut
                :: disk[n].sequence = 0; disk[n].low = 0; disk[n].high = 0; disk[n].shut = false
                :: true
                fi
            :: else
            fi
        }
        cuts--;
        for (n : 0 .. 1) {
            cache[n].sequence = disk[n].sequence;
            cache[n].low = disk[n].low;
            cache[n].high = disk[n].high;
            cache[n].shut = disk[n].shut;
            dirty[n] = false;
            world_forget_transaction(n);
            world_end(n)
        }
        lock = 0;
        torn = 0;
        clock_lost = CLOCK_LOST;
        supervisor_killed = true;
        for (a : 0 .. ADDRESSES - 1) {
            rule[a] = NONE;
            /* A boot-time deadline of another boot means any time in this. */
            file[a] = (MUTANT == BOOT_ID_UNCHECKED && file[a] > OVER -> WHOLE : NONE)
        }
    }
}

/* ---- marks.c -------------------------------------------------------------- */

/* In the helper: done, and the mark: low, high, shut, sequence, unwritten. */

inline helper_marks_lock()
{
    atomic { lock == 0 || MUTANT == TWO_HELPERS -> lock = me + 1 }
}

inline world_fdatasync()
{
    for (n : 0 .. 1) {
        if
        :: dirty[n] ->
            disk[n].sequence = cache[n].sequence;
            disk[n].low = cache[n].low;
            disk[n].high = cache[n].high;
            disk[n].shut = cache[n].shut;
            dirty[n] = false
        :: else
        fi
    }
}

inline write_mark()
{
    n = (MUTANT == MARK_IN_ONE_SLOT -> 0 : (sequence + 1) % 2);
    cache[n].sequence = sequence + 1;
    cache[n].low = low;
    cache[n].high = high;
    cache[n].shut = shut && MUTANT != CLOSE_NOT_STORED;
    dirty[n] = true
}

inline helper_marks_commit()
{
    if
    :: !unwritten -> done = true
    :: else ->
        if
        :: atomic { true -> write_mark(); done = true }
        :: no_room > 0 -> atomic { no_room--; done = false }
        fi;
        if
        :: !done
        :: done && no_room > 0 -> atomic { no_room--; done = false }
        :: done ->
            atomic {
#if MUTANT != MARK_NOT_SYNCED
                world_fdatasync();
#endif
                sequence++;
                unwritten = false
            }
        fi
    fi
}

inline helper_marks_open()
{
#if MUTANT != MARKS_READ_UNSYNCED
    atomic { world_fdatasync() }
#endif
    atomic {
        n = newest(cache);
        sequence = cache[n].sequence;
        low = cache[n].low;
        high = cache[n].high;
        shut = cache[n].shut;
        unwritten = false;
        if
        :: sequence == 0 -> /* add_missing: all that may have been spent */
            low = (clock_lost || MUTANT == FLOOR_ZERO -> 0 : made);
            if
            :: MUTANT == FLOOR_AHEAD -> low++
            :: MUTANT == CLIENT_AHEAD && low > 0 -> low--
            :: else
            fi;
            high = low;
            unwritten = true
        :: else
        fi
    };
    helper_marks_commit()
}

/* The lower of the two makes room. */
inline helper_marks_spend(counter)
{
    low = (counter < high -> counter : high);
    high = later_of(counter, high);
    unwritten = true
}

inline helper_marks_close_at()
{
    shut = MUTANT != CLOSE_NOT_KEPT
}

/* ---- iptables.c and restore.c --------------------------------------------- */

/* Gives the program a transaction and awaits its acknowledgement; in the helper:
 * done, touched, granting. That it fails means after all tries; it may be in force
 * nevertheless. */
inline restore_run(whole)
{
    atomic {
        for (a : 0 .. ADDRESSES - 1) {
            helpers[me].wanted[a] = (whole || (touched & bit_of(a)) -> helpers[me].grants[a] : NONE)
        }
        helpers[me].wanted_whole = whole;
        helpers[me].granting = granting;
        in_flight[me] = true
    };
    if
    :: atomic { true -> world_apply(me); world_forget_transaction(me); done = true }
    :: failures > 0 ->
        atomic { failures--; world_apply(me); world_forget_transaction(me); done = false }
    :: failures > 0 -> atomic { failures--; world_forget_transaction(me); done = false }
    fi
}

inline helper_iptables_establish()
{
    restore_run(true);
    unsure = !done
}

inline helper_firewall_change(is_rewrite)
{
    restore_run(is_rewrite);
    unsure = !done
}

inline helper_firewall_mend()
{
    helper_iptables_establish()
}

inline helper_firewall_clear()
{
    restore_run(true);
    unsure = !done
}

/* ---- grants.c ------------------------------------------------------------- */

/* What the next helper makes of the records, in a new file. */
inline take_over()
{
    for (a : 0 .. ADDRESSES - 1) {
        if
        :: (torn & bit_of(a)) -> file[a] = (MUTANT == TORN_TAKEN_OVER -> WHOLE : NONE)
        :: else
        fi;
        helpers[me].grants[a] = (file[a] > OVER -> file[a] : NONE);
        if
        :: MUTANT == TAKEN_OVER_AFRESH && helpers[me].grants[a] != NONE ->
            helpers[me].grants[a] = WHOLE
        :: else
        fi;
        file[a] = helpers[me].grants[a]
    }
    torn = 0
}

/* Without room there is no table: the file that was there stays, and nothing is open. */
inline helper_grants_create()
{
    if
    :: atomic { true -> take_over(); done = true }
    :: no_room > 0 -> atomic { no_room--; done = false }
    fi
}

inline helper_grants_add(address)
{
    touched = touched | bit_of(address);
    helpers[me].grants[address] = WHOLE
}

/* The record is as it was before, to whoever reads it, until the batch is settled; but
 * while it is written it is torn. */
inline helper_grants_extend(address)
{
    torn = torn | bit_of(address);
    if
    :: !(touched & bit_of(address)) -> helpers[me].before[address] = helpers[me].grants[address]
    :: else
    fi;
    touched = touched | bit_of(address);
    helpers[me].grants[address] = WHOLE
}

/* As helper_grants_remove_at leaves the record. */
inline world_unseal(address)
{
    file[address] = NONE
}

inline helper_grants_remove_at(address)
{
    helpers[me].grants[address] = NONE;
    helpers[me].before[address] = NONE;
    if :: MUTANT != SEAL_OUTLIVES_REPLY -> world_unseal(address) :: else fi;
    touched = touched & ~bit_of(address)
}

inline helper_grants_settle()
{
    for (a : 0 .. ADDRESSES - 1) {
        if
        :: (touched & bit_of(a)) && !done -> helpers[me].grants[a] = helpers[me].before[a]
        :: else
        fi;
        if
        :: (touched & bit_of(a)) -> file[a] = helpers[me].grants[a]
        :: else
        fi;
        helpers[me].before[a] = NONE
    }
    torn = 0;
    touched = 0;
    granting = 0
}

inline helper_grants_clear()
{
    for (a : 0 .. ADDRESSES - 1) {
        helpers[me].grants[a] = NONE;
        if :: MUTANT != STOP_LEAVES_SEALS -> world_unseal(a) :: else fi
    }
}

inline helper_grants_expire()
{
    for (a : 0 .. ADDRESSES - 1) {
        if
        :: helpers[me].grants[a] == OVER ->
            helpers[me].grants[a] = NONE;
            world_unseal(a);
            changed = true
        :: else
        fi
    }
}

/* ---- requests.c ----------------------------------------------------------- */

/* Any knock that was ever made, from anywhere, or nothing. */
inline receive_request(i)
{
    if
    :: i == 0 && waits -> counter[i] = made; waits = false
    :: i == 1 || !waits ->
        if
        :: counter[i] = 0
        :: i < BATCH && made >= 1 -> counter[i] = 1
        :: i < BATCH && made >= 2 -> counter[i] = 2
        :: i < BATCH && made >= 3 -> counter[i] = 3
        fi;
        if
        :: counter[i] > 0 && ADDRESSES > 1 -> address[i] = 1
        :: true
        fi
    fi
}

/* Refused are the unknown profile's, what is not new, and what is older than a close. */
inline judge(i)
{
    if
    :: counter[i] == 0
    :: counter[i] > 0 && has_profile[me] && !(counter[i] <= low || counter[i] == high) ->
        helper_marks_spend(counter[i]);
        if
        :: CLOSING && counter[i] == KNOCKS -> helper_marks_close_at()
        :: !(CLOSING && counter[i] == KNOCKS) && shut -> counter[i] = 0; address[i] = 0
        :: else
        fi
    :: else -> counter[i] = 0; address[i] = 0
    fi
}

inline change_table(counter, address)
{
    claim(AT_MOST_ONCE, !(granting & bit_of(counter)));
    granting = granting | bit_of(counter);
    if
    :: CLOSING && counter == KNOCKS ->
        if
        :: helpers[me].grants[address] != NONE ->
            helper_grants_remove_at(address);
            closed = closed | bit_of(address);
            change_rewrite = true
        :: else
        fi
    :: else ->
        if
        :: helpers[me].grants[address] != NONE ->
            helper_grants_extend(address);
            change_rewrite = true
        :: else ->
            helper_grants_add(address);
            change_insert = true
        fi;
        if :: PROPERTY == CLOSED && told_shut :: else -> due[address] = WHOLE fi
    fi
}

inline decide_all()
{
    for (n : 0 .. 1) {
        if
        :: counter[n] == 0
        :: else -> change_table(counter[n], address[n])
        fi
    }
}

inline change_firewall()
{
    if
    :: !change_insert && !change_rewrite
    :: else ->
        if
        :: change_rewrite || unsure -> helper_firewall_change(true)
        :: else -> helper_firewall_change(false)
        fi;
        torn = touched;
        atomic { helper_grants_settle() }
    fi
}

/* What was closed is closed, as far as anybody was told. */
inline reply()
{
    atomic {
        for (a : 0 .. ADDRESSES - 1) {
            if
            :: PROPERTY == CLOSED && (closed & bit_of(a)) && done &&
               helpers[me].grants[a] == NONE -> due[a] = NONE
            :: else
            fi
        }
        if
        :: PROPERTY == CLOSED && CLOSING && done &&
           (counter[0] == KNOCKS || counter[1] == KNOCKS) -> told_shut = true
        :: else
        fi;
        world_check_doors()
    }
}

/* What is not recorded is refused. */
inline judge_all()
{
#if MUTANT == MARK_AFTER_RULE
    skip
#else
    helper_marks_commit();
    if
    :: done
    :: else -> atomic { counter[0] = 0; counter[1] = 0; address[0] = 0; address[1] = 0 }
    fi
#endif
}

inline serve_batch()
{
    judge_all();
    atomic { decide_all() };
    torn = 0;
    change_firewall();
    reply();
#if MUTANT == SEAL_OUTLIVES_REPLY
    atomic {
        for (a : 0 .. ADDRESSES - 1) {
            if :: closed & bit_of(a) -> world_unseal(a) :: else fi
        }
    };
#endif
#if MUTANT == MARK_AFTER_RULE
    helper_marks_commit();
#endif
    atomic {
        counter[0] = 0; counter[1] = 0; address[0] = 0; address[1] = 0;
        change_insert = false; change_rewrite = false; closed = 0; granting = 0; done = false
    }
}

/* A batch of which all is refused changes nothing that anybody could see. */
inline helper_requests_serve()
{
    atomic { receive_request(0); receive_request(1); judge(0); judge(1) };
    if
    :: counter[0] == 0 && counter[1] == 0 && !unwritten
    :: else -> serve_batch()
    fi
}

/* ---- serve.c -------------------------------------------------------------- */

inline plan_retry()
{
    if
    :: !unsure -> helpers[me].retry = NONE
    :: unsure && (helpers[me].retry == NONE || MUTANT == RETRY_PUT_OFF) -> helpers[me].retry = SOON
    :: else
    fi
}

inline serve_deadlines()
{
    atomic { helper_grants_expire() }
    if
    :: changed -> changed = false; helper_firewall_change(true)
    :: else
    fi
}

inline look()
{
    if
    :: helpers[me].retry == OVER -> helpers[me].retry = NONE; helper_firewall_mend()
    :: else
    fi
}

inline serve_sniffer()
{
    atomic {
        for (a : 0 .. ADDRESSES - 1) {
            claim(DEADLINES_FIRST, !(late & bit_of(a)) || rule[a] == NONE || unsure)
        }
    }
    helper_requests_serve()
}

inline stop()
{
    atomic { helper_grants_clear() }
    helper_firewall_clear();
    atomic {
        if :: !unsure -> world_promise_shut(STOPPED) :: else fi
    }
}

/* What the sniffer passed on before it ended, in some batches. */
inline serve_the_rest()
{
    do
    :: true -> serve_sniffer()
    :: break
    od
}

inline serve_supervisor()
{
    if
    :: told_to_stop[me] -> stop(); atomic { world_end(me) }
    :: !told_to_stop[me] && end_of_file[me] ->
        atomic { late = 0 }
        serve_the_rest();
        atomic { world_end(me) }
    :: else
    fi
}

/* ---- prepare.c ------------------------------------------------------------ */

inline helper_grants_keep_permitted()
{
    atomic {
        for (a : 0 .. ADDRESSES - 1) {
            if
            :: !has_profile[me] && MUTANT != PERMITTED_UNCHECKED ->
                helpers[me].grants[a] = NONE;
                world_unseal(a)
            :: else
            fi
        }
    }
}

inline establish()
{
    helper_iptables_establish()
}

inline take_over_grants()
{
    helper_grants_create();
    if
    :: !done -> establish(); atomic { world_end(me) }
    :: else
    fi;
    helper_grants_keep_permitted();
    establish();
    if :: !done -> atomic { world_end(me) } :: else fi
}

inline become_helper()
{
    take_over_grants();
    helper_marks_open();
    if :: !done -> atomic { world_end(me) } :: else fi
}

/* ---- serve.c, once more ---------------------------------------------------- */

inline tell_report()
{
    atomic {
        ready[me] = true;
        if :: !has_profile[me] -> world_promise_shut(REVOKED) :: else fi
    }
}

#define some_grant_is_over (MUTANT != TIMER_NOT_ARMED && \
    (helpers[me].grants[0] == OVER || helpers[me].grants[ADDRESSES - 1] == OVER))

/* The sniffer's socket is never empty once there is a knock. */
inline world_poll()
{
    (made > 0 && (!QUIET || !(honoured & bit_of(made)))) || some_grant_is_over || helpers[me].retry == OVER || told_to_stop[me] ||
        end_of_file[me];
    late = 0;
    for (a : 0 .. ADDRESSES - 1) {
        if
        :: PROPERTY == DEADLINES_FIRST && helpers[me].grants[a] == OVER -> late = late | bit_of(a)
        :: else
        fi
    }
}

inline run_()
{
    do
    :: atomic { true -> plan_retry(); world_poll() };
#if MUTANT == SERVE_WHILE_ANY_WAIT
       do :: made > 0 -> serve_sniffer() :: made == 0 -> break od;
#elif MUTANT == REQUESTS_FIRST
       serve_sniffer();
#endif
       serve_deadlines();
       look();
       serve_supervisor();
#if MUTANT != REQUESTS_FIRST
       serve_sniffer();
#endif
    od
}

proctype helper(bit me)
{
    byte low, high, sequence; /* the mark, and of which slot */
    bool shut; /* and its highest close */
    bool unwritten, unsure, done, changed, change_insert, change_rewrite;
    byte counter[2], address[2]; /* the batch; counter 0: refused, or none */
    byte touched, granting, closed, late; /* bits */

    do
    :: alive[me] ->
        {
            helper_marks_lock();
            become_helper();
            tell_report();
            run_()
        } unless { !alive[me] };
        atomic {
            low = 0; high = 0; shut = false; sequence = 0; unwritten = false; unsure = false; done = false;
            changed = false; change_insert = false; change_rewrite = false;
            counter[0] = 0; counter[1] = 0; address[0] = 0; address[1] = 0;
            touched = 0; granting = 0; closed = 0; late = 0;
            forgotten[me] = true
        }
    od
}

/* ---- supervisor.c and pair.c ---------------------------------------------- */

#define is_free(place) (!alive[place] && forgotten[place] && !in_flight[place])

inline pair_end()
{
    atomic { if :: alive[place] -> end_of_file[place] = true :: else fi }
    !alive[place]
}

inline start_serving_helper()
{
    atomic {
        is_free(0) || is_free(1) ->
        place = (is_free(0) -> 0 : 1);
        alive[place] = true;
        forgotten[place] = false;
        has_profile[place] = profile
    }
    ready[place] || !alive[place]
}

inline pair_replace()
{
    pair_end();
    start_serving_helper()
}

inline start_pair()
{
    pair_replace()
}

inline forget_removed_profiles()
{
    profile = profile && (profile_there || MUTANT == REMOVED_PROFILES_KEPT)
}

inline reload()
{
    if
    :: broken > 0 ->
        atomic { hangup = false; broken--; forget_removed_profiles() }
        start_pair()
    :: atomic { true -> hangup = false; profile_before = profile; profile = profile_there }
       start_pair();
       if
       :: ready[place]
       :: else ->
           atomic { profile = profile_before; forget_removed_profiles() }
           start_pair()
       fi
    fi;
    atomic {
        profile_before = false;
        claim(REVOKED, hangup || !ready[place] || !has_profile[place] || profile_there)
    }
}

proctype supervisor()
{
    bit place;
    bool profile, profile_before;

    do
    :: {
        profile = profile_there;
        start_serving_helper(); /* of an older pair, it knows nothing */
        do
        :: hangup -> reload()
        :: !hangup && !alive[place] -> start_pair()
        :: replacements > 0 -> replacements--; start_pair()
        :: stops > 0 && alive[place] ->
            atomic { stops--; told_to_stop[place] = true }
            !alive[place]
        od
       } unless { supervisor_killed };
       atomic {
           supervisor_killed = false; hangup = false;
           place = 0; profile = false; profile_before = false;
           for (n : 0 .. 1) { if :: alive[n] -> end_of_file[n] = true :: else fi }
       }
    od
}

/* ---- the rest of the world ------------------------------------------------ */

proctype clock()
{
    do :: HAS_TIME -> world_tick() od
}

/* HEARD: the last knock is made when all is over, and sent until it is heard. Who
 * knocks for the first time, or while the mark is lost, before the helper has set the
 * floor, is older than that: portsmithd(8) says so. */
proctype client()
{
    do
    :: made < KNOCKS && (PROPERTY != HEARD || made < KNOCKS - 1 || is_calm) -> made++
    :: PROPERTY == HEARD && made == KNOCKS && !waits && !last_was_honoured -> waits = true
    od
}

proctype world()
{
    do
    :: atomic { kills > 0 && alive[0] -> kills--; world_end(0) }
    :: atomic { kills > 0 && alive[1] -> kills--; world_end(1) }
    :: atomic { kills > 0 && !supervisor_killed -> kills--; supervisor_killed = true }
    :: atomic {
           kills > 0 && !supervisor_killed && (alive[0] || alive[1]) ->
           kills--; supervisor_killed = true;
           if :: alive[0] -> world_end(0) :: else fi;
           if :: alive[1] -> world_end(1) :: else fi
       }
    :: world_lose_power()
    :: atomic {
           damages > 0 && !alive[0] && !alive[1] ->
           damages--;
           for (n : 0 .. 1) {
               cache[n].sequence = 0; cache[n].low = 0; cache[n].high = 0;
               cache[n].shut = false;
               disk[n].sequence = 0; disk[n].low = 0; disk[n].high = 0; disk[n].shut = false;
               dirty[n] = false
           }
       }
    :: atomic { revocations > 0 && profile_there && !hangup ->
                revocations--; profile_there = false; hangup = true }
    od
}

/* The program goes on by itself when its helper was killed. */
proctype program()
{
    do
    :: world_finish_orphan(0)
    :: world_finish_orphan(1)
    od
}

init
{
    atomic {
        run helper(0); run helper(1); run supervisor(); run clock(); run client();
        run world(); run program()
    }
}

#if PROPERTY == REMOVED
ltl removed { [] <> !some_rule_is_over }
#elif PROPERTY == HEARD
ltl heard { [] (last_was_made -> <> last_was_honoured) }
#endif
