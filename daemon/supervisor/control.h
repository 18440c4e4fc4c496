/* The supervisor's side of the control socket: who may connect, and which requests wait. The
 * supervisor never waits for a client: clients have few places, and few seconds each. */
#ifndef PORTSMITH_CONTROL_H
#define PORTSMITH_CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "daemon/supervisor/controlmessage.h"

enum {
    CONTROL_CLIENTS = 16,
    CONTROL_MEMBERS = 12, /* places for members of the group; the other places are root's alone */
    CONTROL_FDS = CONTROL_CLIENTS + 1
};

enum control_state {
    CONTROL_SILENT, /* the client has asked nothing yet */
    CONTROL_WAITS,  /* the client waits to be served */
    CONTROL_ASKED,  /* the helper was asked for the client */
};

struct control_client {
    int fd; /* -1: the place is free */
    bool is_root;
    enum control_state state;
    uint32_t arrival; /* its number among all clients, which wraps around */
    int64_t until;    /* when it is hung up on: CLOCK_BOOTTIME, nanoseconds */
    struct control_request request;
};

struct control {
    int listener;
    char path[CONFIG_PATH_SIZE + sizeof CONTROL_SOCKET];
    bool is_shared; /* members of `group` may connect, too */
    gid_t group;
    uint32_t arrivals;
    struct control_client clients[CONTROL_CLIENTS];
};

/* Makes the socket in the run directory, in place of an old one. Its mode is 0600, or 0660 with
 * the control group, from its first moment on. False with the reason; control_close is allowed
 * even then. */
bool control_open(struct control *control, const struct config *config, struct error *why);

/* Fills in the descriptors to wait for, and returns how many: CONTROL_FDS. */
size_t control_poll(const struct control *control, struct pollfd fds[static CONTROL_FDS]);

/* Takes in what has come: new clients, whose credentials the kernel tells (SO_PEERCRED,
 * SO_PEERGROUPS: unix(7)), and their requests. Hangs up on clients that may not connect, send
 * anything but one canonical request, or have had their time. Where all places are taken, a new
 * client gets the place of the one that has been silent longest. Members of the group cannot take
 * all places, nor that of a client of root's. */
void control_serve(struct control *control);

/* The client that has waited to be served longest, or NULL. */
struct control_client *control_next(struct control *control);

/* The client that the helper was asked for, or NULL. */
struct control_client *control_asked(struct control *control);

/* Lets the client that the helper was asked for wait again, as there is another helper now. */
void control_ask_again(struct control *control);

/* Sends the reply, unless the client's buffer is full, and hangs up. */
void control_reply(struct control_client *client, const struct control_reply *reply);

/* When the next client will have had its time, CLOCK_BOOTTIME in nanoseconds; 0 without
 * clients. */
int64_t control_next_end(const struct control *control);

/* Hangs up on everybody and removes the socket. */
void control_close(struct control *control);

/* Whether a request is one that portsmithctl can send: a known verb, with the fields that this
 * verb needs and zeros in all others. */
bool control_request_is_canonical(const struct control_request *request);

#endif
