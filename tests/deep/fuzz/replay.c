/* Runs a target once with each file named, or in a directory named: what was
 * found once is tried again by any compiler. TAP on standard output. */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>

static unsigned replayed;

/* In memory of the exact size, so that a sanitizer sees what is read beyond. */
static void replay_file(const char *path)
{
    FILE *file = fopen(path, "re");
    uint8_t *bytes;
    struct stat s;

    REQUIRE(file && fstat(fileno(file), &s) == 0);
    bytes = malloc((size_t)s.st_size + !s.st_size);
    REQUIRE(bytes && fread(bytes, 1, (size_t)s.st_size, file) == (size_t)s.st_size);
    fclose(file);
    printf("# %s\n", path); /* before, to be seen should it crash */
    LLVMFuzzerTestOneInput(bytes, (size_t)s.st_size);
    free(bytes);
    replayed++;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_directory(const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_visible, alphasort);
    char path[PATH_MAX];

    REQUIRE(count >= 0);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        replay_file(path);
        free(entries[i]);
    }
    free(entries);
}

int main(int count, char **arguments)
{
    struct stat s;

    setvbuf(stdout, NULL, _IOLBF, 0);
    LLVMFuzzerInitialize(&count, &arguments);
    for (int i = 1; i < count; i++) {
        REQUIRE(stat(arguments[i], &s) == 0);
        if (S_ISDIR(s.st_mode))
            replay_directory(arguments[i]);
        else
            replay_file(arguments[i]);
    }
    printf("%sok 1 - %u fuzzing inputs\n1..1\n", replayed > 0 ? "" : "not ", replayed);
    return replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
