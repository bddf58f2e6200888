/* SPDX-License-Identifier: MIT
 *
 * Preloaded (LD_PRELOAD) into muster and all that it starts: has calls of one function fail, or their process
 * killed or stopped there. MUSTER_TEST_INJECT=ROLE:FUNCTION:FIRST:COUNT:HOW is about the calls FIRST to
 * FIRST + COUNT - 1 of FUNCTION, in processes of that ROLE, counted over all of them; with COUNT 0 about
 * none. HOW is an errno, or a signal that the process sends itself: SIGKILL or SIGSTOP, ahead of the call, or
 * SIGKILL-after, SIGSTOP-after. MUSTER_TEST_INJECT_FILE=FILE is mapped: a struct call_count for each
 * function. What was made to fail, who was struck, and who called abort(), is in FILE.log, with a backtrace.
 *
 * Roles: `worker`, `host` (--connect), `coordinator`, `fork` (a client's server of workers), else `client`.
 * What libzmq calls is counted apart, as ROLE-zmq. Other programs are spared. Atomic throughout.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* All that can fail; of the last line only as steps, at which a process is struck. */
// clang-format off
#define CALLS(X)                                                                                            \
    X(malloc) X(mmap) X(mprotect) X(open) X(fopen) X(opendir) X(read) X(pread) X(write) X(pwrite) X(fwrite) \
    X(fflush) X(fsync) X(fdatasync) X(ftruncate) X(fallocate) X(posix_fallocate) X(rename) X(unlink)        \
    X(unlinkat) X(mkdir) X(mkdirat) X(mkdtemp) X(mkostemp) X(linkat) X(flock) X(fcntl) X(dup2) X(dup3)      \
    X(pipe2) X(memfd_create) X(eventfd) X(epoll_create1) X(epoll_ctl) X(epoll_wait) X(poll)                 \
    X(timerfd_create) X(timerfd_settime) X(pidfd_open) X(socket) X(socketpair) X(bind) X(connect)           \
    X(accept4) X(sendmsg) X(recvmsg) X(sendfile) X(splice) X(fork) X(clone) X(posix_spawn) X(posix_spawnp)  \
    X(pthread_create) X(fstat) X(stat) X(readlink) X(sigaltstack)                                           \
    X(send) X(recv) X(close) X(munmap) X(waitid) X(kill)
// clang-format on

enum call {
#define ENUM(name) CALL_##name,
    CALLS(ENUM)
#undef ENUM
        CALL_COUNT
};

static const char *const names[CALL_COUNT] = {
#define NAME(name) #name,
    CALLS(NAME)
#undef NAME
};

enum role { CLIENT, COORDINATOR, FORK, WORKER, HOST, ROLE_COUNT };

static const char *const roles[2 * ROLE_COUNT] = {
    "client",     "coordinator",     "fork",     "worker",     "host",
    "client-zmq", "coordinator-zmq", "fork-zmq", "worker-zmq", "host-zmq"};

struct call_count {
    char name[32];
    atomic_ulong counts[2 * ROLE_COUNT]; /* by place in `roles` */
};

enum { LIBRARIES_MAX = 4, FRAMES_MAX = 40, NOTES_MAX = 2 };

static struct call_count *file; /* mapped; NULL: nothing is counted here */
static char log_path[4096];
static enum role role;
static pid_t self; /* whose calls these are: not those of a child on its way to another program */
static char wanted_role[32], wanted_call[32];
static unsigned long wanted_first, wanted_count;
static int wanted_errno;  /* 0: */
static int wanted_signal; /* this one is sent, */
static int wanted_after;  /* when the call is done */
static struct {
    uintptr_t begin, end;
} theirs[LIBRARIES_MAX]; /* where libzmq and what it is made of are */
static unsigned theirs_count;

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function)
        _exit(254);
    return function;
}

static int find_theirs(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    if (theirs_count == LIBRARIES_MAX ||
        (!strstr(info->dlpi_name, "/libzmq.so") && !strstr(info->dlpi_name, "/libstdc++.so") &&
         !strstr(info->dlpi_name, "/libsodium.so")))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            theirs[theirs_count].begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            theirs[theirs_count].end = theirs[theirs_count].begin + info->dlpi_phdr[i].p_memsz;
            theirs_count++;
            break;
        }
    return 0;
}

