/* SPDX-License-Identifier: MIT
 *
 * A store on a disk that cannot be written: submissions fail at once, results are kept, reads go on,
 * and all is well again when there is space. The disk is a small tmpfs in a mount namespace, which
 * the program starts itself in again; where there are none, a limit on the size of files.
 */
#include "coordinator/store_sql_sums.h"
#include "tests/unit/coordinator/store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *disk; /* the tmpfs; NULL: there is none */

static const char *path_of(const char *name)
{
    static char path[128];

    if (!disk)
        return fixture_path(name);
    snprintf(path, sizeof path, "%s/%s", disk, name);
    return path;
}

/* From now on no file grows; or they may again. */
static void limit_files(bool limited)
{
    struct rlimit limit = {.rlim_cur = limited ? 0 : RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void fill_disk(void)
{
    static const char zeroes[4096];
    int fd = open(path_of("filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    while (write(fd, zeroes, sizeof zeroes) > 0)
        continue;
    close(fd);
}

static void make_space(void)
{
    CHECK(unlink(path_of("filler")) == 0);
}

static int log_fd; /* what the store logs comes out of it: a pipe has no size that is limited */

static void catch_log(int *ret_before)
{
    int fds[2];

    *ret_before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    CHECK(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0 && *ret_before >= 0 && dup2(fds[1], STDERR_FILENO) >= 0);
    close(fds[1]);
    log_fd = fds[0];
}

/* Its lines, which hold the words in turn. */
static void check_log(int before, const char *const *words, unsigned count)
{
    char text[4096] = "", *line = text;

    CHECK(dup2(before, STDERR_FILENO) >= 0);
    CHECK_SAYING(read(log_fd, text, sizeof text - 1) > 0, "nothing was logged");
    close(log_fd);
    close(before);
    for (unsigned i = 0; i < count; i++) {
        char *end = strchr(line, '\n');

        CHECK_SAYING(end, text);
        *end = '\0';
        CHECK_SAYING(strstr(line, words[i]), line);
        line = end + 1;
    }
    CHECK_SAYING(*line == '\0', line);
}

static void submit(struct store *store, struct store_request request, uint64_t tag)
{
    request.tag = tag;
    CHECK(store_submit(store, &request) == 0);
}

static void expect(struct store *store, uint64_t tag, int code, const char *words)
{
    struct store_done *done = fixture_done(store);

    CHECK_SAYING(done->tag == tag && done->code == code, done->text);
    CHECK_SAYING(strstr(done->text, words), done->text);
    store_done_free(done);
}

static struct blob *zeroes(size_t size)
{
    struct blob *blob = blob_take(calloc(1, size), size);

    CHECK(blob && blob->bytes);
    return blob;
}

/* Batch 1 runs, and nothing can be written any more: first with a group of all kinds. Then there is
 * space, and what was kept is done in its order. */
static void check_trouble(const char *name, void (*begin)(void), void (*end)(void))
{
    static const char *const logged[] = {"cannot be written", "is written again"};
    struct store *store = fixture_open(path_of(name));
    struct blob *payload = zeroes(100000), *argument = zeroes(1);
    struct store_request find = {.operation = STORE_FIND, .batch = 1};
    struct store_request single = fixture_single(1, argument), read = {.operation = STORE_READ, .batch = 1};
    struct store_request barrier = {.operation = STORE_BARRIER};
    struct store_done *done;
    int before;

    CHECK(fixture_code(store, &single) == 0);
    single.add.number = 2;
    catch_log(&before);
    begin();
    submit(store, fixture_state(STORE_STATE, 1, STORE_RUNNING), 1);
    submit(store, fixture_record(1, 1, 1, payload), 2);
    submit(store, single, 3);
    submit(store, find, 4);
    submit(store, fixture_state(STORE_END, 1, STORE_SUCCEEDED), 5);
    submit(store, fixture_state(STORE_DROP, 1, STORE_OPENING), 6);
    expect(store, 3, MUSTER_ESYSTEM, "cannot be written");
    expect(store, 4, 0, "");
    expect(store, 6, MUSTER_ESYSTEM, "cannot be written");
    submit(store, barrier, 8); /* behind what is kept: nobody is to forget it yet */
    submit(store, single, 7);
    expect(store, 7, MUSTER_ESYSTEM, "cannot be written");
    end();
    expect(store, 1, 0, "");
    expect(store, 2, 0, "");
    expect(store, 5, 0, "");
    expect(store, 8, 0, "");
    CHECK(fixture_code(store, &single) == 0);
    check_log(before, logged, 2);
    store_destroy(store);
    store = fixture_open(path_of(name));
    done = fixture_ask(store, &read);
    CHECK(done->code == 0 && done->count == 1 && done->records->payload.size == 100000);
    CHECK(done->state == STORE_SUCCEEDED);
    store_done_free(done);
    store_destroy(store);
    blob_unref(payload);
    blob_unref(argument);
}

static void full_disk_loses_no_result_and_takes_no_batch(void)
{
    if (disk)
        check_trouble("full", fill_disk, make_space);
    else
        puts("    (left out: no tmpfs can be mounted here)");
}

static void begin_limit(void)
{
    limit_files(true);
}

static void end_limit(void)
{
    limit_files(false);
}

static void file_that_cannot_grow_loses_no_result_and_takes_no_batch(void)
{
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    check_trouble("limited", begin_limit, end_limit);
}

/* It ends all the same, says that results are lost, and what was there before is there. */
static void store_that_is_closed_on_a_full_disk_does_not_hang(void)
{
    static const char *const logged[] = {"cannot be written", "is lost"};
    struct store *store = fixture_open(path_of("closed"));
    struct blob *argument = zeroes(1);
    struct store_request single = fixture_single(1, argument);
    int before;

    CHECK(fixture_code(store, &single) == 0);
    catch_log(&before);
    limit_files(true);
    submit(store, fixture_state(STORE_STATE, 1, STORE_RUNNING), 1);
    store_destroy(store);
    limit_files(false);
    check_log(before, logged, 2);
    store = fixture_open(path_of("closed"));
    CHECK(fixture_find(store, 1) == STORE_QUEUED);
    store_destroy(store);
    blob_unref(argument);
}

/* Its answer had the number of a batch that it had cancelled, so that nobody took it for that of RESET. */
static void start_on_a_full_disk_is_refused_as_such_and_forgets_nothing(void)
{
    static const char *const logged[] = {"cannot be written", "is written again"};
    struct store *store = fixture_open(path_of("start"));
    struct blob *argument = zeroes(1);
    struct store_request single = fixture_single(1, argument),
                         reset = {.operation = STORE_RESET, .now_ms = 9};
    struct store_done *done;
    int before;

    CHECK(fixture_code(store, &single) == 0);
    single = fixture_state(STORE_STATE, 1, STORE_RUNNING);
    CHECK(fixture_code(store, &single) == 0);
    single.state = STORE_CANCELLED;
    CHECK(fixture_code(store, &single) == 0);
    catch_log(&before);
    limit_files(true);
    done = fixture_ask(store, &reset);
    CHECK(done->operation == STORE_RESET && done->code == MUSTER_ESYSTEM && done->batch == 0);
    store_done_free(done);
    CHECK(fixture_find(store, 1) == STORE_RUNNING);
    limit_files(false);
    CHECK(fixture_code(store, &reset) == 0 && fixture_find(store, 1) == STORE_CANCELLED);
    store_destroy(store);
    check_log(before, logged, 2);
    blob_unref(argument);
}

static void run_elsewhere(sqlite3 *handle, const char *text)
{
    CHECK_SAYING(sqlite3_exec(handle, text, NULL, NULL, NULL) == SQLITE_OK, sqlite3_errmsg(handle));
}

/* All of a file in one as an older muster made it, whose pages have no room for checksums. */
static void copy_to_older(const char *path, const char *older)
{
    const char *schema =
        "SELECT sql, CASE type WHEN 'table' THEN 'INSERT INTO main.' || name || ' SELECT * FROM "
        "old.' || name ELSE '' END FROM old.sqlite_schema WHERE sql IS NOT NULL";
    sqlite3_stmt *rows;
    sqlite3 *handle;
    char text[256];

    CHECK(sqlite3_open(older, &handle) == SQLITE_OK);
    snprintf(text, sizeof text, "ATTACH '%s' AS old; PRAGMA main.journal_mode = WAL", path);
    run_elsewhere(handle, text);
    CHECK(sqlite3_prepare_v2(handle, schema, -1, &rows, NULL) == SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        run_elsewhere(handle, (const char *)sqlite3_column_text(rows, 0));
        run_elsewhere(handle, (const char *)sqlite3_column_text(rows, 1));
    }
    CHECK(sqlite3_finalize(rows) == SQLITE_OK);
    run_elsewhere(handle, "PRAGMA main.application_id = 0x6d737472; PRAGMA main.user_version = 5");
    CHECK(sqlite3_close(handle) == SQLITE_OK);
}

/* Whoever looks into the file keeps its index, in which the log was begun anew, while what is left of it in
 * its file was carried over: that was taken for damage. */
static void log_that_could_not_be_begun_anew_is_no_damage(void)
{
    const char *path = fixture_path("begun");
    struct store *store = fixture_open(path);
    struct blob *argument = zeroes(1);
    struct store_request single = fixture_single(1, argument);
    sqlite3 *reader, *writer;

    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && fixture_code(store, &single) == 0);
    single.add.number = 2;
    CHECK(fixture_code(store, &single) == 0);
    CHECK(sqlite3_open(path, &reader) == SQLITE_OK);
    run_elsewhere(reader, "SELECT * FROM batches");
    store_destroy(store);
    CHECK(sqlite3_open_v2(path, &writer, SQLITE_OPEN_READWRITE, SQL_SUMS_NAME) == SQLITE_OK);
    run_elsewhere(writer, "PRAGMA wal_checkpoint");
    limit_files(true);
    CHECK(sqlite3_exec(writer, "UPDATE life SET lives = 7", NULL, NULL, NULL) != SQLITE_OK);
    limit_files(false);
    CHECK(sqlite3_close(writer) == SQLITE_OK);
    store = fixture_open(path);
    CHECK(fixture_find(store, 2) == STORE_QUEUED);
    store_destroy(store);
    CHECK(sqlite3_close(reader) == SQLITE_OK);
    blob_unref(argument);
}

static bool has_room(const char *path)
{
    enum { RESERVED_AT = 20 };
    size_t size;
    uint8_t *bytes = fixture_read(path, &size);
    bool has = size > RESERVED_AT && bytes[RESERVED_AT] > 0;

    free(bytes);
    return has;
}

/* A file of 300 KB, which is not to be written twice. */
static void check_upgrade(const char *name, void (*begin)(void), void (*end)(void))
{
    static const char *const logged[] = {"its pages get no checksums"};
    struct blob *payload = zeroes(300000), *argument = zeroes(1);
    struct store_request single = fixture_single(1, argument), record = fixture_record(1, 1, 1, payload);
    char *path = strdup(path_of(name));
    struct store *store = fixture_open(fixture_path("newer"));
    int before;

    CHECK(path && fixture_code(store, &single) == 0 && fixture_code(store, &record) == 0);
    store_destroy(store);
    copy_to_older(fixture_path("newer"), path);
    CHECK(!has_room(path));
    begin();
    catch_log(&before);
    store = fixture_open(path);
    check_log(before, logged, 1);
    single.add.number = 2;
    CHECK(fixture_code(store, &single) == 0);
    store_destroy(store);
    CHECK(!has_room(path));
    end();
    store = fixture_open(path);
    CHECK(fixture_find(store, 2) == STORE_QUEUED);
    store_destroy(store);
    CHECK(has_room(path) && unlink(path) == 0 && unlink(fixture_path("newer")) == 0);
    blob_unref(payload);
    blob_unref(argument);
    free(path);
}

static void limit_files_to_half(void)
{
    const struct rlimit limit = {.rlim_cur = 150000, .rlim_max = RLIM_INFINITY};

    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void fill_most_of_disk(void)
{
    enum { LEFT = 150000 };
    struct stat filler;

    fill_disk();
    CHECK(stat(path_of("filler"), &filler) == 0 && truncate(path_of("filler"), filler.st_size - LEFT) == 0);
}

/* Neither version could open it any more. */
static void file_that_cannot_be_written_anew_is_opened_without_checksums(void)
{
    check_upgrade("limit", limit_files_to_half, end_limit);
    if (disk)
        check_upgrade("disk", fill_most_of_disk, make_space);
}

static void disk_that_is_read_only_is_refused(void)
{
    if (!disk) {
        puts("    (left out: no tmpfs can be mounted here)");
        return;
    }
    store_destroy(fixture_open(path_of("state")));
    CHECK(mount(NULL, disk, NULL, MS_REMOUNT | MS_RDONLY, "size=3m") == 0);
    fixture_refuses(path_of("state"), MUSTER_ESYSTEM, "Read-only file system");
}

static bool is_full_after(struct store *store, struct store_request request, int code)
{
    struct store_done *done = fixture_ask(store, &request);
    bool full = done->full;

    CHECK_SAYING(done->code == code, done->text);
    store_done_free(done);
    return full;
}

static void store_at_its_limit_takes_results_and_no_batch_until_something_is_forgotten(void)
{
    static const char *const words[] = {"has reached its limit of 256 KiB", "has room again"};
    struct blob *large = zeroes(300 << 10), *one = zeroes(1);
    struct store *store = fixture_open(NULL);
    int before;

    catch_log(&before);
    store_limit(store, 256 << 10);
    CHECK(!is_full_after(store, fixture_single(1, one), 0));
    CHECK(!is_full_after(store, fixture_single(2, one), 0));
    CHECK(!is_full_after(store, fixture_state(STORE_STATE, 1, STORE_RUNNING), 0));
    CHECK(is_full_after(store, fixture_record(1, 1, 1, large), 0));
    CHECK(is_full_after(store, fixture_single(3, one), MUSTER_ELIMIT));
    CHECK(is_full_after(store, fixture_state(STORE_STATE, 2, STORE_RUNNING), 0));
    CHECK(is_full_after(store, fixture_record(2, 1, 1, one), 0));
    CHECK(is_full_after(store, fixture_state(STORE_END, 1, STORE_SUCCEEDED), 0));
    CHECK(!is_full_after(store, (struct store_request){.operation = STORE_DROP, .batch = 1}, 0));
    CHECK(!is_full_after(store, fixture_single(3, one), 0));
    store_destroy(store);
    check_log(before, words, 2);
    blob_unref(large);
    blob_unref(one);
}

/* Jobs that are tried again filled it without end. */
static void store_at_its_limit_copies_no_arguments(void)
{
    static const char *const words[] = {"has reached its limit of 256 KiB", "has room again"};
    struct blob *large = zeroes(300 << 10), *one = zeroes(1);
    struct store *store = fixture_open(NULL);
    struct store_request list = fixture_single(2, one);
    struct store_request copy = {
        .operation = STORE_COPY, .batch = 2, .copy = {.source = 1, .from = 1, .all = true}};
    int before;

    catch_log(&before);
    list.add.sealed = false;
    list.add.block = (struct store_block){0};
    CHECK(!is_full_after(store, fixture_single(1, one), 0));
    CHECK(!is_full_after(store, fixture_single(3, one), 0));
    CHECK(!is_full_after(store, fixture_state(STORE_STATE, 1, STORE_RUNNING), 0));
    CHECK(!is_full_after(store, fixture_state(STORE_END, 1, STORE_CANCELLED), 0));
    CHECK(!is_full_after(store, list, 0));
    CHECK(!is_full_after(store, fixture_state(STORE_STATE, 3, STORE_RUNNING), 0));
    store_limit(store, 256 << 10);
    CHECK(is_full_after(store, fixture_record(3, 1, 1, large), 0));
    CHECK(is_full_after(store, copy, MUSTER_ELIMIT));
    store_limit(store, 1 << 30);
    CHECK(!is_full_after(store, (struct store_request){.operation = STORE_BARRIER}, 0));
    CHECK(!is_full_after(store, copy, 0));
    store_destroy(store);
    check_log(before, words, 2);
    blob_unref(large);
    blob_unref(one);
}

int main(int count, char **words)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(store_at_its_limit_takes_results_and_no_batch_until_something_is_forgotten),
        TEST(store_at_its_limit_copies_no_arguments),
        TEST(file_that_cannot_grow_loses_no_result_and_takes_no_batch),
        TEST(store_that_is_closed_on_a_full_disk_does_not_hang),
        TEST(start_on_a_full_disk_is_refused_as_such_and_forgets_nothing),
        TEST(full_disk_loses_no_result_and_takes_no_batch),
        TEST(log_that_could_not_be_begun_anew_is_no_damage),
        TEST(file_that_cannot_be_written_anew_is_opened_without_checksums),
        TEST(disk_that_is_read_only_is_refused),
    };
    const char *script = "mount -t tmpfs -o size=3m none /mnt && exec \"$0\" /mnt";

    if (count == 1 &&
        system("exec unshare --mount --map-root-user mount -t tmpfs none /mnt 2>/dev/null") == 0) {
        execlp("unshare", "unshare", "--mount", "--map-root-user", "sh", "-c", script, words[0], NULL);
        return 1;
    }
    disk = count > 1 ? words[1] : NULL;
    return check_all(checks, sizeof checks / sizeof *checks);
}
