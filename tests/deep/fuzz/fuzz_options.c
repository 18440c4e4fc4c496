/* The command line of portsmith-knock, a word a line. */
#include "fuzz.h"

#include <getopt.h>

#include "client/cli.h"
#include "client/knock/options.h"

enum { WORDS_MAX = 16 };

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    return 0;
}

static void check_options(const struct options *o)
{
    if (o->print)
        return;
    REQUIRE(o->word_count >= 0 && (o->config || o->word_count > 0));
    REQUIRE(o->seconds > 0);
    REQUIRE(!o->config || !o->server_key);
    REQUIRE(!o->connect || !o->wait);
    REQUIRE(!options_connect(o) || (!o->close && !o->output && !o->diagnose));
    for (int i = 0; i < o->word_count; i++)
        REQUIRE(o->words[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    char name[] = "portsmith-knock", *words[WORDS_MAX + 2] = {name};
    char *text = input_text(&in), *rest = text;
    struct options options;
    int count = 1, status;

    while (count <= WORDS_MAX && (words[count] = strsep(&rest, "\n")))
        count++;
    words[count] = NULL;
    optind = 0; /* getopt(3): begins anew */
    status = options_read(&options, count, words);
    REQUIRE(status == EXIT_SUCCESS || status == EXIT_USAGE);
    if (status == EXIT_SUCCESS)
        check_options(&options);
    free(text);
    return 0;
}
