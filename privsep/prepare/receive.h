/* What the supervisor sends at birth: the setup, and every profile. */
#ifndef PORTSMITH_RECEIVE_H
#define PORTSMITH_RECEIVE_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/helper/policy.h"
#include "privsep/message.h"

/* Receives the setup and then the profiles from `fd` (SOCK_SEQPACKET), blocking.
 * False, with the reason, when a message has the wrong size, a value is out of range, what
 * must be zero is not, or the supervisor goes away. The profiles live as long as the
 * process. */
bool helper_policy_receive(struct policy *policy, int fd, struct error *why);

/* Whether a profile is one that a supervisor may send: every value in range, every list in
 * order, and zero what must be. */
bool helper_policy_accepts(const struct helper_profile *profile);

#endif
