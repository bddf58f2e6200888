/* SPDX-License-Identifier: MIT
 *
 * Reads what became of a command. See exec_result.h.
 */
#include "cli/exec_result.h"

#include "cli/verbs.h"
#include "worker/command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a time since 1970: the year 33658. */
static const double START_S_MAX = 1e12;

static int read_count(const msgpack_object *item, uint64_t *ret_count)
{
    if (item->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return MUSTER_EPROTOCOL;
    *ret_count = item->via.u64;
    return 0;
}

static int read_start(const msgpack_object *item, double *ret_start_s)
{
    if (item->type != MSGPACK_OBJECT_FLOAT64 || !(item->via.f64 >= 0 && item->via.f64 <= START_S_MAX))
        return MUSTER_EPROTOCOL;
    *ret_start_s = item->via.f64;
    return 0;
}

static int read_int(const msgpack_object *item, int *ret_number)
{
    if (item->type != MSGPACK_OBJECT_POSITIVE_INTEGER && item->type != MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return MUSTER_EPROTOCOL;
    if (item->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? item->via.u64 > 255 : item->via.i64 < -1)
        return MUSTER_EPROTOCOL;
    *ret_number = (int)item->via.i64;
    return 0;
}

static int read_written(const msgpack_object *item, struct exec_written *ret_written)
{
    *ret_written = (struct exec_written){.fd = -1};
    if (item->type == MSGPACK_OBJECT_BIN) {
        ret_written->bytes = item->via.bin.size > 0 ? item->via.bin.ptr : "";
        ret_written->size = item->via.bin.size;
        return 0;
    }
    if (item->type != MSGPACK_OBJECT_STR || item->via.str.size >= sizeof ret_written->path ||
        memchr(item->via.str.ptr, '\0', item->via.str.size))
        return MUSTER_EPROTOCOL;
    memcpy(ret_written->path, item->via.str.ptr, item->via.str.size);
    ret_written->path[item->via.str.size] = '\0';
    return 0;
}

/* Whether a file is not found for what jobs may have done there. */
static bool is_gone(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

/* Opens its file, if it is in one; it must not wait for who writes to a pipe. 0, or an errno. */
static int open_written(struct exec_written *written)
{
    struct stat status;

    if (written->bytes)
        return 0;
    written->fd = open(written->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (written->fd < 0)
        return is_gone(errno) && !written->lent ? ESTALE : errno;
    if (fstat(written->fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1) {
        close(written->fd);
        return ESTALE;
    }
    written->size = (size_t)status.st_size;
    return 0;
}

bool exec_result_is_spoiled(const struct exec_result *result)
{
    return result->lost == ESTALE || result->lost == EACCES || is_gone(result->lost);
}

static void open_all(struct exec_result *result)
{
    struct exec_written *const all[2] = {&result->out, &result->err};

    for (int i = 0; i < 2; i++) {
        int error = open_written(all[i]);

        if (error) {
            result->lost = error;
            all[i]->bytes = "";
        }
    }
}

/* Whether what was written is in a file of the folder. */
static bool is_in(const struct exec_written *written, const char *folder)
{
    const char *slash = strrchr(written->path, '/');
    size_t size = strlen(folder);

    return slash && size == (size_t)(slash - written->path) && memcmp(written->path, folder, size) == 0;
}

static bool is_own(const struct exec_written *written, const struct exec_folder *own)
{
    return !own || written->bytes || !written->path[0] || is_in(written, own->path) ||
           is_in(written, own->parent);
}

int exec_result_read(const msgpack_object *value, const struct exec_folder *own,
                     struct exec_result *ret_result)
{
    const msgpack_object *items = value->via.array.ptr;
    struct exec_result result;
    uint64_t flags, layers = 0; /* which older stores do not have */

    if (value->type != MSGPACK_OBJECT_ARRAY ||
        (value->via.array.size != COMMAND_PLACES && value->via.array.size != COMMAND_SANDBOX))
        return MUSTER_EPROTOCOL;
    if (read_start(&items[COMMAND_START], &result.start_s) || read_int(&items[COMMAND_EXIT], &result.exit) ||
        read_int(&items[COMMAND_SIGNAL], &result.signal) ||
        read_count(&items[COMMAND_WALL], &result.wall_ns) ||
        read_count(&items[COMMAND_USER], &result.user_us) ||
        read_count(&items[COMMAND_SYSTEM], &result.system_us) ||
        read_count(&items[COMMAND_MEMORY], &result.memory_kib) || read_count(&items[COMMAND_FLAGS], &flags) ||
        read_written(&items[COMMAND_OUT], &result.out) || read_written(&items[COMMAND_ERR], &result.err) ||
        (value->via.array.size > COMMAND_SANDBOX && read_count(&items[COMMAND_SANDBOX], &layers)) ||
        !is_own(&result.out, own) || !is_own(&result.err, own))
        return MUSTER_EPROTOCOL;
    result.sent_bytes = 0;
    result.live_bytes = 0;
    result.timed_out = flags & COMMAND_TIMED_OUT;
    result.flags = (unsigned)flags;
    result.layers = (unsigned)layers;
    result.out.lent = result.err.lent = !own || (flags & COMMAND_SPOOLED);
    result.lost = 0;
    open_all(&result);
    *ret_result = result;
    return 0;
}

int exec_result_status(const struct exec_result *result)
{
    if (result->signal)
        return 128 + result->signal;
    return result->exit == 0 && (result->lost || (result->flags & COMMAND_NO_ROOM)) ? STATUS_ERROR
                                                                                    : result->exit;
}

int exec_result_logged(const struct exec_result *result)
{
    if (result->timed_out)
        return -1;
    return result->signal ? 0 : exec_result_status(result);
}

static void discard(const struct exec_written *written)
{
    if (!written->bytes)
        close(written->fd);
    if (written->path[0] && !written->lent)
        unlink(written->path);
}

void exec_result_discard(const struct exec_result *result)
{
    discard(&result->out);
    discard(&result->err);
}
