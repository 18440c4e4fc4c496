/* The ends of grants. Those of one profile and address that ended together, for the same reason,
 * are one line of the log. */
#ifndef PORTSMITH_WITNESS_ENDS_H
#define PORTSMITH_WITNESS_ENDS_H

#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/service.h"
#include "privsep/event.h"

/* What is known of a grant's use at its end. */
enum was_used { USED_UNKNOWN, USED_NOT, USED_SOME };

/* A grant that has ended. */
struct ended {
    uint8_t key_id[KEY_ID_SIZE];
    struct address address;
    struct service service;
    enum grant_end end; /* END_UNWITNESSED, too, where the witness could not count */
    enum was_used use;
};

/* Grants that ended together. */
struct ending {
    uint8_t key_id[KEY_ID_SIZE];
    struct address address;
    enum grant_end end;
    struct service services[POLICY_SERVICES];
    uint8_t service_count;
    uint8_t ended_count; /* grants of those services: 255 is that, or more */
    uint16_t used;       /* bit i: a connection came in to services[i] */
    enum was_used use;   /* of the grant of whose use most is known */
};

/* Adds a grant to an ending: its use, and its service, unless the ending has that already or has
 * no room for it. */
void ending_add(struct ending *ending, const struct ended *ended);

/* Sorts `count` grants that have ended by profile, address, reason and service. */
void ends_sort(struct ended *ended, size_t count);

/* Makes an ending of the first of `count` sorted grants, and of those behind it that ended with it,
 * POLICY_SERVICES of them at most. Returns how many they are. */
size_t ends_take(const struct ended *ended, size_t count, struct ending *ending);

#endif
