#include "daemon/portsmith-profile/qrcode.h"

#include <errno.h>
#include <qrencode.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MARGIN = 4 }; /* modules on each side that are light, or the code is not found */

/* Light modules are drawn, in white, and the ground is black: the empty line that some terminals
 * leave between two others breaks no pattern then. */
#define COLOURS "\033[40;37;1m"
#define NO_COLOURS "\033[0m"

static bool is_light(const QRcode *code, int row, int column)
{
    return row < 0 || row >= code->width || column < 0 || column >= code->width ||
           (code->data[row * code->width + column] & 1) == 0;
}

static void print_code(const QRcode *code)
{
    static const char *const blocks[2][2] = {{" ", "\u2584"}, {"\u2580", "\u2588"}};

    for (int row = -MARGIN; row < code->width + MARGIN; row += 2) {
        fputs(COLOURS, stdout);
        for (int column = -MARGIN; column < code->width + MARGIN; column++)
            fputs(blocks[is_light(code, row, column)][is_light(code, row + 1, column)], stdout);
        puts(NO_COLOURS);
    }
}

/* A terminal that does not know its size says 0. */
static bool has_room(const QRcode *code, struct error *why)
{
    const int columns = code->width + 2 * MARGIN;
    struct winsize size;

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 ||
        size.ws_col == 0 || size.ws_col >= columns)
        return true;
    return error_set(why, "the terminal has %d columns, and the QR code takes %d, and %d lines: "
                          "make the window larger, or its letters smaller", size.ws_col, columns,
                     (columns + 1) / 2);
}

bool qrcode_print(const char *text, struct error *why)
{
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    bool fits;

    if (!code)
        return error_set(why, "no QR code can be made: %s",
                         errno == ERANGE ? "the text is too long" : strerror(errno));
    fits = has_room(code, why);
    if (fits)
        print_code(code);
    QRcode_free(code);
    return fits;
}
