/* One client as the server knows it: a profile file, read and checked. */
#ifndef PORTSMITH_PROFILE_H
#define PORTSMITH_PROFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"
#include "privsep/message.h"

enum { MAX_GRANTS_MOST = 10000 };

/* There may be ten thousand: the lists take no more room than they need, in memory of
 * whoever has the profile. */
struct profile {
    char name[POLICY_NAME_SIZE];
    uint8_t public_key[KEY_SIZE]; /* Ed25519 */
    uint8_t key_id[KEY_ID_SIZE];
    uint8_t envelope_key[KEY_SIZE];
    uint8_t service_count;
    uint8_t prefix_count; /* 0: any address */
    uint8_t destination_count;
    bool needs_signed_address;
    bool has_preshared;
    uint16_t port;       /* knock port, host order; 0 until the configuration's is filled in */
    uint32_t window;     /* seconds; 0 likewise */
    uint32_t max_window; /* seconds; 0 likewise */
    uint32_t max_grants; /* 0 likewise */
    uint32_t connections; /* that a grant admits, up to CONNECTIONS_MAX; 0: any number */
    uint32_t hours_count; /* 0: at any time */
    int64_t expires;     /* first second of invalidity, epoch; 0: never */
    const struct service *services; /* ascending */
    const struct prefix *prefixes;
    const struct helper_destination *destinations;
    const struct hours *hours; /* ascending, apart */
};

/* A profile while it is written: its lists lie here, with room for the longest, and so
 * does what nobody needs later. */
struct profile_draft {
    struct profile profile;
    struct service services[POLICY_SERVICES];
    struct prefix prefixes[POLICY_PREFIXES];
    struct helper_destination destinations[POLICY_DESTINATIONS];
    struct hours hours[POLICY_HOURS];
    bool says_observed; /* the file itself says `observed` */
    uint8_t point[KEY_SIZE];     /* the public key, as envelope_key_of_server takes it */
    uint8_t preshared[KEY_SIZE]; /* if the profile has_preshared */
};

/* An empty one. */
void profile_begin(struct profile_draft *draft);

/* [a-z0-9-]{1,32}, the name of profiles and of servers alike. */
bool profile_name_is_valid(const char *name);

/* Reads PATH into *draft, begun anew, whose name is set from `name`. What the file
 * leaves out stays 0. Errors name file and line. The file must not be writable by
 * others, and not readable either when it holds a PresharedKey. */
bool profile_read(struct profile_draft *draft, const char *path, const char *name,
                  struct error *why);

/* Sets one key of a profile file, as that file's line would: the command line
 * of portsmith-profile follows the same rules. `key` must be a known one. */
bool profile_set(struct profile_draft *draft, const char *key, const char *value,
                 struct error *why);

/* Whether the profile has a destination for a service, of whichever family. */
bool profile_sends_on(const struct profile *p, const struct service *service);

/* Writes the profile as its file would say it. What is 0 is left out, and so is
 * the pre-shared key: no secret is printed. */
void profile_print(const struct profile *p, FILE *out);

/* Prints `Open = ...`, in lines short enough to be read back. */
void profile_print_services(const char *key, const struct service *services, unsigned count,
                            FILE *out);

/* Adds to `services`, kept ascending, of which there are *count and room for
 * `most`; a repeat is dropped. False when there is no room. */
bool profile_add_service(struct service *services, uint8_t *count, uint8_t most,
                         const char *word, struct error *why);

/* The value of MaxGrants: 1 to MAX_GRANTS_MOST, plain decimal. */
bool profile_parse_max_grants(uint32_t *grants, const char *text, struct error *why);

#endif
