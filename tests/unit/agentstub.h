/* An ssh-agent of the test's own, which holds one key and does as the test says. Real ones are asked
 * in tests/lab.d. */
#ifndef PORTSMITH_AGENTSTUB_H
#define PORTSMITH_AGENTSTUB_H

#include "people.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/text/sshkey.h"

#define STUB_PATH "./agent"

struct stub {
    struct person who;
    struct ssh_key key;
    uint8_t flags;             /* of the authenticator */
    const uint8_t *lists;      /* what it answers to the request for a list; NULL: as an agent */
    size_t lists_size;         /* 0: it closes instead */
    bool refuses;              /* to sign */
    unsigned patience;         /* refuses from this many signatures on; 0: there is no limit */
    int knocks;                /* a socket where a knock has to be before it signs again; 0: none */
    atomic_llong takes;        /* nanoseconds to answer such a request, at least */
    bool is_another;           /* signs by another key than that which it lists */
    atomic_uint asked;         /* how many signatures it was asked for */
    int listener;
    pthread_t thread;
};

/* A growing message, or a part of one. */
struct bytes {
    uint8_t at[2048];
    size_t size;
};

static inline void put_byte(struct bytes *b, uint8_t byte)
{
    b->at[b->size++] = byte;
}

static inline void put_number(struct bytes *b, uint32_t number)
{
    store_be32(b->at + b->size, number);
    b->size += 4;
}

static inline void put_string(struct bytes *b, const void *string, size_t size)
{
    put_number(b, (uint32_t)size);
    if (size > 0)
        memcpy(b->at + b->size, string, size);
    b->size += size;
}

static inline const char *type_of_form(enum signer_form form)
{
    return form == SIGNER_SECURITY_KEY ? "sk-ssh-ed25519@openssh.com" : "ssh-ed25519";
}

/* The key as a line has it. */
static inline void stub_key(struct ssh_key *key, const struct person *who, enum signer_form form)
{
    const char *type = type_of_form(form);
    struct bytes blob = {.size = 0};
    char line[300], text[200];
    struct error why;

    put_string(&blob, type, strlen(type));
    put_string(&blob, who->public_key, KEY_SIZE);
    if (form == SIGNER_SECURITY_KEY)
        put_string(&blob, "ssh:", 4);
    sodium_bin2base64(text, sizeof text, blob.at, blob.size, sodium_base64_VARIANT_ORIGINAL);
    snprintf(line, sizeof line, "%s %s alice@laptop", type, text);
    assert_done(ssh_key_parse(key, line, &why), why);
}

/* What an agent answers that has one other key besides. */
static inline void stub_list(struct bytes *answer, const struct ssh_key *key, const void *comment,
                             size_t comment_size)
{
    answer->size = 0;
    put_byte(answer, 12);
    put_number(answer, 2);
    put_string(answer, "another key", 11);
    put_string(answer, "its comment", 11);
    put_string(answer, key->blob, key->blob_size);
    put_string(answer, comment, comment_size);
}

static inline void stub_signature(struct bytes *answer, const struct stub *s, const uint8_t *blob,
                                  size_t size)
{
    static const uint8_t counter[4] = {0, 0, 0, 9};
    uint8_t text[32 + 1 + 4 + 32], signature[SIGNATURE_SIZE];
    const char *type = type_of_form(s->key.form);
    struct bytes whole = {.size = 0};
    struct person other;

    memcpy(text, s->key.application_hash, 32);
    text[32] = s->flags;
    memcpy(text + 33, counter, 4);
    crypto_hash_sha256(text + 37, blob, size);
    person_make(&other, 77);
    crypto_sign_detached(signature, NULL, s->key.form == SIGNER_SSH ? blob : text,
                         s->key.form == SIGNER_SSH ? size : sizeof text,
                         s->is_another ? other.signing : s->who.signing);
    put_string(&whole, type, strlen(type));
    put_string(&whole, signature, sizeof signature);
    if (s->key.form == SIGNER_SECURITY_KEY) {
        put_byte(&whole, s->flags);
        put_number(&whole, 9);
    }
    answer->size = 0;
    put_byte(answer, 14);
    put_string(answer, whole.at, whole.size);
}

/* Answers a request for a signature, which has to be as gpg-agent wants it, too. */
static inline void stub_sign(struct bytes *answer, struct stub *s, const uint8_t *request,
                             size_t size)
{
    size_t at = 1 + 4 + s->key.blob_size;
    bool is_good = size == at + 4 + SSH_BLOB_SIZE + 4 && load_be32(request + 1) == s->key.blob_size &&
                   memcmp(request + 5, s->key.blob, s->key.blob_size) == 0 &&
                   load_be32(request + at) == SSH_BLOB_SIZE &&
                   load_be32(request + at + 4 + SSH_BLOB_SIZE) == 0;
    int64_t begun = clock_boot_ns();

    s->asked++;
    if (s->patience > 0 && s->asked > s->patience)
        s->refuses = true;
    if (s->knocks > 0 && s->asked > 1 && recv(s->knocks, NULL, 0, MSG_DONTWAIT | MSG_PEEK) < 0)
        s->refuses = true;
    while (clock_boot_ns() < begun + s->takes)
        usleep(1000);
    answer->size = 0;
    if (is_good && !s->refuses)
        stub_signature(answer, s, request + at + 4, SSH_BLOB_SIZE);
    else
        put_byte(answer, 5);
}

static inline bool stub_answer(int fd, struct stub *s)
{
    uint8_t head[4], request[2048];
    struct bytes answer;
    size_t size;

    if (recv(fd, head, 4, MSG_WAITALL) != 4 || (size = load_be32(head)) > sizeof request ||
        recv(fd, request, size, MSG_WAITALL) != (ssize_t)size)
        return false;
    if (request[0] == 13)
        stub_sign(&answer, s, request, size);
    else if (!s->lists)
        stub_list(&answer, &s->key, "alice@laptop", 12);
    else {
        answer.size = s->lists_size;
        memcpy(answer.at, s->lists, s->lists_size);
    }
    store_be32(head, (uint32_t)answer.size);
    return answer.size > 0 && send(fd, head, 4, MSG_NOSIGNAL) == 4 &&
           send(fd, answer.at, answer.size, MSG_NOSIGNAL) == (ssize_t)answer.size;
}

static inline void *stub_serve(void *argument)
{
    struct stub *s = argument;
    int fd;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        while (stub_answer(fd, s))
            ;
        close(fd);
    }
    return NULL;
}

/* Starts it at STUB_PATH. */
static inline void stub_start(struct stub *s, enum signer_form form)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = STUB_PATH};

    *s = (struct stub){.flags = AUTHENTICATOR_TOUCHED};
    person_make(&s->who, 5);
    stub_key(&s->key, &s->who, form);
    s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(s->listener >= 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 5), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, stub_serve, s), 0);
}

static inline void stub_end(struct stub *s)
{
    shutdown(s->listener, SHUT_RDWR); /* ends the accept(2) */
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    close(s->listener);
    unlink(STUB_PATH);
}

#endif
