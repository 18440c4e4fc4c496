#include "daemon/witness/ends.h"

#include <string.h>

void ending_add(struct ending *ending, const struct ended *ended)
{
    size_t i = 0;

    while (i < ending->service_count &&
           service_compare(&ending->services[i], &ended->service) != 0)
        i++;
    if (i == ending->service_count && i < POLICY_SERVICES)
        ending->services[ending->service_count++] = ended->service;
    if (ended->use == USED_SOME && i < POLICY_SERVICES)
        ending->used |= (uint16_t)(1u << i);
    if (ending->ended_count == 0 || ended->use != USED_NOT)
        ending->use = ended->use;
    if (ending->ended_count < UINT8_MAX)
        ending->ended_count++;
}

/* Compares by profile, by address, and by why the grants ended. */
static int compare_ends(const struct ended *a, const struct ended *b)
{
    int order = memcmp(a->key_id, b->key_id, KEY_ID_SIZE);

    if (order == 0)
        order = memcmp(&a->address, &b->address, sizeof a->address);
    return order != 0 ? order : (int)a->end - (int)b->end;
}

static int compare_ended(const struct ended *a, const struct ended *b)
{
    int order = compare_ends(a, b);

    return order != 0 ? order : service_compare(&a->service, &b->service);
}

/* Shell's sort, in place: qsort(3) may ask for more memory than a confined process can get. */
void ends_sort(struct ended *ended, size_t count)
{
    for (size_t gap = count / 2; gap > 0; gap /= 2)
        for (size_t i = gap; i < count; i++) {
            const struct ended moved = ended[i];
            size_t to = i;

            for (; to >= gap && compare_ended(&ended[to - gap], &moved) > 0; to -= gap)
                ended[to] = ended[to - gap];
            ended[to] = moved;
        }
}

size_t ends_take(const struct ended *ended, size_t count, struct ending *ending)
{
    size_t taken = 0;

    *ending = (struct ending){.address = ended->address, .end = ended->end};
    memcpy(ending->key_id, ended->key_id, KEY_ID_SIZE);
    do
        ending_add(ending, &ended[taken++]);
    while (taken < count && ending->service_count < POLICY_SERVICES &&
           compare_ends(ended, &ended[taken]) == 0);
    return taken;
}
