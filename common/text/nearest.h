/* The nearest name: which of several names was probably meant by a word that is none of them. */
#ifndef PORTSMITH_NEAREST_H
#define PORTSMITH_NEAREST_H

enum { NEAREST_NAME_SIZE = 256 }; /* bytes of a name at most, the zero included */

struct nearest {
    const char *word;
    const char *found; /* the nearest name so far; NULL: none was near */
    unsigned changes;  /* how many changes make `found` of `word` */
};

/* Begins a search. `word` may be of any length, and must stay valid. */
struct nearest nearest_to(const char *word);

/* Keeps `name`, which must stay valid and is shorter than NEAREST_NAME_SIZE, if it is nearer
 * than what was found before. At most two letters, and not all of the word's, may be changed,
 * missing or too many. Case does not matter. */
void nearest_try(struct nearest *nearest, const char *name);

#endif
