#include "check.h"

#include "common/printable.h"

static void what_a_terminal_would_obey_is_replaced(void **state)
{
    static const struct {
        const char *text, *shown;
    } some[] = {
        {"", ""},
        {"eth0 ~", "eth0 ~"},
        {"x\033[31mab\r\n\t\x7f", "x?[31mab????"},
        {"caf\xc3\xa9 \xc2\xa0", "caf\xc3\xa9 \xc2\xa0"},
        {"\xc2\x9b" "2J\xc2\x80\xc2\x9f", "??2J????"},
        {"\xc2", "\xc2"},
    };
    char text[32];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(some); i++) {
        strcpy(text, some[i].text);
        printable(text);
        assert_string_equal(text, some[i].shown);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_obey_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
