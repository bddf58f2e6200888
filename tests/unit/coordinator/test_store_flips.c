/* SPDX-License-Identifier: MIT
 *
 * A state file of which a bit is not as it was written, a sector is zeros, or whose log another program has
 * carried over: what is read of it is right, or refused. With MUSTER_LONG in the environment a bit of every
 * byte is flipped, and every bit of the first page; else a sample.
 */
#include "coordinator/store_sql_sums.h"
#include "tests/unit/coordinator/store_contents.h"
#include "tests/unit/coordinator/store_fixture.h"

#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, SUM = 8 };

/* --- files */

static void copy_file(const char *from, const char *to)
{
    size_t size;
    uint8_t *bytes = fixture_read(from, &size);

    fixture_write(to, bytes, size);
    free(bytes);
}

static void remove_log(const char *path)
{
    char name[160];

    snprintf(name, sizeof name, "%s-wal", path);
    unlink(name);
    snprintf(name, sizeof name, "%s-shm", path);
    unlink(name);
}

/* With SQLite alone, as another program would. */
static void run_elsewhere(const char *path, const char *text)
{
    sqlite3 *handle;

    CHECK(sqlite3_open(path, &handle) == SQLITE_OK);
    CHECK_SAYING(sqlite3_exec(handle, text, NULL, NULL, NULL) == SQLITE_OK, sqlite3_errmsg(handle));
    CHECK(sqlite3_close(handle) == SQLITE_OK);
}

static void check_whole(const char *path, const char *truth)
{
    char *text = contents_of_file(path);

    CHECK(text && strcmp(text, truth) == 0);
    free(text);
}

/* --- flips */

struct flips {
    const char *path, *truth;
    uint8_t *bytes;
    size_t size;
    unsigned refused, harmless;
};

/* Right, or refused, and then as it was. */
static void check_flip(struct flips *flips, size_t place, unsigned bit)
{
    char *text;

    flips->bytes[place] ^= (uint8_t)(1 << bit);
    fixture_write(flips->path, flips->bytes, flips->size);
    remove_log(flips->path);
    text = contents_of_file(flips->path);
    if (text && strcmp(text, flips->truth) != 0) {
        fprintf(stderr, "bit %u of byte %zu: wrong\n", bit, place);
        CHECK(!"what is read is right");
    }
    if (text) {
        flips->harmless++;
    } else {
        size_t size;
        uint8_t *after = fixture_read(flips->path, &size);

        CHECK(size == flips->size && memcmp(after, flips->bytes, size) == 0);
        free(after);
        flips->refused++;
    }
    free(text);
    flips->bytes[place] ^= (uint8_t)(1 << bit);
}

static void flipped_bit_is_refused_or_harmless_wherever_it_is(void)
{
    bool long_form = getenv("MUSTER_LONG");
    struct flips flips = {.path = fixture_path("flipped")};
    char *truth;

    contents_make(flips.path);
    truth = contents_of_file(flips.path);
    CHECK(truth);
    flips.truth = truth;
    flips.bytes = fixture_read(flips.path, &flips.size);
    CHECK(flips.size > 20 * (size_t)PAGE);
    for (size_t place = 0; place < flips.size; place += place < 100 ? 1 : long_form ? 1 : PAGE / 3 + 11)
        check_flip(&flips, place, (unsigned)(place * 5 % 8));
    for (size_t place = 0; place < PAGE && long_form; place++)
        for (unsigned bit = 0; bit < 8; bit++)
            check_flip(&flips, place, bit);
    CHECK(flips.refused > 100 &&
          flips.harmless > 0); /* the latter: in free pages, and where versions are counted */
    printf("%u refused, %u harmless\n", flips.refused, flips.harmless);
    fixture_write(flips.path, flips.bytes, flips.size);
    remove_log(flips.path);
    check_whole(flips.path, truth);
    free(flips.bytes);
    free(truth);
}

