/* SPDX-License-Identifier: MIT
 *
 * Checksums of pages. See store_sql_sums.h.
 *
 * The sum is SipHash-2-4 of the page, keyed with its number: a page at another's place is noticed, too. To
 * SQLite the place of the sum reads as zeros, so that frames of the log have none. What counts versions in
 * the first page is left out: a copy made by SQLite (".backup") has other numbers there, and no number there
 * changes what is read.
 */
#include "coordinator/store_sql_sums.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SUM_BYTES = crypto_shorthash_siphash24_BYTES,
    PAGE_BYTES_MIN = 512,
    HEADER_BYTES = 100, /* of a database: the first of its first page */
    PAGE_BYTES_AT = 16, /* in it; 1: 64 KiB */
    VERSIONS_AT = 18,   /* of the format, two: both 2 where there is a log */
    RESERVED_AT = 20,   /* bytes at the end of each page */
    APPLICATION_AT = 68,
    BEGIN_SUMS = SQL_SUMS_APPLICATION, /* for sqlite3_file_control */
    CHECKPOINT_SLOT = 1,               /* of the index: its lock is held by who carries the log over */
};

/* What SQLite calls a file; that of the file system beneath stands behind it. */
struct file {
    sqlite3_file base;   /* first */
    uint8_t *pages;      /* owned; room for two */
    uint32_t page_bytes; /* 0: pages have no sums */
    bool has_log;        /* it was opened: every page in the file has a sum */
    bool sealed;         /* the file is, on disk */
    bool begun;          /* it is written */
    bool keeps_log;      /* nobody else may carry it over: it has the lock of that slot */
    const char *log;     /* its name, SQLite's; NULL: it was not opened */
};

static sqlite3_vfs sums, *beneath; /* the former as the latter, but for how files are opened */

static sqlite3_file *inner(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)((struct file *)(void *)file + 1);
}

/* --- what a header says */

static uint32_t page_bytes_of(const uint8_t *header)
{
    uint32_t bytes = (uint32_t)header[PAGE_BYTES_AT] << 8 | header[PAGE_BYTES_AT + 1];

    bytes = bytes == 1 ? 1 << 16 : bytes;
    return bytes >= PAGE_BYTES_MIN && (bytes & (bytes - 1)) == 0 ? bytes : 0;
}

static bool has_room(const uint8_t *header)
{
    return header[VERSIONS_AT] == 2 && header[VERSIONS_AT + 1] == 2 && header[RESERVED_AT] == SUM_BYTES;
}

static bool is_state_file(const uint8_t *header)
{
    return ((uint32_t)header[APPLICATION_AT] << 24 | (uint32_t)header[APPLICATION_AT + 1] << 16 |
            (uint32_t)header[APPLICATION_AT + 2] << 8 | header[APPLICATION_AT + 3]) == SQL_SUMS_APPLICATION;
}

/* --- sums */

/* Never zeros, which say that there is none. `scratch` has room for a page. Only the first page is sealed. */
static void sum_of(const uint8_t *page, size_t bytes, uint64_t number, bool sealed, uint8_t *scratch,
                   uint8_t *ret_sum)
{
    static const struct {
        uint8_t at, bytes;
    } versions[] = {{24, 4}, {40, 4}, {92, 8}}; /* in the first page: of the file, its schema, SQLite */
    uint8_t key[crypto_shorthash_siphash24_KEYBYTES] = "muster";

    key[7] = sealed;
    for (int i = 0; i < 8; i++)
        key[sizeof key - 1 - i] ^= (uint8_t)(number >> 8 * i);
    if (number == 1) {
        memcpy(scratch, page, bytes);
        for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
            memset(scratch + versions[i].at, 0, versions[i].bytes);
        page = scratch;
    }
    crypto_shorthash_siphash24(ret_sum, page, bytes - SUM_BYTES, key);
    ret_sum[0] |= sodium_is_zero(ret_sum, SUM_BYTES) != 0;
}

static int use_pages(struct file *file, uint32_t bytes)
{
    uint8_t *pages =
        bytes == 0 || bytes == file->page_bytes ? file->pages : realloc(file->pages, 2 * (size_t)bytes);

    if (bytes != 0 && !pages)
        return SQLITE_IOERR_NOMEM;
    file->pages = pages;
    file->page_bytes = bytes;
    return SQLITE_OK;
}

