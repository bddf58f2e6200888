/* SPDX-License-Identifier: MIT
 *
 * A stream in blocks. See blocks.h.
 */
#include "cli/blocks.h"

#include "proto/limits.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* A block is a part of an argument, beside which there are a command and its surroundings. */
    BLOCK_BYTES_MAX = PROTO_VALUE_BYTES_MAX - (16 << 20),
    HEADER_BYTES = 64 << 10, /* looked at for a header, where blocks are smaller */
};

int blocks_init(struct blocks *blocks, const struct blocks_spec *spec, int fd, const char *name,
                struct muster_error *ret_error)
{
    int code;

    *blocks = (struct blocks){.spec = *spec, .fd = fd, .name = name, .limit = spec->block_bytes};
    if (spec->block_bytes > BLOCK_BYTES_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "--block: %d bytes at most", BLOCK_BYTES_MAX);
    code = separator_init(&blocks->separator, &spec->separator, ret_error);
    return code ? code : block_header_init(&blocks->header, spec->header, ret_error);
}

void blocks_fini(struct blocks *blocks)
{
    separator_fini(&blocks->separator);
    block_header_fini(&blocks->header);
    free(blocks->header_bytes);
    free(blocks->buffer);
    blocks->header_bytes = blocks->buffer = NULL;
}

static int out_of_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

/* --- reading */

static bool is_full(const struct blocks *blocks)
{
    return blocks->end - blocks->start >= blocks->limit;
}

/* What the next block is cut from: all that is there, or as much as fits. */
static struct word unread(const struct blocks *blocks)
{
    bool fits = blocks->spec.records > 0 || !is_full(blocks);

    if (!blocks->buffer)
        return (struct word){.bytes = "", .size = 0};
    return (struct word){blocks->buffer + blocks->start, fits ? blocks->end - blocks->start : blocks->limit};
}

/* Whether that is the rest of the input. */
static bool is_rest(const struct blocks *blocks)
{
    return blocks->ended && unread(blocks).size == blocks->end - blocks->start;
}

/* Moves what is there to the front, behind room for a header. */
static void slide(struct blocks *blocks)
{
    size_t by = blocks->start - blocks->header_size;

    if (by == 0)
        return;
    memmove(blocks->buffer + blocks->header_size, blocks->buffer + blocks->start,
            blocks->end - blocks->start);
    blocks->start -= by;
    blocks->end -= by;
    blocks->searched -= by;
    blocks->cut -= blocks->cut > 0 ? by : 0;
}

static int make_room(struct blocks *blocks)
{
    size_t needed = blocks->header_size + blocks->limit;
    char *buffer;

    slide(blocks);
    if (needed <= blocks->room)
        return 0;
    buffer = realloc(blocks->buffer, needed);
    if (!buffer)
        return MUSTER_ENOMEM;
    blocks->buffer = buffer;
    blocks->room = needed;
    return 0;
}

/* Room for a record that does not fit, in the steps of GNU parallel: 1.3 times as much and 1, rounded up. */
static int grow(struct blocks *blocks, struct muster_error *ret_error)
{
    if (blocks->limit == BLOCK_BYTES_MAX)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "%s: a record is longer than %d bytes",
                                blocks->name, BLOCK_BYTES_MAX);
    blocks->limit += (blocks->limit * 3 + 9) / 10 + 1;
    if (blocks->limit > BLOCK_BYTES_MAX)
        blocks->limit = BLOCK_BYTES_MAX;
    return 0;
}

/* Reads what is there. 0 when there was something, or the end. */
static int fill(struct blocks *blocks, struct muster_error *ret_error)
{
    struct pollfd waiting = {.fd = blocks->fd, .events = POLLIN};
    ssize_t count;

    if (make_room(blocks))
        return out_of_memory(ret_error);
    if (poll(&waiting, 1, 0) == 0)
        return MUSTER_EAGAIN;
    count = read(blocks->fd, blocks->buffer + blocks->end, blocks->limit - (blocks->end - blocks->start));
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return MUSTER_EAGAIN;
    if (count < 0)
        return muster_error_system(ret_error, errno, "cannot read %s", blocks->name);
    blocks->end += (size_t)count;
    blocks->ended = count == 0;
    return 0;
}

