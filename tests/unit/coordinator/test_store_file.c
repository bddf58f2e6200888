/* SPDX-License-Identifier: MIT
 *
 * The file of a store: who may open it, what is refused and left as it was, what a process that was
 * killed has left in it, and how many transactions it took.
 */
#include "tests/unit/coordinator/store_fixture.h"

#include "coordinator/store_sql_sums.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct blob *argument; /* of all batches here */

static void add_many(struct store *store, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        struct store_request request = fixture_single(i, argument);

        CHECK(store_submit(store, &request) == 0);
    }
    for (uint64_t i = first; i <= last; i++) {
        struct store_done *done = fixture_done(store);

        CHECK_SAYING(done->code == 0 && done->batch == i, done->text);
        store_done_free(done);
    }
}

/* It is refused, and its bytes are what they were. */
static void check_refused(const char *path, int code, const char *words)
{
    size_t size, size_after;
    uint8_t *before = fixture_read(path, &size), *after;

    fixture_refuses(path, code, words);
    after = fixture_read(path, &size_after);
    CHECK(size == size_after && memcmp(before, after, size) == 0);
    free(before);
    free(after);
}

static void make(const char *path, uint64_t batches)
{
    struct store *store = fixture_open(path);

    add_many(store, 1, batches);
    store_destroy(store);
}

/* With SQLite alone, or as a muster would (SQL_SUMS_NAME). */
static void change(const char *path, const char *vfs, const char *text)
{
    sqlite3 *handle;

    CHECK(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs) == SQLITE_OK);
    CHECK(sqlite3_exec(handle, text, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(handle) == SQLITE_OK);
}

static void second_process_is_refused_and_told_who_has_it(void)
{
    const char *path = fixture_path("locked"), *linked = fixture_path("link");
    struct store *store = fixture_open(path);
    char words[64];

    snprintf(words, sizeof words, "process %ld has it open", (long)getpid());
    fixture_refuses(path, MUSTER_ESTATE, words);
    CHECK(symlink(path, linked) == 0);
    fixture_refuses(linked, MUSTER_ESTATE, words);
    add_many(store, 1, 1); /* whoever was refused took no lock away */
    fixture_refuses(path, MUSTER_ESTATE, words);
    store_destroy(store);
    store_destroy(fixture_open(path));
}

