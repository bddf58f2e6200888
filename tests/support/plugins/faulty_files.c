/* SPDX-License-Identifier: MIT
 *
 * Functions that count their attempts in files, leave traces in them or wait for them.
 */
#include "faulty.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool read_path(const msgpack_object *argument, char ret_path[PATH_MAX])
{
    if (argument->type != MSGPACK_OBJECT_STR || argument->via.str.size == 0 ||
        argument->via.str.size >= PATH_MAX - sizeof ".new")
        return false;
    memcpy(ret_path, argument->via.str.ptr, argument->via.str.size);
    ret_path[argument->via.str.size] = '\0';
    return true;
}

/* Adds a byte to the file; its size is the number of the attempt, from 1. 0 when it cannot. */
static uint64_t next_attempt(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    off_t size = 0;

    if (file < 0)
        return 0;
    if (write(file, "x", 1) == 1)
        size = lseek(file, 0, SEEK_CUR);
    close(file);
    return size > 0 ? (uint64_t)size : 0;
}

/* The attempt this is, and whether it is one of the first that must not succeed. */
static int count_attempt(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result,
                         bool *ret_harmed)
{
    char path[PATH_MAX];
    uint64_t times, attempt;

    if (argument->type != MSGPACK_OBJECT_ARRAY || argument->via.array.size != 2 ||
        !read_path(&argument->via.array.ptr[0], path) ||
        !faulty_integer(&argument->via.array.ptr[1], 1000000, &times))
        return muster_call_fail(call, "takes [path of a counter file, times]");
    attempt = next_attempt(path);
    if (attempt == 0)
        return muster_call_fail(call, "cannot count in \"%s\": %s", path, strerror(errno));
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = attempt;
    *ret_harmed = attempt <= times;
    return 0;
}

int faulty_fail_times(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    bool harmed;
    int code = count_attempt(call, argument, ret_result, &harmed);

    if (code == 0 && harmed)
        return muster_call_fail(call, "attempt %llu fails", (unsigned long long)ret_result->via.u64);
    return code;
}

int faulty_crash_times(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    bool harmed;
    int code = count_attempt(call, argument, ret_result, &harmed);

    if (code == 0 && harmed)
        faulty_segfault();
    return code;
}

int faulty_crash_once(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    char path[PATH_MAX];
    int file;

    if (!read_path(argument, path))
        return muster_call_fail(call, "crash_once takes the path of a file");
    file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file >= 0)
        faulty_segfault();
    if (errno != EEXIST)
        return muster_call_fail(call, "cannot create \"%s\": %s", path, strerror(errno));
    ret_result->type = MSGPACK_OBJECT_BOOLEAN;
    ret_result->via.boolean = true;
    return 0;
}

/* The file appears with its whole content. */
static int publish_pid(const char *path, pid_t pid)
{
    char fresh[PATH_MAX + sizeof ".new"];
    FILE *file;
    int code;

    snprintf(fresh, sizeof fresh, "%s.new", path);
    file = fopen(fresh, "we");
    if (!file)
        return -1;
    fprintf(file, "%d\n", (int)pid);
    code = fclose(file);
    return code == 0 ? rename(fresh, path) : -1;
}

int faulty_fork_child(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    char path[PATH_MAX];
    pid_t child;

    if (!read_path(argument, path))
        return muster_call_fail(call, "fork_child takes the path of a file");
    child = fork();
    if (child < 0)
        return muster_call_fail(call, "cannot fork: %s", strerror(errno));
    if (child == 0)
        for (;;)
            pause();
    if (publish_pid(path, child) != 0)
        return muster_call_fail(call, "cannot write \"%s\": %s", path, strerror(errno));
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = (uint64_t)child;
    return 0;
}

int faulty_print(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)ret_result;
    if (argument->type != MSGPACK_OBJECT_STR)
        return muster_call_fail(call, "print takes a string");
    printf("%.*s\n", (int)argument->via.str.size, argument->via.str.ptr);
    return fflush(stdout) == 0 ? 0 : muster_call_fail(call, "cannot print: %s", strerror(errno));
}

int faulty_wait_file(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    char path[PATH_MAX];
    int code;

    if (!read_path(argument, path))
        return muster_call_fail(call, "wait_file takes the path of a file");
    while (access(path, F_OK) != 0) {
        code = muster_call_sleep(call, 0.005);
        if (code != 0)
            return code;
    }
    ret_result->type = MSGPACK_OBJECT_BOOLEAN;
    ret_result->via.boolean = true;
    return 0;
}

/* Adds a line to the file, at once. */
static int add_pid(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int size;

    if (file < 0)
        return -1;
    size = dprintf(file, "%d\n", (int)getpid());
    close(file);
    return size > 0 ? 0 : -1;
}

int faulty_note_pid(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    const msgpack_object *parts = argument->via.array.ptr;
    char path[PATH_MAX];
    uint64_t seconds;

    if (argument->type != MSGPACK_OBJECT_ARRAY || argument->via.array.size != 2 ||
        !read_path(&parts[0], path) || !faulty_integer(&parts[1], 1000000, &seconds))
        return muster_call_fail(call, "takes [path of a file, seconds]");
    if (add_pid(path) != 0)
        return muster_call_fail(call, "cannot write \"%s\": %s", path, strerror(errno));
    *ret_result = parts[1];
    return muster_call_sleep(call, (double)seconds);
}

/* Keeps its thread while it waits, as a job that computes does. */
static int wait_until(muster_call *call, const char *path, uint64_t count)
{
    static const struct timespec pause = {.tv_nsec = 2000000};
    struct stat status = {.st_size = 0};

    for (int i = 0; i < 10000 && (uint64_t)status.st_size < count; i++) {
        nanosleep(&pause, NULL);
        if (stat(path, &status) != 0)
            return muster_call_fail(call, "cannot look at \"%s\": %s", path, strerror(errno));
    }
    if ((uint64_t)status.st_size < count)
        return muster_call_fail(call, "%llu of %llu jobs came in 20 s", (unsigned long long)status.st_size,
                                (unsigned long long)count);
    return 0;
}

int faulty_wait_count(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    char path[PATH_MAX];
    uint64_t count;

    if (argument->type != MSGPACK_OBJECT_ARRAY || argument->via.array.size != 2 ||
        !read_path(&argument->via.array.ptr[0], path) ||
        !faulty_integer(&argument->via.array.ptr[1], 1000000, &count))
        return muster_call_fail(call, "takes [path of a counter file, count]");
    if (next_attempt(path) == 0)
        return muster_call_fail(call, "cannot count in \"%s\": %s", path, strerror(errno));
    *ret_result = argument->via.array.ptr[1];
    return wait_until(call, path, count);
}
