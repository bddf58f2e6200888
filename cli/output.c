/* SPDX-License-Identifier: MIT
 *
 * Output, gathered in a buffer of about 64 KiB and written with write(2). One thread.
 */
#include "cli/output.h"

#include "cli/json_write.h"
#include "cli/verbs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FLUSH_BYTES = 64 << 10, /* a pipe's capacity */
    KEEP_BYTES = 1 << 20,   /* a buffer that one large result made larger than this is given back */
    REAL_DIGITS = 9,        /* of measurements: nanoseconds of a second */
};

int output_claim_stdout(void)
{
    int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (fd < 0)
        return STDOUT_FILENO; /* no descriptor is left: what jobs print then mixes with results */
    dup2(STDERR_FILENO, STDOUT_FILENO);
    return fd;
}

void output_init(struct output *output, int fd, const char *name, enum output_format format)
{
    *output = (struct output){.fd = fd, .name = name, .format = format, .batch = EMBEDDED_BATCH};
    msgpack_sbuffer_init(&output->buffer);
}

void output_fini(struct output *output)
{
    msgpack_sbuffer_destroy(&output->buffer);
}

/* Writes all of it. A descriptor that somebody made non-blocking is waited for. */
static int write_all(int fd, const char *bytes, size_t size)
{
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    ssize_t count;

    while (size > 0) {
        count = write(fd, bytes, size);
        if (count >= 0) {
            bytes += count;
            size -= (size_t)count;
        } else if (errno == EAGAIN) {
            poll(&waiting, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int output_flush(struct output *output, struct muster_error *ret_error)
{
    int error = write_all(output->fd, output->buffer.data, output->buffer.size);

    if (output->buffer.alloc > KEEP_BYTES) {
        msgpack_sbuffer_destroy(&output->buffer);
        msgpack_sbuffer_init(&output->buffer);
    }
    output->buffer.size = 0;
    output->broken |= error == EPIPE;
    if (error)
        return muster_error_set(ret_error, MUSTER_EOUTPUT, "%s: %s", output->name, strerror(error));
    return 0;
}

int output_text(struct output *output, const char *format, ...)
{
    va_list arguments;
    char *text;
    int size, code;

    va_start(arguments, format);
    size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        return MUSTER_ENOMEM;
    code = json_write_raw(text, (size_t)size, &output->buffer);
    free(text);
    return code;
}

static int gather(const char *bytes, size_t size, void *buffer)
{
    return json_write_raw(bytes, size, buffer);
}

int output_document(struct output *output, json_t *document)
{
    size_t layout = isatty(output->fd) ? JSON_INDENT(2) : JSON_COMPACT;
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(REAL_DIGITS) | layout;
    int code = MUSTER_ENOMEM;

    if (document && json_dump_callback(document, gather, &output->buffer, flags) == 0)
        code = json_write_raw("\n", 1, &output->buffer);
    json_decref(document);
    return code;
}

/* The word for a failure in a program's reach: "timeout" for MUSTER_ETIMEOUT. */
static int write_error_kind(int code, msgpack_sbuffer *buffer)
{
    static const struct {
        int code;
        const char *name;
    } kinds[] = {
#define X(name, number, text) {MUSTER_E##name, #name},
        MUSTER_ERROR_MAP(X)
#undef X
    };
    char word[32] = "unknown";

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == code)
            snprintf(word, sizeof word, "%s", kinds[i].name);
    for (char *at = word; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return json_write_string(word, strlen(word), buffer);
}

/* ,"name": in front of a member. */
static int write_name(const char *name, msgpack_sbuffer *buffer)
{
    char text[32];
    int size = snprintf(text, sizeof text, ",\"%s\":", name);

    return json_write_raw(text, (size_t)size, buffer);
}

/* Nanoseconds as microseconds: 1234.567. */
static int write_duration(uint64_t ns, msgpack_sbuffer *buffer)
{
    char text[48];
    int size = snprintf(text, sizeof text, "%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));

    return json_write_raw(text, (size_t)size, buffer);
}

static int write_us(const char *name, uint64_t ns, msgpack_sbuffer *buffer)
{
    return write_name(name, buffer) || write_duration(ns, buffer) ? MUSTER_ENOMEM : 0;
}

/* ,"receipt":{"total_us":2.345,"encode_us":1.234,...}: a job is never idle. */
static int write_receipt(const struct muster_receipt *receipt, msgpack_sbuffer *buffer)
{
    static const char opening[] = "{\"total_us\":";
    int code = write_name("receipt", buffer) || json_write_raw(opening, sizeof opening - 1, buffer) ||
               write_duration(receipt->total_ns, buffer);

    for (int phase = 0; phase < MUSTER_PHASE_IDLE && !code; phase++) {
        char name[32];

        snprintf(name, sizeof name, "%s_us", muster_phase_name((enum muster_phase)phase));
        code = write_us(name, receipt->phase_ns[phase], buffer);
    }
    return code || json_write_raw("}", 1, buffer) ? MUSTER_ENOMEM : 0;
}

static int write_count(const char *name, uint64_t count, msgpack_sbuffer *buffer)
{
    return write_name(name, buffer) || json_write_unsigned(count, buffer) ? MUSTER_ENOMEM : 0;
}

/* How the job ended: "result", or "error" and "error_kind", or both: a command that failed has both. */
static int write_outcome(const struct muster_result *result, msgpack_sbuffer *buffer)
{
    if (result->value) {
        int code = write_name("result", buffer) ? MUSTER_ENOMEM : json_write(result->value, buffer);

        if (code || result->code == 0)
            return code;
    }
    if (write_name("error", buffer) || json_write_string(result->text, strlen(result->text), buffer) ||
        write_name("error_kind", buffer) || write_error_kind(result->code, buffer))
        return MUSTER_ENOMEM;
    return 0;
}

static int write_object(uint64_t batch, const struct muster_result *result, const char *again,
                        msgpack_sbuffer *buffer)
{
    char name[JOB_NAME_BYTES], text[sizeof name + 16];
    int size = snprintf(text, sizeof text, "{\"job\":\"%s\"", job_name(batch, result->index, name));
    int code = json_write_raw(text, (size_t)size, buffer);

    if (!code && result->argument) {
        code = write_name("argument", buffer);
        if (!code)
            code = json_write(result->argument, buffer);
    }
    if (!code)
        code = write_outcome(result, buffer);
    if (!code && again && (write_name("again", buffer) || json_write_string(again, strlen(again), buffer)))
        code = MUSTER_ENOMEM;
    if (!code &&
        (write_count("attempts", result->attempts, buffer) || write_count("worker", result->worker, buffer)))
        code = MUSTER_ENOMEM;
    if (!code && (result->receipt || result->wall_ns) && /* else it was not measured */
        (write_us("wall_us", result->wall_ns, buffer) || write_us("cpu_us", result->cpu_ns, buffer)))
        code = MUSTER_ENOMEM;
    if (!code && result->receipt)
        code = write_receipt(result->receipt, buffer);
    return code ? code : json_write_raw("}\n", 2, buffer);
}

static int write_line(const msgpack_object *value, msgpack_sbuffer *buffer)
{
    int code = json_write(value, buffer);

    return code ? code : json_write_raw("\n", 1, buffer);
}

int output_result(struct output *output, const struct muster_result *result, const char *again,
                  struct muster_error *ret_error)
{
    size_t before = output->buffer.size;
    int code = 0;

    switch (output->format) {
    case OUTPUT_TEXT:
        if (result->code == 0)
            code = write_line(result->value, &output->buffer);
        break;
    case OUTPUT_JSON:
        code = write_object(output->batch, result, again, &output->buffer);
        break;
    case OUTPUT_NONE:
        break;
    }
    if (code) {
        output->buffer.size = before;
        return muster_error_set(ret_error, code, "the result cannot be written as JSON: %s",
                                code == MUSTER_ELIMIT ? "it nests too deep, or a key of a map in it does"
                                                      : muster_error_name(code));
    }
    return output->buffer.size < FLUSH_BYTES ? 0 : output_flush(output, ret_error);
}
