#include "common/text/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { NEAR = 2 }; /* how many changes may make a name of the word */

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;

    return least < c ? least : c;
}

/* How many letters are changed, missing or too many (Levenshtein), computed row by row. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NEAREST_NAME_SIZE];
    size_t width = strlen(b);

    for (unsigned j = 0; j <= width; j++)
        row[j] = j;
    for (unsigned i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            unsigned above = row[j + 1];
            bool differs = tolower((unsigned char)a[i]) != tolower((unsigned char)b[j]);

            row[j + 1] = least_of(above + 1, row[j] + 1, diagonal + differs);
            diagonal = above;
        }
    }
    return row[width];
}

struct nearest nearest_to(const char *word)
{
    return (struct nearest){.word = word, .changes = NEAR + 1};
}

void nearest_try(struct nearest *nearest, const char *name)
{
    unsigned changes = distance(nearest->word, name);

    if (changes < nearest->changes && changes < strlen(nearest->word)) {
        nearest->changes = changes;
        nearest->found = name;
    }
}