/* A sum of zeros was none, so what it is of was not looked at. */
static void sector_of_zeros_is_refused_or_harmless(void)
{
    enum { SECTOR = 512 };
    const char *path = fixture_path("zeros");
    size_t size;
    uint8_t *bytes, before[SECTOR];
    unsigned refused = 0;
    char *truth;

    contents_make(path);
    truth = contents_of_file(path);
    bytes = fixture_read(path, &size);
    for (size_t at = SECTOR; at < size; at += PAGE - SECTOR) {
        char *text;

        at -= at % SECTOR;
        memcpy(before, bytes + at, SECTOR);
        memset(bytes + at, 0, SECTOR);
        fixture_write(path, bytes, size);
        text = contents_of_file(path);
        CHECK(!text || strcmp(text, truth) == 0);
        refused += !text;
        free(text);
        remove_log(path);
        memcpy(bytes + at, before, SECTOR);
    }
    CHECK(refused > 10);
    free(bytes);
    free(truth);
}

/* Newer versions of SQLite read a long value past their cache: each page of it but for its end. */
static void part_of_a_flipped_page_is_refused(void)
{
    enum { PART = PAGE - SUM, PLACE = 3 * PAGE + 77 };
    const char *path = fixture_path("part");
    uint8_t part[PAGE], *bytes;
    sqlite3_file *file;
    sqlite3 *handle;
    size_t size;

    contents_make(path);
    bytes = fixture_read(path, &size);
    CHECK(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READONLY, SQL_SUMS_NAME) == SQLITE_OK);
    CHECK(sqlite3_exec(handle, "SELECT count(*) FROM batch", NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK);
    CHECK(file->pMethods->xRead(file, part, PART, 3 * PAGE) == SQLITE_OK);
    CHECK(memcmp(part, bytes + 3 * PAGE, PART) == 0);
    CHECK(file->pMethods->xRead(file, part, 100, PLACE) == SQLITE_OK && part[0] == bytes[PLACE]);
    bytes[PLACE] ^= 1;
    fixture_write(path, bytes, size);
    CHECK(file->pMethods->xRead(file, part, PART, 3 * PAGE) == SQLITE_CORRUPT);
    CHECK(file->pMethods->xRead(file, part, 100, 3 * PAGE + 200) == SQLITE_CORRUPT);
    CHECK(file->pMethods->xRead(file, part, PART, 2 * PAGE) == SQLITE_OK);
    CHECK(sqlite3_close(handle) == SQLITE_OK);
    free(bytes);
}

/* --- the log */

/* What batches there are in a copy of the file, with this log; NULL when it is refused. */
static char *describe_logged(const char *from, const uint8_t *log, size_t size)
{
    const char *path = fixture_path("flip");
    struct muster_error error = {0};
    struct store *store;
    char *text = NULL;

    copy_file(from, path);
    fixture_write(fixture_path("flip-wal"), log, size);
    if (store_create(path, &store, &error) == 0) {
        text = contents_list(store);
        store_destroy(store);
    } else {
        CHECK_SAYING(error.code == MUSTER_EINVALID && strstr(error.text, "damaged"), error.text);
    }
    remove_log(path);
    return text;
}

/* A log of two commits at least. */
struct log {
    char *path, *before, *truth; /* what is listed without the last commit, and with it */
    struct store *store;
    uint8_t *bytes; /* room for two frames is behind the beginning of the last one */
    size_t size, last;
};

enum {
    FRAME = 24 + PAGE,
    COMMIT_AT = 4,
    SALTS_AT = 8,
    SUM_AT = 16
}; /* in a frame: its header, then the page */

static void make_log(const char *name, struct log *log)
{
    char file[32];

    snprintf(file, sizeof file, "%s-wal", name);
    *log = (struct log){.path = strdup(fixture_path(name))}; /* fixture's would not last */
    log->store = fixture_open(log->path);
    contents_add(log->store, 1, 6, NULL);
    log->before = contents_list(log->store);
    contents_add(log->store, 7, 7, NULL);
    log->truth = contents_list(log->store);
    log->bytes = fixture_read(fixture_path(file), &log->size);
    for (size_t at = 32; at + FRAME <= log->size; at += FRAME)
        if (memcmp(log->bytes + at + SALTS_AT, log->bytes + 16, 8) == 0 &&
            memcmp(log->bytes + at + COMMIT_AT, "\0\0\0", 4) != 0)
            log->last = at;
    CHECK(log->last > FRAME && (log->bytes = realloc(log->bytes, log->size + 2 * FRAME)));
}

