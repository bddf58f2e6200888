/* SPDX-License-Identifier: MIT
 *
 * See store_fixture.h.
 */
#include "tests/unit/coordinator/store_fixture.h"

#include <dirent.h>
#include <poll.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT_MS = 60000 }; /* until a completion comes */

static char folder[64];
static pid_t owner;

static void remove_folder(void)
{
    DIR *list = owner == getpid() ? opendir(folder) : NULL;
    struct dirent *file;

    if (!list)
        return;
    while ((file = readdir(list)))
        unlinkat(dirfd(list), file->d_name, 0);
    closedir(list);
    rmdir(folder);
}

const char *fixture_path(const char *name)
{
    static char paths[8][128];
    static unsigned turn;
    char *path = paths[turn++ % 8];

    if (!*folder) {
        strcpy(folder, "/tmp/muster-test-XXXXXX");
        CHECK(mkdtemp(folder));
        owner = getpid();
        atexit(remove_folder);
    }
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

struct store *fixture_open(const char *path)
{
    struct muster_error error = {0};
    struct store *store;

    CHECK_SAYING(store_create(path, &store, &error) == 0, error.text);
    return store;
}

void fixture_refuses(const char *path, int code, const char *words)
{
    struct muster_error error = {0};
    struct store *store;

    CHECK_SAYING(store_create(path, &store, &error) == code, error.text);
    CHECK(error.code == code);
    CHECK_SAYING(strstr(error.text, words), error.text);
    CHECK_SAYING(strstr(error.text, path), error.text);
}

struct store_done *fixture_done(struct store *store)
{
    struct store_done *done;

    while (!(done = store_take(store))) {
        struct pollfd ready = {.fd = store_fd(store), .events = POLLIN};

        CHECK(poll(&ready, 1, LIMIT_MS) == 1);
    }
    return done;
}

struct store_done *fixture_ask(struct store *store, const struct store_request *request)
{
    struct store_done *done;

    CHECK(store_submit(store, request) == 0);
    done = fixture_done(store);
    CHECK(done->operation == request->operation && done->tag == request->tag);
    CHECK((done->code != 0) == (*done->text != '\0'));
    return done;
}

int fixture_code(struct store *store, const struct store_request *request)
{
    struct store_done *done = fixture_ask(store, request);
    int code = done->code;

    store_done_free(done);
    return code;
}

struct proto_text fixture_text(const char *text)
{
    return (struct proto_text){.bytes = text, .size = (uint32_t)strlen(text)};
}

struct slice fixture_slice(const char *text)
{
    struct blob *blob = blob_copy(text, strlen(text));

    CHECK(blob);
    return (struct slice){.blob = blob, .size = blob->size};
}

struct store_request fixture_single(uint64_t number, struct blob *argument)
{
    return (struct store_request){
        .operation = STORE_ADD,
        .now_ms = 1700000000000,
        .add = {.number = number,
                .lane = {.user = fixture_text("ann")},
                .function = fixture_text("noop"),
                .settings = fixture_text("settings"),
                .kind = PROTO_LIST,
                .sealed = true,
                .total = 1,
                .block = {.first = 1, .count = 1, .payload = {.blob = argument, .size = argument->size}},
                .submitted_ms = 1700000000000},
    };
}

struct store_request fixture_record(uint64_t batch, uint64_t first, uint32_t count, struct blob *payload)
{
    return (struct store_request){
        .operation = STORE_RESULT,
        .batch = batch,
        .record = {.first = first,
                   .count = count,
                   .header = fixture_text("header"),
                   .payload = {.blob = payload, .size = payload->size}},
    };
}

struct store_request fixture_state(enum store_operation operation, uint64_t batch, enum store_state state)
{
    return (struct store_request){
        .operation = operation, .batch = batch, .state = state, .now_ms = 1700000001000};
}

enum store_state fixture_find(struct store *store, uint64_t batch)
{
    struct store_request request = {.operation = STORE_FIND, .batch = batch};
    struct store_done *done = fixture_ask(store, &request);
    enum store_state state;

    CHECK_SAYING(done->code == 0 && done->count == 1, done->text);
    state = done->batches[0].state;
    store_done_free(done);
    return state;
}

uint64_t fixture_count(const char *path, const char *table)
{
    sqlite3_stmt *statement;
    sqlite3 *handle;
    char text[64];
    uint64_t count;

    snprintf(text, sizeof text, "SELECT count(*) FROM %s", table);
    CHECK(sqlite3_open(path, &handle) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(handle, text, -1, &statement, NULL) == SQLITE_OK);
    CHECK(sqlite3_step(statement) == SQLITE_ROW);
    count = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    CHECK(sqlite3_close(handle) == SQLITE_OK);
    return count;
}

uint8_t *fixture_read(const char *path, size_t *ret_size)
{
    struct stat status;
    uint8_t *bytes;
    FILE *file = fopen(path, "re");

    CHECK(file && fstat(fileno(file), &status) == 0);
    *ret_size = (size_t)status.st_size;
    bytes = malloc(*ret_size + 1);
    CHECK(bytes && fread(bytes, 1, *ret_size, file) == *ret_size);
    fclose(file);
    return bytes;
}

void fixture_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "we");

    CHECK(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}
