#include "common/verdict.h"

#define VERDICT_WORDS(member, name, text, is_grant) [VERDICT_##member] = {name, text, is_grant},
static const struct {
    const char *name, *text;
    bool is_grant;
} words[VERDICTS] = {[VERDICT_NONE] = {"", "", false}, VERDICT_LIST(VERDICT_WORDS)};
#undef VERDICT_WORDS

const char *verdict_name(uint32_t verdict)
{
    return verdict < VERDICTS ? words[verdict].name : "";
}

const char *verdict_text(uint32_t verdict)
{
    return verdict < VERDICTS ? words[verdict].text : "";
}

bool verdict_is_grant(uint32_t verdict)
{
    return verdict < VERDICTS && words[verdict].is_grant;
}
