/* The marker of a trial: the boot and the process that it is of; and how long one lasts. */
#include "fuzz.h"

#include "daemon/config/trial.h"

#define BOOT "01234567-89ab-cdef-0123-456789abcdef"

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

/* Of a marker, with the largest number of a process (proc(5)). */
enum { LONGEST = BOOT_ID_SIZE + sizeof " 4194304\n" };

/* In a file it is what its content is: of this host's boot, where it begins with BOOT. */
static void check_file(uint8_t *bytes, size_t size)
{
    static const struct config config = {.state_directory = "/run"};
    char boot[BOOT_ID_SIZE];
    enum trial_marker found;
    pid_t pid = -1, same;

    REQUIRE(boot_id_read(boot));
    if (size >= BOOT_ID_SIZE && memcmp(bytes, BOOT, BOOT_ID_SIZE) == 0)
        memcpy(bytes, boot, BOOT_ID_SIZE);
    unlink("/run/trial");
    REQUIRE(trial_find_marker(&config, &pid) == TRIAL_NONE && pid == 0);
    fuzz_write("/run/trial", bytes, size);
    found = trial_find_marker(&config, &pid);
    REQUIRE(found == trial_parse_marker((const char *)bytes, size, boot, &same) ||
            (size > LONGEST && found == TRIAL_OF_ANOTHER_BOOT));
    REQUIRE(pid == (found == TRIAL_OF_THIS_BOOT ? same : 0));
}

static void check_span(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    char *text = input_text(&in);
    struct error why = {""};
    uint32_t seconds;

    if (trial_parse_span(&seconds, text, &why))
        REQUIRE(seconds >= 10 && seconds <= 86400);
    else
        REQUIRE(why.text[0]);
    free(text);
}

/* One form is of this boot: the one that portsmithd writes. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    pid_t pid = -1;
    enum trial_marker found = trial_parse_marker((const char *)bytes, size, BOOT, &pid);
    char again[64];
    uint8_t *copy;

    REQUIRE(found == TRIAL_OF_THIS_BOOT || found == TRIAL_OF_ANOTHER_BOOT);
    REQUIRE((found == TRIAL_OF_THIS_BOOT) == (pid != 0) && pid >= 0);
    if (found == TRIAL_OF_THIS_BOOT)
        REQUIRE((size_t)snprintf(again, sizeof again, BOOT " %d\n", (int)pid) == size &&
                memcmp(again, bytes, size) == 0);
    check_span(bytes, size);
    copy = malloc(size + 1);
    REQUIRE(copy);
    memcpy(copy, bytes, size);
    check_file(copy, size);
    free(copy);
    return 0;
}
