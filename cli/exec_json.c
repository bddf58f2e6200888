/* SPDX-License-Identifier: MIT
 *
 * Jobs as JSON. See exec_json.h.
 *
 * What a job wrote is read twice, first to know whether it is text, in pieces: it may be larger than
 * memory.
 */
#include "cli/exec_json.h"

#include "cli/confined.h"
#include "cli/exec_output.h"
#include "cli/json_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 48 << 10, /* a multiple of 3, for base64 */
    CUT_MAX = 3,            /* bytes of a character of 4 that may be missing the rest */
};

struct writing {
    int fd;
    const char *name;
    msgpack_sbuffer buffer;
    struct muster_error *error;
};

/* What a job wrote, for reading. */
struct reading {
    const struct exec_written *written;
    char block[PIECE_BYTES];
};

static int out_of_memory(struct writing *w)
{
    return muster_error_set(w->error, MUSTER_ENOMEM, "out of memory");
}

/* Bytes at an offset, up to a piece; none at the end. */
static int read_piece(struct writing *w, struct reading *r, size_t at, const char **ret_bytes,
                      size_t *ret_size)
{
    const struct exec_written *written = r->written;
    size_t had = 0;
    ssize_t got = 1;

    if (written->bytes) {
        *ret_size = written->size - at < PIECE_BYTES ? written->size - at : PIECE_BYTES;
        *ret_bytes = *ret_size ? written->bytes + at : "";
        return 0;
    }
    while (had < PIECE_BYTES && got > 0) {
        got = TEMP_FAILURE_RETRY(pread(written->fd, r->block + had, PIECE_BYTES - had, (off_t)(at + had)));
        if (got < 0)
            return muster_error_set(w->error, MUSTER_EOUTPUT, "%s: %s", written->path, strerror(errno));
        had += (size_t)got;
    }
    *ret_bytes = r->block;
    *ret_size = had;
    return 0;
}

/* How much of a piece is text; less than all only where a character may go on in the next piece. */
static size_t text_bytes(const char *bytes, size_t size, bool *ret_is_text)
{
    size_t text = json_utf8_bytes(bytes, size);

    *ret_is_text = text == size || (size == PIECE_BYTES && size - text <= CUT_MAX);
    return text;
}

static int find_text(struct writing *w, struct reading *r, bool *ret_is_text)
{
    size_t size, at = 0;
    const char *bytes;
    int code;

    do {
        if ((code = read_piece(w, r, at, &bytes, &size)) != 0)
            return code;
        at += text_bytes(bytes, size, ret_is_text);
    } while (*ret_is_text && size == PIECE_BYTES);
    return 0;
}

static int flush(struct writing *w)
{
    int code = exec_output_bytes(w->fd, w->name, w->buffer.data, w->buffer.size, w->error);

    msgpack_sbuffer_clear(&w->buffer);
    return code;
}

static int write_pieces(struct writing *w, struct reading *r, bool is_text)
{
    size_t size, used, at = 0;
    const char *bytes;
    int code;

    do {
        if ((code = read_piece(w, r, at, &bytes, &size)) != 0)
            return code;
        used = is_text && size == PIECE_BYTES ? json_utf8_bytes(bytes, size) : size;
        if (is_text ? json_write_characters(bytes, used, &w->buffer)
                    : json_write_base64(bytes, used, &w->buffer))
            return out_of_memory(w);
        if ((code = flush(w)) != 0)
            return code;
        at += used;
    } while (size == PIECE_BYTES && used > 0);
    return 0;
}

__attribute__((format(printf, 2, 3))) static int print(struct writing *w, const char *format, ...)
{
    char text[256];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return json_write_raw(text, (size_t)size, &w->buffer) ? out_of_memory(w) : 0;
}

static int write_output(struct writing *w, const char *key, const struct exec_written *written)
{
    struct reading r = {.written = written};
    bool is_text = true;
    int code = find_text(w, &r, &is_text);

    if (!code)
        code = print(w, ",\"%s_encoding\":\"%s\",\"%s\":\"", key, is_text ? "utf-8" : "base64", key);
    if (!code)
        code = write_pieces(w, &r, is_text);
    return code ? code : print(w, "\"");
}

/* A number, or null. */
static int print_or_null(struct writing *w, const char *key, bool there, int number)
{
    return there ? print(w, ",\"%s\":%d", key, number) : print(w, ",\"%s\":null", key);
}

static int write_sandbox(struct writing *w, unsigned layers)
{
    json_t *object = confined_json(layers);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    int code = text ? print(w, ",\"sandbox\":%s", text) : 0;

    free(text);
    json_decref(object);
    return code;
}

static int write_result(struct writing *w, const struct exec_result *result)
{
    int code = print_or_null(w, "exit", result->signal == 0, result->exit);

    if (!code)
        code = print_or_null(w, "signal", result->signal != 0, result->signal);
    if (!code)
        code =
            print(w,
                  ",\"start\":%.6f,\"wall_s\":%.6f,\"user_s\":%.6f,\"system_s\":%.6f,\"max_rss_kib\":%" PRIu64
                  ",\"timed_out\":%s",
                  result->start_s, (double)result->wall_ns * 1e-9, (double)result->user_us * 1e-6,
                  (double)result->system_us * 1e-6, result->memory_kib, result->timed_out ? "true" : "false");
    if (!code && result->layers)
        code = write_sandbox(w, result->layers);
    if (!code)
        code = write_output(w, "stdout", &result->out);
    return code ? code : write_output(w, "stderr", &result->err);
}

/* A text as a string, behind what stands before it. */
static int print_text(struct writing *w, const char *before, struct word text)
{
    int code = print(w, "%s", before);

    return !code && json_write_string(text.bytes, text.size, &w->buffer) ? out_of_memory(w) : code;
}

static int write_job(struct writing *w, const struct exec_json_job *job)
{
    int code = print(w, "{\"seq\":%" PRIu64, job->sequence);

    if (!code)
        code = print_text(w, ",\"command\":", job->command);
    if (!code && job->tag.bytes)
        code = print_text(w, ",\"tag\":", job->tag);
    if (!code)
        code = print(w, ",\"worker\":%u,\"reason\":", job->worker);
    if (!code)
        code = job->reason ? print_text(w, "", (struct word){job->reason, strlen(job->reason)})
                           : print(w, "null");
    if (!code && job->again)
        code = print_text(w, ",\"again\":", (struct word){job->again, strlen(job->again)});
    if (!code && job->result)
        code = write_result(w, job->result);
    if (!code)
        code = print(w, "}\n");
    return code ? code : flush(w);
}

int exec_json_write(int fd, const char *name, const struct exec_json_job *job, struct muster_error *ret_error)
{
    struct writing w = {.fd = fd, .name = name, .error = ret_error};
    int code = write_job(&w, job);

    msgpack_sbuffer_destroy(&w.buffer);
    return code;
}
