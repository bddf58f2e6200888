/* SPDX-License-Identifier: MIT
 *
 * Rows are gathered until one has no room, which is carried over to the next command. See exec_fill.h.
 */
#include "cli/exec_fill.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FIRST_ROWS = 16,
    SHOWN = 50, /* bytes of a command in an error */
    /* Of ARG_MAX: 2048 that POSIX wants left for the program's own use, and as much for what the worker
     * adds to the environment and for the kernel's own. */
    RESERVED = 4096,
    /* A byte of a line takes at most five of ARG_MAX: itself, and half a pointer of eight, as a word has
     * two bytes at least, its gap or NUL being one. */
    COST = 5,
    LEAST = 4096,          /* where the environment leaves nothing, commands say so themselves */
    KERNEL_MOST = 6 << 20, /* Linux takes no more than three quarters of 8 MiB, whatever ARG_MAX is */
};

/* MAX_ARG_STRLEN of Linux, 32 pages: what one argument may have, such as the line of `sh -c`, with its NUL.
 */
static size_t longest_argument(void)
{
    return 32 * (size_t)sysconf(_SC_PAGESIZE);
}

size_t exec_fill_longest(void)
{
    size_t room = (size_t)sysconf(_SC_ARG_MAX), used = RESERVED, most = longest_argument() - 1;

    room = room < KERNEL_MOST ? room : KERNEL_MOST;
    for (char **variable = environ; *variable; variable++)
        used += strlen(*variable) + 1 + sizeof *variable;
    room = used < room ? (room - used) / COST : 0;
    if (room < LEAST)
        return LEAST;
    return room < most ? room : most;
}

bool exec_fill_repeats(const struct exec_fill_options *options)
{
    return options->words || options->numbered || (options->lines && !options->all && !options->xargs);
}

void exec_fill_init(struct exec_fill *fill, const struct exec_fill_options *options, unsigned slots,
                    struct sources *sources, const struct template *command)
{
    bool many = options->words || options->all || options->xargs;
    size_t longest = exec_fill_longest() + 1;

    *fill = (struct exec_fill){.sources = sources, .command = command, .exact = options->exact};
    fill->max_rows = options->max_args ? options->max_args : options->max_lines;
    if (!fill->max_rows && !many)
        fill->max_rows = 1;
    fill->slots = options->words || options->all ? slots : 0;
    if (sources->spec.no_args) { /* -n 0: nothing to put together */
        fill->max_rows = 1;
        fill->slots = 0;
    }
    fill->max_bytes = options->max_bytes && options->max_bytes < longest ? options->max_bytes : longest;
}

void exec_fill_fini(struct exec_fill *fill)
{
    texts_fini(&fill->arguments);
    texts_fini(&fill->carried);
    free(fill->ends);
    free(fill->words);
    *fill = (struct exec_fill){.rows = 0};
}

/* --- gathering */

static int out_of_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

static int grow_ends(struct exec_fill *fill)
{
    size_t room = fill->ends_room > 0 ? fill->ends_room * 2 : FIRST_ROWS;
    size_t *ends;

    if (fill->rows < fill->ends_room)
        return 0;
    ends = reallocarray(fill->ends, room, sizeof *ends);
    if (!ends)
        return MUSTER_ENOMEM;
    fill->ends = ends;
    fill->ends_room = room;
    return 0;
}

static int add_words(struct texts *texts, const struct row *row)
{
    for (size_t i = 0; i < row->count; i++)
        if (texts_add(texts, row->args[i].bytes, row->args[i].size))
            return MUSTER_ENOMEM;
    return 0;
}

/* What the row adds to the line. Something in any case, so that rows of which a command makes no use come
 * to an end, too. */
static size_t size_of(const struct exec_fill *fill, const struct row *row)
{
    size_t size = template_size(fill->command, row, fill->commands + 1, fill->rows > 0);

    return size > 0 ? size : 1;
}

/* Counts the arguments that were added last as a row. */
static int add_row(struct exec_fill *fill, size_t size, struct muster_error *ret_error)
{
    if (grow_ends(fill))
        return out_of_memory(ret_error);
    fill->bytes += size;
    fill->ends[fill->rows++] = fill->arguments.count;
    return 0;
}

/* Adds the row, or keeps it for the next command. The first has room in any case: of it alone a line is
 * made, and looked at. */
