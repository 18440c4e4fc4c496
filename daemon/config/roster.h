/* A roster: one text, signed with a fleet key (rosterfile.h), that says for many hosts which
 * profiles there are and which keys are revoked. portsmith-protocol(7) has its form. */
#ifndef PORTSMITH_ROSTER_H
#define PORTSMITH_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/config/profile.h"

enum { ROSTER_GROUPS = 16 }; /* that a profile can name */

/* One profile of it. It holds no secret. */
struct roster_profile {
    struct profile_draft draft; /* first: the setters of a profile's keys work on it */
    char groups[ROSTER_GROUPS][POLICY_NAME_SIZE]; /* of hosts, at which alone it counts */
    unsigned group_count;                         /* 0: it counts everywhere */
};

/* Takes a profile, which is whole, as profile_read leaves it. `place` is what a reason begins with.
 * False with the reason. */
typedef bool roster_taker(void *data, struct roster_profile *p, const char *place,
                          struct error *why);

/* Reads a text of `size` bytes, one at least, whose signature was verified before; it is not
 * changed. Its head goes to *roster, whose keys the caller frees with roster_free, also where this
 * fails. Each profile goes to `take`; where that is NULL, the head alone is read. Errors, and the
 * notes that are added to *notes (NULL: nobody wants them), call it `path`. False with the reason:
 * a line is wrong, or a name or a key is given to two profiles. */
bool roster_read(struct roster *roster, char *text, size_t size, const char *path,
                 roster_taker *take, void *data, struct settings_notes *notes, struct error *why);

/* Whether the roster revokes that key of a client. */
bool roster_revokes(const struct roster *roster, const uint8_t client_public[static KEY_SIZE]);

/* Whether a profile counts at this host: it is for all hosts or for this one's group,
 * RosterProfiles lets it in, and RosterServices leaves it a service. The others of its services are
 * taken out, and so are those that lead where RosterServices does not say. */
bool roster_admits(const struct config *c, struct roster_profile *p);

/* Stores the pre-shared key of a roster's client: BLAKE2b-256 under the fleet's secret over a label
 * and the client's public key. */
void roster_preshared(uint8_t preshared[static KEY_SIZE], const uint8_t secret[static KEY_SIZE],
                      const uint8_t client_public[static KEY_SIZE]);

void roster_free(struct roster *roster);

#endif
