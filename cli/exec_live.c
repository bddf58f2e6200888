/* SPDX-License-Identifier: MIT
 *
 * Lines of commands as they come. See exec_live.h.
 *
 * Whatever is read of a stream, from its pipe or from where it waited, goes through take_bytes, which
 * writes it or lets it wait: one way for --keep-order, for lines longer than memory, and for all others.
 */
#include "cli/exec_live.h"

#include "worker/command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

enum {
    EVENTS_MAX = 64, /* that a pump looks at */
    READS_MAX = 16,  /* of a stream in a pump: a megabyte */
    PIPE_BYTES =
        1 << 20, /* what an unprivileged pipe may hold: a switch of processes for so much, not 64 KiB */
};

/* What a job writes to standard output or standard error. */
struct live_stream {
    struct live_job *job;
    int which;         /* 0 or 1 */
    int fd;            /* of the pipe; -1: it has ended */
    char *held;        /* owned: the beginning of a line, or, while it waits, all behind the file's */
    size_t held_bytes; /* EXEC_LIVE_LINE_BYTES at most */
    struct exec_folder_file file; /* with what waits */
    struct exec_tagger tagger;
};

struct live_job {
    uint64_t number;
    char *label; /* owned; of label_bytes */
    size_t label_bytes, label_had;
    uint64_t bytes; /* that it wrote */
    bool over;      /* it has ended, and who runs it knows */
    struct live_stream streams[2];
    struct live_job *prev, *next;
};

static const char *const names[2] = {"standard output", "standard error"};

/* --- waiting */

static bool is_its_turn(const struct exec_live *live, const struct live_stream *stream)
{
    const struct live_stream *line = live->line[stream->which];

    return live->ordered ? stream->job->number == live->turn : !line || line == stream;
}

/* Adds what waits to its file. */
static int file_held(struct exec_live *live, struct live_stream *stream, struct muster_error *ret_error)
{
    int fd, code;

    if (!stream->file.made)
        stream->file.number = live->files++;
    code = exec_folder_open(live->folder, &stream->file, O_WRONLY | O_APPEND, &fd, ret_error);
    if (code)
        return code;
    code = exec_output_bytes(fd, live->folder->path, stream->held, stream->held_bytes, ret_error);
    close(fd);
    stream->held_bytes = 0;
    return code;
}

/* Lets bytes wait, behind those that do. At most EXEC_LIVE_LINE_BYTES of them. */
static int hold(struct exec_live *live, struct live_stream *stream, const char *bytes, size_t size,
                struct muster_error *ret_error)
{
    char *held;
    int code;

    if (stream->held_bytes + size > EXEC_LIVE_LINE_BYTES && (code = file_held(live, stream, ret_error)) != 0)
        return code;
    if (size == 0)
        return 0;
    held = realloc(stream->held, stream->held_bytes + size);
    if (!held)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    memcpy(held + stream->held_bytes, bytes, size);
    stream->held = held;
    stream->held_bytes += size;
    return 0;
}

/* --- writing */

static int write_piece(struct exec_live *live, struct live_stream *stream, const char *bytes, size_t size,
                       struct muster_error *ret_error)
{
    if (live->on_terminal[stream->which])
        progress_hide(live->progress);
    return exec_output_piece(stream->which == 0 ? STDOUT_FILENO : STDERR_FILENO, names[stream->which],
                             &stream->tagger, bytes, size, ret_error);
}

static void set_line(struct exec_live *live, struct live_stream *stream, bool unfinished)
{
    struct live_stream **line = &live->line[stream->which];

    if (unfinished) {
        *line = stream;
    } else if (*line == stream) {
        *line = NULL;
        live->resumes = true;
    }
}

/* Writes whole lines, and holds the beginning of one unless it is too long, or has been written in part. */
static int write_lines(struct exec_live *live, struct live_stream *stream, const char *bytes, size_t size,
                       struct muster_error *ret_error)
{
    const char *newline = memrchr(bytes, '\n', size);
    size_t lines = newline ? (size_t)(newline - bytes) + 1 : 0;
    bool through = size - lines >= EXEC_LIVE_LINE_BYTES || (!newline && live->line[stream->which] == stream);
    int code = 0;

    if (through)
        lines = size;
    if (lines > 0 && (code = write_piece(live, stream, bytes, lines, ret_error)) == 0)
        set_line(live, stream, through);
    stream->held_bytes = 0;
    return code ? code : hold(live, stream, bytes + lines, size - lines, ret_error);
}

/* `size` bytes have been read, to where take_bytes looks for them. */
static char *block_for_read(struct exec_live *live)
{
    return live->block + EXEC_LIVE_LINE_BYTES;
}

