/* The supervisor's side of the control socket: who may connect, what waits. No client
 * is ever waited for: each has a place, of few, and so many seconds. */
#ifndef PORTSMITH_CONTROL_H
#define PORTSMITH_CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "daemon/supervisor/controlmessage.h"

enum {
    CONTROL_CLIENTS = 16,
    CONTROL_MEMBERS = 12, /* of those: the others are root's alone */
    CONTROL_FDS = CONTROL_CLIENTS + 1
};

enum control_state {
    CONTROL_SILENT, /* has asked nothing yet */
    CONTROL_WAITS,  /* to be served */
    CONTROL_ASKED,  /* the helper was asked */
};

struct control_client {
    int fd; /* -1: the place is free */
    bool is_root;
    enum control_state state;
    uint32_t arrival; /* counts up */
    int64_t until;    /* CLOCK_BOOTTIME, nanoseconds: then it is hung up on */
    struct control_request request;
};

struct control {
    int listener;
    char path[CONFIG_PATH_SIZE + sizeof CONTROL_SOCKET];
    bool is_shared; /* with the members of `group` */
    gid_t group;
    uint32_t arrivals;
    struct control_client clients[CONTROL_CLIENTS];
};

/* Makes the socket in the run directory, in place of an old one: mode 0600 root's, or
 * 0660 and of the control group, from its first moment on. False with the
 * reason. */
bool control_open(struct control *control, const struct config *config, struct error *why);

/* The descriptors to wait for; how many. */
size_t control_poll(const struct control *control, struct pollfd fds[static CONTROL_FDS]);

/* Takes in what has come: new clients, whose credentials the kernel tells (SO_PEERCRED,
 * SO_PEERGROUPS: unix(7)), and requests. Hangs up on whoever may not connect, sends
 * anything but one canonical request, or has had its time. Where all places are taken,
 * that of the client goes that has been silent longest; members of the group cannot
 * take all, nor that of one of root's. */
void control_serve(struct control *control);

/* Of the clients that wait to be served the one that came first, or NULL. */
struct control_client *control_next(struct control *control);

/* The client that the helper was asked for, or NULL. */
struct control_client *control_asked(struct control *control);

/* Whoever the helper was asked for waits again: it is another helper now. */
void control_ask_again(struct control *control);

/* Sends the reply, unless the client's buffer is full, and hangs up. */
void control_reply(struct control_client *client, const struct control_reply *reply);

/* When the next client has had its time, CLOCK_BOOTTIME in nanoseconds; 0 without
 * clients. */
int64_t control_next_end(const struct control *control);

/* Hangs up on everybody and removes the socket. */
void control_close(struct control *control);

/* Whether a request is one that portsmithctl can send. */
bool control_request_is_canonical(const struct control_request *request);

#endif