static void file_that_another_program_writes_is_refused(void)
{
    const char *path = fixture_path("busy");
    sqlite3 *handle;

    make(path, 1);
    CHECK(sqlite3_open(path, &handle) == SQLITE_OK);
    CHECK(sqlite3_exec(handle, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE", NULL, NULL, NULL) ==
          SQLITE_OK);
    fixture_refuses(path, MUSTER_ESTATE, "another program has the file locked");
    sqlite3_close(handle);
    store_destroy(fixture_open(path));
}

static void file_of_a_newer_muster_is_refused_unchanged(void)
{
    const char *path = fixture_path("newer");

    make(path, 1);
    change(path, SQL_SUMS_NAME, "PRAGMA user_version = 77");
    check_refused(path, MUSTER_EVERSION, "schema 77");
}

static void file_of_another_program_is_refused_unchanged(void)
{
    const char *path = fixture_path("other");

    change(path, NULL, "CREATE TABLE t (x)");
    check_refused(path, MUSTER_EINVALID, "database of another program");
    fixture_write(
        path,
        "not a database, but longer than the hundred bytes that the header of one takes, so that all is read",
        99);
    check_refused(path, MUSTER_EINVALID, "not a database");
    fixture_write(path, "short", 5);
    check_refused(path, MUSTER_EINVALID, "not a database");
    fixture_refuses(fixture_path(""), MUSTER_ESYSTEM, "directory");
    fixture_refuses("/nowhere/at/all", MUSTER_ESYSTEM, "No such file");
    fixture_refuses("/dev/null", MUSTER_EINVALID, "not a file");
}

static void file_without_one_of_its_tables_is_refused(void)
{
    const char *path = fixture_path("missing");

    make(path, 1);
    change(path, SQL_SUMS_NAME, "DROP TABLE record");
    fixture_refuses(path, MUSTER_EINVALID, "damaged");
}

/* Everything in the store can be asked for. Returns how many batches it lists without an error. */
static uint64_t read_all(struct store *store)
{
    struct store_request list = {.operation = STORE_LIST}, request = {.operation = STORE_COUNTS};
    uint64_t batches = 0;
    bool more = true;

    fixture_code(store, &request);
    while (more) {
        struct store_done *done = fixture_ask(store, &list);

        for (uint32_t i = 0; i < done->count && done->code == 0; i++, batches++) {
            request = (struct store_request){.operation = STORE_LOAD, .batch = done->batches[i].number};
            fixture_code(store, &request);
        }
        more = done->code == 0 && done->more;
        list.page.from = done->next;
        store_done_free(done);
    }
    return batches;
}

/* Of one byte, it is an empty one to SQLite. */
static void check_truncated(const char *path, const uint8_t *bytes, size_t left)
{
    fixture_write(path, bytes, left);
    check_refused(path, MUSTER_EINVALID, left < 512 ? "not a database" : "");
}

/* A sample, with the borders of all pages; with MUSTER_LONG in the environment all of them. */
static void truncated_file_is_refused_at_every_length(void)
{
    bool long_form = getenv("MUSTER_LONG");
    const char *path = fixture_path("truncated");
    size_t size;
    uint8_t *bytes;

    make(path, 300);
    bytes = fixture_read(path, &size);
    for (size_t left = 2; left < size; left += long_form ? 1 : size / 20 + 7)
        check_truncated(path, bytes, left);
    for (size_t border = 4096; border < size; border += 4096)
        for (size_t left = border - 1; left <= border + 1; left++)
            check_truncated(path, bytes, left);
    for (size_t left = 0; left < 2; left++) { /* nothing says that there was more */
        fixture_write(path, bytes, left);
        store_destroy(fixture_open(path));
    }
    fixture_write(path, bytes, size);
    free(bytes);
    store_destroy(fixture_open(path));
}

/* SQLite takes the size of a file from its log, and what is not in either of them for zeros: so that the end
 * of a long value was. */
static void file_cut_off_under_its_log_is_refused(void)
{
    enum { PAGE = 4096, VALUE = 100000 };
    char *path = strdup(fixture_path("cut")), *copy = strdup(fixture_path("short"));
    struct blob *value = blob_take(memset(malloc(VALUE), 7, VALUE), VALUE);
    struct store_request record = fixture_record(1, 1, 1, value),
                         read = {.operation = STORE_READ, .batch = 1};
    size_t size, log_size;
    uint8_t *bytes, *log;
    struct store *store;

    CHECK(path && copy && value);
    make(path, 1);
    store = fixture_open(path);
    CHECK(fixture_code(store, &record) == 0);
    store_destroy(store);
    store = fixture_open(path);
    add_many(store, 2, 2);
    bytes = fixture_read(path, &size);
    log = fixture_read(fixture_path("cut-wal"), &log_size);
    for (size_t left = size - PAGE; left > size / 2; left -= PAGE / 2) {
        fixture_write(copy, bytes, left);
        fixture_write(fixture_path("short-wal"), log, log_size);
        unlink(fixture_path("short-shm"));
        fixture_refuses(copy, MUSTER_EINVALID, "damaged");
    }
    fixture_write(copy, bytes, size);
    fixture_write(fixture_path("short-wal"), log, log_size);
    unlink(fixture_path("short-shm"));
    store_destroy(store);
    store = fixture_open(copy);
    CHECK(fixture_find(store, 2) == STORE_QUEUED && fixture_code(store, &read) == 0);
    store_destroy(store);
    blob_unref(value);
    free(bytes);
    free(log);
    free(path);
    free(copy);
}

/* Transactions in the log: frames that are the last of one say how large the file is then. */
static unsigned commits_of(const char *log)
{
    enum { LOG_HEADER = 32, FRAME_HEADER = 24, PAGE = 4096 };
    unsigned commits = 0;
    size_t size;
    uint8_t *bytes = fixture_read(log, &size);

    for (size_t at = LOG_HEADER; at + FRAME_HEADER + PAGE <= size; at += FRAME_HEADER + PAGE)
        commits += bytes[at + 4] || bytes[at + 5] || bytes[at + 6] || bytes[at + 7];
    free(bytes);
    return commits;
}

static void many_that_wait_are_committed_together(void)
{
    const char *log = fixture_path("group-wal");
    struct store *store = fixture_open(fixture_path("group"));
    unsigned before = commits_of(log);

    for (uint64_t i = 1; i <= 20; i++)
        add_many(store, i, i);
    CHECK(commits_of(log) == before + 20);
    add_many(store, 21, 520);
    CHECK(commits_of(log) > before + 20 && commits_of(log) < before + 20 + 250);
    store_destroy(store);
}

/* What a writer that will be killed has seen completed. */
struct seen {
    _Atomic uint64_t batches, records;
};

/* Adds batches and records, dozens in flight, until it is killed; says when it has seen so many. */
static void write_for_ever(const char *path, struct seen *seen, uint64_t until, int fd)
{
    struct store *store = fixture_open(path);
    uint64_t number = 1;

    for (uint64_t waiting = 0;;) {
        struct store_done *done;

        for (; waiting < 60; waiting += 2, number++) {
            struct store_request add = fixture_single(number, argument);
            struct store_request record = fixture_record(number, 1, 1, argument);

            CHECK(store_submit(store, &add) == 0 && store_submit(store, &record) == 0);
        }
        done = fixture_done(store);
        CHECK(done->code == 0);
        if (done->operation == STORE_ADD)
            seen->batches = done->batch;
        else
            seen->records = done->batch;
        if (done->operation == STORE_RESULT && done->batch == until)
            CHECK(write(fd, "", 1) == 1);
        store_done_free(done);
        waiting--;
    }
}

/* All that was seen is there, and nothing is there by half. */
static void check_left(const char *path, const struct seen *seen)
{
    struct store *store = fixture_open(path);
    struct store_request counts = {.operation = STORE_COUNTS};
    struct store_done *done = fixture_ask(store, &counts);
    uint64_t highest = done->highest;

    CHECK(highest >= seen->batches);
    store_done_free(done);
    CHECK(read_all(store) == highest);
    for (uint64_t i = 1; i <= seen->records; i++) {
        struct store_request read = {.operation = STORE_READ, .batch = i};

        done = fixture_ask(store, &read);
        CHECK(done->code == 0 && done->count == 1);
        store_done_free(done);
    }
    store_destroy(store);
}

static void what_a_killed_process_saw_completed_is_there(void)
{
    struct seen *seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(seen != MAP_FAILED);
    for (uint64_t turn = 0; turn < 6; turn++) {
        const char *path = fixture_path("killed");
        uint64_t until = 1 + turn * 77;
        int status, fds[2];
        pid_t child;
        char byte;

        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        seen->batches = seen->records = 0;
        fflush(NULL);
        CHECK((child = fork()) >= 0);
        if (child == 0)
            write_for_ever(path, seen, until, fds[1]);
        close(fds[1]);
        CHECK(read(fds[0], &byte, 1) == 1);
        close(fds[0]);
        CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        check_left(path, seen);
        unlink(path);
    }
    munmap(seen, sizeof *seen);
}

/* A store with a record that is larger than SQLite's cache: whatever was looked at before it is read again.
 */
static struct store *open_large(const char *path)
{
    enum { PAYLOAD = 40 << 20 };
    struct blob *payload = blob_take(calloc(1, PAYLOAD), PAYLOAD);
    struct store_request record = fixture_record(1, 1, 1, payload);
    struct store *store = fixture_open(path);

    CHECK(payload && payload->bytes);
    add_many(store, 1, 1);
    CHECK(fixture_code(store, &record) == 0);
    store_destroy(store);
    blob_unref(payload);
    return fixture_open(path);
}

static void flip(const char *path, long place)
{
    FILE *file = fopen(path, "r+e");
    int byte;

    CHECK(file && fseek(file, place, SEEK_SET) == 0 && (byte = fgetc(file)) != EOF);
    CHECK(fseek(file, place, SEEK_SET) == 0 && fputc(byte ^ 4, file) != EOF && fclose(file) == 0);
}

/* A bit of a record is flipped while the store is open. */
static void damaged_record_stops_nothing_but_its_reader(void)
{
    enum { PLACE = 1 << 20 };
    const char *path = fixture_path("record");
    struct store *store = open_large(path);
    struct store_request read = {.operation = STORE_READ, .batch = 1}, add = fixture_single(2, argument);

    flip(path, PLACE);
    CHECK(store_submit(store, &read) == 0 && store_submit(store, &add) == 0);
    for (int i = 0; i < 2; i++) {
        struct store_done *done = fixture_done(store);

        CHECK_SAYING(done->code == (i == 0 ? MUSTER_ESYSTEM : 0), done->text);
        CHECK_SAYING(i == 1 || strstr(done->text, "malformed"), done->text);
        CHECK(!done->passing);
        store_done_free(done);
    }
    store_destroy(store);
}

/* The descriptor by which the store has this file, the last one that was opened. */
static int descriptor_of(const char *path)
{
    struct stat file, other;
    int found = -1;

    CHECK(stat(path, &file) == 0);
    for (int fd = 0; fd < 100; fd++)
        if (fstat(fd, &other) == 0 && other.st_dev == file.st_dev && other.st_ino == file.st_ino)
            found = fd;
    CHECK(found >= 0);
    return found;
}

/* It was taken for damage, for which an accepted batch is given up. */
static void read_that_fails_on_a_whole_file_is_said_to_be_passing(void)
{
    const char *path = fixture_path("passing");
    struct store *store = open_large(path);
    struct store_request read = {.operation = STORE_READ, .batch = 1};
    int folder = open("/", O_RDONLY | O_CLOEXEC), fd = descriptor_of(path), kept = dup(fd);
    struct store_done *done;

    CHECK(folder >= 0 && kept >= 0 && dup2(folder, fd) == fd);
    done = fixture_ask(store, &read);
    CHECK_SAYING(done->code == MUSTER_ESYSTEM && done->passing, done->text);
    store_done_free(done);
    CHECK(dup2(kept, fd) == fd && close(kept) == 0 && close(folder) == 0);
    done = fixture_ask(store, &read);
    CHECK_SAYING(done->code == 0 && !done->passing, done->text);
    store_done_free(done);
    store_destroy(store);
}

/* Where the table begins. */
static long place_of(const char *path, const char *table)
{
    enum { PAGE = 4096 };
    sqlite3_stmt *statement;
    sqlite3 *handle;
    long page;

    CHECK(sqlite3_open(path, &handle) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(handle, "SELECT rootpage FROM sqlite_schema WHERE name = ?1", -1, &statement,
                             NULL) == SQLITE_OK);
    CHECK(sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC) == SQLITE_OK);
    CHECK(sqlite3_step(statement) == SQLITE_ROW);
    page = (long)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    CHECK(sqlite3_close(handle) == SQLITE_OK);
    return (page - 1) * PAGE;
}

