/* SPDX-License-Identifier: MIT
 *
 * The header of blocks. See block_header.h.
 */
#include "cli/block_header.h"

#include "cli/quantity.h"

#include <string.h>

int block_header_init(struct block_header *header, const char *text, struct muster_error *ret_error)
{
    struct muster_error why;
    int code;

    *header = (struct block_header){.lines = 0};
    if (!text)
        text = "";
    if (strcmp(text, ":") == 0) {
        header->lines = 1;
        return 0;
    }
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0') {
        if (quantity_integer(text, 0, UINT32_MAX, &header->lines, &why))
            return muster_error_set(ret_error, MUSTER_EINVALID, "--header %s: %s", text, why.text);
        text = "";
    }
    code = pattern_init(&header->pattern, text, &why);
    return code ? muster_error_set(ret_error, code, "--header %s: %s", text, why.text) : 0;
}

void block_header_fini(struct block_header *header)
{
    pattern_fini(&header->pattern);
}

bool block_header_find(struct block_header *header, struct word input, bool whole, size_t *ret_size)
{
    bool is_empty = header->lines == 0 && header->pattern.literal && header->pattern.literal_size == 0;
    const char *newline;
    size_t at = 0;

    if (header->lines == 0 && !whole && !is_empty)
        return false;
    if (header->lines == 0) {
        *ret_size = is_empty ? 0 : pattern_prefix(&header->pattern, input);
        return true;
    }
    for (uint64_t i = 0; i < header->lines; i++) {
        newline = at < input.size ? memchr(input.bytes + at, '\n', input.size - at) : NULL;
        if (!newline)
            return false;
        at = (size_t)(newline - input.bytes) + 1;
    }
    *ret_size = at;
    return true;
}
