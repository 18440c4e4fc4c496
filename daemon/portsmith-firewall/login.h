/* Whether this process belongs to an ssh login, and to which port of this host. */
#ifndef PORTSMITH_LOGIN_H
#define PORTSMITH_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

/* Finds the port in SSH_CONNECTION, in the environment of this process or of one that it descends
 * from, as sudo and su drop that variable. Where it is nowhere but one of these is an ssh server,
 * the port is 22. False: this is no ssh login. */
bool login_find_ssh_port(uint16_t *port);

/* Reads the server's port from a value of SSH_CONNECTION (ssh(1)): "CLIENT PORT SERVER PORT".
 * False if the value is not of that form. */
bool login_parse_connection(uint16_t *port, const char *value);

#endif
