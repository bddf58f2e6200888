/* SPDX-License-Identifier: MIT
 *
 * jansson with an eye on its memory. See json_load.h.
 */
#include "cli/json_load.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local bool refused; /* jansson got no memory since this was cleared */

static void *take(size_t size)
{
    void *memory = malloc(size);

    refused |= !memory;
    return memory;
}

/* What jansson allocated before is freed as what it allocates from now on. */
static void watch(void)
{
    json_set_alloc_funcs(take, free);
}

json_t *json_load_text(const char *text, size_t size, size_t flags, json_error_t *ret_why)
{
    json_t *json;

    pthread_once(&once, watch);
    refused = false;
    json = json_loadb(text, size, flags, ret_why);
    if (!refused)
        return json;
    json_decref(json);
    ret_why->text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory; /* where json_error_code looks */
    return NULL;
}
