/* What portsmith-firewall(8) was told to shut, for programs that would open ports or say why
 * one is shut. It reads what that program saved, and changes nothing. */
#ifndef PORTSMITH_CLOSING_H
#define PORTSMITH_CLOSING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/portsmith-firewall/ruleset.h"

enum { CLOSING_TEXT_SIZE = 128 };

/* Reads the plan as saved_read does, but leaves out a trial whose time has passed. */
bool closing_read(struct plan *plan, const struct config *c, struct error *why);

/* Finds the services of Shut that nobody could reach by these rules: those that what was
 * confirmed, or what is on trial, does not allow. */
void closing_find_shut(const struct plan *plan, const struct config *c, struct ruleset *shut);

/* Finds the services that stay open: those that both what was confirmed and what is on trial
 * allow, as far as there is either. */
void closing_find_open(const struct plan *plan, struct ruleset *open);

/* Writes services as "tcp/22, tcp/80", cut with "..." to fit, or "nothing" if there are none.
 * Returns `text`. */
const char *closing_format(const struct ruleset *services, char text[static CLOSING_TEXT_SIZE]);

/* Writes the services of Shut in the same way. */
const char *closing_format_configured(const struct config *c, char text[static CLOSING_TEXT_SIZE]);

/* Whether portsmithd may release what it shuts; for root. False, with the reason and what to do
 * in *note, where a service of Shut would be shut to everybody then. Otherwise *note says what
 * portsmith-firewall still shuts, and is empty if that is nothing. Where its files cannot be
 * read, *note says so, and the answer is true: that keeps nobody from opening a port. */
bool closing_permits_release(const struct config *c, struct error *note);

#endif
