/* SPDX-License-Identifier: MIT
 *
 * A layer beneath SQLite's files. See store_recorder.h.
 */
#include "tests/unit/coordinator/store_recorder.h"

#include "tests/unit/coordinator/store_fixture.h"

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, PAGE = 4096 };

enum { DATABASE, LOG, JOURNAL, FILES };

static const char *const endings[FILES] = {"", "-wal", "-journal"};

enum action { WRITE, SYNC, SYNC_FOLDER, RESIZE, REMOVE };

struct step {
    enum action action;
    int file;
    size_t at, size; /* at: also the new length */
    uint8_t *bytes;  /* owned */
};

struct recorded {
    sqlite3_file base; /* first; that of the system stands behind it */
    int file;          /* FILES: none of ours */
    bool is_new;       /* SQLite syncs the folder, too, when it syncs it for the first time */
};

static sqlite3_vfs recorder, *beneath;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static char wanted[128];                                 /* empty: nothing is recorded */
static struct step *steps;
static size_t step_count, step_room;

static void record(int file, enum action action, size_t at, const void *bytes, size_t size)
{
    struct step step = {.action = action, .file = file, .at = at, .size = size};

    pthread_mutex_lock(&lock);
    if (*wanted && file < FILES) {
        if (step_count == step_room) {
            step_room = step_room ? 2 * step_room : 1024;
            CHECK((steps = realloc(steps, step_room * sizeof *steps)));
        }
        if (size > 0) {
            CHECK((step.bytes = malloc(size)));
            memcpy(step.bytes, bytes, size);
        }
        steps[step_count++] = step;
    }
    pthread_mutex_unlock(&lock);
}

/* Which of the files it is. */
static int file_of(const char *name)
{
    size_t size = strlen(wanted);
    int file = DATABASE;

    if (!name || size == 0 || strncmp(name, wanted, size) != 0)
        return FILES;
    while (file < FILES && strcmp(name + size, endings[file]) != 0)
        file++;
    return file;
}

/* --- what SQLite asks for */

static struct recorded *outer(sqlite3_file *file)
{
    return (struct recorded *)(void *)file;
}

static sqlite3_file *inner(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)(outer(file) + 1);
}

static int write_file(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
    record(outer(file)->file, WRITE, (size_t)at, bytes, (size_t)size);
    return inner(file)->pMethods->xWrite(inner(file), bytes, size, at);
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size)
{
    record(outer(file)->file, RESIZE, (size_t)size, NULL, 0);
    return inner(file)->pMethods->xTruncate(inner(file), size);
}

/* It is recorded as done: nobody is told of it before it has returned. */
static int sync_file(sqlite3_file *file, int flags)
{
    record(outer(file)->file, outer(file)->is_new ? SYNC_FOLDER : SYNC, 0, NULL, 0);
    outer(file)->is_new = false;
    return inner(file)->pMethods->xSync(inner(file), flags);
}

#define FORWARD(function, method, parameters, arguments) \
    static int function parameters                       \
    {                                                    \
        return inner(file)->pMethods->method arguments;  \
    }

FORWARD(close_file, xClose, (sqlite3_file * file), (inner(file)))
FORWARD(read_file, xRead, (sqlite3_file * file, void *bytes, int size, sqlite3_int64 at),
        (inner(file), bytes, size, at))
FORWARD(size_of_file, xFileSize, (sqlite3_file * file, sqlite3_int64 *ret_size), (inner(file), ret_size))
FORWARD(lock_file, xLock, (sqlite3_file * file, int kind), (inner(file), kind))
FORWARD(unlock_file, xUnlock, (sqlite3_file * file, int kind), (inner(file), kind))
FORWARD(check_reserved, xCheckReservedLock, (sqlite3_file * file, int *ret_held), (inner(file), ret_held))
FORWARD(control, xFileControl, (sqlite3_file * file, int operation, void *argument),
        (inner(file), operation, argument))
FORWARD(sector_size, xSectorSize, (sqlite3_file * file), (inner(file)))
FORWARD(characteristics, xDeviceCharacteristics, (sqlite3_file * file), (inner(file)))
FORWARD(map_shared, xShmMap,
        (sqlite3_file * file, int piece, int bytes, int extend, void volatile **ret_bytes),
        (inner(file), piece, bytes, extend, ret_bytes))
FORWARD(lock_shared, xShmLock, (sqlite3_file * file, int offset, int count, int flags),
        (inner(file), offset, count, flags))
FORWARD(unmap_shared, xShmUnmap, (sqlite3_file * file, int remove), (inner(file), remove))

static void fence_shared(sqlite3_file *file)
{
    inner(file)->pMethods->xShmBarrier(inner(file));
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
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

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    int code;

    (void)vfs;
    *outer(file) = (struct recorded){.file = file_of(name)};
    outer(file)->is_new = outer(file)->file != DATABASE && (flags & SQLITE_OPEN_CREATE);
    code = beneath->xOpen(beneath, name, inner(file), flags, ret_flags);
    if (code == SQLITE_OK)
        outer(file)->base.pMethods = &methods;
    return code;
}

