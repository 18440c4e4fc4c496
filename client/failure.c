#include "client/failure.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/paths.h"
#include "common/file.h"
#include "common/printable.h"

static char noted[FAILURE_TEXT_SIZE]; /* the lines so far, each with its newline */

static bool find_file(char path[static PATH_MAX])
{
    char directory[PATH_MAX];
    struct error unused;

    return path_state_directory(directory, &unused) &&
           path_join(path, directory, "failure", "", &unused);
}

void failure_note(const char *line)
{
    char *at = noted + strlen(noted);

    if (strlen(noted) + strlen(line) + sizeof "\n" > sizeof noted)
        return;
    strcpy(at, line);
    printable(at);
    strcat(at, "\n");
}

void failure_keep(void)
{
    char directory[PATH_MAX], path[PATH_MAX];
    struct error unused;

    if (noted[0] != '\0' && path_state_directory(directory, &unused) &&
        file_make_directory(directory, 0700, &unused) && find_file(path))
        file_put(path, 0600, noted, strlen(noted), &unused);
}

void failure_forget(void)
{
    char path[PATH_MAX];
    struct error unused;

    if (find_file(path))
        file_remove(path, &unused);
}

bool failure_read(char text[static FAILURE_TEXT_SIZE], time_t *when)
{
    char path[PATH_MAX];
    struct error unused;
    struct stat s = {0};
    ssize_t size = -1;
    int fd = find_file(path) ? file_open(path, FILE_SECRET, &unused) : -1;

    if (fd < 0)
        return false;
    if (fstat(fd, &s) == 0)
        size = read(fd, text, FAILURE_TEXT_SIZE - 1);
    close(fd);
    text[size > 0 ? size : 0] = '\0';
    *when = s.st_mtime;
    return size > 0;
}