/* What is kept on a disk that cannot be written was tried again for ever, and all that came behind it waited.
 */
static void what_meets_a_damaged_page_fails_and_nothing_waits_for_it(void)
{
    const char *path = fixture_path("page");
    struct store *store = open_large(path);
    struct store_request end = fixture_state(STORE_END, 1, STORE_CANCELLED),
                         barrier = {.operation = STORE_BARRIER}, add = fixture_single(2, argument);
    struct store_request read = {.operation = STORE_READ, .batch = 1};
    long place = place_of(path, "batch") + 2000;

    CHECK(fixture_code(store, &read) == 0); /* nothing else is in the cache then */
    flip(path, place);
    CHECK(fixture_code(store, &end) == MUSTER_ESYSTEM);
    CHECK(fixture_code(store, &barrier) == 0);
    CHECK(fixture_code(store, &add) == MUSTER_ESYSTEM);
    flip(path, place);
    CHECK(fixture_code(store, &add) == 0);
    CHECK(fixture_code(store, &end) == 0);
    store_destroy(store);
}

/* The end behind the result came with the same commit: the batch had succeeded, and those that wait for that
 * went, until its coordinator heard that the result was not recorded. */
static void batch_never_succeeds_without_a_result_that_was_not_recorded(void)
{
    const char *path = fixture_path("lacking");
    struct store *store = open_large(path);
    const struct store_after after = {.batch = 2, .condition = STORE_AFTER_OK};
    const struct proto_failure failure = {.index = 1, .code = MUSTER_EFAILED, .text = fixture_text("no")};
    struct store_request read = {.operation = STORE_READ, .batch = 1}, waiter = fixture_single(3, argument),
                         find = {.operation = STORE_FIND, .batch = 2},
                         running = fixture_state(STORE_STATE, 2, STORE_RUNNING),
                         record = fixture_record(2, 1, 1, argument),
                         end = fixture_state(STORE_END, 2, STORE_SUCCEEDED);
    struct store_done *done;

    record.failures = &failure; /* in a table that nothing else needs */
    record.failure_count = 1;
    waiter.add.after = &after;
    waiter.add.after_count = 1;
    end.add.succeeded = 1;
    end.add.totals = fixture_text("totals");
    add_many(store, 2, 2);
    CHECK(fixture_code(store, &running) == 0 && fixture_code(store, &waiter) == 0);
    CHECK(fixture_code(store, &read) == 0); /* nothing else is in the cache then */
    flip(path, place_of(path, "failure") + 2000);
    CHECK(store_submit(store, &record) == 0 && store_submit(store, &end) == 0);
    done = fixture_done(store);
    CHECK_SAYING(done->code == MUSTER_ESYSTEM && strstr(done->text, "malformed"), done->text);
    store_done_free(done);
    done = fixture_done(store);
    CHECK_SAYING(done->code == 0, done->text);
    store_done_free(done);
    done = fixture_ask(store, &find);
    CHECK(done->count == 1 && done->batches[0].state == STORE_LOST && done->batches[0].totals.size == 0);
    CHECK(done->batches[0].succeeded == 0 && done->batches[0].cancelled == 1);
    store_done_free(done);
    CHECK(fixture_find(store, 3) == STORE_CANCELLED);
    store_destroy(store);
}

