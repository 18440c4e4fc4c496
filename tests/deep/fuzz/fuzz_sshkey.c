/* A line of an ssh key: what was read must be written as a line that is read as the same key, and
 * that a line of settings has room for. */
#include "fuzz.h"

#include "common/printable.h"
#include "common/text/sshkey.h"

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    return sodium_init() < 0 ? -1 : 0;
}

static void check_text(const char *text)
{
    for (; *text; text++)
        REQUIRE(control_size(text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct input in = {bytes, size};
    char *text = input_text(&in), line[SSH_KEY_LINE_SIZE];
    struct ssh_key key, again;
    struct error why;

    if (ssh_key_parse(&key, text, &why)) {
        REQUIRE(key.form == SIGNER_SSH || key.form == SIGNER_SECURITY_KEY);
        REQUIRE(ssh_key_is_line(ssh_key_format(&key, line)) && strlen(line) < sizeof line);
        check_text(line);
        REQUIRE(ssh_key_parse(&again, line, &why));
        REQUIRE(key.form == again.form && key.blob_size == again.blob_size);
        REQUIRE(memcmp(key.blob, again.blob, sizeof key.blob) == 0);
        REQUIRE(memcmp(key.public_key, again.public_key, KEY_SIZE) == 0);
        REQUIRE(strcmp(key.application, again.application) == 0);
    }
    free(text);
    return 0;
}
