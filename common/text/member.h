/* The members of a group: hosts that share one server key. portsmith-protocol(7) says how a knock
 * names one. */
#ifndef PORTSMITH_MEMBER_H
#define PORTSMITH_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/request.h"
#include "common/text/settings.h"

enum {
    MEMBERS_MAX = 8, /* of one group, as a client knows it */
    MEMBER_NAME_SIZE = SETTINGS_LINE_MAX + 1 - (sizeof "Member = " - 1), /* the zero included */
};

/* Stores a member's name, which is the host name or IP address that clients knock at. False with
 * what was expected. */
bool member_parse(char name[static MEMBER_NAME_SIZE], const char *text, struct error *why);

/* Derives the id by which a knock names the member. Upper and lower case are the same. */
void member_id(uint8_t id[static MEMBER_SIZE], const char *name);

#endif
