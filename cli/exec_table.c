/* SPDX-License-Identifier: MIT
 *
 * Results as a table. See exec_table.h. A record is gathered and written at once; output that a command left
 * in a file is copied into it a block at a time.
 */
#include "cli/exec_table.h"

#include "cli/exec_log.h"
#include "cli/exec_output.h"
#include "cli/json_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 64 << 10,
    UTF8_BYTES_MAX = 4, /* of a character */
};

bool exec_table_kind_of(const char *name, enum exec_table_kind *ret_kind)
{
    static const char *const endings[] = {".csv", ".tsv", ".json"};
    size_t size = strlen(name);

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]);

        if (size >= length && strcasecmp(name + size - length, endings[i]) == 0) {
            *ret_kind = (enum exec_table_kind)i;
            return true;
        }
    }
    return false;
}

bool exec_table_is_output(const char *name)
{
    return name[0] == '-' && strchr(name, '.') == name + 1;
}

/* --- what a table has already */

/* Where the last whole record ends. A newline between quotes ends no record of CSV; JSON has none there. */
static int whole_records(const struct exec_table *table, const char *path, uint64_t *ret_had,
                         uint64_t *ret_whole, struct muster_error *ret_error)
{
    char block[BLOCK_BYTES];
    uint64_t at = 0, whole = 0;
    bool quoted = false;
    ssize_t got = 0;
    int code = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 && errno != ENOENT)
        return muster_error_system(ret_error, errno, "cannot read %s", path);
    while (fd >= 0 && (got = TEMP_FAILURE_RETRY(read(fd, block, sizeof block))) > 0)
        for (ssize_t i = 0; i < got; i++) {
            at++;
            quoted ^= block[i] == '"' && table->kind != EXEC_TABLE_JSON;
            if (block[i] == '\n' && !quoted)
                whole = at;
        }
    if (got < 0)
        code = muster_error_system(ret_error, errno, "cannot read %s", path);
    if (fd >= 0)
        close(fd);
    *ret_had = at;
    *ret_whole = whole;
    return code;
}

int exec_table_open(struct exec_table *table, enum exec_table_kind kind, const char *name, bool goes_on,
                    const struct word *names, size_t name_count, struct muster_error *ret_error)
{
    bool standard_output = exec_table_is_output(name);
    uint64_t had = EXEC_APPEND_ANY, keep = 0;
    int code = 0;

    *table = (struct exec_table){.kind = kind, .names = names, .name_count = name_count};
    if (goes_on && !standard_output)
        code = whole_records(table, name, &had, &keep, ret_error);
    if (!code)
        code = exec_append_open(&table->file, "results to", standard_output ? NULL : name, true, ret_error);
    if (code)
        return code;
    table->opened = true;
    table->headed = kind == EXEC_TABLE_JSON || keep > 0;
    return exec_append_begin(&table->file, had, keep, NULL, ret_error);
}

/* --- records */

static void put(struct exec_table *table, const char *text)
{
    table->failed |= !exec_output_gather(&table->record, text, strlen(text));
}

static void put_quoted(struct exec_table *table, const char *bytes, size_t size)
{
    const char *quote;

    for (; (quote = memchr(bytes, '"', size)) != NULL;
         size -= (size_t)(quote + 1 - bytes), bytes = quote + 1) {
        table->failed |= !exec_output_gather(&table->record, bytes, (size_t)(quote + 1 - bytes));
        put(table, "\"");
    }
    table->failed |= !exec_output_gather(&table->record, bytes, size);
}

/* Whether a field of CSV has to be quoted; GNU parallel quotes blanks, too. */
static bool needs_quotes(const struct exec_table *table, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] == '"' || bytes[i] == ' ' || (bytes[i] >= '\t' && bytes[i] <= '\r') ||
            (bytes[i] == ',' && table->kind == EXEC_TABLE_CSV))
            return true;
    return false;
}

static void put_text(struct exec_table *table, const char *bytes, size_t size)
{
    if (table->kind == EXEC_TABLE_JSON) {
        table->failed |= json_write_string(bytes, size, &table->record) != 0;
    } else if (needs_quotes(table, bytes, size)) {
        put(table, "\"");
        put_quoted(table, bytes, size);
        put(table, "\"");
    } else {
        table->failed |= !exec_output_gather(&table->record, bytes, size);
    }
}

/* A part of a JSON string: without the quotes around it. */
static void put_json_part(struct exec_table *table, const char *bytes, size_t size)
{
    size_t before = table->record.size;

    if (json_write_string(bytes, size, &table->record)) {
        table->failed = true;
        return;
    }
    table->record.size--;
    memmove(table->record.data + before, table->record.data + before + 1, table->record.size - before - 1);
    table->record.size--;
}

/* How many bytes at the end begin a character that goes on in the next block. */
static size_t unfinished(const char *bytes, size_t size)
{
    for (size_t back = 1; back < UTF8_BYTES_MAX && back <= size; back++) {
        unsigned char byte = (unsigned char)bytes[size - back];

        if (byte >= 0xc0)
            return back < (byte < 0xe0 ? 2U : byte < 0xf0 ? 3U : 4U) ? back : 0;
        if (byte < 0x80)
            return 0;
    }
    return 0;
}

static int flush(struct exec_table *table, struct muster_error *ret_error)
{
    int code;

    if (table->failed)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    code = exec_append_write(&table->file, table->record.data, table->record.size, ret_error);
    msgpack_sbuffer_clear(&table->record);
    return code;
}

