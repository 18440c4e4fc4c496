/* The life of a portsmith-cut. */
#ifndef PORTSMITH_CUT_SERVE_H
#define PORTSMITH_CUT_SERVE_H

#include "privsep/cut/cut.h"

/* Receives the doors, and does with them what they say. Where they are not as a sound supervisor
 * sends them, *result is CUT_BROKEN and nothing is done. */
void cut_do(struct cut *cut, int supervisor, int news, struct cut_result *result);

/* Confines this process, does one deed and answers. Returns the exit status. */
int cut_serve(void);

#endif