/* Reads more, a larger block if need be; of that a part may be there already. */
static int read_more(struct blocks *blocks, struct muster_error *ret_error)
{
    int code = is_full(blocks) ? grow(blocks, ret_error) : 0;

    return code || is_full(blocks) ? code : fill(blocks, ret_error);
}

/* --- the header */

/* Ensures: the header lies where it goes before blocks, which are as large as asked for. */
static int keep_header(struct blocks *blocks, size_t size, struct muster_error *ret_error)
{
    if (size > 0) {
        blocks->header_bytes = malloc(size);
        if (!blocks->header_bytes)
            return out_of_memory(ret_error);
        memcpy(blocks->header_bytes, blocks->buffer, size);
    }
    blocks->header_size = blocks->start = blocks->searched = size;
    blocks->header_known = true;
    blocks->limit = blocks->spec.block_bytes;
    return 0;
}

static int read_header(struct blocks *blocks, struct muster_error *ret_error)
{
    size_t size;
    int code;

    while (!block_header_find(&blocks->header, (struct word){blocks->buffer, blocks->end},
                              blocks->ended || is_full(blocks), &size) ||
           (size == 0 && !blocks->ended && blocks->spec.header && blocks->limit < HEADER_BYTES)) {
        if (blocks->ended) {
            size = blocks->end; /* fewer lines than that */
            break;
        }
        if ((code = read_more(blocks, ret_error)) != 0)
            return code;
    }
    return keep_header(blocks, size, ret_error);
}

/* --- blocks */

/* Counts records up to the one that ends the block. 0; MUSTER_EEND when there are more to come;
 * MUSTER_ENOMEM. */
static int count_records(struct blocks *blocks)
{
    size_t lines = blocks->spec.lines > 0 ? blocks->spec.lines : 1, cut;
    struct word bytes = {blocks->buffer, blocks->start + unread(blocks).size};
    int code;

    while ((code = separator_next(&blocks->separator, bytes, blocks->searched, !is_rest(blocks), &cut)) ==
           0) {
        blocks->searched = cut;
        if (++blocks->counted % lines != 0)
            continue;
        blocks->cut = cut;
        if (blocks->spec.records > 0 && blocks->counted / lines == blocks->spec.records)
            return 0;
    }
    if (code != MUSTER_EEND)
        return code;
    blocks->searched = separator_resume(&blocks->separator, bytes.size, blocks->searched);
    return blocks->spec.records == 0 && is_full(blocks) && blocks->cut > 0 ? 0 : MUSTER_EEND;
}

/* Finds where the block ends that begins at `start`. As count_records. */
static int find_cut(struct blocks *blocks)
{
    size_t cut;
    int code;

    if (blocks->spec.records > 0 || blocks->spec.lines > 1)
        return count_records(blocks);
    if (!is_full(blocks))
        return MUSTER_EEND;
    code = separator_last(&blocks->separator, unread(blocks), &cut);
    if (code == 0)
        blocks->cut = blocks->start + cut;
    return code;
}

/* Where the rest of the input is cut: with -L, what is no whole record is a block of its own. */
static size_t last_cut(const struct blocks *blocks)
{
    return blocks->spec.records == 0 && blocks->cut > 0 ? blocks->cut : blocks->end;
}

/* Hands out what lies before the cut. */
static void give(struct blocks *blocks, size_t cut, struct word *ret_block)
{
    char *begin = blocks->buffer + blocks->start;
    size_t size = cut - blocks->start, header = blocks->header_size;

    if (blocks->spec.remove)
        size = separator_remove(&blocks->separator, begin, size);
    if (header > 0)
        memcpy(begin - header, blocks->header_bytes, header);
    *ret_block = (struct word){begin - header, header + size};
    blocks->start = blocks->searched = cut;
    blocks->cut = blocks->counted = 0;
}

int blocks_next(struct blocks *blocks, struct word *ret_block, struct muster_error *ret_error)
{
    int code = blocks->header_known ? 0 : read_header(blocks, ret_error);

    while (!code) {
        code = find_cut(blocks);
        if (code == 0) {
            give(blocks, blocks->cut, ret_block);
            return 0;
        }
        if (code != MUSTER_EEND)
            return out_of_memory(ret_error);
        if (blocks->ended && blocks->end == blocks->start)
            return MUSTER_EEND;
        if (is_rest(blocks)) {
            give(blocks, last_cut(blocks), ret_block);
            return 0;
        }
        code = read_more(blocks, ret_error);
    }
    return code;
}
