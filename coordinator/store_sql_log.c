/* SPDX-License-Identifier: MIT
 *
 * What lies behind the last frame of a log that SQLite reads. See store_sql_log.h.
 *
 * Frames that belong to the log carry the two salts of its header; those of before have others. A commit is
 * synced before the next one is written, so where there is a whole commit with anything behind it, in a part
 * that SQLite does not read, it was synced. Formats: https://sqlite.org/walformat.html
 */
#include "coordinator/store_sql_log.h"

#include <stdbool.h>
#include <string.h>

enum {
    INDEX_HEAD_BYTES = 48,    /* at its beginning */
    INDEX_BYTES = 32 << 10,   /* of a piece of the index, which processes share */
    INDEX_LAST_FRAME_AT = 16, /* as a number of this machine */
    INDEX_SALTS_AT = 32,      /* zeros: the log has no header that SQLite understands */
    HEADER_BYTES = 32,
    HEADER_SALTS_AT = 16,
    FRAME_BYTES = 24,    /* of its header; the page is behind it */
    FRAME_COMMIT_AT = 4, /* pages of the file, in the last frame of a commit */
    FRAME_SALTS_AT = 8,
    SALT_BYTES = 4,
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

/* Looks at the frames behind the last that SQLite reads. */
static int check_behind(sqlite3_file *log, const uint8_t *index, uint32_t page_bytes)
{
    const sqlite3_int64 step = FRAME_BYTES + (sqlite3_int64)page_bytes;
    uint8_t header[HEADER_BYTES], frame[FRAME_BYTES];
    sqlite3_int64 size;
    uint32_t last;
    bool committed = false;
    int code = log->pMethods->xFileSize(log, &size);

    if (code != SQLITE_OK || size < HEADER_BYTES)
        return code;
    code = log->pMethods->xRead(log, header, sizeof header, 0);
    if (code != SQLITE_OK || is_over(header, index))
        return code;
    memcpy(&last, index + INDEX_LAST_FRAME_AT, sizeof last);
    for (sqlite3_int64 at = HEADER_BYTES + last * step; code == SQLITE_OK && at + step <= size; at += step) {
        code = log->pMethods->xRead(log, frame, sizeof frame, at);
        if (code != SQLITE_OK || !belongs(header, frame))
            continue;
        if (committed)
            return SQLITE_CORRUPT;
        committed = !is_zero(frame + FRAME_COMMIT_AT, SALT_BYTES);
    }
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
