/* One client as the server knows it: a profile file, read and checked. */
#ifndef PORTSMITH_PROFILE_H
#define PORTSMITH_PROFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"
#include "message.h"

enum { MAX_GRANTS_MOST = 10000 };

struct profile {
    char name[POLICY_NAME_SIZE];
    uint8_t public_key[KEY_SIZE]; /* Ed25519 */
    uint8_t key_id[KEY_ID_SIZE];
    struct service services[POLICY_SERVICES]; /* ascending */
    uint8_t service_count;
    struct prefix prefixes[POLICY_PREFIXES];
    uint8_t prefix_count; /* 0: any address */
    struct helper_destination destinations[POLICY_DESTINATIONS];
    uint8_t destination_count;
    bool says_observed; /* the file itself says `observed`; while reading */
    bool needs_signed_address;
    bool has_preshared;
    uint8_t preshared[KEY_SIZE]; /* wiped once envelope_key is made */
    uint8_t envelope_key[KEY_SIZE];
    uint32_t window;     /* seconds; 0 until the configuration's is filled in */
    uint32_t max_window; /* seconds; 0 likewise */
    uint32_t max_grants; /* 0 likewise */
    uint32_t connections; /* that a grant admits, up to CONNECTIONS_MAX; 0: any number */
    struct hours hours[POLICY_HOURS]; /* ascending, apart */
    uint32_t hours_count; /* 0: at any time */
    uint16_t port;       /* knock port, host order; 0 likewise */
    int64_t expires;     /* first second of invalidity, epoch; 0: never */
};

/* [a-z0-9-]{1,32}, the name of profiles and of servers alike. */
bool profile_name_is_valid(const char *name);

/* Reads PATH into *p, whose name is set from `name`. What the file leaves out
 * stays 0. Errors name file and line. The file must not be writable by others,
 * and not readable either when it holds a PresharedKey. */
bool profile_read(struct profile *p, const char *path, const char *name, struct error *why);

/* Sets one key of a profile file, as that file's line would: the command line
 * of portsmith-profile follows the same rules. `key` must be a known one. */
bool profile_set(struct profile *p, const char *key, const char *value, struct error *why);

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