/* A page that was read; its sum is taken out of it. */
static int check(struct file *file, uint8_t *page, uint64_t number)
{
    uint8_t *found = page + file->page_bytes - SUM_BYTES, sum[SUM_BYTES];

    if (sodium_is_zero(found, SUM_BYTES))
        return file->has_log ? SQLITE_CORRUPT : SQLITE_OK;
    sum_of(page, file->page_bytes, number, false, file->pages, sum);
    if (memcmp(sum, found, SUM_BYTES) != 0) {
        if (number != 1)
            return SQLITE_CORRUPT;
        sum_of(page, file->page_bytes, number, true, file->pages, sum);
        if (memcmp(sum, found, SUM_BYTES) != 0)
            return SQLITE_CORRUPT;
        file->sealed = true;
    }
    memset(found, 0, SUM_BYTES);
    return SQLITE_OK;
}

/* The first page of a state file whose header says that it has no sums: unless it has one, which was right
 * when the header said so. */
static int check_plain(const uint8_t *page, uint32_t bytes)
{
    uint8_t sum[SUM_BYTES], *copy = malloc(2 * (size_t)bytes);
    bool has_sum = false;

    if (!copy)
        return SQLITE_IOERR_NOMEM;
    memcpy(copy, page, bytes);
    copy[VERSIONS_AT] = copy[VERSIONS_AT + 1] = 2;
    copy[RESERVED_AT] = SUM_BYTES;
    for (int sealed = 0; sealed <= 1; sealed++) {
        sum_of(copy, bytes, 1, sealed, copy + bytes, sum);
        has_sum |= memcmp(sum, page + bytes - SUM_BYTES, SUM_BYTES) == 0;
    }
    free(copy);
    return has_sum ? SQLITE_CORRUPT : SQLITE_OK;
}

/* Gives a sum to each page in the file that has none. */
static int sum_others(struct file *file)
{
    sqlite3_file *in = inner(&file->base);
    uint8_t header[HEADER_BYTES], *page;
    sqlite3_int64 size, bytes;
    bool any = false;
    int code = in->pMethods->xRead(in, header, sizeof header, 0);

    if (code == SQLITE_IOERR_SHORT_READ ||
        (code == SQLITE_OK && !(has_room(header) && is_state_file(header))))
        return SQLITE_OK;
    if (code == SQLITE_OK)
        code = use_pages(file, page_bytes_of(header));
    if (code == SQLITE_OK)
        code = in->pMethods->xFileSize(in, &size);
    if (code != SQLITE_OK || (bytes = file->page_bytes) == 0)
        return code;
    page = file->pages + bytes;
    for (sqlite3_int64 at = 0; at + bytes <= size && code == SQLITE_OK; at += bytes) {
        uint8_t sum[SUM_BYTES];

        code = in->pMethods->xRead(in, sum, SUM_BYTES, at + bytes - SUM_BYTES);
        if (code != SQLITE_OK || !sodium_is_zero(sum, SUM_BYTES))
            continue;
        code = in->pMethods->xRead(in, page, (int)bytes, at);
        if (code != SQLITE_OK)
            break;
        sum_of(page, (size_t)bytes, (uint64_t)(at / bytes + 1), false, file->pages, sum);
        code = in->pMethods->xWrite(in, sum, SUM_BYTES, at + bytes - SUM_BYTES);
        any = true;
    }
    return any && code == SQLITE_OK ? in->pMethods->xSync(in, SQLITE_SYNC_NORMAL) : code;
}

/* Writes the sum of the first page so that it says whether the file is sealed. */
static int seal(struct file *file, bool sealed)
{
    sqlite3_file *in = inner(&file->base);
    uint8_t *page = file->pages + file->page_bytes, sum[SUM_BYTES];
    int code = in->pMethods->xRead(in, page, (int)file->page_bytes, 0);

    if (code == SQLITE_OK)
        code = check(file, page, 1);
    if (code != SQLITE_OK)
        return code;
    sum_of(page, file->page_bytes, 1, sealed, file->pages, sum);
    code = in->pMethods->xWrite(in, sum, SUM_BYTES, file->page_bytes - SUM_BYTES);
    if (code == SQLITE_OK && !sealed)
        code = in->pMethods->xSync(in, SQLITE_SYNC_NORMAL); /* ahead of the log's first frame */
    if (code == SQLITE_OK)
        file->sealed = sealed;
    return code;
}

/* Pages are written from now on. */
static int begin(struct file *file, uint32_t page_bytes)
{
    int code = use_pages(file, page_bytes);

    if (code == SQLITE_OK && file->sealed)
        code = seal(file, false);
    file->begun |= code == SQLITE_OK;
    return code;
}

/* --- what SQLite asks for */