static void forget_log(struct log *log)
{
    store_destroy(log->store);
    free(log->path);
    free(log->before);
    free(log->truth);
    free(log->bytes);
}

/* A coordinator was killed. SQLite takes a frame that is not whole for the end of the log. */
static void flipped_bit_in_the_log_is_refused_or_takes_the_last_commit_alone(void)
{
    unsigned refused = 0, taken = 0, right = 0;
    struct log log;

    make_log("logged", &log);
    for (size_t place = 0; place < log.size; place += place < 32                   ? 3
                                                      : place < 100 * (size_t)PAGE ? PAGE / 2 + 101
                                                                                   : 200 * (size_t)PAGE + 1) {
        char *text;

        log.bytes[place] ^= (uint8_t)(1 << place % 8);
        text = describe_logged(log.path, log.bytes, log.size);
        log.bytes[place] ^= (uint8_t)(1 << place % 8);
        CHECK(!text || strcmp(text, log.truth) == 0 || strcmp(text, log.before) == 0);
        refused += !text;
        taken += text && strcmp(text, log.before) == 0;
        right += text && strcmp(text, log.truth) == 0;
        free(text);
    }
    printf("%u refused, %u without the last commit, %u right\n", refused, taken, right);
    CHECK(refused > 10 && taken < refused / 4 && right > 0); /* the latter: behind what is in use */
    forget_log(&log);
}

/* The last commit was not written whole, and there is a frame behind it. */
static void check_without_last(const struct log *log)
{
    char *text = describe_logged(log->path, log->bytes, log->last + 2 * FRAME);

    CHECK(text && strcmp(text, log->before) == 0);
    free(text);
}

/* One writer was killed amid a long commit, the next amid a short one, which has taken the place of the
 * former's first frames. */
static void rests_behind_a_commit_that_was_not_written_whole_are_no_damage(void)
{
    struct log log;
    uint8_t *last;

    make_log("rests", &log);
    last = log.bytes + log.last;
    memset(last + FRAME - PAGE / 2, 0xff, PAGE / 2);
    memcpy(last + FRAME, last - FRAME, FRAME);
    check_without_last(&log);
    forget_log(&log);
}

/* A writer was killed amid the header of a commit, which lies in two pages of the file: its checksum is that
 * of the frame that had been there, of a log that was carried over, and so is what is behind it. */
static void commit_whose_checksum_is_of_an_older_frame_is_no_damage(void)
{
    struct log log;
    uint8_t *last;

    make_log("torn", &log);
    last = log.bytes + log.last;
    memcpy(last + FRAME, last, FRAME); /* it goes on from the one before */
    memset(last + FRAME + SALTS_AT, 0xab, 8);
    memcpy(last + SUM_AT, last - FRAME + SUM_AT, 8);
    check_without_last(&log);
    forget_log(&log);
}

/* --- other programs */

static void check_all_have_sums(const char *path)
{
    static const uint8_t none[SUM];
    size_t size;
    uint8_t *bytes = fixture_read(path, &size);

    CHECK(bytes[20] == SUM && size % PAGE == 0);
    for (size_t end = PAGE; end <= size; end += PAGE)
        CHECK(memcmp(bytes + end - SUM, none, SUM) != 0);
    free(bytes);
}

/* As another program leaves them that carried all of the log over: pages have no sums, and the first no seal.
 */
static void take_sums(const char *path)
{
    size_t size;
    uint8_t *bytes = fixture_read(path, &size);

    for (size_t end = PAGE; end <= size; end += PAGE)
        memset(bytes + end - SUM, 0, SUM);
    fixture_write(path, bytes, size);
    free(bytes);
}

