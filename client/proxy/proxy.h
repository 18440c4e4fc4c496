/* The proxy as a whole: listeners, signals, and how many sessions there may be. */
#ifndef PORTSMITH_PROXY_H
#define PORTSMITH_PROXY_H

#include "client/proxy/proxyconf.h"
#include "common/error.h"

/* Serves until SIGINT or SIGTERM; a second signal ends the process at once. Returns the
 * program's exit status. If that is not EXIT_SUCCESS, serving could not begin, and *why has the
 * reason. */
int proxy_serve(const struct proxy_config *config, struct error *why);

#endif