static int close_file(sqlite3_file *base)
{
    struct file *file = (struct file *)(void *)base;

    if (file->begun && file->page_bytes != 0 && file->log && access(file->log, F_OK) != 0)
        seal(file, true); /* all of the log was carried over, here */
    free(file->pages);
    return inner(base)->pMethods->xClose(inner(base));
}

/* With a log, each page of the file is in it, or there: without one the file was cut off, and SQLite would
 * take zeros for it. */
static int read_page(struct file *file, void *page, uint64_t number)
{
    sqlite3_file *in = inner(&file->base);
    int bytes = (int)file->page_bytes;
    int code = in->pMethods->xRead(in, page, bytes, (sqlite3_int64)(number - 1) * bytes);

    if (code == SQLITE_IOERR_SHORT_READ && file->has_log)
        return SQLITE_CORRUPT;
    return code == SQLITE_OK ? check(file, page, number) : code;
}

/* A part of a page behind the first: newer versions of SQLite read long values past their cache. */
static int read_part(struct file *file, void *bytes, int size, sqlite3_int64 at)
{
    uint8_t *page = file->pages + file->page_bytes;
    int code = read_page(file, page, (uint64_t)at / file->page_bytes + 1);

    if (code == SQLITE_OK || code == SQLITE_IOERR_SHORT_READ) /* zeros are behind what there is */
        memcpy(bytes, page + at % file->page_bytes, (size_t)size);
    return code;
}

static int read_file(sqlite3_file *base, void *bytes, int size, sqlite3_int64 at)
{
    struct file *file = (struct file *)(void *)base;
    uint32_t page_bytes = file->page_bytes;
    int code;

    if (page_bytes != 0 && (uint32_t)size == page_bytes && at % size == 0)
        return read_page(file, bytes, (uint64_t)(at / size + 1));
    if (page_bytes != 0 && at >= page_bytes && at % page_bytes + size <= page_bytes)
        return read_part(file, bytes, size, at);
    code = inner(base)->pMethods->xRead(inner(base), bytes, size, at);
    if (code == SQLITE_OK && at == 0 && size >= HEADER_BYTES && file->page_bytes == 0 &&
        is_state_file(bytes)) {
        if (has_room(bytes))
            code = use_pages(file, page_bytes_of(bytes));
        else if (size >= PAGE_BYTES_MIN)
            code = check_plain(bytes, (uint32_t)size);
    }
    return code == SQLITE_OK && file->page_bytes != 0 && (uint32_t)size == file->page_bytes && at % size == 0
               ? check(file, bytes, (uint64_t)(at / size + 1))
               : code;
}

static int write_file(sqlite3_file *base, const void *bytes, int size, sqlite3_int64 at)
{
    struct file *file = (struct file *)(void *)base;
    uint8_t sum[SUM_BYTES];
    int code;

    if (at == 0 && size >= HEADER_BYTES && file->page_bytes == 0 && has_room(bytes) &&
        (code = use_pages(file, page_bytes_of(bytes))) != SQLITE_OK)
        return code;
    if (file->page_bytes != 0 && (uint32_t)size == file->page_bytes && at % size == 0) {
        sum_of(bytes, (size_t)size, (uint64_t)(at / size + 1), false, file->pages, sum);
        memcpy(file->pages, bytes, (size_t)size - SUM_BYTES);
        memcpy(file->pages + size - SUM_BYTES, sum, SUM_BYTES);
        bytes = file->pages;
    }
    return inner(base)->pMethods->xWrite(inner(base), bytes, size, at);
}

static int control(sqlite3_file *base, int operation, void *argument)
{
    if (operation == BEGIN_SUMS)
        return begin((struct file *)(void *)base, *(const uint32_t *)argument);
    return inner(base)->pMethods->xFileControl(inner(base), operation, argument);
}

/* The rest is as beneath. */
#define FORWARD(function, method, parameters, arguments) \
    static int function parameters                       \
    {                                                    \
        return inner(file)->pMethods->method arguments;  \
    }

FORWARD(truncate_file, xTruncate, (sqlite3_file * file, sqlite3_int64 size), (inner(file), size))
FORWARD(sync_file, xSync, (sqlite3_file * file, int flags), (inner(file), flags))
FORWARD(size_of_file, xFileSize, (sqlite3_file * file, sqlite3_int64 *ret_size), (inner(file), ret_size))
FORWARD(lock_file, xLock, (sqlite3_file * file, int kind), (inner(file), kind))
FORWARD(unlock_file, xUnlock, (sqlite3_file * file, int kind), (inner(file), kind))
FORWARD(check_reserved, xCheckReservedLock, (sqlite3_file * file, int *ret_held), (inner(file), ret_held))
FORWARD(sector_size, xSectorSize, (sqlite3_file * file), (inner(file)))
FORWARD(characteristics, xDeviceCharacteristics, (sqlite3_file * file), (inner(file)))

