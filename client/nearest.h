/* Which of several names was probably meant by a word that is none of them. */
#ifndef PORTSMITH_NEAREST_H
#define PORTSMITH_NEAREST_H

enum { NEAREST_NAME_SIZE = 65 }; /* of a word and of a name, the zero included */

struct nearest {
    const char *word;
    const char *found; /* NULL while none is near; one of the names given */
    unsigned changes;  /* that make `found` of `word` */
};

/* `word` must stay valid and be shorter than NEAREST_NAME_SIZE. */
struct nearest nearest_to(const char *word);

/* Takes `name`, just as short, if it is nearer than what was found before: at most
 * two letters changed, missing or too many, and not all of the word's. */
void nearest_try(struct nearest *nearest, const char *name);

#endif
