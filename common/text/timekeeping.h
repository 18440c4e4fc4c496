/* Timekeeping: whether something keeps the wall clock right. */
#ifndef PORTSMITH_TIMEKEEPING_H
#define PORTSMITH_TIMEKEEPING_H

#include <stdbool.h>

/* Whether the kernel calls its clock synchronised (adjtimex(2), which changes nothing here). A
 * daemon such as chronyd or systemd-timesyncd clears STA_UNSYNC while it follows the time. The
 * kernel sets it again when the estimated error reaches 16 seconds. */
bool timekeeping_is_synchronised(void);

#endif
