/* portsmith-helper's life: receive the setup, get ready, give up privileges,
 * serve until the supervisor goes away. */
#ifndef PORTSMITH_SERVE_H
#define PORTSMITH_SERVE_H

/* Uses the descriptors of message.h. Returns the exit status. */
int helper_serve(void);

#endif
