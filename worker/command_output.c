/* SPDX-License-Identifier: MIT
 *
 * What commands write: a file without a name for each, which nobody uses again: its command may have given
 * it a name, or have handed it on, and could write or read there what is another's. Only one that is given
 * away gets a name from here. See command_internal.h.
 *
 * Files, not pipes: nobody has to read while the command runs, output of any size is in order, and
 * what a daemon writes later is not in the way of anybody.
 */
#include "proto/spool.h"
#include "worker/command_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

enum {
    NAME_TRIES = 1000, /* names that are taken already are passed over; so many in a row are no accident */
    ROOM_LOOKS = 2000, /* for room, ROOM_LOOK_S apart: 10 s */
    APART_TRIES = 100, /* a job that removes each folder as it comes wins some of them */
};

static const double ROOM_LOOK_S = 0.005;

int command_above_standard(int fd)
{
    int above, error;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    error = errno;
    close(fd);
    errno = error;
    return above;
}

/* Another worker may have made it. Where it cannot be had, for want of room most likely, names are in the
 * folder that is there. */
static void make_own(struct command_output *output)
{
    struct stat status;

    if (!output->own[0] || mkdir(output->own, 0700) == 0)
        return;
    if (errno != EEXIST || lstat(output->own, &status) != 0 || !S_ISDIR(status.st_mode) ||
        status.st_uid != geteuid())
        output->own[0] = '\0';
}

/* Where what has a name is. */
static const char *place_of_names(const struct command_output *output)
{
    return output->own[0] ? output->own : output->folder;
}

/* Takes its name from it, if it has one. */
static void drop_name(struct command_output *output)
{
    if (output->name[0])
        unlinkat(output->name_fd < 0 ? AT_FDCWD : output->name_fd, output->name, 0);
    if (output->name_fd >= 0)
        close(output->name_fd);
    output->name[0] = '\0';
    output->name_fd = -1;
}

/* Where there are no files without names, it has one from the start. -1: errno says why not. */
static int make_named(struct command_output *output, const char *folder)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof path, "%s/muster-XXXXXX", folder) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_APPEND | O_CLOEXEC);
    if (fd >= 0)
        strcpy(output->name, path);
    return fd;
}

