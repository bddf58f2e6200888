/* SPDX-License-Identifier: MIT
 *
 * A test plug-in that tries what a sandbox is to keep from jobs. The result is "allowed", or the name of the
 * error.
 */
#include "muster_job.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPEN_TREE_ATTR = 467 };

static char zeroes[256]; /* for system calls that look at it before they fail */

static long try_socket(int family)
{
    long fd = socket(family, SOCK_STREAM, 0);

    if (fd >= 0)
        close((int)fd);
    return fd;
}

static long try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd;
}

/* A process that it may start ends at once. */
static long try_clone(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    return pid > 0 ? waitpid((pid_t)pid, NULL, 0) : pid;
}

static long try_clone3(void)
{
    struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);

    if (pid == 0)
        _exit(0);
    return pid > 0 ? waitpid((pid_t)pid, NULL, 0) : pid;
}

/* How many descriptors are open above the standard ones that are neither the worker's memory nor its own. */
static long count_strangers(void)
{
    char path[64], target[256];
    long count = 0;

    for (int fd = 3; fd < 256; fd++) {
        ssize_t size;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        size = readlink(path, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        count += strstr(target, "stranger") != NULL;
    }
    return count == 0 ? 0 : (errno = EMFILE, -1);
}

/* Whether the calling thread has capabilities, or could gain some: its status says so. */
static long try_privileges(void)
{
    static const char none[] = "0000000000000000";
    static const char *const sets[] = {"CapInh:\t", "CapPrm:\t", "CapEff:\t", "CapAmb:\t"};
    static char status[8192];
    int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, status, sizeof status - 1);

    if (fd >= 0)
        close(fd);
    if (size <= 0 || !strstr(status, "NoNewPrivs:\t1\n"))
        return 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const char *set = strstr(status, sets[i]);

        if (!set || strncmp(set + strlen(sets[i]), none, strlen(none)) != 0)
            return 0;
    }
    errno = EPERM;
    return -1;
}

static long try_core(void)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

    return setrlimit(RLIMIT_CORE, &limit);
}

static long try_affinity(pid_t pid)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? sched_setaffinity(pid, sizeof set, &set) : -1;
}

static long try_pair(int type)
{
    int fds[2];

    if (socketpair(AF_UNIX, type, 0, fds) != 0)
        return -1;
    close(fds[0]);
    close(fds[1]);
    return 0;
}

/* What would be done to other processes; nothing is, where it is allowed. */
static long attempt_on_others(const char *what)
{
    struct sched_param parameter = {.sched_priority = 0};
    struct rlimit limit;
    bool self = strstr(what, " self") != NULL;
    pid_t pid = self ? 0 : getppid();

    if (strncmp(what, "limit ", 6) == 0)
        return prlimit(pid, RLIMIT_NOFILE, NULL, &limit);
    if (strncmp(what, "affinity ", 9) == 0)
        return try_affinity(pid);
    if (strncmp(what, "scheduler ", 10) == 0)
        return sched_setscheduler(pid, SCHED_OTHER, &parameter);
    if (strcmp(what, "priority user") == 0)
        return setpriority(PRIO_USER, 0, 0);
    if (strncmp(what, "priority ", 9) == 0)
        return setpriority(PRIO_PROCESS, (id_t)pid, getpriority(PRIO_PROCESS, 0));
    if (strncmp(what, "ioprio ", 7) == 0)
        return syscall(SYS_ioprio_set, strstr(what, "user") ? 3 : 1, pid, 0);
    if (strcmp(what, "pidfd") == 0)
        return syscall(SYS_pidfd_open, pid, 0);
    if (strcmp(what, "signal all") == 0)
        return kill(-1, 0);
    if (strcmp(what, "shared memory") == 0)
        return shmget(4711, 1, 0);
    if (strcmp(what, "semaphores") == 0)
        return semget(4711, 1, 0);
    if (strcmp(what, "messages") == 0)
        return msgget(4711, 0);
    if (strcmp(what, "queue") == 0)
        return syscall(SYS_mq_open, "muster-escape", O_RDONLY, 0, NULL);
    if (strcmp(what, "queue receive") == 0)
        return syscall(SYS_mq_timedreceive, -1, zeroes, sizeof zeroes, NULL, NULL);
    if (strcmp(what, "queue attributes") == 0)
        return syscall(SYS_mq_getsetattr, -1, NULL, zeroes);
    if (strncmp(what, "pair ", 5) == 0)
        return try_pair(strcmp(what, "pair stream") == 0 ? SOCK_STREAM : SOCK_DGRAM);
    errno = ENOTSUP;
    return -1;
}