/* The coordinator was killed, and somebody looked into its file with SQLite's own program. */
static void log_that_another_program_carries_over_is_no_damage(void)
{
    const char *path = fixture_path("open"), *copy = fixture_path("killed");
    struct store *store = fixture_open(path);
    char *truth;

    contents_fill(store, NULL);
    truth = contents_describe(store);
    copy_file(path, copy);
    copy_file(fixture_path("open-wal"), fixture_path("killed-wal"));
    store_destroy(store);
    run_elsewhere(copy, "SELECT count(*) FROM batches");
    CHECK(access(fixture_path("killed-wal"), F_OK) != 0);
    check_whole(copy, truth);
    check_all_have_sums(copy);
    check_whole(copy, truth);
    free(truth);
}

/* And then somebody else, who was killed, too: of a reader there is a log without a byte. */
static void empty_log_that_a_reader_left_is_no_damage(void)
{
    const char *path = fixture_path("read");
    char *truth;

    contents_make(path);
    truth = contents_of_file(path);
    take_sums(path);
    fixture_write(fixture_path("read-wal"), "", 0);
    check_whole(path, truth);
    check_all_have_sums(path);
    free(truth);
}

/* Its pages would have no sums: when the log was gone, that would be damage. */
static void another_program_cannot_carry_the_log_of_an_open_file_over(void)
{
    const char *path = fixture_path("kept");
    struct store *store = fixture_open(path);
    char *truth;

    contents_fill(store, NULL);
    run_elsewhere(path, "PRAGMA wal_checkpoint; PRAGMA wal_checkpoint(TRUNCATE)");
    contents_add(store, CONTENTS_BATCHES + 1, CONTENTS_BATCHES + 1, NULL);
    truth = contents_describe(store);
    run_elsewhere(path, "PRAGMA wal_checkpoint");
    store_destroy(store);
    check_all_have_sums(path);
    check_whole(path, truth);
    free(truth);
}

/* Made by SQLite, as docs/STORE.md has it; or with another of its means. */
static void copy_by_another_program_is_no_damage(void)
{
    const char *path = fixture_path("source"), *backup = fixture_path("backup"),
               *copy = fixture_path("vacuum");
    struct store *store = fixture_open(path);
    sqlite3 *from, *to;
    sqlite3_backup *work;
    char *truth, text[256];

    contents_fill(store, NULL);
    truth = contents_describe(store);
    CHECK(sqlite3_open(path, &from) == SQLITE_OK && sqlite3_open(backup, &to) == SQLITE_OK);
    work = sqlite3_backup_init(to, "main", from, "main");
    CHECK(work && sqlite3_backup_step(work, -1) == SQLITE_DONE && sqlite3_backup_finish(work) == SQLITE_OK);
    CHECK(sqlite3_close(from) == SQLITE_OK && sqlite3_close(to) == SQLITE_OK);
    snprintf(text, sizeof text, "VACUUM INTO '%s'", copy);
    run_elsewhere(path, text);
    store_destroy(store);
    check_whole(backup, truth);
    check_whole(copy, truth);
    check_all_have_sums(backup);
    check_all_have_sums(copy);
    free(truth);
}

static void file_that_another_program_changed_is_refused(void)
{
    const char *path = fixture_path("changed");

    contents_make(path);
    run_elsewhere(path, "UPDATE batch SET total = 77 WHERE number = 1");
    fixture_refuses(path, MUSTER_EINVALID, "another program has changed it");
}

int main(void)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(flipped_bit_is_refused_or_harmless_wherever_it_is),
        TEST(sector_of_zeros_is_refused_or_harmless),
        TEST(part_of_a_flipped_page_is_refused),
        TEST(flipped_bit_in_the_log_is_refused_or_takes_the_last_commit_alone),
        TEST(rests_behind_a_commit_that_was_not_written_whole_are_no_damage),
        TEST(commit_whose_checksum_is_of_an_older_frame_is_no_damage),
        TEST(log_that_another_program_carries_over_is_no_damage),
        TEST(empty_log_that_a_reader_left_is_no_damage),
        TEST(another_program_cannot_carry_the_log_of_an_open_file_over),
        TEST(copy_by_another_program_is_no_damage),
        TEST(file_that_another_program_changed_is_refused),
    };

    check_all(checks, sizeof checks / sizeof *checks);
    return 0;
}
