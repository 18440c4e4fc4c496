/* What portsmith-firewall(8) was told to close, for those who would open ports or say why
 * one is shut. It reads what that program saved, and changes nothing. */
#ifndef PORTSMITH_CLOSING_H
#define PORTSMITH_CLOSING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/portsmith-firewall/ruleset.h"

enum { CLOSING_TEXT_SIZE = 128 };

/* As saved_read, but without a trial whose time has passed. */
bool closing_read(struct plan *plan, const struct config *c, struct error *why);

/* Of Close those services that nobody could reach by these rules: some that were confirmed
 * or are on trial do not allow them. */
void closing_find_shut(const struct plan *plan, const struct config *c, struct ruleset *shut);

/* What stays open: that which all rules there are allow. */
void closing_find_open(const struct plan *plan, struct ruleset *open);

/* "tcp/22, tcp/80", cut with "..." to fit; "nothing" without any. */
const char *closing_format(const struct ruleset *services, char text[static CLOSING_TEXT_SIZE]);

/* The services of Close, in the same way. */
const char *closing_format_configured(const struct config *c, char text[static CLOSING_TEXT_SIZE]);

/* For whoever is about to release what portsmithd shuts, as root. False with the reason,
 * and what to do, where a service of Close would then be closed to everybody. Otherwise
 * *note says what portsmith-firewall closes still, if anything; or that this is not known,
 * as its files cannot be read: that keeps nobody from opening a port. */
bool closing_permits_release(const struct config *c, struct error *note);

#endif