static int take_bytes(struct exec_live *live, struct live_stream *stream, size_t size,
                      struct muster_error *ret_error)
{
    char *bytes = block_for_read(live);

    if (!is_its_turn(live, stream) || stream->file.made)
        return hold(live, stream, bytes, size, ret_error);
    bytes -= stream->held_bytes;
    if (stream->held_bytes > 0)
        memcpy(bytes, stream->held, stream->held_bytes);
    return write_lines(live, stream, bytes, stream->held_bytes + size, ret_error);
}

/* --- reading */

/* The label comes before all else; the rest is moved to its place. Returns what is left. */
static size_t take_label(struct live_job *job, char *bytes, size_t size)
{
    size_t part = job->label_bytes - job->label_had;

    part = part < size ? part : size;
    if (part > 0)
        memcpy(job->label + job->label_had, bytes, part);
    job->label_had += part;
    memmove(bytes, bytes + part, size - part);
    return size - part;
}

/* A last line without a newline. */
static int write_rest(struct exec_live *live, struct live_stream *stream, struct muster_error *ret_error)
{
    int code = 0;

    if (stream->held_bytes > 0)
        code = write_piece(live, stream, stream->held, stream->held_bytes, ret_error);
    stream->held_bytes = 0;
    set_line(live, stream, false);
    return code;
}

/* It has ended, or is looked at no longer. */
static int end_stream(struct exec_live *live, struct live_stream *stream, struct muster_error *ret_error)
{
    int code = 0;

    epoll_ctl(live->fd, EPOLL_CTL_DEL, stream->fd, NULL);
    close(stream->fd);
    stream->fd = -1;
    if (is_its_turn(live, stream) && !stream->file.made)
        code = write_rest(live, stream, ret_error);
    return code;
}

/* Reads at most `most` bytes; *ret_got is 0 when there are none. */
static int read_stream(struct exec_live *live, struct live_stream *stream, size_t most, size_t *ret_got,
                       struct muster_error *ret_error)
{
    struct live_job *job = stream->job;
    char *bytes = block_for_read(live);
    ssize_t got;

    *ret_got = 0;
    if (most > EXEC_LIVE_LINE_BYTES)
        most = EXEC_LIVE_LINE_BYTES;
    got = TEMP_FAILURE_RETRY(read(stream->fd, bytes, most));
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        return end_stream(live, stream, ret_error);
    *ret_got = (size_t)got;
    if (stream->which == 0 && job->label_had < job->label_bytes)
        got = (ssize_t)take_label(job, bytes, (size_t)got);
    job->bytes += (uint64_t)got;
    return got > 0 ? take_bytes(live, stream, (size_t)got, ret_error) : 0;
}

/* What standard error has is behind a label, too, which has been written before. */
static int read_label(struct exec_live *live, struct live_job *job, struct muster_error *ret_error)
{
    size_t got = 1;
    int code = 0;

    while (!code && got > 0 && job->label_had < job->label_bytes && job->streams[0].fd >= 0)
        code = read_stream(live, &job->streams[0], job->label_bytes - job->label_had, &got, ret_error);
    return code;
}

/* A bounded amount of what there is. */
static int read_some(struct exec_live *live, struct live_stream *stream, struct muster_error *ret_error)
{
    size_t got = EXEC_LIVE_LINE_BYTES;
    int code = read_label(live, stream->job, ret_error);

    for (int i = 0; i < READS_MAX && got == EXEC_LIVE_LINE_BYTES && stream->fd >= 0 && !code; i++)
        code = read_stream(live, stream, EXEC_LIVE_LINE_BYTES, &got, ret_error);
    return code;
}

/* What is in the pipe now, and no more: somebody may write without end. */
static int drain_stream(struct exec_live *live, struct live_stream *stream, struct muster_error *ret_error)
{
    int left = 0, code = 0;
    size_t got = 1;

    if (ioctl(stream->fd, FIONREAD, &left) != 0)
        left = 0;
    while (!code && left > 0 && got > 0 && stream->fd >= 0) {
        code = read_stream(live, stream, (size_t)left, &got, ret_error);
        left -= (int)got;
    }
    return code || stream->fd < 0 ? code : end_stream(live, stream, ret_error);
}

static int drain_job(struct exec_live *live, struct live_job *job, struct muster_error *ret_error)
{
    int code = 0;

    for (int i = 0; i < 2 && !code; i++)
        if (job->streams[i].fd >= 0)
            code = drain_stream(live, &job->streams[i], ret_error);
    return code;
}

/* --- jobs */

static void destroy_job(struct exec_live *live, struct live_job *job)
{
    for (int i = 0; i < 2; i++) {
        struct live_stream *stream = &job->streams[i];

        if (stream->fd >= 0)
            close(stream->fd);
        exec_folder_unlink(live->folder, &stream->file);
        free(stream->held);
        msgpack_sbuffer_destroy(&stream->tagger.lines);
        if (live->line[i] == stream)
            live->line[i] = NULL;
    }
    free(job->label);
    free(job);
}

