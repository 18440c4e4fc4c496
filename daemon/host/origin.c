#include "daemon/host/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

#define MACHINE_ID "/etc/machine-id"

enum { ID_DIGITS = 32, HASH_SIZE = 16, TEXT_SIZE = 2 * PATH_MAX + 1024 };

static const char label[] = "portsmith: the host of a server key";

/* Reads a machine id: 32 lower-case hexadecimal digits, not all zero (machine-id(5)). False where
 * there is none, as in an image whose first boot is not over ("uninitialized"). */
static bool read_id(char id[static ID_DIGITS], const char *path)
{
    static const char none[ID_DIGITS + 1] = "00000000000000000000000000000000";
    char text[ID_DIGITS + 2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    if (n < ID_DIGITS || strspn(text, "0123456789abcdef") != ID_DIGITS ||
        (text[ID_DIGITS] != '\n' && text[ID_DIGITS] != '\0') || memcmp(text, none, ID_DIGITS) == 0)
        return false;
    memcpy(id, text, ID_DIGITS);
    return true;
}

bool origin_note(char note[static ORIGIN_NOTE_SIZE], const char *machine_id_path)
{
    uint8_t hash[HASH_SIZE];
    char id[ID_DIGITS];

    if (!read_id(id, machine_id_path))
        return false;
    crypto_generichash(hash, sizeof hash, (const uint8_t *)label, sizeof label - 1,
                       (const uint8_t *)id, sizeof id);
    sodium_bin2hex(note, ORIGIN_NOTE_SIZE, hash, sizeof hash);
    strcat(note, "\n");
    return true;
}

static const char *note_path(const struct config *c, char path[static CONFIG_PROFILE_PATH_SIZE])
{
    snprintf(path, CONFIG_PROFILE_PATH_SIZE, "%s/server.host", c->profile_directory);
    return path;
}

bool origin_put(const struct config *c, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE], note[ORIGIN_NOTE_SIZE];

    if (!origin_note(note, MACHINE_ID))
        return file_remove(note_path(c, path), why);
    return file_put(note_path(c, path), 0600, note, ORIGIN_NOTE_SIZE - 1, why);
}

bool origin_put_missing(const struct config *c, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE], unused[ORIGIN_NOTE_SIZE];

    return access(note_path(c, path), F_OK) == 0 || !origin_note(unused, MACHINE_ID) ||
           origin_put(c, why);
}

static void report_another_host(const struct config *c, const char *config_path, const char *note,
                                warning_taker *report, void *data)
{
    char what[TEXT_SIZE], advice[TEXT_SIZE], key[CONFIG_PROFILE_PATH_SIZE], init[CONFIG_INIT_SIZE];

    config_key_path(c, key);
    config_init_command(config_path, init);
    snprintf(what, sizeof what, "%s is of another host, by the note beside it: a knock that the "
                                "one has used up still counts at the other", key);
    snprintf(advice, sizeof advice,
             "make this host a key of its own: rm %s; %s; then restart portsmithd and give clients "
             "the new PublicKey; or, if it is the same host, installed again: rm %s; %s", key, init,
             note, init);
    report(data, what, advice);
}

void origin_find(const struct config *c, const char *config_path, warning_taker *report,
                 void *data)
{
    char path[CONFIG_PROFILE_PATH_SIZE], here[ORIGIN_NOTE_SIZE], noted[ORIGIN_NOTE_SIZE];
    struct error why;
    ssize_t size;

    if (c->group[0] != '\0' || !origin_note(here, MACHINE_ID))
        return;
    errno = 0;
    size = file_read(note_path(c, path), FILE_CONFIGURATION, noted, sizeof noted, &why);
    if (size == ORIGIN_NOTE_SIZE - 1 && memcmp(noted, here, (size_t)size) == 0)
        return;
    if (size >= 0)
        report_another_host(c, config_path, path, report, data);
    else if (errno != ENOENT)
        report(data, "which host the server key is of cannot be read", why.text);
}
