/* Which of several names was probably meant by a word that is none of them. */
#ifndef PORTSMITH_NEAREST_H
#define PORTSMITH_NEAREST_H

enum { NEAREST_NAME_SIZE = 256 }; /* of a name, the zero included */

struct nearest {
    const char *word;
    const char *found; /* NULL while none is near; one of the names given */
    unsigned changes;  /* that make `found` of `word` */
};

/* `word` must stay valid; it may be of any length. */
struct nearest nearest_to(const char *word);

/* Takes `name`, shorter than NEAREST_NAME_SIZE, if it is nearer than what was found
 * before: at most two letters changed, missing or too many, and not all of the word's.
 * Case does not matter. */
void nearest_try(struct nearest *nearest, const char *name);

#endif
