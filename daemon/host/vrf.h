/* Devices of VRFs (virtual routing and forwarding). */
#ifndef PORTSMITH_VRF_H
#define PORTSMITH_VRF_H

#include <stdbool.h>

#include "daemon/config/config.h"
#include "daemon/host/warning.h"

enum { VRF_MEMBERS_SIZE = 256 };

/* Whether the interface is the device of a VRF; false, too, where the kernel does not tell.
 * `members` then names the interfaces that are in the VRF, with blanks between, as many as fit.
 * On the device of a VRF nothing can be captured: what comes in looks there like what this host
 * sends (vrf_ip_rcv, dev_queue_xmit_nit), and that is not captured. */
bool vrf_is(const char *interface, char members[static VRF_MEMBERS_SIZE]);

/* Calls `report`, handing on `data`, for each device of a VRF that the configuration names in
 * Interface. */
void vrf_find(const struct config *config, warning_taker *report, void *data);

#endif
