/* Whether this process belongs to an ssh login, and to which port of this host. */
#ifndef PORTSMITH_LOGIN_H
#define PORTSMITH_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

/* Looks at the environment of this process and of those that it descends from, for sudo
 * and su drop what sshd says there; and for sshd among them. False: no ssh login. */
bool login_find_ssh_port(uint16_t *port);

/* The port in a value of SSH_CONNECTION (ssh(1)): "CLIENT PORT SERVER PORT". */
bool login_parse_connection(uint16_t *port, const char *value);

#endif
