/* Files opened, read, made and replaced with care. */
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

/* Opens a regular file for reading, close-on-exec, following no symbolic link
 * in the last component. It must belong to the caller or to root and its mode
 * must be as tight as `trust` asks. Returns a descriptor that the caller
 * closes, or -1 with the reason, and what to do, in *why; errno is then ENOENT
 * exactly when the file does not exist. */
int file_open(const char *path, enum file_trust trust, struct error *why);

/* Reads a whole file opened as above into `buffer`, at most `size` bytes.
 * Returns the count, or -1 with the reason; errno is EFBIG if the file is larger. */
ssize_t file_read(const char *path, enum file_trust trust, void *buffer, size_t size,
                  struct error *why);

/* A file's text without the byte order mark (U+FEFF in UTF-8) that some editors put before
 * it. `bytes` is zero-terminated. */
const char *file_text(const char *bytes);

/* Whether an open file is a regular one that belongs to the caller or to root, of
 * a mode as tight as `trust` asks; with the reason, which names `path`, if not. `path` is
 * FILE_STANDARD_INPUT for that. */
bool file_check(int fd, const char *path, enum file_trust trust, struct error *why);

/* Whether a file or directory belongs to the caller or to root; with the reason if not. */
bool file_check_owner(const struct stat *s, const char *path, struct error *why);

/* What it means, and what to do, that a file or directory cannot be opened, by its errno. */
const char *file_explain(int error);

/* Whether file_open would open it; with the reason if not. */
bool file_is_trusted(const char *path, enum file_trust trust, struct error *why);

/* Makes what happened to the file's name last: its making or its removal. False
 * with errno set. */
bool file_sync_directory_of(const char *path);

/* Makes a new file with exactly this content and mode, durably; an existing
 * one is never touched and is an error with errno EEXIST. */
bool file_create(const char *path, mode_t mode, const void *content, size_t size,
                 struct error *why);

/* Puts a file with this content and mode in place of `path`, durably and in one step: it
 * is the old one or the new. A left over PATH.new is removed. */
bool file_put(const char *path, mode_t mode, const void *content, size_t size, struct error *why);

/* Removes a file, durably; that there is none is no error. */
bool file_remove(const char *path, struct error *why);

/* Puts a file with this content in place of `name` in the directory `dir`, in
 * one step: readers see the old content or the new. Not durable. */
bool file_replace(int dir, const char *name, mode_t mode, const void *content, size_t size,
                  struct error *why);

/* Writes all of it, whatever the interruptions. False with errno set. */
bool file_write_all(int fd, const void *content, size_t size);

/* Makes a directory and its missing parents, each with `mode`; one that is
 * there already is left as it is. */
bool file_make_directory(const char *path, mode_t mode, struct error *why);

#endif
