/* What portsmithctl doctor has found, and how it is printed. */
#ifndef PORTSMITH_FINDINGS_H
#define PORTSMITH_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

enum { FINDINGS_MAX = 100, FINDINGS_CHECKS = 21, FINDING_SIZE = 640 };

enum finding_level {
    FINDING_PROBLEM, /* it keeps knocks from working, or lets in who has not knocked */
    FINDING_NOTE,    /* it may be as it should be */
};

struct finding {
    const char *check; /* which found it */
    enum finding_level level;
    char what[FINDING_SIZE], advice[FINDING_SIZE]; /* printable ASCII */
};

struct findings {
    const char *checks[FINDINGS_CHECKS]; /* the checks that were made, in order */
    size_t check_count;
    struct finding all[FINDINGS_MAX]; /* further findings are dropped */
    size_t count;
};

/* Begins a check: what is added from here on it has found. `check` must stay valid. There may be
 * FINDINGS_CHECKS of them. */
void findings_begin(struct findings *f, const char *check);

/* Adds a finding, with copies of its texts, which are cut to fit. Bytes that are not printable
 * ASCII become '?', as some of the text is chosen by other programs. */
void findings_add(struct findings *f, enum finding_level level, const char *advice,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Two warning_takers, which add a problem, or a note; `f` is a struct findings. */
void findings_take_problem(void *f, const char *what, const char *advice);
void findings_take_note(void *f, const char *what, const char *advice);

/* How many of the findings are problems. */
size_t findings_problems(const struct findings *f);

/* Prints the findings for people, on standard output. */
void findings_print(const struct findings *f);

/* Prints the findings as the JSON that portsmithctl(8) describes, as report_print_whole does. */
int findings_print_json(const struct findings *f);

#endif