/* Whether this is the program that is tested, and not one that it starts. */
static int is_tested(void)
{
    const char *tested = getenv("MUSTER");
    char path[4096];
    ssize_t size = syscall(SYS_readlink, "/proc/self/exe", path, sizeof path - 1);

    if (!tested || size < 0)
        return 0;
    path[size] = '\0';
    return strcmp(path, tested) == 0;
}

static struct call_count *map_file(const char *path)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct call_count *mapped;

    if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof *mapped * CALL_COUNT) != 0)
        _exit(253);
    mapped = (struct call_count *)syscall(SYS_mmap, NULL, sizeof *mapped * CALL_COUNT, PROT_READ | PROT_WRITE,
                                          MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED)
        _exit(252);
    for (unsigned i = 0; i < CALL_COUNT; i++)
        strcpy(mapped[i].name, names[i]);
    return mapped;
}

/* What is to be done to the calls. Whether that is known. */
static int read_how(const char *how)
{
    if (strncmp(how, "SIG", 3) != 0)
        return (wanted_errno = atoi(how)) > 0;
    wanted_after = strstr(how, "-after") != NULL;
    wanted_signal = strncmp(how, "SIGKILL", 7) == 0 ? SIGKILL : strncmp(how, "SIGSTOP", 7) == 0 ? SIGSTOP : 0;
    return wanted_signal != 0;
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *order = getenv("MUSTER_TEST_INJECT"), *path = getenv("MUSTER_TEST_INJECT_FILE");
    void *frames[4];
    char how[32];

    if (!order || !path || !is_tested() ||
        sscanf(order, "%31[a-z-]:%31[a-z0-9_]:%lu:%lu:%31[A-Za-z0-9-]", wanted_role, wanted_call,
               &wanted_first, &wanted_count, how) != 5)
        return;
    if (!read_how(how))
        _exit(251);
    if (argc > 2 && strcmp(argv[1], "worker") == 0)
        role = strcmp(argv[2], "--connect") == 0 ? HOST : WORKER;
    else if (argc > 1 && strcmp(argv[1], "coordinator") == 0)
        role = COORDINATOR;
    snprintf(log_path, sizeof log_path, "%s.log", path);
    dl_iterate_phdr(find_theirs, NULL);
    backtrace(frames, 4); /* loads what it needs */
    self = getpid();
    file = map_file(path);
}

/* A line about what happens here, and how it came to that. */
static void note(const char *what, unsigned long number)
{
    void *frames[FRAMES_MAX];
    char line[256];
    int size =
        snprintf(line, sizeof line, "%s %s %lu in process %d\n", roles[role], what, number, (int)getpid());
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (fd < 0)
        return;
    if (syscall(SYS_write, fd, line, (size_t)size) == size)
        backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), fd);
    close(fd);
}

/* Has this process killed, or stopped until somebody has it go on. */
static void strike(enum call call, unsigned long number)
{
    int error = errno;

    if (syscall(SYS_getpid) != self)
        return;
    note(names[call], number);
    syscall(SYS_kill, self, wanted_signal);
    while (wanted_signal == SIGKILL)
        syscall(SYS_pause);
    errno = error;
}

struct fate {
    int fails;             /* errno says how */
    unsigned long strikes; /* its process is struck after it; which call it is */
};

/* What becomes of this call, by code at `caller`. */
static struct fate fate_of(enum call call, const void *caller)
{
    const struct fate goes_on = {0, 0};
    unsigned long number;
    unsigned place = role;

    if (!file)
        return goes_on;
    for (unsigned i = 0; i < theirs_count; i++)
        if ((uintptr_t)caller >= theirs[i].begin && (uintptr_t)caller < theirs[i].end)
            place = role + ROLE_COUNT;
    number = atomic_fetch_add(&file[call].counts[place], 1) + 1;
    if (number < wanted_first || number - wanted_first >= wanted_count ||
        strcmp(names[call], wanted_call) != 0 || strcmp(roles[place], wanted_role) != 0)
        return goes_on;
    if (wanted_signal) {
        if (wanted_after)
            return (struct fate){.strikes = number};
        strike(call, number);
        return goes_on;
    }
    if (number - wanted_first < NOTES_MAX)
        note(names[call], number);
    errno = wanted_errno;
    return (struct fate){.fails = 1};
}

#define FATE(call)  fate_of(CALL_##call, __builtin_return_address(0))
#define FAILS(call) (FATE(call).fails)

