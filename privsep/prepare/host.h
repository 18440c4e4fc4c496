/* What this host can do of what the configuration needs. The questions may load kernel modules, so
 * they come before privileges are given up. */
#ifndef PORTSMITH_HOST_H
#define PORTSMITH_HOST_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/prepare/receive.h"
#include "privsep/prepare/table.h"
#include "privsep/xtables/probe.h"

/* Finds the back end, and tries it. Without iptables, or where that lacks something, BACKEND_AUTO
 * is nftables, if that can do what is configured. Which it is, and which families there are, is in
 * *xtables; besides with BACKEND_NFTABLES *form is found, and else the rest of *xtables. With
 * iptables it decides what grants are kept as, if that was not configured: as rules, which an admin
 * sees, where rules can end by themselves. The answer is in the policy's setup. Unless the result
 * is PROBE_USABLE, *why says what is missing and what to do, and names another back end if that
 * works here. */
enum probe_result host_probe(struct policy *policy, struct xtables *xtables,
                             struct table_form *form, struct error *why);

/* Finds out in which families the segments of sessions can be told from others. Where they
 * cannot, sessions go on all the same, but the ACKs of strangers pass as well. */
void host_find_sessions(const struct helper_setup *setup, struct xtables *xtables,
                        struct table_form *form);

/* Whether this host tells of connections, or no profile needs it to. Without news of connections
 * a door that is for so many of them would stay open for more. */
bool host_can_tell_usage(const struct policy *policy, struct error *why);

#endif
