/* The file of a roster: its text and, behind that, the fleet key's signature. Nothing of a roster
 * is read before its signature was verified. portsmith-protocol(7) describes the format. */
#ifndef PORTSMITH_ROSTERFILE_H
#define PORTSMITH_ROSTERFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/envelope.h"
#include "common/error.h"
#include "daemon/config/config.h"

enum {
    ROSTER_FILE_MAX = 16 << 20,   /* bytes */
    ROSTER_SIGNATURE_LINE = 89,   /* bytes: 88 of base64 and a newline */
};

#define ROSTER_MAGIC "# portsmith-roster 1\n" /* with which each begins */

/* Reads the file at `path`, which nobody else may be able to write, whole, and verifies that one of
 * `count` fleet keys has signed it. The caller frees file->bytes. False with the reason, which
 * begins with `path`, and then there are none; errno is ENOENT exactly if there is no such file. */
bool rosterfile_read(struct rosterfile *file, const char *path,
                     const uint8_t keys[][KEY_SIZE], size_t count, struct error *why);

/* How many of the file's bytes are text, which its signature is of: one at least. */
size_t rosterfile_text_size(const struct rosterfile *file);

/* Makes a file of a text that a person wrote, signed with a fleet key. The caller frees
 * file->bytes. False with the reason: it is too large, or there is no memory. */
bool rosterfile_sign(struct rosterfile *file, const char *text, size_t size,
                     const uint8_t signing[static SIGNING_KEY_SIZE], struct error *why);

/* Whether both hold the same bytes. */
bool rosterfile_equal(const struct rosterfile *a, const struct rosterfile *b);

/* Reads the roster that the configuration asks for, and verifies it: *wanted. Reads the one that
 * was used last, too: *kept, without bytes where none was, or where it cannot be verified. Whether
 * *wanted may be used: its version is above that of *kept and its NotAfter has not passed, or it is
 * the very same file. False with the reason. The caller frees the bytes of both. */
bool rosterfile_choose(const struct config *c, struct rosterfile *wanted, struct rosterfile *kept,
                       struct error *why);

/* Reads the head of the roster that the configuration asks for, for what it revokes: that counts
 * even where a profile in it is wrong, or its NotAfter has passed. The caller frees *roster. It
 * revokes nothing where there is none whose signature and version are right. */
void rosterfile_read_revoked(const struct config *c, struct roster *roster);

/* Keeps the roster of *c as the one that was used last, durably, so that no older one comes after
 * it, even where the power is cut. Nothing is done where it is that one already. False with the
 * reason. */
bool rosterfile_keep(struct config *c, struct error *why);

#endif