/* The call is done. */
#define DONE(call, fate)                         \
    do {                                         \
        if ((fate).strikes)                      \
            strike(CALL_##call, (fate).strikes); \
    } while (0)

/* A function that fails as `call`, by returning `failure`. */
#define WRAP_AS(call, type, name, failure, parameters, arguments) \
    type name parameters                                          \
    {                                                             \
        static type(*real) parameters;                            \
        struct fate fate = FATE(call);                            \
        type result;                                              \
                                                                  \
        if (fate.fails)                                           \
            return failure;                                       \
        if (!real)                                                \
            real = (type(*) parameters)next(#name);               \
        result = real arguments;                                  \
        DONE(call, fate);                                         \
        return result;                                            \
    }
#define WRAP(type, name, failure, parameters, arguments) \
    WRAP_AS(name, type, name, failure, parameters, arguments)

/* --- memory: glibc's own names, since dlsym allocates */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    return FAILS(malloc) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return FAILS(malloc) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return FAILS(malloc) ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return FAILS(malloc) ? NULL : __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return FAILS(malloc) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *memory = FAILS(malloc) ? NULL : __libc_memalign(alignment, size);

    if (!memory)
        return ENOMEM;
    *ret = memory;
    return 0;
}

WRAP(void *, mmap, MAP_FAILED, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset))
WRAP_AS(mmap, void *, mmap64, MAP_FAILED,
        (void *at, size_t size, int protection, int flags, int fd, off_t offset),
        (at, size, protection, flags, fd, offset))
WRAP(int, mprotect, -1, (void *at, size_t size, int protection), (at, size, protection))
WRAP(int, munmap, -1, (void *at, size_t size), (at, size))
WRAP(int, memfd_create, -1, (const char *name, unsigned flags), (name, flags))
WRAP(int, sigaltstack, -1, (const stack_t *stack, stack_t *old), (stack, old))

/* --- files */