static int watch(struct exec_live *live, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

    return epoll_ctl(live->fd, EPOLL_CTL_ADD, fd, &event);
}

/* Puts it behind all that began before, or, ordered, among them: many may wait for their turn, and none of
 * them is looked at before it is. */
static void insert_job(struct exec_live *live, struct live_job *job)
{
    struct live_job *before = live->jobs ? live->jobs->prev : NULL; /* the last one */

    while (live->ordered && before && before->number > job->number)
        before = before == live->jobs ? NULL : before->prev;
    DL_APPEND_ELEM(live->jobs, before, job);
}

/* Another attempt of a job that is known: what the one before wrote comes first. */
static int end_attempts(struct exec_live *live, struct live_job *latest, struct muster_error *ret_error)
{
    int code = 0;

    for (struct live_job *job = latest; job != live->jobs && !code;) {
        job = job->prev;
        if (job->number == latest->number)
            code = drain_job(live, job, ret_error);
        else if (live->ordered)
            break;
    }
    return code;
}

/* Takes the descriptors. */
static int add_job(struct exec_live *live, const struct command_live *told, const int fds[2],
                   struct muster_error *ret_error)
{
    struct live_job *job = calloc(1, sizeof *job);
    char *label = malloc(told->label_bytes + 1);

    if (!job || !label) {
        free(job);
        free(label);
        close(fds[0]);
        close(fds[1]);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    *job = (struct live_job){.number = told->number, .label = label, .label_bytes = told->label_bytes};
    insert_job(live, job);
    for (int i = 0; i < 2; i++) {
        job->streams[i] = (struct live_stream){.job = job, .which = i, .fd = fds[i]};
        if (live->tagged)
            job->streams[i].tagger.tag = (struct word){label, told->label_bytes};
    }
    fcntl(fds[0], F_SETPIPE_SZ,
          PIPE_BYTES); /* it may be refused: what all of a user's pipes hold is limited */
    for (int i = 0; i < 2; i++)
        if (fcntl(fds[i], F_SETFL, O_NONBLOCK) != 0 || watch(live, fds[i], &job->streams[i]) != 0)
            return muster_error_system(ret_error, errno, "cannot look at the output of a job");
    return end_attempts(live, job, ret_error);
}

/* The descriptors that came with a message, -1 for those that did not. */
static void read_rights(struct msghdr *message, int ret_fds[2])
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    size_t count = 0;

    ret_fds[0] = ret_fds[1] = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof *ret_fds;
    if (count > 0)
        memcpy(ret_fds, CMSG_DATA(header), (count < 2 ? count : 2) * sizeof *ret_fds);
}

