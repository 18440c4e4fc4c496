#include "daemon/config/rosterfile.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/text/timespan.h"
#include "daemon/config/roster.h"

enum { MAGIC_SIZE = sizeof ROSTER_MAGIC - 1 };

size_t rosterfile_text_size(const struct rosterfile *file)
{
    return file->size - ROSTER_SIGNATURE_LINE;
}

/* ---- the signature ---------------------------------------------------------- */

static bool is_signed(const struct rosterfile *file, const uint8_t keys[][KEY_SIZE], size_t count)
{
    const size_t text = rosterfile_text_size(file);
    uint8_t signature[SIGNATURE_SIZE];
    size_t size;

    if (file->bytes[file->size - 1] != '\n' ||
        sodium_base642bin(signature, sizeof signature, file->bytes + text,
                          ROSTER_SIGNATURE_LINE - 1, NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 || size != sizeof signature)
        return false;
    for (size_t i = 0; i < count; i++)
        if (crypto_sign_verify_detached(signature, (const uint8_t *)file->bytes, text,
                                        keys[i]) == 0)
            return true;
    return false;
}

static bool verify(const struct rosterfile *file, const char *path,
                   const uint8_t keys[][KEY_SIZE], size_t count, struct error *why)
{
    if (file->size < MAGIC_SIZE + ROSTER_SIGNATURE_LINE ||
        memcmp(file->bytes, ROSTER_MAGIC, MAGIC_SIZE) != 0)
        return error_set(why, "%s: not a roster that this release knows: expected a file that "
                              "portsmith-profile roster sign has made", path);
    return is_signed(file, keys, count) ||
           error_set(why, "%s: signed with another fleet key than is known here, or cut short or "
                          "changed since: take it anew from where it was signed", path);
}

bool rosterfile_read(struct rosterfile *file, const char *path, const uint8_t keys[][KEY_SIZE],
                     size_t count, struct error *why)
{
    ssize_t size;

    *file = (struct rosterfile){.bytes = malloc(ROSTER_FILE_MAX)};
    if (!file->bytes)
        return error_set(why, "%s: %s", path, strerror(errno));
    size = file_read(path, FILE_CONFIGURATION, file->bytes, ROSTER_FILE_MAX, why);
    file->size = size < 0 ? 0 : (size_t)size;
    if (size >= 0 && verify(file, path, keys, count, why))
        return true;
    if (size >= 0)
        errno = EINVAL;
    free(file->bytes);
    *file = (struct rosterfile){0};
    return false;
}

bool rosterfile_sign(struct rosterfile *file, const char *text, size_t size,
                     const uint8_t signing[static SIGNING_KEY_SIZE], struct error *why)
{
    uint8_t signature[SIGNATURE_SIZE];
    char *end;

    file->size = MAGIC_SIZE + size + ROSTER_SIGNATURE_LINE;
    if (file->size > ROSTER_FILE_MAX)
        return error_set(why, "a roster has %d bytes at most, and this would have %zu",
                         ROSTER_FILE_MAX, file->size);
    file->bytes = malloc(file->size);
    if (!file->bytes)
        return error_set(why, "%s", strerror(errno));
    memcpy(file->bytes, ROSTER_MAGIC, MAGIC_SIZE);
    memcpy(file->bytes + MAGIC_SIZE, text, size);
    end = file->bytes + MAGIC_SIZE + size;
    crypto_sign_detached(signature, NULL, (const uint8_t *)file->bytes, MAGIC_SIZE + size,
                         signing);
    sodium_bin2base64(end, ROSTER_SIGNATURE_LINE, signature, sizeof signature,
                      sodium_base64_VARIANT_ORIGINAL);
    end[ROSTER_SIGNATURE_LINE - 1] = '\n';
    return true;
}

/* ---- which one may be used -------------------------------------------------- */

static bool read_kept(const struct config *c, struct rosterfile *kept, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
    struct error reason;

    if (rosterfile_read(kept, config_kept_roster_path(c, path), c->roster_keys,
                        c->roster_key_count, &reason) || errno == ENOENT)
        return true;
    return error_set(why, "%s; it is the roster that was used last: let RosterKey have its key as "
                          "well until a newer one is in use; or, to give up what it revokes, "
                          "remove it", reason.text);
}

static bool read_wanted(const struct config *c, struct rosterfile *wanted, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];

    if (rosterfile_read(wanted, config_roster_path(c, path), c->roster_keys, c->roster_key_count,
                        why))
        return true;
    return errno == ENOENT ? error_set(why, "%s: %s; RosterKey asks for it: copy the roster there, "
                                            "or remove RosterKey", path, strerror(ENOENT))
                           : false;
}