/* With the index the file takes the lock of who carries the log over, for as long as it has the index: what
 * another program carries over has no sums. */
static int map_shared(sqlite3_file *base, int piece, int bytes, int extend, void volatile **ret_bytes)
{
    struct file *file = (struct file *)(void *)base;
    const sqlite3_io_methods *in = inner(base)->pMethods;
    int code = in->xShmMap(inner(base), piece, bytes, extend, ret_bytes);

    if (code != SQLITE_OK || file->keeps_log)
        return code;
    code = in->xShmLock(inner(base), CHECKPOINT_SLOT, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
    file->keeps_log = code == SQLITE_OK;
    if (code != SQLITE_OK)
        *ret_bytes = NULL;
    return code;
}

/* SQLite asks for that lock alone, or with those behind it. */
static int lock_shared(sqlite3_file *base, int offset, int count, int flags)
{
    struct file *file = (struct file *)(void *)base;

    if (file->keeps_log && offset == CHECKPOINT_SLOT) {
        offset++;
        count--;
    }
    return count == 0 ? SQLITE_OK : inner(base)->pMethods->xShmLock(inner(base), offset, count, flags);
}

static int unmap_shared(sqlite3_file *base, int remove)
{
    struct file *file = (struct file *)(void *)base;
    const sqlite3_io_methods *in = inner(base)->pMethods;

    if (file->keeps_log)
        in->xShmLock(inner(base), CHECKPOINT_SLOT, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    file->keeps_log = false;
    return in->xShmUnmap(inner(base), remove);
}

static void fence_shared(sqlite3_file *file)
{
    inner(file)->pMethods->xShmBarrier(inner(file));
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* without maps of the file, whose pages nobody would check */
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = size_of_file,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_reserved,
    .xFileControl = control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = map_shared,
    .xShmLock = lock_shared,
    .xShmBarrier = fence_shared,
    .xShmUnmap = unmap_shared,
};

/* The log of a file, which has a lock on it. An empty one, which a reader leaves, is none, as to SQLite. */
static int open_log(const char *name, sqlite3_file *log, int flags, int *ret_flags)
{
    struct file *file = (struct file *)(void *)sqlite.database_file_object(name);
    int there = 0, code = beneath->xAccess(beneath, name, SQLITE_ACCESS_EXISTS, &there);

    if (code == SQLITE_OK && !file->sealed && !there)
        code = sum_others(file);
    if (code == SQLITE_OK)
        code = beneath->xOpen(beneath, name, log, flags, ret_flags);
    if (code == SQLITE_OK) {
        file->has_log = true;
        file->log = name;
    }
    return code;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *ret_flags)
{
    struct file *file = (struct file *)(void *)base;
    int code;

    (void)vfs;
    base->pMethods = NULL;
    if (flags & SQLITE_OPEN_WAL)
        return open_log(name, base, flags, ret_flags);
    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return beneath->xOpen(beneath, name, base, flags, ret_flags);
    *file = (struct file){.pages = NULL};
    code = beneath->xOpen(beneath, name, inner(base), flags, ret_flags);
    if (code == SQLITE_OK)
        base->pMethods = &methods;
    return code;
}

static int registered; /* SQLite's code */

static void do_register(void)
{
    beneath = sqlite.vfs_find(NULL);
    if (!beneath) {
        registered = SQLITE_ERROR;
        return;
    }
    sums = *beneath;
    sums.pNext = NULL;
    sums.zName = SQL_SUMS_NAME;
    sums.szOsFile = (int)sizeof(struct file) + beneath->szOsFile;
    sums.xOpen = open_file;
    registered = sqlite.vfs_register(&sums, 0);
}

int sql_sums_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, do_register);
    return registered;
}

bool sql_sums_fit(sqlite3 *handle)
{
    int bytes = -1;

    return sqlite.file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes) == SQLITE_OK &&
           bytes == SUM_BYTES;
}

void sql_sums_make_room(sqlite3 *handle)
{
    int bytes = SUM_BYTES;

    sqlite.file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
}

int sql_sums_begin(sqlite3 *handle, uint32_t page_bytes)
{
    return sqlite.file_control(handle, "main", BEGIN_SUMS, &page_bytes);
}
