/* SPDX-License-Identifier: MIT
 *
 * A state file of which a bit is not as it was written, a sector is zeros, or whose log another program has
 * carried over: what is read of it is right, or refused. With MUSTER_LONG in the environment a bit of every
 * byte is flipped, and every bit of the first page; else a sample.
 */
#include "coordinator/store_sql_sums.h"
#include "tests/unit/coordinator/store_fixture.h"

#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, SUM = 8, BATCHES = 40 };

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

/* --- what is in a store */

static void ask(struct store *store, struct store_request request, int code)
{
    CHECK(fixture_code(store, &request) == code);
}

/* Values of `size` bytes, other ones for each number. */
static struct slice values_of(uint64_t number, size_t size)
{
    uint8_t *bytes = malloc(size);

    CHECK(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number * 31 + i * 7);
    return (struct slice){.blob = blob_take(bytes, size), .size = size};
}

/* One of each kind: arguments in the row, in rows of their own, and a range; names, conditions, failures; in
 * all states that can be told apart; and some that were forgotten, whose pages are free. */
static void fill(struct store *store)
{
    for (uint64_t i = 1; i <= BATCHES; i++) {
        struct slice arguments = values_of(i, i % 3 == 0 ? 6000 : 20), results = values_of(i + 1000, 50 * i);
        const struct store_after after = {.batch = 1, .condition = STORE_AFTER_ANY};
        const struct proto_failure failure = {
            .index = 1, .code = MUSTER_EFAILED, .text = fixture_text("no such luck")};
        struct store_request add = fixture_single(i, arguments.blob), record;

        add.add.name = fixture_text(i % 2 ? "nightly" : "");
        add.add.lane.user = fixture_text(i % 4 ? "ann" : "bob");
        add.add.origin = i % 5 ? 0 : i;
        if (i % 3 == 1) {
            add.add.kind = PROTO_RANGE;
            add.add.first = (int64_t)i;
            add.add.last = (int64_t)i + 9;
            add.add.total = 10;
            add.add.block = (struct store_block){.count = 0};
        }
        if (i % 7 == 0) {
            add.add.after = &after;
            add.add.after_count = 1;
        }
        ask(store, add, 0);
        if (i % 7 && i % 2) {
            record = fixture_record(i, 1, 1, results.blob);
            record.record.failed = 1;
            record.failures = &failure;
            record.failure_count = 1;
            ask(store, fixture_state(STORE_STATE, i, STORE_RUNNING), 0);
            ask(store, record, 0);
        }
        if (i % 4 == 3)
            ask(store, fixture_state(STORE_END, i, STORE_CANCELLED), 0);
        if (i > BATCHES - 10 && i % 4 == 3)
            ask(store, (struct store_request){.operation = STORE_DROP, .batch = i}, 0);
        blob_unref(arguments.blob);
        blob_unref(results.blob);
    }
}

static void make(const char *path)
{
    struct store *store = fixture_open(path);

    fill(store);
    store_destroy(store);
}

static void say_text(FILE *to, struct proto_text text)
{
    fprintf(to, " %.*s", (int)text.size, text.bytes ? text.bytes : "");
}

static void say_slice(FILE *to, const struct slice *slice)
{
    fprintf(to, " %zu:", slice->size);
    if (slice->size > 0)
        fwrite(slice_bytes(slice), 1, slice->size, to);
}

static void say_batch(FILE *to, const struct store_batch *batch)
{
    fprintf(to, "batch %llu %d %d %d %lld %lld %d %llu %llu %llu %llu %llu %llu %llu %llu %llu %u",
            (unsigned long long)batch->number, (int)batch->state, batch->lane.priority, (int)batch->kind,
            (long long)batch->first, (long long)batch->last, batch->sealed, (unsigned long long)batch->total,
            (unsigned long long)batch->origin, (unsigned long long)batch->submitted_ms,
            (unsigned long long)batch->begin_ms, (unsigned long long)batch->started_ms,
            (unsigned long long)batch->ended_ms, (unsigned long long)batch->succeeded,
            (unsigned long long)batch->failed, (unsigned long long)batch->cancelled, batch->block.count);
    say_text(to, batch->lane.user);
    say_text(to, batch->name);
    say_text(to, batch->function);
    say_text(to, batch->settings);
    say_text(to, batch->totals);
    say_slice(to, &batch->block.payload);
    for (uint32_t i = 0; i < batch->after_count; i++)
        fprintf(to, " %llu/%d", (unsigned long long)batch->after[i].batch, (int)batch->after[i].condition);
    fputc('\n', to);
}

