/* Text that other programs have chosen, such as the name of an interface or a rule's comment,
 * on its way to a terminal or a log. */
#ifndef PORTSMITH_PRINTABLE_H
#define PORTSMITH_PRINTABLE_H

/* Puts a question mark in place of each byte of a control character, which a terminal would obey: those
 * of ASCII, and U+0080 to U+009F in UTF-8 (ISO 6429). */
void printable(char *text);

#endif
