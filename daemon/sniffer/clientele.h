/* The sniffer's clients: for each key id the keys, what the helper said of its counters, and how
 * much it may still ask. A client is found in one step, however many there are. Nothing is
 * allocated after the start. */
#ifndef PORTSMITH_CLIENTELE_H
#define PORTSMITH_CLIENTELE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "daemon/sniffer/sniffermessage.h"
#include "privsep/message.h"

enum { CLIENTELE_ANSWERED = 8 };

/* Tokens, which limit how many requests a client may have passed on: eight a second are earned,
 * thirty-two are kept at most. */
struct bucket {
    int64_t full; /* when it is full again, CLOCK_BOOTTIME in milliseconds; in the past: it is */
};

struct client {
    uint8_t key_id[KEY_ID_SIZE];
    uint8_t envelope_key[KEY_SIZE];
    struct signer signer;
    uint16_t port; /* where the client must knock, host order */
    uint8_t next_answered; /* the place in `answered` to be used next */
    uint64_t counters[MARK_COUNTERS]; /* the client's mark, as the helper last told it */
    uint64_t answered[CLIENTELE_ANSWERED]; /* the counters last answered: a ring */
    struct bucket honest;   /* well-signed, timely knocks alone take from it for good */
    struct bucket doubtful; /* all other knocks take from this one */
};

struct clientele {
    struct client *clients; /* in the order in which they were added, in locked memory */
    uint32_t count;
    uint32_t *index; /* by which clients are found (clientele.c), in locked memory */
    uint32_t mask;   /* the places of the index - 1: a power of two less one */
    uint8_t gate[GATE_KEY_SIZE];
    uint8_t server_public[KEY_SIZE];
};

/* Makes an empty clientele with room for `profiles` clients: 256 bytes for each, and 8 to 16 of
 * index. The memory stays as long as the process. That of the clients is locked if the process may
 * lock as much. False with the reason when there is not enough memory. */
bool clientele_create(struct clientele *clientele, size_t profiles,
                      const uint8_t server_public[static KEY_SIZE], struct error *why);

/* Adds a client. There must be room for it, and no other may have its key id. */
void clientele_add(struct clientele *clientele, const struct sniffer_profile *profile);

/* The client of that key id, or NULL. */
struct client *clientele_find(const struct clientele *clientele,
                              const uint8_t key_id[static KEY_ID_SIZE]);

/* Whether the counter may be new: by what the helper has said it is not spent. */
bool clientele_counter_is_new(const struct client *client, uint64_t counter);

/* Whether the helper has lately answered a knock with that very counter: the same knock has come
 * again. A counter that is neither new nor a repeat is older than all known ones. */
bool clientele_counter_is_repeat(const struct client *client, uint64_t counter);

/* Learns from the helper's reply to a knock that was not forged. Notes that the knock's counter is
 * answered; 0 is not noted. Takes the client's mark over, unless there is a 0 in it: that is
 * none. */
void clientele_learn(struct client *client, uint64_t counter,
                     const uint64_t counters[static MARK_COUNTERS]);

/* Whether the bucket has a token. `now` is CLOCK_BOOTTIME in milliseconds, here and below. */
bool clientele_has_token(const struct bucket *bucket, int64_t now);

/* Whether the bucket has all its tokens, as when none was taken lately. */
bool clientele_is_full(const struct bucket *bucket, int64_t now);

/* Takes `price` tokens. False, and none is taken, if there are fewer. */
bool clientele_take_tokens(struct bucket *bucket, uint32_t price, int64_t now);

/* Gives back `price` tokens that were taken. */
void clientele_return_tokens(struct bucket *bucket, uint32_t price);

#endif
