/* What a service manager says in the environment, a line each: its socket, how long it
 * waits for a sign of life in microseconds, and whose. */
#include "fuzz.h"

#include "daemon/supervisor/notify.h"

static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    char *text = input_text(&in), *rest = text, own[16];
    const char *pid;
    int64_t every;

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *line = strsep(&rest, "\n");

        if (line)
            setenv(names[i], line, 1);
        else
            unsetenv(names[i]);
    }
    pid = getenv("WATCHDOG_PID");
    snprintf(own, sizeof own, "%d", (int)getpid());
    if (pid && strcmp(pid, "own") == 0)
        setenv("WATCHDOG_PID", own, 1);
    notify_read_environment();
    every = notify_alive_every_ns();
    REQUIRE(every >= 0);
    REQUIRE(every == 0 || strspn(getenv("WATCHDOG_USEC"), "0123456789") > 0);
    free(text);
    return 0;
}
