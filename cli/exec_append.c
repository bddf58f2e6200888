/* SPDX-License-Identifier: MIT
 *
 * Records at the end of a file. See exec_append.h.
 */
#include "cli/exec_append.h"

#include "cli/exec_output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const struct exec_append *append, int code, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, code, "cannot write %s %s: %s", append->what, append->path,
                            strerror(errno));
}

/* Bytes that stand for what is locked; no lock of flock(1) is in the way of these. */
enum { PRESENCE, BEGINNING }; /* who has the file open; who makes it ready */

static int lock(int fd, int command, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return TEMP_FAILURE_RETRY(fcntl(fd, command, &lock));
}

/* Whether another run has a file so that this one cannot have it, too. */
static bool is_taken(int fd, bool alone)
{
    return lock(fd, F_OFD_SETLK, alone ? F_WRLCK : F_RDLCK, PRESENCE) != 0 &&
           (errno == EAGAIN || errno == EACCES);
}

/* Whether nobody else has it open. */
static bool is_alone(const struct exec_append *append)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = PRESENCE, .l_len = 1};

    return append->alone || fcntl(append->fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK;
}

int exec_append_open(struct exec_append *append, const char *what, const char *path, bool alone,
                     struct muster_error *ret_error)
{
    uint64_t bytes;

    *append = (struct exec_append){.what = what, .path = path, .fd = STDOUT_FILENO, .alone = alone};
    if (!path) {
        append->path = "standard output";
        return 0;
    }
    append->fd = open(path, (alone ? O_WRONLY : O_RDWR) | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    if (append->fd < 0)
        return fail(append, MUSTER_ESYSTEM, ret_error);
    if (!exec_append_regular(append, &bytes))
        return 0;
    lock(append->fd, F_OFD_SETLKW, F_WRLCK, BEGINNING);
    if (!is_taken(append->fd, alone))
        return 0;
    exec_append_close(append);
    return muster_error_set(ret_error, MUSTER_EINVALID, "cannot write %s %s: another run is writing it", what,
                            path);
}

bool exec_append_regular(const struct exec_append *append, uint64_t *ret_bytes)
{
    struct stat status;

    if (append->fd == STDOUT_FILENO || fstat(append->fd, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    *ret_bytes = (uint64_t)status.st_size;
    return true;
}

/* Leaves so many bytes of a regular file; of any other nothing is taken. */
static int cut(struct exec_append *append, uint64_t bytes, struct muster_error *ret_error)
{
    uint64_t had;

    if (exec_append_regular(append, &had) && had > bytes && ftruncate(append->fd, (off_t)bytes) != 0)
        return fail(append, MUSTER_ESYSTEM, ret_error);
    return 0;
}

/* So much was written of the record, which another run's may now stand in the middle of. */
static void add_piece(struct exec_append *append, uint64_t bytes)
{
    uint64_t end = (uint64_t)lseek(append->fd, 0, SEEK_CUR);

    append->open_bytes = bytes + (end - bytes == append->open_end ? append->open_bytes : 0);
    append->open_end = end;
}

/* Takes the record away, as far as nothing was written behind it. */
static void undo(struct exec_append *append)
{
    uint64_t had;

    if (append->open_bytes > 0 && exec_append_regular(append, &had) && had == append->open_end)
        cut(append, had - append->open_bytes, &(struct muster_error){.code = 0});
    append->open_bytes = 0;
}

int exec_append_write(struct exec_append *append, const char *bytes, size_t size,
                      struct muster_error *ret_error)
{
    int code;

    while (size > 0) {
        ssize_t wrote = write(append->fd, bytes, size);

        if (wrote < 0 && !exec_output_again(append->fd)) {
            code = fail(append, MUSTER_EOUTPUT, ret_error);
            undo(append);
            return code;
        }
        if (wrote > 0) {
            bytes += wrote;
            size -= (size_t)wrote;
            add_piece(append, (uint64_t)wrote);
        }
    }
    return 0;
}

int exec_append_begin(struct exec_append *append, uint64_t had, uint64_t keep, const char *heading,
                      struct muster_error *ret_error)
{
    uint64_t bytes = keep;
    bool regular = exec_append_regular(append, &bytes);
    bool as_read = !regular || had == EXEC_APPEND_ANY || bytes == had;
    int code = 0;

    if (append->alone && !as_read)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "cannot write %s %s: another run has just written it", append->what,
                                append->path);
    if (as_read && (!regular || is_alone(append))) {
        code = cut(append, keep, ret_error);
        bytes = keep;
    }
    if (!code && bytes == 0 && heading)
        code = exec_append_write(append, heading, strlen(heading), ret_error);
    exec_append_end(append);
    if (regular)
        lock(append->fd, F_OFD_SETLK, F_UNLCK, BEGINNING);
    return code;
}

void exec_append_end(struct exec_append *append)
{
    append->open_bytes = 0;
}

void exec_append_close(struct exec_append *append)
{
    if (append->fd > STDERR_FILENO)
        close(append->fd);
    append->fd = -1;
}
