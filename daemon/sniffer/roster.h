/* The sniffer's clients: for each key id the envelope key, what the helper said
 * of its counters, and how much it may still ask. Found in one step, however
 * many there are; nothing is allocated after the start. */
#ifndef PORTSMITH_ROSTER_H
#define PORTSMITH_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "daemon/sniffer/sniffermessage.h"
#include "privsep/message.h"

enum { ROSTER_PENDING = 8 };

/* Requests a second, on average, with bursts. */
struct bucket {
    int64_t full; /* when it is again, CLOCK_BOOTTIME in milliseconds; past: it is */
};

struct client {
    uint8_t key_id[KEY_ID_SIZE];
    uint8_t envelope_key[KEY_SIZE];
    uint8_t public_key[KEY_SIZE];
    uint64_t counters[MARK_COUNTERS];  /* the helper's mark, as last told */
    uint64_t pending[ROSTER_PENDING];  /* counters last passed on, a ring */
    struct bucket honest;   /* spent by well-signed, timely knocks alone */
    struct bucket doubtful; /* spent by all others: they cannot use up the other */
    uint16_t port; /* where it must knock, host order */
    uint8_t next_pending;
};

struct roster {
    struct client *clients; /* in the order in which they were added, in locked memory */
    uint32_t count;
    uint32_t *index; /* where they are found: roster.c; locked, too */
    uint32_t mask;   /* places of the index - 1, a power of two less one */
    uint8_t gate[GATE_KEY_SIZE];
    uint8_t server_public[KEY_SIZE];
};

/* Makes an empty roster with room for `profiles`, in memory of its own that is locked: 224
 * bytes for each, and 8 to 16 of index. False with the reason when there is not enough. */
bool roster_create(struct roster *roster, size_t profiles,
                   const uint8_t server_public[static KEY_SIZE], struct error *why);

/* Adds one, whose key id no other has. There must be room for it. */
void roster_add(struct roster *roster, const struct sniffer_profile *profile);

/* NULL when no profile has that key id. */
struct client *roster_find(const struct roster *roster, const uint8_t key_id[static KEY_ID_SIZE]);

/* Whether the counter may be new: not spent by what the helper has said, and
 * not on its way to the helper. */
bool roster_counter_is_new(const struct client *client, uint64_t counter);

/* Whether that very counter was spent lately or is on its way: the same knock
 * again. One that is not new and no repeat is older than all that is known. */
bool roster_counter_is_repeat(const struct client *client, uint64_t counter);

void roster_note_pending(struct client *client, uint64_t counter);

/* Takes the helper's word on a client's mark. */
void roster_learn(struct client *client, const uint64_t counters[static MARK_COUNTERS]);

/* Whether there is a token; and: takes `price` of them. They are earned at eight a
 * second, thirty-two at most. False when there are fewer. `now` in milliseconds
 * of CLOCK_BOOTTIME. */
bool roster_has_token(const struct bucket *bucket, int64_t now);
bool roster_take_tokens(struct bucket *bucket, uint32_t price, int64_t now);

#endif