/* Writes one file over another, in place, and ends: whoever has that loaded has other code now. */
static long overwrite(const char *from, const char *over)
{
    static char bytes[1 << 20];
    int fd = open(from, O_RDONLY | O_CLOEXEC), to = open(over, O_WRONLY | O_CLOEXEC);
    ssize_t size = fd < 0 || to < 0 ? -1 : read(fd, bytes, sizeof bytes);

    if (size < 0 || write(to, bytes, (size_t)size) != size || ftruncate(to, size) != 0)
        return -1;
    raise(SIGKILL);
    return 0;
}

/* As it says, once; then the files are not there any more. */
static long replace(const char *from, const char *over)
{
    if (rename(from, over) != 0)
        return -1;
    raise(SIGKILL);
    return 0;
}

static long attempt(const char *what)
{
    struct iovec piece = {zeroes, sizeof zeroes};
    const char *path = strchr(what, ' ');

    path = path ? path + 1 : "";
    if (strcmp(what, "ptrace") == 0)
        return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    if (strcmp(what, "read another") == 0)
        return process_vm_readv(getppid(), &piece, 1, &piece, 1, 0);
    if (strcmp(what, "mount") == 0)
        return mount("none", "/mnt", "tmpfs", 0, NULL);
    if (strcmp(what, "open tree") == 0)
        return syscall(OPEN_TREE_ATTR, -1, "", 0, NULL, 0);
    if (strcmp(what, "unshare") == 0)
        return unshare(CLONE_NEWUSER);
    if (strcmp(what, "clone") == 0)
        return try_clone(0);
    if (strcmp(what, "clone newuser") == 0)
        return try_clone(CLONE_NEWUSER);
    if (strcmp(what, "clone3 newuser") == 0)
        return try_clone3();
    if (strcmp(what, "bpf") == 0)
        return syscall(SYS_bpf, 0, zeroes, sizeof zeroes);
    if (strcmp(what, "perf") == 0)
        return syscall(SYS_perf_event_open, zeroes, 0, -1, -1, 0);
    if (strcmp(what, "userfaultfd") == 0)
        return syscall(SYS_userfaultfd, 0);
    if (strcmp(what, "keyctl") == 0)
        return syscall(SYS_keyctl, 0, -3, 1);
    if (strcmp(what, "kexec") == 0)
        return syscall(SYS_kexec_load, 0, 0, NULL, 0);
    if (strcmp(what, "module") == 0)
        return syscall(SYS_init_module, zeroes, 0, "");
    if (strcmp(what, "io_uring") == 0)
        return syscall(SYS_io_uring_setup, 1, zeroes);
    if (strcmp(what, "terminal") == 0)
        return ioctl(0, TIOCSTI, "x");
    if (strcmp(what, "inet") == 0)
        return try_socket(AF_INET);
    if (strcmp(what, "unix") == 0)
        return try_socket(AF_UNIX);
    if (strcmp(what, "netlink") == 0)
        return try_socket(AF_NETLINK);
    if (strcmp(what, "signal parent") == 0)
        return kill(getppid(), 0);
    if (strcmp(what, "core") == 0)
        return try_core();
    if (strcmp(what, "privileges") == 0)
        return try_privileges();
    if (strcmp(what, "descriptors") == 0)
        return count_strangers();
    if (strncmp(what, "read ", 5) == 0)
        return try_open(path, O_RDONLY);
    if (strncmp(what, "write ", 6) == 0)
        return try_open(path, O_WRONLY | O_CREAT);
    if (strcmp(what, "overwrite") == 0)
        return overwrite("intruder.so", "mine.so");
    if (strcmp(what, "replace") == 0)
        return replace("intruder", "muster");
    return attempt_on_others(what);
}

static int escape(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    const char *name;
    char *what;

    if (argument->type != MSGPACK_OBJECT_STR ||
        !(what = msgpack_zone_malloc(call->zone, argument->via.str.size + 1)))
        return muster_call_fail(call, "takes a text");
    memcpy(what, argument->via.str.ptr, argument->via.str.size);
    what[argument->via.str.size] = '\0';
    name = attempt(what) >= 0 ? "allowed" : strerrorname_np(errno);
    ret_result->type = MSGPACK_OBJECT_STR;
    ret_result->via.str.ptr = name;
    ret_result->via.str.size = (uint32_t)strlen(name);
    return 0;
}

static const muster_function functions[] = {
    {.name = "escape", .summary = "tries what a sandbox forbids", .argument = "what to try", .run = escape}};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
