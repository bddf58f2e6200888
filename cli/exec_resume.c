/* SPDX-License-Identifier: MIT
 *
 * What a job log says of earlier runs. See exec_resume.h.
 */
#include "cli/exec_resume.h"

#include "cli/exec_log.h"
#include "cli/exec_run.h"
#include "cli/lines.h"
#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COLUMNS_BEFORE_COMMAND = 8,
    EXIT_COLUMN = 6,
    SIGNAL_COLUMN = 7,
    NUMBER_BYTES = 24, /* of a number, and more */
    COMMAND_SHOWN = 200,
};

/* --- a line */

static bool read_number(struct word word, long long lowest, long long *ret_number)
{
    char text[NUMBER_BYTES], *end;

    if (word.size == 0 || word.size >= sizeof text)
        return false;
    memcpy(text, word.bytes, word.size);
    text[word.size] = '\0';
    errno = 0;
    *ret_number = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && *ret_number >= lowest;
}

/* `at` is where the line stands in the file. Whether it is one. */
static bool parse_line(struct word line, uint64_t at, uint64_t number, struct exec_resume_line *ret_line)
{
    struct word columns[COLUMNS_BEFORE_COMMAND];
    long long sequence, status, signal;
    size_t begin = 0;

    for (size_t i = 0; i < COLUMNS_BEFORE_COMMAND; i++) {
        const char *tab = memchr(line.bytes + begin, '\t', line.size - begin);

        if (!tab)
            return false;
        columns[i] = (struct word){line.bytes + begin, (size_t)(tab - line.bytes) - begin};
        begin += columns[i].size + 1;
    }
    if (!read_number(columns[0], 1, &sequence) || !read_number(columns[EXIT_COLUMN], -1, &status) ||
        !read_number(columns[SIGNAL_COLUMN], 0, &signal))
        return false;
    *ret_line = (struct exec_resume_line){
        .sequence = (uint64_t)sequence,
        .number = number,
        .at = at + begin,
        .size = (uint32_t)(line.size - begin),
        .failed = status != 0 || signal != 0,
    };
    return true;
}

/* --- the log */

static int out_of_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

static int cannot_read(const struct exec_resume *resume, const char *why, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot read the job log %s: %s", resume->path, why);
}

static int add_line(struct exec_resume *resume, const struct exec_resume_line *line)
{
    if (resume->count == resume->room) {
        size_t room = resume->room ? 2 * resume->room : 256;
        struct exec_resume_line *lines = reallocarray(resume->lines, room, sizeof *lines);

        if (!lines)
            return MUSTER_ENOMEM;
        resume->lines = lines;
        resume->room = room;
    }
    resume->lines[resume->count++] = *line;
    return 0;
}

static bool is_header(struct word line)
{
    return line.size == strlen(EXEC_LOG_COLUMNS) && memcmp(line.bytes, EXEC_LOG_COLUMNS, line.size) == 0;
}

/* Reads all lines; one without its newline was cut short, and is none. */
static int read_lines(struct exec_resume *resume, uint64_t bytes, struct lines *lines,
                      struct muster_error *ret_error)
{
    struct exec_resume_line line;
    struct muster_error why;
    struct word word;
    int code;

    while ((code = lines_next(lines, &word.bytes, &word.size, &why)) == 0) {
        if (resume->whole_bytes + word.size + 1 > bytes)
            return 0;
        if (!parse_line(word, resume->whole_bytes, lines->number, &line)) {
            if (lines->number > 1 || !is_header(word))
                return muster_error_set(ret_error, MUSTER_EINVALID,
                                        "%s: line %" PRIu64 " is not of a job log", resume->path,
                                        lines->number);
        } else if (add_line(resume, &line)) {
            return out_of_memory(ret_error);
        }
        resume->whole_bytes += word.size + 1;
    }
    return code == MUSTER_EEND ? 0 : cannot_read(resume, why.text, ret_error);
}