/* All of the answer, or that it was refused: why is the store's to say. */
static bool say_done(FILE *to, const struct store_done *done)
{
    if (done->code != 0)
        return false;
    fprintf(to, "%d %u %d %llu %llu\n", (int)done->operation, done->count, done->more,
            (unsigned long long)done->succeeded, (unsigned long long)done->failed);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_LIST; i++)
        say_batch(to, &done->batches[i]);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_LOAD; i++)
        say_slice(to, &done->blocks[i].payload);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_GAPS; i++)
        fprintf(to, "%llu+%llu\n", (unsigned long long)done->gaps[i].first,
                (unsigned long long)done->gaps[i].count);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_COUNTS; i++)
        fprintf(to, "%llu\n", (unsigned long long)done->waiting[i].batches);
    for (uint32_t i = 0; i <= STORE_LOST && done->operation == STORE_TALLY; i++)
        fprintf(to, "%llu\n", (unsigned long long)done->tally[i]);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_READ; i++) {
        const struct store_record *record = &done->records[i];

        fprintf(to, "record %llu %u %u %llu", (unsigned long long)record->first, record->count,
                record->failed, (unsigned long long)record->sequence);
        say_text(to, record->header);
        say_slice(to, &record->payload);
    }
    return true;
}

static bool say(FILE *to, struct store *store, enum store_operation operation, uint64_t batch)
{
    struct store_request request = {.operation = operation, .batch = batch};
    struct store_done *done = fixture_ask(store, &request);
    bool said = say_done(to, done);

    store_done_free(done);
    return said;
}

/* Everything that can be asked for; NULL when some of it was refused. The caller frees it. */
static char *describe(struct store *store)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    bool whole;

    CHECK(to);
    whole =
        say(to, store, STORE_COUNTS, 0) && say(to, store, STORE_TALLY, 0) && say(to, store, STORE_LIST, 0);
    for (uint64_t i = 1; i <= BATCHES && whole; i++)
        if (i <= BATCHES - 10 || i % 4 != 3)
            whole = say(to, store, STORE_LOAD, i) && say(to, store, STORE_READ, i) &&
                    say(to, store, STORE_GAPS, i);
    for (size_t i = (fclose(to), 0); i < size; i++)
        text[i] = text[i] ? text[i] : '0'; /* so that it can be compared as text */
    if (!whole) {
        free(text);
        return NULL;
    }
    return text;
}

/* What is in the file, or that it is refused: NULL. */
static char *describe_file(const char *path)
{
    struct muster_error error = {0};
    struct store *store;
    char *text;

    if (store_create(path, &store, &error) != 0) {
        CHECK_SAYING(error.code == MUSTER_EINVALID && strstr(error.text, path), error.text);
        return NULL;
    }
    text = describe(store);
    store_destroy(store);
    return text;
}

static void check_whole(const char *path, const char *truth)
{
    char *text = describe_file(path);

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
    text = describe_file(flips->path);
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

    make(flips.path);
    truth = describe_file(flips.path);
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

    make(path);
    truth = describe_file(path);
    bytes = fixture_read(path, &size);
    for (size_t at = SECTOR; at < size; at += PAGE - SECTOR) {
        char *text;

        at -= at % SECTOR;
        memcpy(before, bytes + at, SECTOR);
        memset(bytes + at, 0, SECTOR);
        fixture_write(path, bytes, size);
        text = describe_file(path);
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

    make(path);
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

static void add_batches(struct store *store, uint64_t from, uint64_t to)
{
    struct slice argument = values_of(1, 20);

    for (uint64_t i = from; i <= to; i++)
        ask(store, fixture_single(i, argument.blob), 0);
    blob_unref(argument.blob);
}

static char *describe_list(struct store *store)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    CHECK(to && say(to, store, STORE_LIST, 0));
    fclose(to);
    return text;
}

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
        text = describe_list(store);
        store_destroy(store);
    } else {
        CHECK_SAYING(error.code == MUSTER_EINVALID && strstr(error.text, "damaged"), error.text);
    }
    remove_log(path);
    return text;
}