/* Likewise, apart: the folder may be closed before the name is taken from it. */
static int make_named_apart(struct command_output *output)
{
    char folder[32];
    int fd;

    output->name_fd = fcntl(output->apart_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (output->name_fd < 0)
        return -1;
    snprintf(folder, sizeof folder, "/proc/self/fd/%d", output->name_fd);
    fd = make_named(output, folder);
    if (fd >= 0) {
        const char *name = output->name + strlen(folder) + 1;

        memmove(output->name, name, strlen(name) + 1);
    }
    return fd;
}

const char *command_spool(void)
{
    const char *folder = getenv(PROTO_SPOOL_VARIABLE);

    return folder && *folder ? folder : NULL;
}

/* 0, or an errno. */
static int make_file(struct command_output *output)
{
    const char *folder = output->folder;
    char apart[32];
    int error;

    output->name_fd = -1;
    if (output->apart_fd >= 0) { /* whatever has its name by now */
        snprintf(apart, sizeof apart, "/proc/self/fd/%d", output->apart_fd);
        folder = apart;
    }
    output->fd = open(folder, O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    if (output->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        if (output->apart_fd < 0)
            make_own(output);
        output->fd =
            output->apart_fd < 0 ? make_named(output, place_of_names(output)) : make_named_apart(output);
    }
    output->fd = command_above_standard(output->fd);
    error = output->fd < 0 ? errno : 0;
    if (error)
        drop_name(output);
    return error;
}

/* Both, and in one folder if they are apart. 0, or an errno, with none. */
static int make_both(struct command_output outputs[2], const struct command_spec *spec, uint64_t batch)
{
    struct command_apart apart = {.fd = -1};
    const char *own = spec->files_in ? spec->files_in : "";
    int error = 0;

    if (strlen(spec->tmpdir) >= sizeof outputs->folder || strlen(own) >= sizeof outputs->own)
        return ENAMETOOLONG;
    if (spec->sandbox)
        error = command_apart_open(spec->tmpdir_fd, spec->tmpdir, own, &apart);
    for (int i = 0; i < 2 && error == 0; i++) {
        struct command_output *output = &outputs[i];

        command_output_close(output);
        output->batch = batch;
        output->root_fd = spec->tmpdir_fd;
        output->apart_fd = apart.fd;
        strcpy(output->folder, spec->tmpdir);
        strcpy(output->own, own);
        error = make_file(output);
        output->made = error == 0;
    }
    for (int i = 0; i < 2 && error; i++)
        command_output_close(&outputs[i]);
    return error;
}

/* Whether a job may have removed a folder that was there a moment ago (ext4 says EPERM then), or closed it.
 */
static bool is_spoiled(int error)
{
    return error == ENOENT || error == EPERM || error == ESTALE || error == EACCES;
}

/* The same, whatever jobs do to their folder. */
static int make_both_again(struct command_output outputs[2], const struct command_spec *spec, uint64_t batch)
{
    int error = make_both(outputs, spec, batch);

    for (int i = 0; i < APART_TRIES && spec->sandbox && is_spoiled(error); i++) {
        command_apart_close();
        error = make_both(outputs, spec, batch);
    }
    return error;
}

static bool is_full(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

int command_outputs_open(muster_call *call, struct command_output outputs[2], const struct command_spec *spec,
                         uint64_t batch, bool *ret_cut)
{
    int error = make_both_again(outputs, spec, batch);

    for (int i = 0; i < ROOM_LOOKS && spec->sandbox && is_full(error); i++) {
        if ((*ret_cut = command_pace_is_cut()))
            return 0;
        if (muster_call_sleep(call, ROOM_LOOK_S) != 0)
            return MUSTER_ECANCELLED;
        error = make_both_again(outputs, spec, batch);
    }
    if (error)
        return muster_call_fail(call, "command: cannot make a file for output in %s: %s", spec->tmpdir,
                                strerror(error));
    return 0;
}

void command_output_close(struct command_output *output)
{
    if (!output->made)
        return;
    drop_name(output);
    close(output->fd);
    output->made = false;
}

/* Whether its file system has a block left. */
static bool has_room(const struct command_output *output)
{
    struct statfs system;

    return fstatfs(output->fd, &system) != 0 || system.f_blocks == 0 ||
           (geteuid() == 0 ? system.f_bfree : system.f_bavail) > 0;
}

int command_output_await_room(muster_call *call, struct command_output *output)
{
    for (int i = 0; i < ROOM_LOOKS && output->given[0] && !has_room(output) && !command_pace_is_cut(); i++) {
        if (access(output->given, F_OK) != 0)
            output->given[0] = '\0';
        else if (muster_call_sleep(call, ROOM_LOOK_S) != 0)
            return MUSTER_ECANCELLED;
    }
    return 0;
}

bool command_output_is_cut(const struct command_output *output, bool failed)
{
    struct stat file;

    return fstat(output->fd, &file) == 0 && file.st_size % file.st_blksize == 0 &&
           (file.st_size > 0 || failed) && !has_room(output);
}

/* Gives a file its name in a folder with this path. By its descriptor: what has the name that it had from the
 * start may be a job's link by now. 0, or an errno. */
static int name_file(struct command_output *output, int folder_fd, const char *folder)
{
    static unsigned long long count;
    char file[64], path[PATH_MAX];
    int bytes = snprintf(path, sizeof path, "%s/", folder);

    snprintf(file, sizeof file, "/proc/self/fd/%d", output->fd);
    for (int i = 0; i < NAME_TRIES; i++) {
        if (snprintf(path + bytes, sizeof path - (size_t)bytes, "muster-%d-%llu", (int)getpid(), count++) >=
            (int)sizeof path - bytes) {
            errno = ENAMETOOLONG;
        } else if (linkat(AT_FDCWD, file, folder_fd, path + bytes, AT_SYMLINK_FOLLOW) == 0) {
            drop_name(output);
            strcpy(output->name, path);
            return 0;
        }
        if (errno != EEXIST)
            break;
    }
    return errno;
}

/* Likewise, in one that is named by its path. `synced`: the name is on disk. */
static int name_file_in(struct command_output *output, const char *folder, bool synced)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;

    if (fd < 0)
        return errno;
    error = name_file(output, fd, folder);
    if (error == 0 && synced && fsync(fd) != 0)
        error = errno;
    close(fd);
    return error;
}

/* 0, or an errno. */
static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd >= 0 && fsync(fd) == 0 ? 0 : errno;

    if (fd >= 0)
        close(fd);
    return error;
}

/* Leaves the file in its batch's folder, where it is on disk before anybody is told. 0, or an errno. */
static int spool(struct command_output *output)
{
    char folder[PATH_MAX];
    int error;

    if (snprintf(folder, sizeof folder, "%s/%" PRIu64, output->folder, output->batch) >= (int)sizeof folder)
        return ENAMETOOLONG;
    if (fsync(output->fd) != 0)
        return errno;
    if (mkdir(folder, 0700) == 0)
        error = sync_folder(output->folder);
    else
        error = errno == EEXIST ? 0 : errno;
    return error == 0 ? name_file_in(output, folder, true) : error;
}

/* Whether it has a name still, if it had one. */
static bool is_linked(const struct command_output *output)
{
    struct stat status;

    return !output->name[0] || (fstat(output->fd, &status) == 0 && status.st_nlink > 0);
}

/* Leaves it where confined commands have theirs named, in folders that are made again should a job have
 * removed them. 0, or an errno. */
static int name_apart(struct command_output *output)
{
    int error = ENOENT;

    /* Of a link, EPERM is the word of a file system that has none. */
    for (int i = 0; i < APART_TRIES && is_spoiled(error) && error != EPERM && is_linked(output); i++) {
        struct command_apart apart;

        if (i > 0)
            command_apart_close();
        error = command_apart_open(output->root_fd, output->folder, output->own, &apart);
        if (error == 0)
            error = name_file(output, apart.names_fd, apart.in_own ? output->own : output->folder);
    }
    return error;
}

static int settle(struct command_output *output)
{
    if (output->batch)
        return spool(output);
    if (output->apart_fd >= 0)
        return name_apart(output);
    if (output->name[0])
        return 0;
    make_own(output);
    return name_file_in(output, place_of_names(output), false);
}

/* The file becomes the taker's, or its batch's, under its name. */
static int give_away(muster_call *call, struct command_output *output, msgpack_object *ret_value)
{
    int error = settle(output);
    size_t size = strlen(output->name);
    char *path;

    if (error)
        return muster_call_fail(call, "cannot name a file with output in %s: %s", place_of_names(output),
                                strerror(error));
    path = msgpack_zone_malloc(call->zone, size + 1);
    if (!path)
        return muster_call_fail(call, "out of memory");
    memcpy(path, output->name, size + 1);
    output->given[0] = '\0';
    if (!output->batch)
        memcpy(output->given, path, size + 1);
    output->name[0] = '\0';
    command_output_close(output);
    ret_value->type = MSGPACK_OBJECT_STR;
    ret_value->via.str.ptr = path;
    ret_value->via.str.size = (uint32_t)size;
    return 0;
}

/* Reads `size` bytes, fewer only if the file became shorter. Negative when it cannot be read. */
static ssize_t read_all(int fd, char *bytes, size_t size)
{
    size_t had = 0;

    while (had < size) {
        ssize_t more = TEMP_FAILURE_RETRY(pread(fd, bytes + had, size - had, (off_t)had));

        if (more < 0)
            return -1;
        if (more == 0)
            break;
        had += (size_t)more;
    }
    return (ssize_t)had;
}

int command_output_take(muster_call *call, struct command_output *output, uint64_t spill_bytes,
                        msgpack_object *ret_value)
{
    struct stat status;
    char *bytes = NULL;
    ssize_t had = 0;

    /* How it is written is the program's to change (O_DIRECT), and it would be read so. */
    if (fcntl(output->fd, F_SETFL, O_APPEND) != 0 || fstat(output->fd, &status) != 0)
        return muster_call_fail(call, "cannot look at output: %s", strerror(errno));
    if ((uint64_t)status.st_size > spill_bytes || status.st_size > UINT32_MAX)
        return give_away(call, output, ret_value);
    if (status.st_size > 0) {
        bytes = muster_call_alloc(call, (size_t)status.st_size);
        if (!bytes)
            return muster_call_fail(call, "out of memory for %lld bytes of output",
                                    (long long)status.st_size);
        had = read_all(output->fd, bytes, (size_t)status.st_size);
        if (had < 0)
            return muster_call_fail(call, "cannot read output: %s", strerror(errno));
    }
    ret_value->type = MSGPACK_OBJECT_BIN;
    ret_value->via.bin.ptr = bytes;
    ret_value->via.bin.size = (uint32_t)had;
    return 0;
}