static int by_job(const void *left, const void *right)
{
    const struct exec_resume_line *a = left, *b = right;

    if (a->sequence != b->sequence)
        return a->sequence < b->sequence ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

/* Behind the last line of the job whose first is `first`; *ret_failed when none of them succeeded. */
static size_t end_of_job(const struct exec_resume *resume, size_t first, bool *ret_failed)
{
    size_t i = first;

    *ret_failed = true;
    for (; i < resume->count && resume->lines[i].sequence == resume->lines[first].sequence; i++)
        *ret_failed &= resume->lines[i].failed;
    return i;
}

static void sort_and_count(struct exec_resume *resume)
{
    bool failed;

    if (resume->count > 1)
        qsort(resume->lines, resume->count, sizeof *resume->lines, by_job);
    for (size_t i = 0; i < resume->count; resume->failed += failed)
        i = end_of_job(resume, i, &failed);
}

int exec_resume_read(struct exec_resume *resume, enum exec_resume_mode mode, const char *path,
                     struct muster_error *ret_error)
{
    struct stat status;
    struct lines lines;
    int code;

    *resume = (struct exec_resume){.mode = mode, .path = path};
    resume->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (resume->fd < 0 && errno == ENOENT && mode != EXEC_RETRY_FAILED)
        return 0;
    if (resume->fd < 0)
        return cannot_read(resume, strerror(errno), ret_error);
    resume->opened = true;
    if (fstat(resume->fd, &status) != 0)
        return cannot_read(resume, strerror(errno), ret_error);
    if (!S_ISREG(status.st_mode))
        return cannot_read(resume, "it is no regular file", ret_error);
    resume->bytes = (uint64_t)status.st_size;
    lines_init(&lines, resume->fd, PROTO_VALUE_BYTES_MAX);
    code = read_lines(resume, resume->bytes, &lines, ret_error);
    lines_fini(&lines);
    if (!code)
        sort_and_count(resume);
    return code;
}

/* --- its jobs */

/* Reads the command of a line, with the newlines that it had. */
static int read_command(struct exec_resume *resume, const struct exec_resume_line *line,
                        struct word *ret_command, struct muster_error *ret_error)
{
    msgpack_sbuffer *command = &resume->command;
    size_t had = 0;
    ssize_t got;

    if (command->alloc < line->size) {
        msgpack_sbuffer_destroy(command);
        msgpack_sbuffer_init(command);
        command->data = malloc(line->size);
        if (!command->data)
            return out_of_memory(ret_error);
        command->alloc = line->size;
    }
    for (; had < line->size; had += (size_t)got) {
        got = TEMP_FAILURE_RETRY(
            pread(resume->fd, command->data + had, line->size - had, (off_t)(line->at + had)));
        if (got <= 0)
            return cannot_read(resume, got < 0 ? strerror(errno) : "it became shorter", ret_error);
    }
    for (size_t i = 0; i < line->size; i++)
        if (command->data[i] == '\0')
            command->data[i] = '\n';
    *ret_command = (struct word){line->size > 0 ? command->data : "", line->size};
    return 0;
}

static bool equal(struct word one, struct word other)
{
    return one.size == other.size && memcmp(one.bytes, other.bytes, one.size) == 0;
}

/* Whether the logged command is this one; where that has {%}, with the number of any worker. */
static bool same_command(struct exec_resume *resume, struct word logged, struct word command)
{
    const char *mark = memmem(command.bytes, command.size, TEMPLATE_SLOT_MARK, strlen(TEMPLATE_SLOT_MARK));
    size_t before = mark ? (size_t)(mark - command.bytes) : command.size;
    unsigned worker = 0;

    if (!mark)
        return equal(logged, command);
    for (size_t i = before; i < logged.size && logged.bytes[i] >= '0' && logged.bytes[i] <= '9'; i++) {
        worker = 10 * worker + (unsigned)(logged.bytes[i] - '0');
        if (worker > PROTO_WORKERS_MAX)
            break;
        if (equal(logged, exec_note_fill(command, worker, &resume->filled)))
            return true;
    }
    return false;
}

static int refuse(const struct exec_resume *resume, const struct exec_resume_line *line, struct word logged,
                  struct word command, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "%s is the job log of another run: by its line %" PRIu64 " job %" PRIu64
                            " is '%.*s', and here it is '%.*s'",
                            resume->path, line->number, line->sequence,
                            logged.size > COMMAND_SHOWN ? COMMAND_SHOWN : (int)logged.size, logged.bytes,
                            command.size > COMMAND_SHOWN ? COMMAND_SHOWN : (int)command.size, command.bytes);
}

bool exec_resume_knows(struct exec_resume *resume, uint64_t sequence)
{
    return resume->next < resume->count && resume->lines[resume->next].sequence == sequence;
}

int exec_resume_done(struct exec_resume *resume, struct word command, bool *ret_done,
                     struct muster_error *ret_error)
{
    struct word logged;
    bool failed;
    size_t end = end_of_job(resume, resume->next, &failed);
    int code;

    for (; resume->next < end; resume->next++) {
        const struct exec_resume_line *line = &resume->lines[resume->next];

        if ((code = read_command(resume, line, &logged, ret_error)) != 0)
            return code;
        if (!same_command(resume, logged, command))
            return refuse(resume, line, logged, command, ret_error);
    }
    *ret_done = resume->mode == EXEC_RESUME || !failed;
    return 0;
}

int exec_resume_next(struct exec_resume *resume, uint64_t *ret_sequence, struct word *ret_command,
                     struct muster_error *ret_error)
{
    bool failed = false;

    while (!failed) {
        if (resume->next == resume->count)
            return MUSTER_EEND;
        resume->next = end_of_job(resume, resume->next, &failed);
    }
    *ret_sequence = resume->lines[resume->next - 1].sequence;
    return read_command(resume, &resume->lines[resume->next - 1], ret_command, ret_error);
}

void exec_resume_fini(struct exec_resume *resume)
{
    if (resume->opened)
        close(resume->fd);
    free(resume->lines);
    msgpack_sbuffer_destroy(&resume->command);
    msgpack_sbuffer_destroy(&resume->filled);
    *resume = (struct exec_resume){.mode = EXEC_RESUME_NONE};
}
