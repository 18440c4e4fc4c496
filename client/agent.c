#include "client/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/paths.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/printable.h"

enum {
    LIST_SECONDS = 5,    /* of which an agent takes the better part of one, at most */
    PERSON_SECONDS = 60, /* to confirm, or to find the security key */
};

/* The types of messages. */
enum {
    FAILURE = 5,
    REQUEST_IDENTITIES = 11,
    IDENTITIES_ANSWER = 12,
    SIGN_REQUEST = 13,
    SIGN_RESPONSE = 14,
};

bool agent_path(char path[static PATH_MAX], const char *named, struct error *why)
{
    char home[PATH_MAX], whole[PATH_MAX];

    if (strncmp(named, "~/", 2) == 0) {
        if (!path_home(home, why) || !path_join(whole, home, named + 2, "", why))
            return false;
        named = whole;
    }
    if (named[0] == '\0' || strcmp(named, AGENT_VARIABLE) == 0)
        named = getenv(AGENT_VARIABLE);
    if (!named || named[0] == '\0')
        return error_set(why, "no ssh-agent is named: " AGENT_VARIABLE " is not set, as in cron jobs "
                              "and some editors; name the agent's socket by --agent or by "
                              "IdentityAgent in the server file, or knock with an identity in "
                              "place of SSHKey");
    if (strlen(named) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return error_set(why, "the ssh-agent at %.100s...: the path is too long for a socket",
                         named);
    strcpy(path, named);
    return true;
}

/* ---- answers ------------------------------------------------------------- */

/* What is left of an answer. */
struct rest {
    const uint8_t *at;
    size_t size;
};

static bool take_number(struct rest *r, uint32_t *number)
{
    if (r->size < sizeof *number)
        return false;
    *number = load_be32(r->at);
    r->at += sizeof *number;
    r->size -= sizeof *number;
    return true;
}

static bool take_string(struct rest *r, struct rest *string)
{
    uint32_t size;

    if (!take_number(r, &size) || size > r->size)
        return false;
    *string = (struct rest){r->at, size};
    r->at += size;
    r->size -= size;
    return true;
}

/* Begins with an answer that should be of this type. False if it is not; *found says what it is. */
static bool take_type(struct rest *r, const uint8_t *answer, size_t size, uint8_t type,
                      enum agent_answer *found)
{
    if (size == 0 || answer[0] != type) {
        *found = size == 1 && answer[0] == FAILURE ? AGENT_FAILURE : AGENT_GARBLED;
        return false;
    }
    *r = (struct rest){answer + 1, size - 1};
    return true;
}

/* A comment is any bytes, of any number. */
static void copy_comment(char comment[static AGENT_COMMENT_SIZE], const struct rest *from)
{
    size_t size = from->size < AGENT_COMMENT_SIZE - 1 ? from->size : AGENT_COMMENT_SIZE - 1;

    memcpy(comment, from->at, size);
    comment[size] = '\0';
    for (size_t end; (end = strlen(comment)) < size;)
        comment[end] = '?';
    printable(comment);
}

enum agent_answer agent_read_list(const uint8_t *answer, size_t size, const struct ssh_key *key,
                                  char comment[static AGENT_COMMENT_SIZE])
{
    enum agent_answer found = AGENT_LACKS;
    struct rest rest, blob, text;
    uint32_t count;

    if (!take_type(&rest, answer, size, IDENTITIES_ANSWER, &found))
        return found;
    if (!take_number(&rest, &count))
        return AGENT_GARBLED;
    for (uint32_t i = 0; i < count; i++) {
        if (!take_string(&rest, &blob) || !take_string(&rest, &text))
            return AGENT_GARBLED;
        if (found == AGENT_HOLDS || blob.size != key->blob_size ||
            memcmp(blob.at, key->blob, blob.size) != 0)
            continue;
        found = AGENT_HOLDS;
        copy_comment(comment, &text);
    }
    return rest.size > 0 ? AGENT_GARBLED : count == 0 ? AGENT_EMPTY : found;
}

/* The signature is a string. It holds the type of the key as the key's own blob begins with it, the
 * 64 bytes as a string and, of a security key, the authenticator's flags and counter
 * (PROTOCOL.u2f). */
enum agent_answer agent_read_signature(const uint8_t *answer, size_t size,
                                       const struct ssh_key *key, struct signature *signature)
{
    size_t more = key->form == SIGNER_SECURITY_KEY ? AUTHENTICATOR_SIZE : 0;
    enum agent_answer found = AGENT_SIGNED;
    struct rest rest, whole, type, bytes;

    if (!take_type(&rest, answer, size, SIGN_RESPONSE, &found))
        return found;
    if (!take_string(&rest, &whole) || rest.size > 0 || !take_string(&whole, &type) ||
        type.size != load_be32(key->blob) || memcmp(type.at, key->blob + 4, type.size) != 0 ||
        !take_string(&whole, &bytes) || bytes.size != SIGNATURE_SIZE || whole.size != more)
        return AGENT_GARBLED;
    *signature = (struct signature){0};
    memcpy(signature->bytes, bytes.at, SIGNATURE_SIZE);
    memcpy(signature->authenticator, whole.at, more);
    return AGENT_SIGNED;
}

/* ---- talking ------------------------------------------------------------- */

struct talk {
    const char *path;
    int fd;
    int64_t end, slow; /* when the time is over, and when `tell` is called; clock_boot_ns() */
    agent_teller *tell;
};

static bool refuse_late(const struct talk *t, struct error *why)
{
    return error_set(why, "the ssh-agent at %s has not answered in time: it may be waiting for a "
                          "confirmation, a PIN or a touch, and serves nobody else meanwhile; give "
                          "that, and knock again", t->path);
}

/* Opens the connection. While as many others wait for the agent as can, that blocks. Whose knocks
 * take a touch may have another knock wait for one. */
static bool begin(struct talk *t, const struct ssh_key *key, struct error *why)
{
    int seconds = key->form == SIGNER_SECURITY_KEY ? PERSON_SECONDS : LIST_SECONDS;
    const struct timeval limit = {.tv_sec = seconds};
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int64_t now = clock_boot_ns();
    bool connected;

    t->slow = now + (int64_t)AGENT_SLOW * NSEC_PER_SEC;
    t->end = now + (int64_t)seconds * NSEC_PER_SEC;
    strcpy(to.sun_path, t->path);
    t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (t->fd < 0)
        return error_set(why, "the ssh-agent at %s: %s", t->path, strerror(errno));
    setsockopt(t->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    /* With SO_SNDTIMEO a signal ends the waiting, and nothing begins it again (signal(7)). */
    do
        connected = connect(t->fd, (const struct sockaddr *)&to, sizeof to) == 0;
    while (!connected && errno == EINTR && clock_boot_ns() < t->end);
    if (connected)
        return true;
    if (errno == EAGAIN || errno == EINTR)
        refuse_late(t, why);
    else
        error_set(why, "the ssh-agent at %s: %s; start the agent, or name another by --agent or by "
                       "IdentityAgent in the server file", t->path,
                  errno == ECONNREFUSED ? "it has ended" : strerror(errno));
    close(t->fd);
    return false;
}

/* Waits until there is something to read, or the connection is closed. */
static bool await(struct talk *t, struct error *why)
{
    struct pollfd polled = {.fd = t->fd, .events = POLLIN};
    char text[PATH_MAX];
    int64_t now;

    while ((now = clock_boot_ns()) < t->end) {
        int64_t until = t->slow < t->end ? t->slow : t->end;

        if (poll(&polled, 1, (int)((until - now) / NSEC_PER_MSEC) + 1) > 0)
            return true;
        if (clock_boot_ns() < t->slow)
            continue;
        t->slow = INT64_MAX;
        snprintf(text, sizeof text, "waiting for the ssh-agent at %s: it may want a confirmation, a "
                                    "PIN or a touch", t->path);
        if (t->tell)
            t->tell(text);
    }
    return refuse_late(t, why);
}

static bool receive(struct talk *t, uint8_t *bytes, size_t size, struct error *why)
{
    while (size > 0) {
        ssize_t done = await(t, why) ? recv(t->fd, bytes, size, MSG_DONTWAIT) : -2;

        if (done == -2)
            return false;
        if (done < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (done <= 0)
            return error_set(why, "the ssh-agent at %s has closed the connection without an "
                                  "answer; is that the socket of an ssh-agent?", t->path);
        bytes += done;
        size -= (size_t)done;
    }
    return true;
}

static bool refuse_garbled(const struct talk *t, struct error *why)
{
    return error_set(why, "the ssh-agent at %s gave no answer of an agent's; is that the socket of "
                          "an ssh-agent?", t->path);
}

/* Sends a request, whose size is in its first four bytes. An agent that closes has its reason told
 * by what is read then. */
static bool submit(const struct talk *t, const uint8_t *request, struct error *why)
{
    size_t size = sizeof(uint32_t) + load_be32(request);
    ssize_t sent;

    do
        sent = send(t->fd, request, size, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR && clock_boot_ns() < t->end);
    return sent == (ssize_t)size || (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) ||
           error_set(why, "the ssh-agent at %s takes no request: %s", t->path,
                     sent < 0 ? strerror(errno) : "it read a part only");
}

/* Sends a request, whose size is in its first four bytes, and reads the answer. Returns that, which
 * the caller frees, or NULL with the reason. */
static uint8_t *ask(struct talk *t, const uint8_t *request, size_t *size, struct error *why)
{
    uint8_t head[sizeof(uint32_t)], *answer;

    if (!submit(t, request, why) || !receive(t, head, sizeof head, why))
        return NULL;
    *size = load_be32(head);
    if (*size == 0 || *size > AGENT_ANSWER_MAX) {
        refuse_garbled(t, why);
        return NULL;
    }
    answer = malloc(*size);
    if (!answer)
        error_set(why, "out of memory");
    else if (!receive(t, answer, *size, why)) {
        free(answer);
        answer = NULL;
    }
    return answer;
}

/* ---- the two requests ---------------------------------------------------- */

static bool look_for(struct talk *t, const struct ssh_key *key,
                     char comment[static AGENT_COMMENT_SIZE], struct error *why)
{
    static const uint8_t request[] = {0, 0, 0, 1, REQUEST_IDENTITIES};
    enum agent_answer found;
    size_t size;
    uint8_t *answer = ask(t, request, &size, why);

    if (!answer)
        return false;
    found = agent_read_list(answer, size, key, comment);
    free(answer);
    switch (found) {
    case AGENT_HOLDS:
        return true;
    case AGENT_FAILURE:
        return error_set(why, "the ssh-agent at %s has no keys to give; unlock it, or put the card "
                              "or token in that it has its keys from", t->path);
    case AGENT_EMPTY:
        return error_set(why, "the ssh-agent at %s is locked or empty; unlock it (ssh-add -X), or "
                              "add the key (ssh-add)", t->path);
    case AGENT_LACKS:
        return error_set(why, "the ssh-agent at %s does not hold the key of SSHKey; add it "
                              "(ssh-add), and see what is held (ssh-add -L)", t->path);
    default:
        return refuse_garbled(t, why);
    }
}

static size_t put_string(uint8_t *at, const uint8_t *bytes, size_t size)
{
    store_be32(at, (uint32_t)size);
    memcpy(at + sizeof(uint32_t), bytes, size);
    return sizeof(uint32_t) + size;
}

/* gpg-agent signs by Ed25519 only with flags of 0. */
static bool have_signed(struct talk *t, const struct ssh_key *key,
                        const uint8_t blob[static SSH_BLOB_SIZE], struct signature *signature,
                        struct error *why)
{
    uint8_t request[5 + 4 + sizeof key->blob + 4 + SSH_BLOB_SIZE + 4] = {0}, *answer;
    enum agent_answer given;
    size_t size = 5;

    request[4] = SIGN_REQUEST;
    size += put_string(request + size, key->blob, key->blob_size);
    size += put_string(request + size, blob, SSH_BLOB_SIZE);
    size += sizeof(uint32_t);
    store_be32(request, (uint32_t)(size - sizeof(uint32_t)));
    t->end = clock_boot_ns() + (int64_t)PERSON_SECONDS * NSEC_PER_SEC;
    answer = ask(t, request, &size, why);
    if (!answer)
        return false;
    given = agent_read_signature(answer, size, key, signature);
    free(answer);
    if (given == AGENT_FAILURE)
        return error_set(why, "the ssh-agent at %s refuses to sign, and never says why: the key is "
                              "tied to destinations (ssh-add -h), by which it signs no knock; or "
                              "the agent wants a confirmation or PIN and has no display to ask on; "
                              "or that was denied%s", t->path,
                         key->form == SIGNER_SECURITY_KEY ? "; or nobody touched the key" : "");
    return given == AGENT_SIGNED || refuse_garbled(t, why);
}

bool agent_find(const char *path, const struct ssh_key *key,
                char comment[static AGENT_COMMENT_SIZE], struct error *why)
{
    struct talk t = {.path = path};
    bool found;

    if (!begin(&t, key, why))
        return false;
    found = look_for(&t, key, comment, why);
    close(t.fd);
    return found;
}

bool agent_sign(const char *path, const struct ssh_key *key,
                const uint8_t blob[static SSH_BLOB_SIZE], agent_teller *tell,
                struct signature *signature, struct error *why)
{
    struct talk t = {.path = path, .tell = tell};
    char comment[AGENT_COMMENT_SIZE];
    bool done;

    if (!begin(&t, key, why))
        return false;
    done = look_for(&t, key, comment, why);
    if (done && key->form == SIGNER_SECURITY_KEY) {
        t.slow = INT64_MAX;
        if (tell)
            tell("touch your security key");
    }
    done = done && have_signed(&t, key, blob, signature, why);
    close(t.fd);
    return done;
}
