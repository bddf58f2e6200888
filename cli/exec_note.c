/* SPDX-License-Identifier: MIT
 *
 * Notes of jobs. See exec_note.h.
 */
#include "cli/exec_note.h"

#include "cli/exec_output.h"
#include "cli/template.h"

#include <stdio.h>
#include <string.h>

enum { SLOT_MARK_BYTES = sizeof TEMPLATE_SLOT_MARK - 1 };

static bool is_note(const msgpack_object_kv *pair)
{
    return pair->key.type == MSGPACK_OBJECT_STR && pair->key.via.str.size == strlen("note") &&
           memcmp(pair->key.via.str.ptr, "note", strlen("note")) == 0 &&
           pair->val.type == MSGPACK_OBJECT_ARRAY && pair->val.via.array.size == EXEC_NOTES;
}

const msgpack_object *exec_note(const struct muster_result *result, enum exec_note item)
{
    const msgpack_object *argument = result->argument;

    for (uint32_t i = 0; argument && argument->type == MSGPACK_OBJECT_MAP && i < argument->via.map.size; i++)
        if (is_note(&argument->via.map.ptr[i]))
            return &argument->via.map.ptr[i].val.via.array.ptr[item];
    return NULL;
}

struct word exec_note_text(const struct muster_result *result, enum exec_note item, msgpack_sbuffer *filled)
{
    const msgpack_object *text = exec_note(result, item);

    if (!text || text->type != MSGPACK_OBJECT_STR)
        return (struct word){NULL, 0};
    return exec_note_fill((struct word){text->via.str.ptr, text->via.str.size}, result->worker, filled);
}

uint64_t exec_note_number(const struct muster_result *result, enum exec_note item, uint64_t otherwise)
{
    const msgpack_object *number = exec_note(result, item);

    return number && number->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? number->via.u64 : otherwise;
}

struct word exec_note_fill(struct word word, unsigned worker, msgpack_sbuffer *filled)
{
    const char *mark, *at = word.bytes;
    size_t left = word.size;
    char number[16];
    int size = snprintf(number, sizeof number, "%u", worker);
    bool failed = false;

    if (!at || !memmem(at, left, TEMPLATE_SLOT_MARK, SLOT_MARK_BYTES))
        return word;
    msgpack_sbuffer_clear(filled);
    while ((mark = memmem(at, left, TEMPLATE_SLOT_MARK, SLOT_MARK_BYTES)) != NULL) {
        failed |= !exec_output_gather(filled, at, (size_t)(mark - at)) ||
                  !exec_output_gather(filled, number, (size_t)size);
        left -= (size_t)(mark - at) + SLOT_MARK_BYTES;
        at = mark + SLOT_MARK_BYTES;
    }
    failed |= !exec_output_gather(filled, at, left);
    return failed ? word : (struct word){filled->data, filled->size};
}