static bool is_newer(const struct roster *next, const struct roster *last, const char *path,
                     struct error *why)
{
    if (next->version < last->version)
        return error_set(why, "%s: Version %" PRIu64 " is below %" PRIu64 ", which was used here: "
                              "it is an old roster; take the newest, or sign one with a higher "
                              "Version", path, next->version, last->version);
    return next->version > last->version ||
           error_set(why, "%s: another roster of Version %" PRIu64 " was used here: raise "
                          "Version, and sign it again", path, next->version);
}

static bool is_good_still(const struct config *c, const struct roster *next, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE], date[DATE_TEXT_SIZE];

    return next->not_after > clock_wall_ns() / NSEC_PER_SEC ||
           error_set(why, "%s: it was good until %s (NotAfter): take a newer one",
                     config_roster_path(c, path), date_format(next->not_after, date));
}

static bool read_head(struct roster *roster, const struct rosterfile *file, const char *path,
                      struct error *why)
{
    return roster_read(roster, file->bytes, rosterfile_text_size(file), path, NULL, NULL, NULL,
                       why);
}

/* Whether *next is above what is kept. */
static bool follows(const struct config *c, const struct roster *next,
                    const struct rosterfile *kept, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
    struct roster last = {0};
    bool ok = (!kept->bytes || read_head(&last, kept, config_kept_roster_path(c, path), why)) &&
              is_newer(next, &last, config_roster_path(c, path), why);

    roster_free(&last);
    return ok;
}

bool rosterfile_equal(const struct rosterfile *a, const struct rosterfile *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* Reads both files, and the head of the one that the configuration asks for, which follows the
 * other or is the same. */
static bool read_both(const struct config *c, struct rosterfile *wanted, struct rosterfile *kept,
                      struct roster *next, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];

    *wanted = (struct rosterfile){0};
    return read_kept(c, kept, why) && read_wanted(c, wanted, why) &&
           read_head(next, wanted, config_roster_path(c, path), why) &&
           (rosterfile_equal(wanted, kept) || follows(c, next, kept, why));
}

bool rosterfile_choose(const struct config *c, struct rosterfile *wanted, struct rosterfile *kept,
                       struct error *why)
{
    struct roster next = {0};
    bool ok = read_both(c, wanted, kept, &next, why) &&
              (rosterfile_equal(wanted, kept) || is_good_still(c, &next, why));

    roster_free(&next);
    return ok;
}

void rosterfile_read_revoked(const struct config *c, struct roster *roster)
{
    struct rosterfile wanted, kept;
    struct error unused;

    *roster = (struct roster){0};
    if (!read_both(c, &wanted, &kept, roster, &unused))
        roster_free(roster);
    free(wanted.bytes);
    free(kept.bytes);
}

bool rosterfile_keep(struct config *c, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
    struct rosterfile *file = &c->roster_to_keep;
    bool ok = !file->bytes ||
              (file_make_directory(c->state_directory, 0700, why) &&
               file_put(config_kept_roster_path(c, path), 0600, file->bytes, file->size, why));

    if (ok) {
        free(file->bytes);
        *file = (struct rosterfile){0};
    }
    return ok;
}
