/* One client as the server knows it: a profile file, read and checked. */
#ifndef PORTSMITH_PROFILE_H
#define PORTSMITH_PROFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"
#include "common/text/settings.h"
#include "common/text/sshkey.h"
#include "privsep/message.h"

/* There may be ten thousand profiles, in locked memory: what is no secret lies elsewhere. */
struct profile {
    const struct helper_profile *policy; /* cut to helper_profile_size, but for a draft's */
    uint8_t key_id[KEY_ID_SIZE];         /* of policy->signer.public_key */
    uint8_t envelope_key[KEY_SIZE];
    const char *ssh_key; /* its line; NULL: the client has a key of portsmith-knock keygen */
    uint16_t port; /* knock port, host order; 0 until the configuration's is filled in */
    bool has_preshared;
    bool is_of_roster; /* it has no file of its own */
};

/* A profile while it is written. What it leaves out stays 0 until the configuration's
 * defaults are filled in. */
struct profile_draft {
    struct profile profile;
    struct helper_profile policy; /* of `profile`, with room for the longest lists */
    bool says_any;                /* the file itself says `any` */
    uint8_t point[KEY_SIZE];      /* the public key, as envelope_key_of_server takes it */
    uint8_t preshared[KEY_SIZE];  /* if the profile has_preshared */
    char ssh_key[SSH_KEY_LINE_SIZE]; /* that of the profile */
    bool says_required;           /* the file has a line Require */
};

/* Makes an empty draft. */
void profile_begin(struct profile_draft *draft);

/* Whether a name of a profile, or of a server, is [a-z0-9-]{1,32}. */
bool profile_name_is_valid(const char *name);

/* Reads PATH into *draft, begun anew, whose name is set from `name`. Errors, and the notes that are
 * added to *notes, name file and line. The file must not be writable by others, and not readable
 * either when it holds a PresharedKey. */
bool profile_read(struct profile_draft *draft, const char *path, const char *name,
                  struct settings_notes *notes, struct error *why);

/* Whether the draft has what each profile needs. False with the reason, after `path`. */
bool profile_is_whole(const struct profile_draft *draft, const char *path, struct error *why);

/* Sets one key, as settings_set. */
bool profile_set(struct profile_draft *draft, const char *place, const char *key,
                 const char *value, struct settings_notes *notes, struct error *why);

/* Whether the profile has a destination for a service, of whichever family. */
bool profile_sends_on(const struct profile *p, const struct service *service);

/* Prints the profile as its file would say it. Values that are 0 are left out, and so is the
 * pre-shared key: no secret is printed. */
void profile_print(const struct profile *p, FILE *out);

/* Prints `KEY = SERVICE...`, in lines short enough to be read back. */
void profile_print_services(const char *key, const struct service *services, unsigned count,
                            FILE *out);

/* Adds the service that `word` names to `services`, which are ascending, *count of them, with room
 * for `most`. A service that is there already is not added again. False, with the reason, when
 * `word` names none or there is no room. */
bool profile_add_service(struct service *services, uint8_t *count, uint8_t most,
                         const char *word, struct error *why);

/* Reads a number from 1 to `most`, which is 99,999 at most, in plain decimal. False with the
 * reason. */
bool profile_parse_number(uint32_t *number, uint32_t most, const char *text, struct error *why);

#endif
