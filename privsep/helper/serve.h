/* portsmith-helper's life: it takes up what portsmith-prepare has left, and serves until the
 * supervisor goes away. */
#ifndef PORTSMITH_SERVE_H
#define PORTSMITH_SERVE_H

/* Lives that life on the descriptors of message.h, and returns the exit status
 * (HELPER_EXIT_*); 2 where `argc`, as main has it, tells of arguments. */
int helper_serve(int argc);

#endif