static int remove_file(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs;
    record(file_of(name), REMOVE, 0, NULL, 0);
    return beneath->xDelete(beneath, name, sync_folder);
}

/* --- recording */

void recorder_begin(const char *path)
{
    CHECK(!beneath && (beneath = sqlite3_vfs_find(NULL)));
    recorder = *beneath;
    recorder.pNext = NULL;
    recorder.zName = "recorder";
    recorder.szOsFile = (int)sizeof(struct recorded) + beneath->szOsFile;
    recorder.xOpen = open_file;
    recorder.xDelete = remove_file;
    CHECK(sqlite3_vfs_register(&recorder, true) == SQLITE_OK);
    snprintf(wanted, sizeof wanted, "%s", path);
}

void recorder_end(void)
{
    pthread_mutex_lock(&lock);
    *wanted = '\0';
    pthread_mutex_unlock(&lock);
}

size_t recorder_steps(void)
{
    size_t count;

    pthread_mutex_lock(&lock);
    count = step_count;
    pthread_mutex_unlock(&lock);
    return count;
}

/* --- files as they would be */

struct image {
    uint8_t *bytes;
    size_t size, room;
    bool exists;
};

static void reach(struct image *image, size_t size)
{
    if (size > image->room) {
        image->room = size + (1 << 20);
        CHECK((image->bytes = realloc(image->bytes, image->room)));
    }
    if (size > image->size) {
        memset(image->bytes + image->size, 0, size - image->size);
        image->size = size;
    }
}

/* `size` bytes of a write, from `begin` on. */
static void apply_part(struct image *image, const struct step *step, size_t begin, size_t size)
{
    image->exists = true;
    reach(image, step->at + begin + size);
    memcpy(image->bytes + step->at + begin, step->bytes + begin, size);
}

static void apply(struct image *image, const struct step *step)
{
    switch (step->action) {
    case WRITE:
        apply_part(image, step, 0, step->size);
        break;
    case SYNC:
    case SYNC_FOLDER:
        break;
    case RESIZE:
        reach(image, step->at);
        image->size = step->at;
        break;
    case REMOVE:
        image->size = 0;
        image->exists = false;
        break;
    }
}

static void put(struct image images[FILES], const char *path)
{
    char name[160];

    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        if (images[i].exists || i == DATABASE) /* which was made before SQLite had it */
            fixture_write(name, images[i].bytes, images[i].size);
        else
            unlink(name);
        free(images[i].bytes);
    }
    snprintf(name, sizeof name, "%s-shm", path);
    unlink(name);
}

/* Up to the end of the page of the system in which it begins. */
static size_t first_part(const struct step *step)
{
    size_t part = PAGE - step->at % PAGE;

    return part < step->size ? part : step->size;
}

bool recorder_tears(size_t step)
{
    return steps[step].action == WRITE && steps[step].size < PAGE &&
           first_part(&steps[step]) < steps[step].size;
}

void recorder_kill(size_t count, bool torn, const char *path)
{
    struct image images[FILES] = {{.bytes = NULL}};

    CHECK(count <= step_count);
    for (size_t i = 0; i < count; i++)
        apply(&images[steps[i].file], &steps[i]);
    if (torn && count < step_count && steps[count].action == WRITE)
        apply_part(&images[steps[count].file], &steps[count], 0, first_part(&steps[count]));
    put(images, path);
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15; /* SplitMix64: https://doi.org/10.1145/2714064.2660195 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Of what was not synced each sector is there or not: one in two, or nearly none, or nearly all. */
static void apply_some(struct image *image, const struct step *step, uint64_t seed, uint64_t *random)
{
    static const unsigned of_eight[] = {4, 0, 1, 7};
    size_t begin = 0;

    if (step->action != WRITE) {
        if (next_random(random) % 2 == 0)
            apply(image, step);
        return;
    }
    while (begin < step->size) {
        size_t size = SECTOR - (step->at + begin) % SECTOR;

        size = size < step->size - begin ? size : step->size - begin;
        if (next_random(random) % 8 < of_eight[seed % 4])
            apply_part(image, step, begin, size);
        begin += size;
    }
}

void recorder_cut(size_t count, uint64_t seed, const char *path)
{
    struct image images[FILES] = {{.bytes = NULL}};
    size_t synced[FILES] = {0}, folder_synced = 0;
    uint64_t random = seed;

    CHECK(count <= step_count);
    for (size_t i = 0; i < count; i++) {
        if (steps[i].action == SYNC || steps[i].action == SYNC_FOLDER)
            synced[steps[i].file] = i;
        if (steps[i].action == SYNC_FOLDER)
            folder_synced = i;
    }
    for (size_t i = 0; i < count; i++) {
        struct image *image = &images[steps[i].file];

        if (i < (steps[i].action == REMOVE ? folder_synced : synced[steps[i].file]))
            apply(image, &steps[i]);
        else
            apply_some(image, &steps[i], seed, &random);
    }
    put(images, path);
}
