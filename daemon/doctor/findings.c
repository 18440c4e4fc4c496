#include "daemon/doctor/findings.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/ask/report.h"

enum { LABEL_WIDTH = 14 };

void findings_begin(struct findings *f, const char *check)
{
    f->checks[f->check_count++] = check;
}

static void make_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

void findings_add(struct findings *f, enum finding_level level, const char *advice,
                  const char *format, ...)
{
    struct finding *finding = &f->all[f->count];
    va_list arguments;

    if (f->count == FINDINGS_MAX)
        return;
    f->count++;
    finding->check = f->checks[f->check_count - 1];
    finding->level = level;
    va_start(arguments, format);
    vsnprintf(finding->what, sizeof finding->what, format, arguments);
    va_end(arguments);
    snprintf(finding->advice, sizeof finding->advice, "%s", advice);
    make_printable(finding->what);
    make_printable(finding->advice);
}

void findings_take_problem(void *f, const char *what, const char *advice)
{
    findings_add(f, FINDING_PROBLEM, advice, "%s", what);
}

void findings_take_note(void *f, const char *what, const char *advice)
{
    findings_add(f, FINDING_NOTE, advice, "%s", what);
}

size_t findings_problems(const struct findings *f)
{
    size_t problems = 0;

    for (size_t i = 0; i < f->count; i++)
        problems += f->all[i].level == FINDING_PROBLEM;
    return problems;
}

/* ---- for people --------------------------------------------------------- */

static void print_check(const struct findings *f, const char *check)
{
    const char *label = check;

    for (size_t i = 0; i < f->count; i++) {
        const struct finding *finding = &f->all[i];

        if (finding->check != check)
            continue;
        printf("%-*s%s%s\n%-*s-> %s\n", LABEL_WIDTH, label,
               finding->level == FINDING_PROBLEM ? "PROBLEM: " : "note: ", finding->what,
               LABEL_WIDTH, "", finding->advice);
        label = "";
    }
    if (label == check)
        printf("%-*sok\n", LABEL_WIDTH, check);
}

void findings_print(const struct findings *f)
{
    size_t problems = findings_problems(f);

    for (size_t i = 0; i < f->check_count; i++)
        print_check(f, f->checks[i]);
    putchar('\n');
    if (problems == 0)
        puts("No problem was found.");
    else
        printf("%zu problem%s.\n", problems, problems == 1 ? "" : "s");
}

/* ---- for programs ------------------------------------------------------- */

int findings_print_json(const struct findings *f)
{
    json_t *checks = json_array(), *found = json_array();

    for (size_t i = 0; i < f->check_count; i++)
        json_array_append_new(checks, json_string(f->checks[i]));
    for (size_t i = 0; i < f->count; i++)
        json_array_append_new(
            found, json_pack("{s:s, s:s, s:s, s:s}", "check", f->all[i].check, "level",
                             f->all[i].level == FINDING_PROBLEM ? "problem" : "note", "what",
                             f->all[i].what, "advice", f->all[i].advice));
    return report_print_whole(json_pack("{s:i, s:o, s:o}", "problems", (int)findings_problems(f),
                                        "checks", checks, "findings", found));
}
