/* The SOCKS protocols as a server hears them: SOCKS5 (RFC 1928), its user name and
 * password (RFC 1929), SOCKS4 and SOCKS4a. Bytes in, bytes out: no input or output, no
 * allocation, and every state has a bounded number of bytes before the next. */
#ifndef PORTSMITH_SOCKS_H
#define PORTSMITH_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"

enum {
    SOCKS_NAME_SIZE = 256,   /* of 255 bytes at most, the zero included */
    SOCKS_STRING_MAX = 255,  /* of a user name, a password, a SOCKS4 user-id */
    SOCKS_REPLY_MAX = 10,
};

/* What a request's end is told with; the numbers are those of RFC 1928, section 6. */
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
    char username[SOCKS_STRING_MAX + 1]; /* empty: anybody */
    char password[SOCKS_STRING_MAX + 1]; /* secret */
};

/* Where the client wants to. */
struct destination {
    bool has_address;           /* else it is `name` that is meant */
    struct address address;
    char name[SOCKS_NAME_SIZE]; /* letters, digits and ".-_" alone, no dot at the end */
    uint16_t port;              /* host order, not 0 */
};

enum socks_verdict {
    SOCKS_MORE,      /* wants more bytes */
    SOCKS_ANSWER,    /* send `reply`, then go on */
    SOCKS_REQUESTED, /* `destination` is complete; end with socks_reply */
    SOCKS_GOODBYE,   /* send `reply`, then close */
    SOCKS_BROKEN,    /* this is not SOCKS: close without a word */
};

struct socks {
    const struct socks_account *account;
    unsigned state;   /* of socks.c */
    unsigned wanted;  /* bytes that are missing from the present field */
    unsigned taken;   /* bytes of it that are here */
    uint8_t version;  /* 4 or 5 */
    uint8_t command;
    bool method_offered; /* the one that `account` asks for */
    uint8_t field[SOCKS_STRING_MAX + 1];
    struct socks_account given;
    struct destination destination;
    uint8_t reply[SOCKS_REPLY_MAX];
    size_t reply_size;
};

/* Begins. `account` must stay valid. */
void socks_begin(struct socks *socks, const struct socks_account *account);

/* Takes bytes up to the first that settles something, stores the verdict, and returns
 * how many were taken: all of them on SOCKS_MORE. What follows SOCKS_REQUESTED is the
 * application's. Not to be called again after SOCKS_REQUESTED, SOCKS_GOODBYE or
 * SOCKS_BROKEN. */
size_t socks_take(struct socks *socks, const uint8_t *bytes, size_t size,
                  enum socks_verdict *verdict);

/* Writes into `reply` what tells the client how its request ended. The bound address is
 * always 0.0.0.0:0 (as from OpenSSH): clients are known that trip over others. */
void socks_reply(struct socks *socks, enum socks_code code);

/* Wipes what the client gave as its password. */
void socks_end(struct socks *socks);

#endif
