/* The proxy as a whole: listeners, signals, and how many sessions there may be. */
#ifndef PORTSMITH_PROXY_H
#define PORTSMITH_PROXY_H

#include "client/proxy/proxyconf.h"
#include "common/error.h"

/* Serves until SIGINT or SIGTERM; a second one ends it at once. Returns the program's exit
 * status; the reason is in *why if it could not begin. */
int proxy_serve(const struct proxy_config *config, struct error *why);

#endif
