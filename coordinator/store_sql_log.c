/* SPDX-License-Identifier: MIT
 *
 * What lies behind the last frame of a log that SQLite reads. See store_sql_log.h.
 *
 * Frames that belong to the log carry the two salts of its header; those of before have others. A commit is
 * synced before the next one is written, so where something follows on a commit, in a part that SQLite does
 * not read, it was synced. It follows on it if it has the salts, too, and its checksum goes on from that of
 * the commit: what a writer that was killed has left there belongs to the log, too; and where a frame's
 * header lies in two pages of the file, a writer that is killed may leave the checksum of what was there
 * before, from which that of the next frame of before goes on. Formats: https://sqlite.org/walformat.html
 */
#include "coordinator/store_sql_log.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    INDEX_HEAD_BYTES = 48,    /* at its beginning */
    INDEX_BYTES = 32 << 10,   /* of a piece of the index, which processes share */
    INDEX_LAST_FRAME_AT = 16, /* as a number of this machine */
    INDEX_SALTS_AT = 32,      /* zeros: the log has no header that SQLite understands */
    HEADER_BYTES = 32,
    HEADER_ORDER_AT = 3, /* its last bit: checksums are of numbers of big-endian machines */
    HEADER_SALTS_AT = 16,
    HEADER_SUM_AT = 24,
    FRAME_BYTES = 24,    /* of its header; the page is behind it */
    FRAME_COMMIT_AT = 4, /* pages of the file, in the last frame of a commit */
    FRAME_SALTS_AT = 8,
    FRAME_SUM_AT = 16,
    SALT_BYTES = 4,
    SUMMED_BYTES = 8, /* of a frame's header; then its page */
};

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* A bit of one of the salts may be another one, too. */
static bool belongs(const uint8_t *header, const uint8_t *frame)
{
    const uint8_t *wanted = header + HEADER_SALTS_AT, *salts = frame + FRAME_SALTS_AT;

    return !is_zero(salts, 2 * SALT_BYTES) &&
           (memcmp(salts, wanted, SALT_BYTES) == 0 ||
            memcmp(salts + SALT_BYTES, wanted + SALT_BYTES, SALT_BYTES) == 0);
}

/* Who has the index began the log anew, but not in the file yet: all that is in there was carried over. */
static bool is_over(const uint8_t *header, const uint8_t *index)
{
    const uint8_t *salts = index + INDEX_SALTS_AT;

    return !is_zero(salts, 2 * SALT_BYTES) && memcmp(salts, header + HEADER_SALTS_AT, 2 * SALT_BYTES) != 0;
}

/* --- checksums of frames, each of which goes on from the one before */

struct sum {
    uint32_t halves[2];
};

static uint32_t number_at(const uint8_t *bytes, bool big)
{
    return big ? (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]
               : (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static struct sum add(struct sum sum, const uint8_t *bytes, size_t size, bool big)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        sum.halves[0] += number_at(bytes + i, big) + sum.halves[1];
        sum.halves[1] += number_at(bytes + i + 4, big) + sum.halves[0];
    }
    return sum;
}

static struct sum sum_in(const uint8_t *frame)
{
    return (struct sum){{number_at(frame + FRAME_SUM_AT, true), number_at(frame + FRAME_SUM_AT + 4, true)}};
}

static struct sum sum_of(struct sum before, const uint8_t *frame, uint32_t page_bytes, bool big)
{
    return add(add(before, frame, SUMMED_BYTES, big), frame + FRAME_BYTES, page_bytes, big);
}

/* Whether the frame was written behind one with this sum. */
static bool follows(struct sum before, const uint8_t *frame, uint32_t page_bytes, bool big)
{
    struct sum sum = sum_of(before, frame, page_bytes, big), found = sum_in(frame);

    return memcmp(&sum, &found, sizeof sum) == 0;
}

/* --- the log */

/* Looks at the frames behind the last that SQLite reads; `frame` has room for one. */
static int check_frames(sqlite3_file *log, const uint8_t *header, sqlite3_int64 at, sqlite3_int64 size,
                        uint32_t page_bytes, uint8_t *frame)
{
    const sqlite3_int64 step = FRAME_BYTES + (sqlite3_int64)page_bytes;
    const bool big = header[HEADER_ORDER_AT] & 1;
    struct sum stored, counted = {{0}}; /* of the frame before: as it says, and as it is */
    bool committed = false;
    int code = SQLITE_OK;

    if (at == HEADER_BYTES)
        memcpy(frame + FRAME_SUM_AT, header + HEADER_SUM_AT, HEADER_BYTES - HEADER_SUM_AT);
    else
        code = log->pMethods->xRead(log, frame, FRAME_BYTES, at - step);
    stored = sum_in(frame);
    for (; code == SQLITE_OK && at + step <= size; at += step) {
        code = log->pMethods->xRead(log, frame, (int)step, at);
        if (code != SQLITE_OK)
            break;
        if (committed && belongs(header, frame) &&
            (follows(stored, frame, page_bytes, big) || follows(counted, frame, page_bytes, big)))
            return SQLITE_CORRUPT;
        committed = belongs(header, frame) && !is_zero(frame + FRAME_COMMIT_AT, SALT_BYTES);
        counted = sum_of(stored, frame, page_bytes, big);
        stored = sum_in(frame);
    }
    return code;
}

static int check_behind(sqlite3_file *log, const uint8_t *index, uint32_t page_bytes)
{
    const sqlite3_int64 step = FRAME_BYTES + (sqlite3_int64)page_bytes;
    uint8_t header[HEADER_BYTES], *frame;
    sqlite3_int64 size;
    uint32_t last;
    int code = log->pMethods->xFileSize(log, &size);

    if (code != SQLITE_OK || size < HEADER_BYTES)
        return code;
    code = log->pMethods->xRead(log, header, sizeof header, 0);
    if (code != SQLITE_OK || is_over(header, index))
        return code;
    if (!(frame = malloc((size_t)step)))
        return SQLITE_IOERR_NOMEM;
    memcpy(&last, index + INDEX_LAST_FRAME_AT, sizeof last);
    code = check_frames(log, header, HEADER_BYTES + last * step, size, page_bytes, frame);
    free(frame);
    return code;
}

int sql_log_check(sqlite3 *handle, uint32_t page_bytes)
{
    sqlite3_file *file = NULL, *log = NULL;
    uint8_t head[INDEX_HEAD_BYTES];
    void volatile *index = NULL;
    int code = sqlite.file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    if (code == SQLITE_OK)
        code = sqlite.file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (code == SQLITE_OK)
        code = file->pMethods->xShmMap(file, 0, INDEX_BYTES, 0, &index);
    if (code != SQLITE_OK || !index || !log->pMethods)
        return code;
    for (size_t i = 0; i < sizeof head; i++)
        head[i] = ((const uint8_t volatile *)index)[i];
    return check_behind(log, head, page_bytes);
}