/* A coordinator was killed. SQLite takes a frame that is not whole for the end of the log. */
static void flipped_bit_in_the_log_is_refused_or_takes_the_last_commit_alone(void)
{
    char *path = strdup(fixture_path("logged")), *truth, *before; /* the first: fixture's would not last */
    struct store *store = fixture_open(path);
    unsigned refused = 0, taken = 0, right = 0;
    size_t size;
    uint8_t *bytes;

    add_batches(store, 1, 6);
    before = describe_list(store);
    add_batches(store, 7, 7);
    truth = describe_list(store);
    bytes = fixture_read(fixture_path("logged-wal"), &size);
    for (size_t place = 0; place < size; place += place < 32                   ? 3
                                                  : place < 100 * (size_t)PAGE ? PAGE / 2 + 101
                                                                               : 200 * (size_t)PAGE + 1) {
        char *text;

        bytes[place] ^= (uint8_t)(1 << place % 8);
        text = describe_logged(path, bytes, size);
        bytes[place] ^= (uint8_t)(1 << place % 8);
        CHECK(!text || strcmp(text, truth) == 0 || strcmp(text, before) == 0);
        refused += !text;
        taken += text && strcmp(text, before) == 0;
        right += text && strcmp(text, truth) == 0;
        free(text);
    }
    printf("%u refused, %u without the last commit, %u right\n", refused, taken, right);
    CHECK(refused > 10 && taken < refused / 4 && right > 0); /* the latter: behind what is in use */
    store_destroy(store);
    free(bytes);
    free(truth);
    free(before);
    free(path);
}

/* One writer was killed amid a long commit, the next amid a short one, which has taken the place of the
 * former's first frames. */
static void rests_behind_a_commit_that_was_not_written_whole_are_no_damage(void)
{
    enum { HEADER = 32, FRAME = 24 + PAGE };
    char *path = strdup(fixture_path("rests")), *before, *text;
    struct store *store = fixture_open(path);
    size_t size, last = 0;
    uint8_t *bytes;

    add_batches(store, 1, 6);
    before = describe_list(store);
    add_batches(store, 7, 7);
    bytes = fixture_read(fixture_path("rests-wal"), &size);
    for (size_t at = HEADER; at + FRAME <= size; at += FRAME)
        if (memcmp(bytes + at + 8, bytes + 16, 8) == 0 && memcmp(bytes + at + 4, "\0\0\0", 4) != 0)
            last = at;
    CHECK(last > HEADER && (bytes = realloc(bytes, last + 2 * FRAME)));
    memset(bytes + last + FRAME - PAGE / 2, 0xff, PAGE / 2);
    memcpy(bytes + last + FRAME, bytes + last - FRAME, FRAME);
    text = describe_logged(path, bytes, last + 2 * FRAME);
    CHECK(text && strcmp(text, before) == 0);
    store_destroy(store);
    free(bytes);
    free(before);
    free(text);
    free(path);
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

    fill(store);
    truth = describe(store);
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

    make(path);
    truth = describe_file(path);
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

    fill(store);
    run_elsewhere(path, "PRAGMA wal_checkpoint; PRAGMA wal_checkpoint(TRUNCATE)");
    add_batches(store, BATCHES + 1, BATCHES + 1);
    truth = describe(store);
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

    fill(store);
    truth = describe(store);
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

    make(path);
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
        TEST(log_that_another_program_carries_over_is_no_damage),
        TEST(empty_log_that_a_reader_left_is_no_damage),
        TEST(another_program_cannot_carry_the_log_of_an_open_file_over),
        TEST(copy_by_another_program_is_no_damage),
        TEST(file_that_another_program_changed_is_refused),
    };

    check_all(checks, sizeof checks / sizeof *checks);
    return 0;
}
