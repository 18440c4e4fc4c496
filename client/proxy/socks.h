/* The SOCKS protocols as a server hears them: SOCKS5 (RFC 1928), its user name and password
 * (RFC 1929), SOCKS4 and SOCKS4a. The functions turn bytes into bytes. They do no input or
 * output and allocate nothing, and each state takes a bounded number of bytes. */
#ifndef PORTSMITH_SOCKS_H
#define PORTSMITH_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"

enum {
    SOCKS_NAME_SIZE = 256,  /* bytes of a host's name, the zero included */
    SOCKS_STRING_MAX = 255, /* bytes of a user name, a password or a SOCKS4 user-id */
    SOCKS_REPLY_MAX = 10,   /* bytes of a reply */
};

/* How a request ends, as the client is told. The numbers are those of RFC 1928, section 6. */
enum socks_code {
    SOCKS_GRANTED = 0,
    SOCKS_FAILURE = 1,
    SOCKS_NOT_ALLOWED = 2,
    SOCKS_NETWORK_UNREACHABLE = 3,
    SOCKS_HOST_UNREACHABLE = 4,
    SOCKS_REFUSED = 5,
    SOCKS_COMMAND_UNSUPPORTED = 7,
    SOCKS_ADDRESS_UNSUPPORTED = 8,
};

/* Who may use the proxy. Unused bytes are zero, so that whole arrays can be compared. */
struct socks_account {
    char username[SOCKS_STRING_MAX + 1]; /* empty: anybody may */
    char password[SOCKS_STRING_MAX + 1]; /* secret */
};

/* Where the client wants to. */
struct destination {
    bool has_address;           /* `address` is meant; otherwise `name` is */
    struct address address;
    char name[SOCKS_NAME_SIZE]; /* letters, digits and ".-_" alone, no dot at the end */
    uint16_t port;              /* host order, not 0 */
};

enum socks_verdict {
    SOCKS_MORE,      /* more bytes are wanted */
    SOCKS_ANSWER,    /* the caller sends `reply`, and goes on */
    SOCKS_REQUESTED, /* `destination` is complete: the caller connects, and tells by socks_reply */
    SOCKS_GOODBYE,   /* the caller sends `reply`, and closes */
    SOCKS_BROKEN,    /* this is not SOCKS: the caller closes without a word */
};

struct socks {
    const struct socks_account *account;
    unsigned state;  /* which field is read: an enum of socks.c */
    unsigned wanted; /* how many bytes the field has, or has at most */
    unsigned taken;  /* how many bytes of it have come */
    uint8_t version; /* 4 or 5 */
    uint8_t command;
    bool method_offered; /* the client offers the method that `account` asks for */
    uint8_t field[SOCKS_STRING_MAX + 1];
    struct socks_account given; /* what the client says, secret */
    struct destination destination;
    uint8_t reply[SOCKS_REPLY_MAX];
    size_t reply_size;
};

/* Begins a conversation. `account` must stay valid. */
void socks_begin(struct socks *socks, const struct socks_account *account);

/* Takes bytes up to the first that settles something, and stores the verdict. Returns how many
 * bytes were taken, which is all of them on SOCKS_MORE. The bytes behind SOCKS_REQUESTED are
 * the application's. Must not be called again after SOCKS_REQUESTED, SOCKS_GOODBYE or
 * SOCKS_BROKEN. */
size_t socks_take(struct socks *socks, const uint8_t *bytes, size_t size,
                  enum socks_verdict *verdict);

/* Writes into `reply` what tells the client how its request ended. The bound address is always
 * 0.0.0.0:0, as from OpenSSH: some clients are known to trip over any other. */
void socks_reply(struct socks *socks, enum socks_code code);

/* Wipes what the client has given as user name and password. */
void socks_end(struct socks *socks);

#endif
