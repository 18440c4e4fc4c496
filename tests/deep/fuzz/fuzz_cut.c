/* What portsmith-cut receives: a row of doors, each with a byte that says how it differs from one
 * that a sound supervisor sends; and what the supervisor hears from it. The kernel answers
 * nothing. */
#include "fuzz.h"

#include <sys/socket.h>

#include "daemon/supervisor/cutting.h"
#include "privsep/cut/serve.h"

enum { IS_RAW = 1, ASKS = 2, IS_SHORT = 4, IS_LONG = 8, DOORS_MAX = 64 };

static int nothing; /* /dev/null, as the kernel's news */

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(nothing >= 0);
    return 0;
}

static void send_door(int to, struct input *in)
{
    uint8_t how = input_byte(in), bytes[sizeof(struct cut_door) + 1] = {0};
    struct cut_door door;

    memset(&door, 0, sizeof door);
    input_take(in, &door, sizeof door);
    if (!(how & IS_RAW)) {
        door.deed = how & ASKS ? CUT_ASK : CUT_KILL;
        door.service.protocol = door.service.protocol % 2 ? 6 : 17;
        door.service.port |= 1;
    }
    memcpy(bytes, &door, sizeof door);
    REQUIRE(send(to, bytes, sizeof door - !!(how & IS_SHORT) + !!(how & IS_LONG), MSG_DONTWAIT) > 0);
}

static void be_told(struct input *in)
{
    struct cut cut = {-1, -1};
    struct cut_result result;
    struct error why = {""};
    int ends[2];

    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    for (int i = 0; in->size > 0 && i < DOORS_MAX; i++)
        send_door(ends[0], in);
    REQUIRE(shutdown(ends[0], SHUT_WR) == 0);
    cut_do(&cut, ends[1], nothing, &result);
    REQUIRE(result.trouble == CUT_BROKEN || result.trouble == CUT_UNTRACKED);
    REQUIRE(result.error != 0 && result.ended == 0);
    REQUIRE(cutting_explain(&result, &why) && why.text[0]);
    close(ends[0]);
    close(ends[1]);
}

/* The answer is what its size and its trouble make it. */
static void tell(struct input *in)
{
    static const struct config config = {.run_directory = "/nonexistent"};
    uint8_t bytes[sizeof(struct cut_result) + 1] = {0};
    size_t size = in->size < sizeof bytes ? in->size : sizeof bytes;
    struct cutting cutting;
    uint32_t trouble;
    int ends[2];

    cutting_init(&cutting);
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    cutting.killer = (struct cutter){.fd = ends[0], .until = INT64_MAX};
    input_take(in, bytes, size);
    REQUIRE(!cutting_serve(&cutting, &config)); /* nothing is there to be read */
    memcpy(&trouble, bytes + offsetof(struct cut_result, trouble), sizeof trouble);
    if (size > 0)
        REQUIRE(send(ends[1], bytes, size, 0) == (ssize_t)size);
    else
        REQUIRE(shutdown(ends[1], SHUT_RDWR) == 0);
    REQUIRE(cutting_serve(&cutting, &config) && !cutting_is_busy(&cutting));
    REQUIRE(cutting.result.trouble < CUT_TROUBLES);
    if (size != sizeof(struct cut_result) || trouble >= CUT_TROUBLES)
        REQUIRE(cutting.result.trouble == CUT_BROKEN && cutting.result.ended == 0);
    else
        REQUIRE(cutting.result.trouble == trouble);
    close(ends[1]);
    cutting_close(&cutting);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};

    if (input_byte(&in) % 2)
        be_told(&in);
    else
        tell(&in);
    return 0;
}
