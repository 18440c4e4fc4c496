/* portsmith-prepare's life: it receives the setup, does all that is done once, gives up privileges,
 * and becomes the helper. */
#ifndef PORTSMITH_PREPARE_H
#define PORTSMITH_PREPARE_H

/* Lives that life on the descriptors of message.h. Returns the exit status (HELPER_EXIT_*), unless
 * the helper is executed. */
int helper_prepare(void);

#endif
