/* Text that other programs have chosen, such as the name of an interface or a rule's comment,
 * on its way to a terminal or a log. */
#ifndef PORTSMITH_PRINTABLE_H
#define PORTSMITH_PRINTABLE_H

/* How many bytes the control character at `text` takes, which a terminal would obey: 1 for one of
 * ASCII, the zero included, and 2 for U+0080 to U+009F in UTF-8 (ISO 6429). 0 if none is there. */
int control_size(const char *text);

/* Puts a question mark in place of each byte of a control character. */
void printable(char *text);

#endif
