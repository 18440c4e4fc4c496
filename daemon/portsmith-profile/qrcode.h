/* QR codes (ISO/IEC 18004), drawn of characters. */
#ifndef PORTSMITH_QRCODE_H
#define PORTSMITH_QRCODE_H

#include <stdbool.h>

#include "common/error.h"

/* Prints a text as a QR code on standard output: two rows of modules a line, by half blocks in
 * UTF-8, and in colours, as a code is dark on light on every terminal. What is around the code is
 * part of it. False, and nothing is printed, with the reason: the text is too long (some 2900
 * bytes), or standard output is a terminal on which the lines would wrap. The library's copies of
 * the text are not wiped. */
bool qrcode_print(const char *text, struct error *why);

#endif
