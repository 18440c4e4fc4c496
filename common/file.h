/* How files are opened, read, made and replaced with care. A function that takes
 * `why` stores the reason there when it fails. The reason names the path. */
#ifndef PORTSMITH_FILE_H
#define PORTSMITH_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "common/error.h"

enum file_trust {
    FILE_CONFIGURATION, /* nobody else may write it */
    FILE_SECRET,        /* nobody else may read or write it */
};

#define FILE_STANDARD_INPUT "standard input" /* what messages call it, in place of a path */

/* Opens a regular file for reading, close-on-exec. A symbolic link in the last component of the
 * path is not followed. The file must belong to the caller or to root, and its mode must be as
 * tight as `trust` asks. Returns a descriptor, which the caller closes, or -1 with the reason,
 * and what to do. errno is then ENOENT exactly if the file does not exist. */
int file_open(const char *path, enum file_trust trust, struct error *why);

/* Opens a file as file_open does, and reads all of it into `buffer`, which has `size` bytes.
 * Returns how many bytes the file has, or -1 with the reason. errno is EFBIG if the file is
 * larger than `size`. */
ssize_t file_read(const char *path, enum file_trust trust, void *buffer, size_t size,
                  struct error *why);

/* The text of a file, behind the byte order mark (U+FEFF in UTF-8) that some editors put before it.
 * Points into `bytes`, which a zero ends. */
const char *file_text(const char *bytes);

/* Whether file_open would open the file. False with the reason. */
bool file_is_trusted(const char *path, enum file_trust trust, struct error *why);

/* Makes a new file with exactly this content, of `size` bytes, and this mode. The file is on
 * the disk before this returns. An existing file is never touched, and is an error with errno
 * EEXIST. */
bool file_create(const char *path, mode_t mode, const void *content, size_t size,
                 struct error *why);

/* Puts a file with this content and mode in place of `path`, in one step: a reader, and a host that
 * loses power, has the old file or the new one. The new file is on the disk before this returns. A
 * PATH.new that was left over is removed. */
bool file_put(const char *path, mode_t mode, const void *content, size_t size, struct error *why);

/* Removes a file. The removal is on the disk before this returns. That there is no such file is
 * not an error. */
bool file_remove(const char *path, struct error *why);

/* Writes all `size` bytes, whatever signals interrupt it. False with errno. */
bool file_write_all(int fd, const void *content, size_t size);

/* Makes a directory and its missing parents, each with `mode`. A directory that is there already is
 * left as it is. */
bool file_make_directory(const char *path, mode_t mode, struct error *why);

/* ---- fileowner.c --------------------------------------------------------- */

/* Whether an open file is a regular one that belongs to the caller or to root, with a mode as
 * tight as `trust` asks. False with the reason. For standard input, `path` is
 * FILE_STANDARD_INPUT. */
bool file_check(int fd, const char *path, enum file_trust trust, struct error *why);

/* Whether a file or directory belongs to the caller or to root. False with the reason. */
bool file_check_owner(const struct stat *s, const char *path, struct error *why);

/* What the errno of a file or directory that cannot be opened means, and what to do about it. */
const char *file_explain(int error);

/* Brings the making or the removal of the file's name onto the disk. False with errno. */
bool file_sync_directory_of(const char *path);

/* ---- filereplace.c ------------------------------------------------------- */

/* Puts a file with this content and mode in place of `name` in the open directory `dir`, in one
 * step: a reader has the old file or the new one. The new file may not be on the disk yet. */
bool file_replace(int dir, const char *name, mode_t mode, const void *content, size_t size,
                  struct error *why);

#endif
