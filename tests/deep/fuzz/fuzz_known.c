/* The client's directory of servers: the first line is what is looked for, then come
 * files, parted by lines of "%%": a line with the name, then what is in it. */
#include "fuzz.h"

#include <dirent.h>

#include "client/known.h"

static const char directory[] = "/run/portsmith";

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    REQUIRE(setenv("XDG_CONFIG_HOME", "/run", 1) == 0);
    return 0;
}

/* The first line, without its end; the caller frees it. */
static char *take_line(struct input *in)
{
    const uint8_t *end = in->size > 0 ? memchr(in->bytes, '\n', in->size) : NULL;
    size_t size = end ? (size_t)(end - in->bytes) : in->size, taken = size + (end != NULL);
    struct input line = {in->bytes, size};

    in->bytes += taken;
    in->size -= taken;
    return input_text(&line);
}

static void empty_directory(void)
{
    struct dirent *entry;
    DIR *stream = opendir(directory);

    while (stream && (entry = readdir(stream)))
        unlinkat(dirfd(stream), entry->d_name, 0);
    if (stream)
        closedir(stream);
    rmdir(directory);
}

/* Without files there is no directory. */
static void make_directory(struct input *in)
{
    while (in->size > 0) {
        struct input part = input_part(in);
        char *name = take_line(&part), path[sizeof directory + 1 + NAME_MAX];

        mkdir(directory, 0700);
        if (name[0] != '\0' && strlen(name) <= NAME_MAX && !strchr(name, '/') &&
            strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%s", directory, name);
            fuzz_write_part(path, part);
        }
        free(name);
    }
}

static bool read_by(bool (*read)(struct server *, const char *, struct error *), const char *word)
{
    struct error why = {""};
    struct server *server = server_new(&why);
    bool was_read;

    REQUIRE(server);
    was_read = read(server, word, &why);
    REQUIRE(was_read ? server->port != 0 && server->host[0] != '\0' : why.text[0] != '\0');
    server_free(server);
    return was_read;
}

static void check_names(const struct known *known, const char *word)
{
    for (size_t i = 0; i < known->count; i++) {
        const char *name = known->names[i];
        struct error why;

        REQUIRE(server_name_is_valid(name) && known_check_name(name, &why));
        REQUIRE(i == 0 || strcmp(known->names[i - 1], name) < 0);
        /* A name stands for its own file, whatever the others say. */
        REQUIRE(read_by(known_read, name) == read_by(known_read_host, name));
        if (strcmp(name, word) == 0)
            return;
    }
    REQUIRE(!server_name_is_valid(word) || !read_by(known_read, word));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    char *word = take_line(&in);
    struct known known;
    struct error why;

    empty_directory();
    make_directory(&in);
    REQUIRE(known_find(&known, &why));
    check_names(&known, word);
    read_by(known_read_host, word);
    known_free(&known);
    free(word);
    return 0;
}