/* The mode is there when a file may be made; it does no harm otherwise. */
#define WRAP_OPEN(name)                                                  \
    int name(const char *path, int flags, ...)                           \
    {                                                                    \
        static int (*real)(const char *, int, ...);                      \
        struct fate fate = FATE(open);                                   \
        va_list more;                                                    \
        mode_t mode;                                                     \
        int fd;                                                          \
                                                                         \
        va_start(more, flags);                                           \
        mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                    \
        if (fate.fails)                                                  \
            return -1;                                                   \
        if (!real)                                                       \
            real = (int (*)(const char *, int, ...))next(#name);         \
        fd = real(path, flags, mode);                                    \
        DONE(open, fate);                                                \
        return fd;                                                       \
    }
#define WRAP_OPENAT(name)                                                \
    int name(int folder, const char *path, int flags, ...)               \
    {                                                                    \
        static int (*real)(int, const char *, int, ...);                 \
        struct fate fate = FATE(open);                                   \
        va_list more;                                                    \
        mode_t mode;                                                     \
        int fd;                                                          \
                                                                         \
        va_start(more, flags);                                           \
        mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                    \
        if (fate.fails)                                                  \
            return -1;                                                   \
        if (!real)                                                       \
            real = (int (*)(int, const char *, int, ...))next(#name);    \
        fd = real(folder, path, flags, mode);                            \
        DONE(open, fate);                                                \
        return fd;                                                       \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)
WRAP(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
WRAP_AS(fopen, FILE *, fopen64, NULL, (const char *path, const char *mode), (path, mode))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(ssize_t, pread, -1, (int fd, void *bytes, size_t size, off_t offset), (fd, bytes, size, offset))
WRAP_AS(pread, ssize_t, pread64, -1, (int fd, void *bytes, size_t size, off_t offset),
        (fd, bytes, size, offset))

/* Of files and pipes; a counter that is read or written has no way to fail. */
static int is_stream(int fd)
{
    struct stat status;

    return syscall(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH) == 0 &&
           (S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode));
}

#define WRAP_STREAM(name, pointer)                                           \
    ssize_t name(int fd, pointer bytes, size_t size)                         \
    {                                                                        \
        static ssize_t (*real)(int, pointer, size_t);                        \
        struct fate fate = is_stream(fd) ? FATE(name) : (struct fate){0, 0}; \
        ssize_t done;                                                        \
                                                                             \
        if (fate.fails)                                                      \
            return -1;                                                       \
        if (!real)                                                           \
            real = (ssize_t(*)(int, pointer, size_t))next(#name);            \
        done = real(fd, bytes, size);                                        \
        DONE(name, fate);                                                    \
        return done;                                                         \
    }

WRAP_STREAM(read, void *)
WRAP_STREAM(write, const void *)
WRAP(ssize_t, pwrite, -1, (int fd, const void *bytes, size_t size, off_t offset), (fd, bytes, size, offset))
WRAP_AS(pwrite, ssize_t, pwrite64, -1, (int fd, const void *bytes, size_t size, off_t offset),
        (fd, bytes, size, offset))
WRAP(size_t, fwrite, 0, (const void *bytes, size_t size, size_t count, FILE *stream),
     (bytes, size, count, stream))
WRAP(int, fflush, EOF, (FILE * stream), (stream))
WRAP(int, fsync, -1, (int fd), (fd))
WRAP(int, fdatasync, -1, (int fd), (fd))
WRAP(int, ftruncate, -1, (int fd, off_t size), (fd, size))
WRAP_AS(ftruncate, int, ftruncate64, -1, (int fd, off_t size), (fd, size))
WRAP(int, fallocate, -1, (int fd, int mode, off_t offset, off_t size), (fd, mode, offset, size))
WRAP_AS(fallocate, int, fallocate64, -1, (int fd, int mode, off_t offset, off_t size),
        (fd, mode, offset, size))
WRAP(int, posix_fallocate, errno, (int fd, off_t offset, off_t size), (fd, offset, size))
WRAP_AS(posix_fallocate, int, posix_fallocate64, errno, (int fd, off_t offset, off_t size),
        (fd, offset, size))
WRAP(int, rename, -1, (const char *from, const char *to), (from, to))
WRAP_AS(rename, int, renameat, -1, (int in, const char *from, int at, const char *to), (in, from, at, to))
WRAP(int, unlink, -1, (const char *path), (path))
WRAP(int, unlinkat, -1, (int folder, const char *path, int flags), (folder, path, flags))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, mkdirat, -1, (int folder, const char *path, mode_t mode), (folder, path, mode))
WRAP(char *, mkdtemp, NULL, (char *path), (path))
WRAP(int, mkostemp, -1, (char *path, int flags), (path, flags))
WRAP_AS(mkostemp, int, mkostemp64, -1, (char *path, int flags), (path, flags))
WRAP_AS(mkostemp, int, mkostemps, -1, (char *path, int suffix, int flags), (path, suffix, flags))
WRAP(int, linkat, -1, (int folder, const char *from, int to_folder, const char *to, int flags),
     (folder, from, to_folder, to, flags))
WRAP(int, flock, -1, (int fd, int operation), (fd, operation))
WRAP(int, fstat, -1, (int fd, struct stat *status), (fd, status))
WRAP(int, stat, -1, (const char *path, struct stat *status), (path, status))
WRAP(ssize_t, readlink, -1, (const char *path, char *bytes, size_t size), (path, bytes, size))
WRAP(ssize_t, sendfile, -1, (int to, int from, off_t *offset, size_t size), (to, from, offset, size))
WRAP(ssize_t, splice, -1,
     (int from, off64_t *offset, int to, off64_t *to_offset, size_t size, unsigned flags),
     (from, offset, to, to_offset, size, flags))

/* Locks of files, which fail to be let go nowhere but here, are left alone. What it takes besides is a number
 * or a pointer, or not there. */
#define WRAP_FCNTL(name)                                \
    int name(int fd, int command, ...)                  \
    {                                                   \
        static int (*real)(int, int, ...);              \
        va_list more;                                   \
        void *argument;                                 \
                                                        \
        va_start(more, command);                        \
        argument = va_arg(more, void *);                \
        va_end(more);                                   \
        if (command == F_DUPFD_CLOEXEC && FAILS(fcntl)) \
            return -1;                                  \
        if (!real)                                      \
            real = (int (*)(int, int, ...))next(#name); \
        return real(fd, command, argument);             \
    }

WRAP_FCNTL(fcntl)
WRAP_FCNTL(fcntl64)

/* --- descriptors */

WRAP(int, dup2, -1, (int from, int to), (from, to))
WRAP(int, dup3, -1, (int from, int to, int flags), (from, to, flags))
WRAP(int, pipe2, -1, (int fds[2], int flags), (fds, flags))
WRAP(int, eventfd, -1, (unsigned count, int flags), (count, flags))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP_AS(epoll_create1, int, epoll_create, -1, (int size), (size))
WRAP(int, epoll_ctl, -1, (int fd, int operation, int other, struct epoll_event *event),
     (fd, operation, other, event))
WRAP(int, epoll_wait, -1, (int fd, struct epoll_event *events, int count, int limit_ms),
     (fd, events, count, limit_ms))
WRAP_AS(epoll_wait, int, epoll_pwait2, -1,
        (int fd, struct epoll_event *events, int count, const struct timespec *limit, const sigset_t *mask),
        (fd, events, count, limit, mask))
WRAP(int, poll, -1, (struct pollfd * fds, nfds_t count, int limit_ms), (fds, count, limit_ms))
WRAP(int, timerfd_create, -1, (clockid_t clock, int flags), (clock, flags))
WRAP(int, timerfd_settime, -1, (int fd, int flags, const struct itimerspec *time, struct itimerspec *old),
     (fd, flags, time, old))
WRAP(int, pidfd_open, -1, (pid_t pid, unsigned flags), (pid, flags))
WRAP(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, socketpair, -1, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
WRAP(int, bind, -1, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP(int, connect, -1, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP(int, accept4, -1, (int fd, struct sockaddr *address, socklen_t *size, int flags),
     (fd, address, size, flags))
WRAP(ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(ssize_t, send, -1, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags))
WRAP(ssize_t, recv, -1, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags))
WRAP(int, close, -1, (int fd), (fd))
WRAP(ssize_t, recvmsg, -1, (int fd, struct msghdr *message, int flags), (fd, message, flags))

/* --- processes and threads */

WRAP(int, kill, -1, (pid_t pid, int number), (pid, number))
WRAP(int, waitid, -1, (idtype_t kind, id_t id, siginfo_t *info, int options), (kind, id, info, options))
WRAP(int, posix_spawn, errno,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attributes, char *const words[], char *const environment[]),
     (pid, path, actions, attributes, words, environment))
WRAP(int, posix_spawnp, errno,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attributes, char *const words[], char *const environment[]),
     (pid, path, actions, attributes, words, environment))
WRAP(int, pthread_create, errno,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument),
     (thread, attributes, run, argument))

pid_t fork(void)
{
    static pid_t (*real)(void);
    struct fate fate = FATE(fork);
    pid_t pid;

    if (fate.fails)
        return -1;
    if (!real)
        real = (pid_t(*)(void))next("fork");
    if ((pid = real()) != 0) {
        DONE(fork, fate);
        return pid;
    }
    self = getpid();
    if (role == CLIENT)
        role = FORK;
    return 0;
}

int clone(int (*run)(void *), void *stack, int flags, void *argument, ...)
{
    static int (*real)(int (*)(void *), void *, int, void *, ...);
    struct fate fate = FATE(clone);
    va_list more;
    void *rest[3];
    int pid;

    va_start(more, argument);
    for (int i = 0; i < 3; i++)
        rest[i] = va_arg(more, void *);
    va_end(more);
    if (fate.fails)
        return -1;
    if (!real)
        real = (int (*)(int (*)(void *), void *, int, void *, ...))next("clone");
    pid = real(run, stack, flags, argument, rest[0], rest[1], rest[2]);
    DONE(clone, fate);
    return pid;
}

/* Workers that are forked say what they are by their name. */
int prctl(int option, ...)
{
    static int (*real)(int, ...);
    va_list more;
    unsigned long arguments[4];

    va_start(more, option);
    for (int i = 0; i < 4; i++)
        arguments[i] = va_arg(more, unsigned long);
    va_end(more);
    if (!real)
        real = (int (*)(int, ...))next("prctl");
    if (option == PR_SET_NAME && strcmp((const char *)arguments[0], "muster-worker") == 0)
        role = WORKER;
    return real(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

/* Neither fails; who calls them is noted. */
_Noreturn void abort(void)
{
    if (file)
        note("abort", 0);
    ((void (*)(void))next("abort"))();
    __builtin_unreachable();
}

_Noreturn void __assert_fail(const char *text, const char *path, unsigned line, const char *function)
{
    if (file)
        note("assertion", line);
    ((void (*)(const char *, const char *, unsigned, const char *))next("__assert_fail"))(text, path, line,
                                                                                          function);
    __builtin_unreachable();
}
