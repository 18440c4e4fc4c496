/* What answers at an ssh-agent's socket: a list of keys, then a signature. The first byte says
 * whether the key is a security key. */
#include "fuzz.h"

#include "client/agent.h"
#include "common/bytes.h"

static struct ssh_key keys[2];

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static const char *const lines[] = {
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHkpE2cBm+H+RMnmFfuDjMlSZY6LNWfSNvKLC/s+Twiw",
        "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIHkpE2cBm+H+RMnmFfuD"
        "jMlSZY6LNWfSNvKLC/s+TwiwAAAABHNzaDo="};
    struct error why;

    (void)count, (void)arguments;
    REQUIRE(sodium_init() >= 0);
    for (int i = 0; i < 2; i++)
        REQUIRE(ssh_key_parse(&keys[i], lines[i], &why));
    return 0;
}

/* Bytes of the very size, so that what is read behind them is seen. */
static uint8_t *exactly(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    REQUIRE(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static void check_list(const struct input *answer, const struct ssh_key *key)
{
    uint8_t *bytes = exactly(answer->bytes, answer->size);
    char comment[AGENT_COMMENT_SIZE];
    enum agent_answer found;

    memset(comment, 'c', sizeof comment);
    found = agent_read_list(bytes, answer->size, key, comment);
    REQUIRE(found != AGENT_SIGNED);
    if (found == AGENT_HOLDS) {
        REQUIRE(memmem(bytes, answer->size, key->blob, key->blob_size));
        REQUIRE(memchr(comment, '\0', sizeof comment));
        for (const char *c = comment; *c; c++)
            REQUIRE((unsigned char)*c >= ' ' && *c != 0x7f);
    }
    REQUIRE(found != AGENT_EMPTY || answer->size == 5);
    REQUIRE(found != AGENT_FAILURE || answer->size == 1);
    free(bytes);
}

static void check_signature(const struct input *answer, const struct ssh_key *key)
{
    uint8_t *bytes = exactly(answer->bytes, answer->size);
    size_t more = key->form == SIGNER_SECURITY_KEY ? AUTHENTICATOR_SIZE : 0;
    struct signature signature;
    enum agent_answer found;

    memset(&signature, 's', sizeof signature);
    found = agent_read_signature(bytes, answer->size, key, &signature);
    REQUIRE(found == AGENT_SIGNED || found == AGENT_FAILURE || found == AGENT_GARBLED);
    if (found == AGENT_SIGNED) {
        REQUIRE(answer->size == (more ? 1 + 4 + 103 : 1 + 4 + 83));
        REQUIRE(memcmp(signature.bytes, bytes + answer->size - more - SIGNATURE_SIZE,
                       SIGNATURE_SIZE) == 0);
        REQUIRE(more ? memcmp(signature.authenticator, bytes + answer->size - more, more) == 0
                     : sodium_is_zero(signature.authenticator, AUTHENTICATOR_SIZE));
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size}, list;
    const struct ssh_key *key = &keys[input_byte(&in) & 1];

    list = input_message(&in);
    check_list(&list, key);
    check_signature(&in, key);
    return 0;
}
