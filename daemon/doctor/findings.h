/* What portsmithctl doctor found, and how it says so. */
#ifndef PORTSMITH_FINDINGS_H
#define PORTSMITH_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

enum { FINDINGS_MAX = 100, FINDINGS_CHECKS = 20, FINDING_SIZE = 512 };

enum finding_level {
    FINDING_PROBLEM, /* it keeps knocks from working, or lets others in */
    FINDING_NOTE,    /* it may be as it should */
};

struct finding {
    const char *check;
    enum finding_level level;
    char what[FINDING_SIZE], advice[FINDING_SIZE]; /* printable ASCII */
};

struct findings {
    const char *checks[FINDINGS_CHECKS]; /* made, in that order */
    size_t check_count;
    struct finding all[FINDINGS_MAX]; /* what is beyond is dropped */
    size_t count;
};

/* What is found from here on is found by this check. */
void findings_begin(struct findings *f, const char *check);

/* Text that is not printable ASCII is shown as '?': some of it is other programs'. */
void findings_add(struct findings *f, enum finding_level level, const char *advice,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Adds a problem; `f` is a struct findings. It is a warning_taker. */
void findings_take_problem(void *f, const char *what, const char *advice);

size_t findings_problems(const struct findings *f);

/* For people. */
void findings_print(const struct findings *f);

/* As portsmithctl(8) says; false where that cannot be printed. */
bool findings_print_json(const struct findings *f);

#endif
