/* Lines of authorized_keys, as sshd(8) reads them: an ssh key, and before it options, of which a
 * profile can say some. */
#ifndef PORTSMITH_AUTHORIZED_H
#define PORTSMITH_AUTHORIZED_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/error.h"
#include "common/text/sshkey.h"
#include "common/text/timespan.h"
#include "daemon/config/profile.h"

enum {
    AUTHORIZED_VALUE_SIZE = 400, /* of an option; the zero included */
    AUTHORIZED_LINE_SIZE = 16384, /* of a line, its end and the zero included */
    AUTHORIZED_KEYS_MAX = 1000,  /* of a file */
};

struct authorized_key {
    struct ssh_key key;
    char address[AUTHORIZED_VALUE_SIZE]; /* prefixes, as the value of Address; empty: any */
    char expires[DATE_TEXT_SIZE];        /* the last whole day, in UTC; empty: none is set */
    bool is_shortened;                   /* the line lets the key in for a part of another day */
    const char *require;                 /* as the value of Require, or NULL */
    unsigned line;                       /* its number in the file; 1 at first */
};

/* Reads one line, which is neither empty nor a comment. Times without a Z are local ones. False
 * with the reason. */
bool authorized_parse(struct authorized_key *key, const char *line, struct error *why);

/* Whether the line holds no key: it is empty or a comment. */
bool authorized_is_blank(const char *line);

/* Reads the file of that name, or, where there is none and `text` has several words, `text` itself
 * as a line. The caller frees *keys, of which there are *count, one at least. False with the
 * reason, which names file and line. */
bool authorized_read(struct authorized_key **keys, size_t *count, const char *text,
                     struct error *why);

/* How errors call the place of the keys that authorized_read takes from `text`: the file's name, or
 * "--ssh-key" where `text` is a line itself. */
const char *authorized_place(const char *text);

/* Sets what the line says in the draft of a profile, which has no key yet. False with the reason:
 * the draft says such a thing already. */
bool authorized_apply(const struct authorized_key *key, struct profile_draft *draft,
                      struct error *why);

/* Makes a name for a profile of the key's comment: "alice@laptop" is alice-laptop. */
void authorized_name(char name[static POLICY_NAME_SIZE], const struct authorized_key *key);

#endif