/* Whatever fails of it afterwards. */
static void batch_that_was_cancelled_is_not_lost_afterwards(void)
{
    struct store *store = fixture_open(fixture_path("cancelled"));
    struct store_request cancel = fixture_state(STORE_END, 1, STORE_CANCELLED),
                         lose = fixture_state(STORE_END, 1, STORE_LOST);

    add_many(store, 1, 1);
    CHECK(fixture_code(store, &cancel) == 0);
    CHECK(fixture_code(store, &lose) == MUSTER_ESTATE);
    CHECK(fixture_find(store, 1) == STORE_CANCELLED);
    store_destroy(store);
}

static void file_is_for_its_owner_alone(void)
{
    const char *path = fixture_path("mode");
    struct store *store = fixture_open(path);
    struct stat status;

    CHECK(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600);
    CHECK(stat(fixture_path("mode-wal"), &status) == 0 && (status.st_mode & 0777) == 0600);
    store_destroy(store);
    CHECK(stat(fixture_path("mode-wal"), &status) != 0); /* carried over, when it is closed */
}

static void a_commit_does_not_pay_for_a_log_that_grows(void)
{
    struct store *store = fixture_open(fixture_path("size"));
    struct stat before, after;

    CHECK(stat(fixture_path("size-wal"), &before) == 0 && before.st_size >= 4000000);
    add_many(store, 1, 100);
    CHECK(stat(fixture_path("size-wal"), &after) == 0 && after.st_size == before.st_size);
    store_destroy(store);
    store = fixture_open(fixture_path("size")); /* zeros in the log are no pages */
    CHECK(fixture_find(store, 100) == STORE_QUEUED);
    store_destroy(store);
}

