/* Files that other programs load at boot, in the order in which they are looked at, and
 * before them what nft says of the tables that there are, parted by lines of "%%". */
#include "fuzz.h"

#include <ctype.h>

#include "daemon/doctor/bootrules.h"
#include "daemon/host/tool.h"

static struct input left, said;

FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);
bool __wrap_tool_run(struct tool *tool, const char *path, const char *const *arguments,
                     const char *input, struct error *why);

/* A part without a byte is a file that is not there. */
FILE *__wrap_fopen64(const char *path, const char *mode)
{
    struct input part;

    if (strncmp(path, "/etc/", 5) != 0)
        return __real_fopen64(path, mode);
    part = input_part(&left);
    return part.size > 0 ? fmemopen((void *)(uintptr_t)part.bytes, part.size, "r") : NULL;
}

bool __wrap_tool_run(struct tool *tool, const char *path, const char *const *arguments,
                     const char *input, struct error *why)
{
    (void)path, (void)arguments, (void)input, (void)why;
    *tool = (struct tool){.said = input_text(&said)};
    return true;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    return 0;
}

static void check_text(const char *text)
{
    REQUIRE(text[0]);
    for (const char *at = text; *at; at++)
        REQUIRE(isprint((unsigned char)*at));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct findings findings;

    findings = (struct findings){.count = 0};
    left = (struct input){bytes, size};
    said = input_part(&left);
    bootrules_examine(&findings);
    REQUIRE(findings.check_count == 1 && findings.count <= 11);
    for (size_t i = 0; i < findings.count; i++) {
        check_text(findings.all[i].what);
        check_text(findings.all[i].advice);
    }
    return 0;
}
