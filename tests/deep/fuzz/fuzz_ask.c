/* What portsmithd, or what stands in its place, answers to portsmithctl: the first byte is
 * about the question; then comes a row of answers, each with a byte about it and the first
 * of its bytes, in a right reply otherwise. */
#include "fuzz.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/ask/ask.h"

enum { NOBODY = 65534 };

/* Bits of an answer's byte. */
enum { HANGS_UP = 1, IS_LONGER = 2, IS_SHORTER = 4, WAS_RESET = 8 };

static struct config config = {.run_directory = "/run"};
static struct input left;
static int listener;
static uint32_t verb;

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __real_send(int fd, const void *bytes, size_t size, int flags);

/* The answer is there before it is waited for. False: it will not come. */
static bool answer(void)
{
    uint8_t about = input_byte(&left);
    struct input in = input_message(&left);
    struct control_reply reply = {.verb = verb, .result = CONTROL_DONE};
    struct control_request request;
    uint8_t bytes[sizeof reply + 1] = {0};
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    size_t size = sizeof reply + !!(about & IS_LONGER) - !!(about & IS_SHORTER);

    REQUIRE(fd >= 0 && recv(fd, &request, sizeof request, 0) == sizeof request);
    REQUIRE(request.verb == verb);
    memcpy(bytes, &reply, sizeof reply);
    for (size_t i = 0; i < in.size && i < sizeof reply; i++)
        bytes[i] ^= in.bytes[i];
    if (!(about & HANGS_UP))
        REQUIRE(__real_send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
    close(fd);
    return !(about & WAS_RESET);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    ssize_t sent = __real_send(fd, bytes, size, flags);

    if (answer())
        return sent;
    errno = ECONNRESET;
    return -1;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/run/" CONTROL_SOCKET};

    (void)count, (void)arguments;
    fuzz_enter();
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    REQUIRE(listener >= 0 && bind(listener, (const struct sockaddr *)&at, sizeof at) == 0);
    REQUIRE(listen(listener, 8) == 0);
    return 0;
}

static void check_grants(void)
{
    struct control_grant *grants;
    struct error why = {""};
    enum ask_result result;
    size_t count;

    verb = CONTROL_LIST;
    result = ask_grants(&config, &grants, &count, &why);
    REQUIRE(result != ASK_DONE || why.text[0] == '\0');
    REQUIRE(count == 0 || grants);
    free(grants);
}

static void check_reply(void)
{
    struct control_request request = {.verb = verb};
    struct control_reply reply;
    struct error why = {""};
    enum ask_result result = ask(&config, &request, &reply, &why);

    if (result == ASK_DONE) {
        REQUIRE(reply.verb == verb && reply.result == CONTROL_DONE);
        REQUIRE(reply.count <= CONTROL_GRANTS);
        REQUIRE(memchr(reply.text, '\0', sizeof reply.text));
        return;
    }
    REQUIRE(reply.text[0] == '\0' || why.text[0]);
}

/* Whoever is not root, nor in a group that is let in. */
static void check_forbidden(void)
{
    struct control_request request = {.verb = CONTROL_STATUS};
    struct control_reply reply;
    struct error why = {""};
    enum ask_result result;

    REQUIRE(seteuid(NOBODY) == 0);
    result = ask(&config, &request, &reply, &why);
    REQUIRE(seteuid(0) == 0);
    REQUIRE(result == ASK_FORBIDDEN && why.text[0]);
}

/* Nobody listens there; no socket can be called so. */
static void check_elsewhere(bool is_long)
{
    struct config elsewhere = {.run_directory = "/run/none"};
    struct control_request request = {.verb = CONTROL_STATUS};
    struct control_reply reply;
    struct error why = {""};

    if (is_long)
        memset(elsewhere.run_directory, '/', 120);
    REQUIRE(ask(&elsewhere, &request, &reply, &why) == (is_long ? ASK_FAILED : ASK_NOT_RUNNING));
    REQUIRE(why.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t what = input_byte(&in);

    strcpy(config.control_group, what & 16 ? "operators" : "");
    left = in;
    verb = what % 8;
    if (what & 128)
        check_forbidden();
    else if (what & 32)
        check_elsewhere(what & 64);
    else if (verb == CONTROL_LIST)
        check_grants();
    else
        check_reply();
    return 0;
}