static int take_row(struct exec_fill *fill, const struct row *row, struct muster_error *ret_error)
{
    bool last = fill->max_rows > 0 && fill->rows == fill->max_rows;
    size_t size = size_of(fill, row);

    if (fill->exact && !last && fill->max_rows > 0 && fill->rows > 0 && fill->bytes + size >= fill->max_bytes)
        return muster_error_set(ret_error, MUSTER_ELIMIT,
                                "job 1.%" PRIu64 ": its command has no room for %zu arguments (-x)",
                                fill->commands + 1, fill->max_rows);
    fill->has_carried = last || (fill->rows > 0 && fill->bytes + size >= fill->max_bytes);
    if (add_words(fill->has_carried ? &fill->carried : &fill->arguments, row))
        return out_of_memory(ret_error);
    return fill->has_carried ? 0 : add_row(fill, size, ret_error);
}

/* All that was gathered is in commands: begins anew, with the row that was carried over. */
static int begin(struct exec_fill *fill, struct muster_error *ret_error)
{
    struct texts carried = fill->carried;
    struct row row;

    fill->rows_before += fill->rows;
    fill->rows = fill->given = fill->bytes = 0;
    texts_clear(&fill->arguments);
    if (!fill->has_carried)
        return 0;
    fill->carried = fill->arguments;
    fill->arguments = carried;
    fill->has_carried = false;
    if (texts_list(&fill->arguments, &fill->words, &fill->words_room))
        return out_of_memory(ret_error);
    row = (struct row){fill->words, fill->arguments.count};
    return add_row(fill, size_of(fill, &row), ret_error);
}

/* Until the rows of a command are there. Whether they are the last is asked only where that matters: a
 * command is not to wait for what comes after it. */
static int gather(struct exec_fill *fill, struct muster_error *ret_error)
{
    struct row row;
    int code;

    while (!fill->ended && !fill->has_carried &&
           (fill->slots > 0 || fill->max_rows == 0 || fill->rows < fill->max_rows)) {
        code = sources_next(fill->sources, &row, ret_error);
        if (code == MUSTER_EEND)
            fill->ended = true;
        else if (code || (code = take_row(fill, &row, ret_error)) != 0)
            return code;
    }
    return fill->rows > 0 ? 0 : MUSTER_EEND;
}

/* --- commands */

/* A row a command: nothing is gathered. */
static int next_row(struct exec_fill *fill, struct row *ret_row, struct muster_error *ret_error)
{
    int code = sources_next(fill->sources, ret_row, ret_error);

    fill->rows_before += code == 0;
    fill->commands += code == 0;
    fill->handed = 1;
    return code;
}

static int next_rows(struct exec_fill *fill, struct row *ret_row, struct muster_error *ret_error)
{
    size_t first, end;
    int code = fill->rows > 0 && fill->given == fill->rows ? begin(fill, ret_error) : 0;

    if (!code)
        code = gather(fill, ret_error);
    if (code)
        return code;
    if (fill->given == 0)
        fill->share = fill->rows;
    if (fill->given == 0 && fill->ended && fill->slots > 0 && !fill->has_carried)
        fill->share = (fill->rows - 1) / fill->slots + 1;
    if (texts_list(&fill->arguments, &fill->words, &fill->words_room))
        return out_of_memory(ret_error);
    first = fill->given > 0 ? fill->ends[fill->given - 1] : 0;
    fill->handed = fill->share < fill->rows - fill->given ? fill->share : fill->rows - fill->given;
    fill->given += fill->handed;
    end = fill->ends[fill->given - 1];
    fill->commands++;
    *ret_row = (struct row){.args = fill->words + first, .count = end - first};
    return 0;
}

int exec_fill_next(struct exec_fill *fill, struct row *ret_row, struct muster_error *ret_error)
{
    bool single = fill->max_rows == 1 && fill->slots == 0;

    return single ? next_row(fill, ret_row, ret_error) : next_rows(fill, ret_row, ret_error);
}

int exec_fill_check(const struct exec_fill *fill, struct word line, struct muster_error *ret_error)
{
    if (line.size < fill->max_bytes)
        return 0;
    return muster_error_set(ret_error, MUSTER_ELIMIT,
                            "job 1.%" PRIu64 " (%.*s...): its command of %zu bytes is longer than %zu",
                            fill->commands, (int)(line.size < SHOWN ? line.size : SHOWN), line.bytes,
                            line.size, fill->max_bytes - 1);
}

uint64_t exec_fill_total(const struct exec_fill *fill)
{
    uint64_t rows = sources_total(fill->sources), each = fill->max_rows, left;

    if (fill->ended && !fill->has_carried)
        each = fill->share;
    else if (fill->slots > 0)
        each = 0;
    if (rows == 0 || each == 0)
        return 0;
    left = rows - fill->rows_before - fill->given;
    return fill->commands + left / each + (left % each > 0);
}
