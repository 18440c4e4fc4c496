/* The ssh-agent: it holds keys, and signs for programs that reach its socket. PROTOCOL.agent of
 * OpenSSH and draft-ietf-sshm-ssh-agent describe what is said there. Agents serve one request at a
 * time, and while one waits for a touch or a confirmation, all else of the user waits. So nothing
 * is asked twice here. */
#ifndef PORTSMITH_AGENT_H
#define PORTSMITH_AGENT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/envelope.h"
#include "common/error.h"
#include "common/text/sshkey.h"

#define AGENT_VARIABLE "SSH_AUTH_SOCK" /* the environment's, and a word for it in its place */

enum {
    AGENT_ANSWER_MAX = 1 << 20, /* bytes; ssh-agent does not limit the list of its keys */
    AGENT_COMMENT_SIZE = 64,    /* bytes, the zero included; a longer comment is cut */
    AGENT_SLOW = 1,             /* seconds; an agent that takes longer has probably asked somebody */
};

/* Is given a line for the user: the agent waits for something. */
typedef void agent_teller(const char *text);

/* Writes the path of the agent's socket: `named`, which may begin with "~/", or, if that is "" or
 * AGENT_VARIABLE, the variable's value. False with the reason and what to do if the variable is not
 * set, or no home directory is known. */
bool agent_path(char path[static PATH_MAX], const char *named, struct error *why);

/* Whether the agent at `path` holds the key. Stores the agent's comment on it, without control
 * characters. False with the reason, which names the path, also if the agent has not answered in
 * time (as in agent_sign). */
bool agent_find(const char *path, const struct ssh_key *key,
                char comment[static AGENT_COMMENT_SIZE], struct error *why);

/* Has the agent at `path` sign by the key what envelope_ssh_blob makes of a request. It has 5 s to
 * say that it holds the key (60 s if that is a security key, as another knock may be waiting for a
 * touch), and 60 s to sign, as somebody may have to confirm that or to touch the key. `tell` is
 * called before that, or once the agent is slow; NULL: nobody is told. The signature has the right
 * form; the caller verifies it, as an agent may sign by another key. False with the reason, which
 * names the path. */
bool agent_sign(const char *path, const struct ssh_key *key,
                const uint8_t blob[static SSH_BLOB_SIZE], agent_teller *tell,
                struct signature *signature, struct error *why);

/* ---- answers, which may be anybody's ------------------------------------- */

enum agent_answer {
    AGENT_GARBLED, /* is no answer to the request */
    AGENT_FAILURE, /* the agent refuses, and never says why */
    AGENT_EMPTY,   /* a list without keys: there are none, or the agent is locked */
    AGENT_LACKS,   /* a list that has not this key */
    AGENT_HOLDS,   /* a list that has it */
    AGENT_SIGNED,
};

/* Reads the answer to the request for a list, without the four bytes of its size. The key is found
 * by its whole blob. Stores the comment of AGENT_HOLDS. */
enum agent_answer agent_read_list(const uint8_t *answer, size_t size, const struct ssh_key *key,
                                  char comment[static AGENT_COMMENT_SIZE]);

/* Reads the answer to the request for a signature. Stores that of AGENT_SIGNED. */
enum agent_answer agent_read_signature(const uint8_t *answer, size_t size,
                                       const struct ssh_key *key, struct signature *signature);

#endif