static void each_opening_is_counted_and_a_copy_is_another_file(void)
{
    const char *path = fixture_path("lives"), *copy = fixture_path("copy");
    struct store *store;
    uint64_t identity;
    size_t size;
    uint8_t *bytes;

    make(path, 1);
    store = fixture_open(path);
    identity = store_identity(store);
    CHECK(store_epoch(store) == 2);
    store_destroy(store);
    bytes = fixture_read(path, &size);
    fixture_write(copy, bytes, size);
    free(bytes);
    store = fixture_open(copy);
    CHECK(store_epoch(store) == 3 && store_identity(store) != identity);
    store_destroy(store);
    change(path, SQL_SUMS_NAME, "UPDATE life SET lives = 16777215");
    store = fixture_open(path);
    CHECK(store_epoch(store) == 1 && store_identity(store) == identity);
    store_destroy(store);
}

int main(void)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(second_process_is_refused_and_told_who_has_it),
        TEST(file_that_another_program_writes_is_refused),
        TEST(file_of_a_newer_muster_is_refused_unchanged),
        TEST(file_of_another_program_is_refused_unchanged),
        TEST(file_without_one_of_its_tables_is_refused),
        TEST(truncated_file_is_refused_at_every_length),
        TEST(file_cut_off_under_its_log_is_refused),
        TEST(many_that_wait_are_committed_together),
        TEST(what_a_killed_process_saw_completed_is_there),
        TEST(damaged_record_stops_nothing_but_its_reader),
        TEST(read_that_fails_on_a_whole_file_is_said_to_be_passing),
        TEST(what_meets_a_damaged_page_fails_and_nothing_waits_for_it),
        TEST(batch_never_succeeds_without_a_result_that_was_not_recorded),
        TEST(batch_that_was_cancelled_is_not_lost_afterwards),
        TEST(file_is_for_its_owner_alone),
        TEST(each_opening_is_counted_and_a_copy_is_another_file),
        TEST(a_commit_does_not_pay_for_a_log_that_grows),
    };

    argument = fixture_slice("1").blob;
    check_all(checks, sizeof checks / sizeof *checks);
    blob_unref(argument);
    return 0;
}
