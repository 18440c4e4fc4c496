#include "daemon/host/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/linux/memfile.h"

enum { ARGUMENTS_MAX = 8, PATIENCE_MS = 10000 };

/* A file in memory that holds `content`, to be read from its beginning; -1 on failure. Unlike a
 * pipe it cannot fill up, so neither the program nor this process ever waits for the other. */
static int make_file(const char *content)
{
    int fd = memfile_create("portsmith");

    if (fd >= 0 && file_write_all(fd, content, strlen(content)) && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Starts the program and returns 0 or an errno. `life` is the writing end of a pipe. Once this
 * process has closed its own copy, the program alone holds it, so the reading end tells when the
 * program has ended. */
static int start(pid_t *pid, const char *path, const char *const *arguments, int in, int out,
                 int life)
{
    char *argv[ARGUMENTS_MAX + 2] = {strdupa(strrchr(path, '/') + 1)};
    char *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    int error;

    for (size_t i = 0; i < ARGUMENTS_MAX && arguments[i]; i++)
        argv[i + 1] = strdupa(arguments[i]);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, life, STDERR_FILENO + 1);
    error = posix_spawn(pid, path, &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Waits until the program has ended. False when it did not in time and was killed. */
static bool await_end(pid_t pid, int life, int *status)
{
    struct pollfd end = {.fd = life, .events = POLLIN};
    int ended;

    do
        ended = poll(&end, 1, PATIENCE_MS);
    while (ended < 0 && errno == EINTR);
    if (ended < 1)
        kill(pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    return ended == 1;
}

/* The whole file and a zero behind it, which the caller frees; NULL on failure. */
static char *read_whole(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = size >= 0 ? calloc((size_t)size + 1, 1) : NULL;

    if (text && pread(fd, text, (size_t)size, 0) == size)
        return text;
    free(text);
    return NULL;
}

static bool run_between(struct tool *tool, const char *path, const char *const *arguments, int in,
                        int out, struct error *why)
{
    int status = 0, life[2], error;
    bool ended;
    pid_t pid;

    if (pipe2(life, O_CLOEXEC) != 0)
        return error_set(why, "cannot run %s: %s", path, strerror(errno));
    error = start(&pid, path, arguments, in, out, life[1]);
    close(life[1]);
    ended = error == 0 && await_end(pid, life[0], &status);
    close(life[0]);
    if (error)
        return error_set(why, "cannot run %s: %s", path, strerror(error));
    if (!ended)
        return error_set(why, "%s does not end", path);
    tool->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    tool->said = read_whole(out);
    return tool->said || error_set(why, "cannot read what %s says: %s", path, strerror(errno));
}

bool tool_run(struct tool *tool, const char *path, const char *const *arguments,
              const char *input, struct error *why)
{
    int in = make_file(input), out = make_file("");
    bool done;

    *tool = (struct tool){.status = -1};
    done = in >= 0 && out >= 0 ? run_between(tool, path, arguments, in, out, why)
                               : error_set(why, "no memory to run %s: %s", path, strerror(errno));
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return done;
}
