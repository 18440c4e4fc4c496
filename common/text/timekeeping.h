/* Whether something keeps the wall clock right. */
#ifndef PORTSMITH_TIMEKEEPING_H
#define PORTSMITH_TIMEKEEPING_H

#include <stdbool.h>

/* What the kernel says of its clock: adjtimex(2), which is only asked. A daemon such as
 * chronyd or systemd-timesyncd clears STA_UNSYNC while it follows the time; 16 seconds
 * of estimated error, or TIME_ERROR, set it again. */
bool timekeeping_is_synchronised(void);

#endif
