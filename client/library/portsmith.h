/* libportsmith: knocks at servers of Portsmith, for other programs. portsmith(3) has an example.
 *
 * An object is one server, and what is asked of it. Objects share nothing: each may be used by
 * another thread, and one by several if only one does so at a time. Nothing is sent or printed
 * here, no signal or locale is touched, and no file is read or written but those that are named.
 *
 * Functions that return int return -1 if they refuse, and those that return a pointer NULL. Then
 * the object is as it was before, and portsmith_error says why. Text ends with a zero. */
#ifndef PORTSMITH_H
#define PORTSMITH_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct portsmith;

enum {
    /* What a knock asks for. */
    PORTSMITH_OPEN = 1,
    PORTSMITH_CLOSE = 2,

    /* Sizes, in bytes. */
    PORTSMITH_DATAGRAM_MAX = 1232, /* those of today have 304 at most */
    PORTSMITH_SIGNATURE_MAX = 69
};

/* A new object. `directory` is where the last counter is kept, in the file "counter", so that none
 * is used twice; it is made once it is needed. All who knock with one key share one directory, and
 * portsmith-knock(1) has $XDG_STATE_HOME/portsmith, by default ~/.local/state/portsmith. NULL if
 * there is no memory, or libsodium cannot be started. */
struct portsmith *portsmith_new(const char *directory);

/* Wipes and frees the object. NULL is allowed. */
void portsmith_free(struct portsmith *p);

/* Why the last function refused: one line for the user. After a success it is empty, or a warning
 * that the user should see. It is valid until the next call for this object. NULL, which
 * portsmith_new may have returned, is allowed. */
const char *portsmith_error(const struct portsmith *p);

/* Each reads a server, in the place of one that was read before: from a server file, from a bundle,
 * or from the text of a bundle, which has 4096 bytes at most. portsmith-servers(5) describes both,
 * and says to whom the files must belong. 0 or -1. */
int portsmith_read_server(struct portsmith *p, const char *path);
int portsmith_read_bundle(struct portsmith *p, const char *path);
int portsmith_parse_bundle(struct portsmith *p, const void *text, size_t size);

/* Sets what is asked, in the place of what was read. The keys are those of a server file: Service
 * ("tcp/22", or several with blanks between them; "" for all that the profile permits), Window
 * ("30s"), Address ("auto", "observed" or an IP address) and Identity (a path). 0 or -1. */
int portsmith_set(struct portsmith *p, const char *key, const char *value);

/* What was read: Name (of a bundle), Host, Port, Transport ("udp", "tcp-syn" or "icmp") or SSHKey.
 * "" if there is none. It is valid until the next call for this object. NULL for another key, or
 * if no server was read. */
const char *portsmith_get(struct portsmith *p, const char *key);

/* Signs `message`, of `size` bytes, by the key that SSHKey names, and stores the signature. For an
 * ssh-ed25519 key that is Ed25519 (RFC 8032), and 64 bytes. For a security key it is what that
 * makes of the SHA-256 of the message, and behind its 64 bytes the flags, one byte, and the
 * counter, four bytes, big-endian. Returns the size of the signature, or 0 or less if there is
 * none. It must return, and must not use the object that it is called for. */
typedef int portsmith_signer(void *context, const unsigned char *message, size_t size,
                             unsigned char signature[PORTSMITH_SIGNATURE_MAX]);

/* Has `sign` called with `context` where a server has SSHKey. The message is what ssh-agents are
 * given to sign. */
void portsmith_sign(struct portsmith *p, portsmith_signer *sign, void *context);

/* Makes the datagram that asks to open or to close, and stores it in `datagram`, which has `size`
 * bytes: PORTSMITH_DATAGRAM_MAX at least. Returns its size, or -1. Each call takes a new counter,
 * which is on the disk before the datagram is made.
 *
 * Where Address is "auto", `source` is the IP address that connections to the server leave from, or
 * NULL if that is not known or is translated to another. If it is global, the datagram asks to open
 * to it and to no other.
 *
 * The caller sends it to Port of Host. It may be sent again, and to each of the server's addresses
 * of one family: it counts once. It is good for as long as the server's MaxSkew says. */
int portsmith_knock(struct portsmith *p, int action, const char *source, void *datagram,
                    size_t size);

#ifdef __cplusplus
}
#endif

#endif
