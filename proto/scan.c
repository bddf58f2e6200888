/* SPDX-License-Identifier: MIT
 *
 * The scan of encoded bytes. See scan.h. One pass, a counter for each open container, no
 * allocation. `owed` counts the elements that were declared and not yet met, over all levels:
 * each needs a byte at least, so a count that the bytes left cannot hold is refused when it
 * is met, and what passes never declares more elements than it has bytes.
 */
#include "proto/scan.h"

#include "base/error.h"
#include "proto/limits.h"

#include <stdbool.h>
#include <string.h>

enum { SCAN_DEPTH_MAX = 32 /* what msgpack-c nests, whatever the limits say */ };

const struct scan_limits scan_value_limits = {
    .depth = PROTO_DEPTH_MAX,
    .elements = PROTO_ELEMENTS_MAX,
    .value_bytes = PROTO_VALUE_BYTES_MAX,
};

/* A header of this version nests three deep; the greeting of another version may differ. */
const struct scan_limits scan_header_limits = {
    .depth = 8,
    .elements = PROTO_HEADER_ELEMENTS_MAX,
    .value_bytes = PROTO_HEADER_BYTES_MAX,
};

/* clang-format off */

/* Whole length of an element by its first byte, for those whose first byte says it. */
static const uint8_t whole_length[256] = {
    [0x00 ... 0x7f] = 1,                                      /* positive fixint */
    [0xa0] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
             22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,      /* fixstr of 0 to 31 bytes */
    [0xc0] = 1, 0, 1, 1,                                      /* nil, reserved, false, true */
    [0xca] = 5, 9,                                            /* float 32, 64 */
    [0xcc] = 2, 3, 5, 9,                                      /* uint 8 to 64 */
    [0xd0] = 2, 3, 5, 9,                                      /* int 8 to 64 */
    [0xd4] = 3, 4, 6, 10, 18,                                 /* fixext 1 to 16 */
    [0xe0 ... 0xff] = 1,                                      /* negative fixint */
};

/* Width of the count that follows the first byte, for elements that have one. */
static const uint8_t count_width[256] = {
    [0xc4] = 1, 2, 4, /* bin */
    [0xc7] = 1, 2, 4, /* ext */
    [0xd9] = 1, 2, 4, /* str */
    [0xdc] = 2, 4,    /* array */
    [0xde] = 2, 4,    /* map */
};

/* clang-format on */

/* One element: its own bytes, without those of its children. */
struct element {
    uint64_t length;
    uint64_t children;
    bool container;
};

static uint32_t load_count(const uint8_t *bytes, unsigned width)
{
    uint32_t count = 0;

    while (width--)
        count = count << 8 | *bytes++;
    return count;
}

/* Reads the element at `bytes`; false when `size` ends within its head or it is no msgpack. */
static bool read_element(const uint8_t *bytes, size_t size, struct element *ret_element)
{
    uint8_t tag = bytes[0];
    unsigned width = count_width[tag];
    uint64_t count;

    if (whole_length[tag]) {
        *ret_element = (struct element){.length = whole_length[tag]};
        return true;
    }
    if (size - 1 < width)
        return false;
    count = width ? load_count(bytes + 1, width) : tag & 0x0f;
    if ((tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd)
        *ret_element = (struct element){.length = 1 + width, .children = count, .container = true};
    else if ((tag & 0xf0) == 0x80 || tag == 0xde || tag == 0xdf)
        *ret_element = (struct element){.length = 1 + width, .children = 2 * count, .container = true};
    else if (tag >= 0xc7 && tag <= 0xc9) /* ext: a byte for its type */
        *ret_element = (struct element){.length = 2 + width + count};
    else if (width)
        *ret_element = (struct element){.length = 1 + width + count};
    else
        return false; /* 0xc1 */
    return true;
}

int scan_value(const struct scan_limits *limits, const uint8_t *bytes, size_t size, size_t *ret_length)
{
    size_t end = size < limits->value_bytes ? size : limits->value_bytes;
    int beyond_end = size <= limits->value_bytes ? MUSTER_EPROTOCOL : MUSTER_ELIMIT;
    uint32_t depth_max = limits->depth < SCAN_DEPTH_MAX ? limits->depth : SCAN_DEPTH_MAX;
    uint64_t open[SCAN_DEPTH_MAX]; /* elements each open container still has to get */
    uint64_t owed = 1, elements = 1;
    uint32_t depth = 0;
    size_t at = 0;

    while (owed) {
        struct element element;

        if (at == end)
            return beyond_end;
        if (!read_element(bytes + at, end - at, &element))
            return bytes[at] == 0xc1 ? MUSTER_EPROTOCOL : beyond_end;
        if (element.length > end - at)
            return beyond_end;
        at += element.length;
        owed--;
        if (element.container) {
            if (element.children > end - at || owed > end - at - element.children)
                return beyond_end;
            if (depth == depth_max || element.children > limits->elements - elements)
                return MUSTER_ELIMIT;
            elements += element.children;
            owed += element.children;
            if (element.children) {
                open[depth++] = element.children;
                continue;
            }
        }
        while (depth && --open[depth - 1] == 0)
            depth--;
    }
    *ret_length = at;
    return 0;
}

/* Eight values at once: what most functions return, and what makes most bytes of a report, are small
 * numbers, and nil. */
enum { RUN_VALUES = sizeof(uint64_t) };

/* Whether the next RUN_VALUES bytes are small numbers, or are all alike. */
static bool is_run(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return !(word & UINT64_C(0x8080808080808080)) || word == bytes[0] * UINT64_C(0x0101010101010101);
}

int scan_values(const struct scan_limits *limits, const uint8_t *bytes, size_t size, uint64_t count,
                size_t *ret_length)
{
    size_t at = 0, length, last_length = 1;
    uint8_t tag, last_tag = 0;
    int code;

    if (count > size)
        return MUSTER_EPROTOCOL;
    while (count) {
        if (at == size)
            return MUSTER_EPROTOCOL;
        /* Neighbours are mostly alike, so these branches are predicted; the table alone would
         * make each step wait for two loads of the step before. */
        tag = bytes[at];
        if (tag > 0x7f && tag != last_tag) {
            last_tag = tag;
            last_length = whole_length[tag];
        }
        length = tag > 0x7f ? last_length : 1;
        if (length == 1 && count >= RUN_VALUES && size - at >= RUN_VALUES && is_run(bytes + at)) {
            at += RUN_VALUES;
            count -= RUN_VALUES;
            continue;
        }
        if (length == 0 || length > size - at || length > limits->value_bytes) {
            code = scan_value(limits, bytes + at, size - at, &length);
            if (code)
                return code;
        }
        at += length;
        count--;
    }
    *ret_length = at;
    return 0;
}

/* Bytes of an ext in front of its body. */
static size_t ext_head(uint8_t tag)
{
    return tag >= 0xd4 && tag <= 0xd8 ? 2 : 2 + (size_t)count_width[tag];
}

const uint8_t *scan_ext(const uint8_t *bytes, size_t size, int8_t type, size_t *offset, size_t *ret_length)
{
    while (*offset < size) {
        const uint8_t *at = bytes + *offset;
        bool ext = (at[0] >= 0xc7 && at[0] <= 0xc9) || (at[0] >= 0xd4 && at[0] <= 0xd8);
        struct element element;

        if (!read_element(at, size - *offset, &element) || element.length > size - *offset)
            return NULL;
        *offset += element.length;
        if (!ext || (int8_t)at[ext_head(at[0]) - 1] != type)
            continue;
        *ret_length = element.length - ext_head(at[0]);
        return at + ext_head(at[0]);
    }
    return NULL;
}