/* What is in a file, as a field between quotes. */
static int copy_blocks(struct exec_table *table, const struct exec_written *written,
                       struct muster_error *ret_error)
{
    char block[BLOCK_BYTES];
    size_t kept = 0, size;
    uint64_t at = 0;
    int code = 0;
    ssize_t got = 0;

    while (!code &&
           (got = TEMP_FAILURE_RETRY(pread(written->fd, block + kept, sizeof block - kept, (off_t)at))) > 0) {
        at += (uint64_t)got;
        size = kept + (size_t)got;
        kept = table->kind == EXEC_TABLE_JSON ? unfinished(block, size) : 0;
        if (table->kind == EXEC_TABLE_JSON)
            put_json_part(table, block, size - kept);
        else
            put_quoted(table, block, size);
        memmove(block, block + size - kept, kept);
        code = flush(table, ret_error);
    }
    if (got < 0)
        return muster_error_set(ret_error, MUSTER_EOUTPUT, "%s: %s", written->path, strerror(errno));
    if (kept > 0)
        put_json_part(table, block, kept);
    return code;
}

static int put_written(struct exec_table *table, const struct exec_written *written,
                       struct muster_error *ret_error)
{
    int code;

    if (written->bytes) {
        put_text(table, written->bytes, written->size);
        return 0;
    }
    put(table, "\"");
    code = copy_blocks(table, written, ret_error);
    put(table, "\"");
    return code;
}

static void put_separator(struct exec_table *table)
{
    static const char *const separators[] = {
        [EXEC_TABLE_CSV] = ",", [EXEC_TABLE_TSV] = "\t", [EXEC_TABLE_JSON] = ", "};

    put(table, separators[table->kind]);
}

/* The names of the columns, first those of the job log. */
static void put_header(struct exec_table *table)
{
    char number[24];

    for (const char *at = EXEC_LOG_COLUMNS; *at; at += strcspn(at, "\t"), at += *at == '\t') {
        table->failed |= !exec_output_gather(&table->record, at, strcspn(at, "\t"));
        put_separator(table);
    }
    for (size_t i = 0; i < table->columns; i++) {
        snprintf(number, sizeof number, "V%zu", i + 1);
        if (i < table->name_count)
            put_text(table, table->names[i].bytes, table->names[i].size);
        else
            put(table, number);
        put_separator(table);
    }
    put(table, "Stdout");
    put_separator(table);
    put(table, "Stderr\n");
}

/* What stands before a value: its name, in JSON. */
static void put_key(struct exec_table *table, const char *key)
{
    if (table->kind != EXEC_TABLE_JSON)
        return;
    put(table, "\"");
    put(table, key);
    put(table, "\": ");
}

static void put_number(struct exec_table *table, const char *key, const char *digits)
{
    put_key(table, key);
    put(table, digits);
    put_separator(table);
}

static void put_numbers(struct exec_table *table, uint64_t sequence, const struct exec_result *result)
{
    char digits[32]; /* 20 of a number, or 11.3 of a time */

    snprintf(digits, sizeof digits, "%" PRIu64, sequence);
    put_number(table, "Seq", digits);
    put_number(table, "Host", table->kind == EXEC_TABLE_JSON ? "\":\"" : ":");
    snprintf(digits, sizeof digits, "%.3f", result->start_s);
    put_number(table, "Starttime", digits);
    snprintf(digits, sizeof digits, "%.3f", (double)result->wall_ns * 1e-9);
    put_number(table, "JobRuntime", digits);
    put_number(table, "Send", "0");
    snprintf(digits, sizeof digits, "%zu", result->out.size);
    put_number(table, "Receive", digits);
    snprintf(digits, sizeof digits, "%d", exec_result_logged(result));
    put_number(table, "Exitval", digits);
    snprintf(digits, sizeof digits, "%d", result->signal);
    put_number(table, "Signal", digits);
}

static void put_values(struct exec_table *table, const msgpack_object_array *args)
{
    size_t columns =
        table->kind != EXEC_TABLE_JSON && args->size < table->columns ? table->columns : args->size;

    put_key(table, "V");
    if (table->kind == EXEC_TABLE_JSON)
        put(table, "[ ");
    for (size_t i = 0; i < columns; i++) {
        if (i < args->size)
            put_text(table, args->ptr[i].via.str.ptr, args->ptr[i].via.str.size);
        if (table->kind != EXEC_TABLE_JSON || i + 1 < columns)
            put_separator(table);
    }
    if (table->kind == EXEC_TABLE_JSON)
        put(table, " ], ");
}

int exec_table_add(struct exec_table *table, uint64_t sequence, const struct exec_result *result,
                   struct word command, const msgpack_object_array *args, struct muster_error *ret_error)
{
    bool json = table->kind == EXEC_TABLE_JSON;
    int code;

    msgpack_sbuffer_clear(&table->record);
    if (!table->headed) {
        table->columns = args->size;
        put_header(table);
    }
    put(table, json ? "{ " : "");
    put_numbers(table, sequence, result);
    put_key(table, "Command");
    put_text(table, command.bytes, command.size);
    put_separator(table);
    put_values(table, args);
    put_key(table, "Stdout");
    code = put_written(table, &result->out, ret_error);
    put_separator(table);
    put_key(table, "Stderr");
    if (!code)
        code = put_written(table, &result->err, ret_error);
    put(table, json ? " }\n" : "\n");
    if (!code)
        code = flush(table, ret_error);
    exec_append_end(&table->file);
    table->headed = true;
    return code;
}

void exec_table_close(struct exec_table *table)
{
    if (table->opened)
        exec_append_close(&table->file);
    msgpack_sbuffer_destroy(&table->record);
    *table = (struct exec_table){.opened = false};
}
