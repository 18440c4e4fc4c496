/* One portsmithd on a state directory at a time. */
#ifndef PORTSMITH_LOCK_H
#define PORTSMITH_LOCK_H

#include <stdbool.h>

#include "common/error.h"

/* Locks the directory `state_dir` for the life of the process and of what it then
 * runs, by the descriptor HELPER_FD_LOCK. False with the reason when another helper
 * holds it and does not let go within eight seconds. */
bool helper_marks_lock(int state_dir, struct error *why);

#endif