/* Takes the next job that has begun. 0; MUSTER_EAGAIN when there is none; or an error. */
static int take_job(struct exec_live *live, struct muster_error *ret_error)
{
    struct command_live told = {0};
    struct iovec data = {.iov_base = &told, .iov_len = sizeof told};
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t size = TEMP_FAILURE_RETRY(recvmsg(live->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    int fds[2];

    if (size < 0)
        return errno == EAGAIN ? MUSTER_EAGAIN
                               : muster_error_system(ret_error, errno, "cannot take the output of jobs");
    read_rights(&message, fds);
    if (size == sizeof told && fds[0] >= 0 && fds[1] >= 0 && told.label_bytes <= COMMAND_LABEL_MAX)
        return add_job(live, &told, fds, ret_error);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (message.msg_flags & MSG_CTRUNC)
        return muster_error_system(ret_error, EMFILE, "cannot take the output of a job");
    return muster_error_set(ret_error, MUSTER_EPROTOCOL, "what a worker says of its job is not understood");
}

static int take_jobs(struct exec_live *live, struct muster_error *ret_error)
{
    int code;

    do
        code = take_job(live, ret_error);
    while (code == 0);
    return code == MUSTER_EAGAIN ? 0 : code;
}

/* What waited is read again, now that it may be written. */
static int resume_stream(struct exec_live *live, struct live_stream *stream, struct muster_error *ret_error)
{
    char *held = stream->held;
    size_t held_bytes = stream->held_bytes;
    int from = -1, code = 0;
    ssize_t got;

    if (stream->file.made &&
        (code = exec_folder_open(live->folder, &stream->file, O_RDONLY, &from, ret_error)) != 0)
        return code;
    exec_folder_unlink(live->folder, &stream->file);
    stream->held = NULL;
    stream->held_bytes = 0;
    while (from >= 0 && !code && (got = read(from, block_for_read(live), EXEC_LIVE_LINE_BYTES)) != 0) {
        if (got > 0)
            code = take_bytes(live, stream, (size_t)got, ret_error);
        else if (errno != EINTR)
            code = muster_error_system(ret_error, errno, "cannot read output in %s", live->folder->path);
    }
    if (from >= 0)
        close(from);
    if (!code && held_bytes > 0) {
        memcpy(block_for_read(live), held, held_bytes);
        code = take_bytes(live, stream, held_bytes, ret_error);
    }
    free(held);
    return code || stream->fd >= 0 ? code : write_rest(live, stream, ret_error);
}

static bool is_written(const struct live_stream *stream)
{
    return stream->held_bytes == 0 && !stream->file.made;
}

static bool is_done(const struct live_stream *stream)
{
    return stream->fd < 0 && is_written(stream);
}

/* Writes what may be written since somebody else is done, and lets go of jobs that are. */
static int settle(struct exec_live *live, struct muster_error *ret_error)
{
    struct live_job *job, *next;
    int code = 0;

    while (live->resumes && !code) {
        live->resumes = false;
        DL_FOREACH_SAFE(live->jobs, job, next) {
            if (live->ordered && job->number > live->turn)
                break;
            for (int i = 0; i < 2 && !code; i++)
                if (is_its_turn(live, &job->streams[i]) && !is_written(&job->streams[i]))
                    code = resume_stream(live, &job->streams[i], ret_error);
            if (job->over && is_done(&job->streams[0]) && is_done(&job->streams[1])) {
                DL_DELETE(live->jobs, job);
                destroy_job(live, job);
            }
        }
    }
    return code;
}

/* --- the whole */

int exec_live_open(struct exec_live *live, bool ordered, bool tagged, const struct exec_folder *folder,
                   struct progress *progress, struct muster_error *ret_error)
{
    int pair[2] = {-1, -1};

    *live = (struct exec_live){.fd = epoll_create1(EPOLL_CLOEXEC),
                               .ordered = ordered,
                               .tagged = tagged,
                               .folder = folder,
                               .progress = progress,
                               .on_terminal = {isatty(STDOUT_FILENO), isatty(STDERR_FILENO)},
                               .turn = 1,
                               .block = malloc(2 * (size_t)EXEC_LIVE_LINE_BYTES)};
    if (live->fd >= 0 && live->block && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0 &&
        fcntl(pair[0], F_SETFD, FD_CLOEXEC) == 0 && watch(live, pair[0], NULL) == 0) {
        live->socket = pair[0];
        live->worker_fd = pair[1];
        return 0;
    }
    muster_error_system(ret_error, errno, "cannot be told of the output of jobs");
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
    if (live->fd >= 0)
        close(live->fd);
    free(live->block);
    live->fd = -1;
    return ret_error->code;
}

int exec_live_pump(struct exec_live *live, struct muster_error *ret_error)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(live->fd, events, EVENTS_MAX, 0), code = 0;

    for (int i = 0; i < count && !code; i++) {
        struct live_stream *stream = events[i].data.ptr;

        if (!stream)
            code = take_jobs(live, ret_error);
        else if (stream->fd >= 0)
            code = read_some(live, stream, ret_error);
    }
    return code ? code : settle(live, ret_error);
}

int exec_live_end(struct exec_live *live, uint64_t number, uint64_t *ret_bytes,
                  struct muster_error *ret_error)
{
    struct live_job *job;
    uint64_t bytes = 0;
    int code = take_jobs(live, ret_error);

    if (!code && live->ordered && number != live->turn) { /* those between were cancelled */
        live->turn = number;
        live->resumes = true;
        code = settle(live, ret_error);
    }
    DL_FOREACH(live->jobs, job) {
        if (live->ordered && job->number > number)
            break;
        if (job->number == number && !code) {
            code = drain_job(live, job, ret_error);
            job->over = true;
            bytes += job->bytes;
        }
    }
    *ret_bytes = bytes;
    live->turn = number + 1;
    live->resumes = true;
    return code ? code : settle(live, ret_error);
}

int exec_live_finish(struct exec_live *live, struct muster_error *ret_error)
{
    struct live_job *job;
    int code = take_jobs(live, ret_error);

    DL_FOREACH(live->jobs, job)
        if (!code)
            code = drain_job(live, job, ret_error);
    return code ? code : settle(live, ret_error);
}

void exec_live_close(struct exec_live *live)
{
    struct live_job *job, *next;

    if (live->fd < 0)
        return;
    DL_FOREACH_SAFE(live->jobs, job, next) {
        DL_DELETE(live->jobs, job);
        destroy_job(live, job);
    }
    close(live->socket);
    close(live->worker_fd);
    close(live->fd);
    free(live->block);
    live->fd = -1;
}
