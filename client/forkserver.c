/* SPDX-License-Identifier: MIT
 *
 * The fork server and the launcher in front of it. See forkserver.h.
 *
 * Caller and server talk over a socket pair, a question and an answer at a time; both run the
 * same image, so messages are plain structs. The server is the parent of the workers: it opens
 * the pidfd by which the caller's supervisor watches a worker, and collects its exit status when
 * the supervisor asks for it, until which the worker's number cannot be taken by another.
 */
#include "client/forkserver.h"

#include "base/clock.h"
#include "base/coverage.h"
#include "coordinator/withheld.h"
#include "proto/limits.h"
#include "proto/wire.h"
#include "worker/worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ENDPOINT_BYTES_MAX = 256, /* "ipc://" and the 108 bytes of a socket's path fit twice */

    /* A server that does not answer for so long is taken for dead, though nobody has stopped it: a fork
     * takes milliseconds, of a process of many gigabytes some hundred, of either much more where the
     * machine is busy. */
    ANSWER_S = 20,

    /* And one that does not for the heartbeat, or for so long, may have been stopped. */
    WAKE_S = 5,

    /* A thread that has been joined is listed for a moment longer. */
    SETTLE_MS = 200,

#ifdef __SANITIZE_THREAD__
    THREADS_MAX = 2, /* the sanitizer's own, which sees to forks itself */
#else
    THREADS_MAX = 1,
#endif
};

enum request_kind { SPAWN, COLLECT };

/* Descriptors that come with a SPAWN; all but the first may be missing. */
enum passed { FLIGHT, HEAP, SLOTS, BELL, PASSED_MAX };

static const int no_fds[PASSED_MAX] = {-1, -1, -1, -1};

struct request {
    enum request_kind kind;
    pid_t pid;               /* COLLECT */
    int cpu;                 /* SPAWN */
    bool brings[PASSED_MAX]; /* SPAWN: these descriptors, in this order */
    char endpoint[ENDPOINT_BYTES_MAX];
    char name[PROTO_PEER_NAME_MAX + 1];
};

struct answer {
    int error; /* 0 or an errno value */
    pid_t pid; /* SPAWN, which brings a pidfd */
    int status;
    struct rusage usage;
};

struct forkserver {
    struct launcher launcher; /* first */
    int socket;               /* to the server; -1: it is lost */
    int pidfd;                /* of the server */
    pid_t pid;
    uint64_t silence_ns; /* after which it is told to go on */
};

/* --- one message, with descriptors or without, over a socket of packets */

/* `fds` ends with the first that is negative. */
static bool send_packet(int socket, void *bytes, size_t size, const int fds[PASSED_MAX])
{
    char control[CMSG_SPACE(PASSED_MAX * sizeof(int))] = {0};
    size_t count = 0;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *header;

    while (count < PASSED_MAX && fds[count] >= 0)
        count++;
    if (count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    return TEMP_FAILURE_RETRY(sendmsg(socket, &message, MSG_NOSIGNAL)) == (ssize_t)size;
}

static void close_all(const int fds[PASSED_MAX])
{
    for (size_t i = 0; i < PASSED_MAX; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* `ret_fds` are the descriptors that came along, -1 where none did. False at the end, too. */
static bool receive_packet(int socket, void *bytes, size_t size, int ret_fds[PASSED_MAX])
{
    enum { FDS_BYTES = PASSED_MAX * sizeof(int) };
    char control[CMSG_SPACE(FDS_BYTES)];
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {/* not CMSG_SPACE, whose padding could take one more */
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_LEN(FDS_BYTES)};
    ssize_t got = TEMP_FAILURE_RETRY(recvmsg(socket, &message, MSG_CMSG_CLOEXEC));
    struct cmsghdr *header = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;

    for (size_t i = 0; i < PASSED_MAX; i++)
        ret_fds[i] = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len >= CMSG_LEN(0) && header->cmsg_len <= CMSG_LEN(FDS_BYTES))
        memcpy(ret_fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    if (got == (ssize_t)size)
        return true;
    close_all(ret_fds);
    return false;
}

/* --- in the server */

struct server {
    const struct registry *registry;
    uint64_t memory_bytes;
    unsigned sandbox;
    unsigned concurrency;
    struct withheld withheld; /* from jobs that are confined */
    bool clean;               /* of what close-on-exec descriptors the caller has */
    int socket, caller_pidfd;
    pid_t pid;
};

/* As a program that is started anew finds it: default signals, an empty standard input, and
 * standard output where it does not mix with results. Other descriptors stay: the program's
 * functions may use them. */
static void become_plain(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    for (int signal_number = 1; signal_number < NSIG; signal_number++) {
        signal(signal_number, SIG_IGN); /* what is pending was meant for the caller's group */
        signal(signal_number, SIG_DFL); /* refused for SIGKILL and SIGSTOP */
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    if (fcntl(STDERR_FILENO, F_GETFD) < 0) /* the caller has closed it */
        dup2(null, STDERR_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (null > STDERR_FILENO)
        close(null);
}

/* Closes what a program that is started anew would not have, but for what the server needs itself. */
static void close_inner(const struct server *server)
{
    DIR *open_files = opendir("/proc/self/fd");
    const struct dirent *entry;

    while (open_files && (entry = readdir(open_files)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10); /* 0 of "." and ".." */
        int flags = fcntl(fd, F_GETFD);

        if (fd > STDERR_FILENO && flags >= 0 && (flags & FD_CLOEXEC) && fd != server->socket &&
            fd != server->caller_pidfd && fd != dirfd(open_files))
            close(fd);
    }
    if (open_files)
        closedir(open_files);
}

/* The life of a worker. What the caller's program registered for its own end does not run. */
static _Noreturn void be_worker(const struct server *server, const struct request *request,
                                const int fds[PASSED_MAX])
{
    struct worker_options options = {
        .endpoint = request->endpoint,
        .name = request->name,
        .parent_pid = server->pid,
        .flight_fd = fds[FLIGHT],
        .heap_fd = fds[HEAP],
        .slots_fd = fds[SLOTS],
        .bell_fd = fds[BELL],
        .registry = server->registry,
        .memory_bytes = server->memory_bytes,
        .sandbox = server->sandbox,
        .kept = withheld_texts(&server->withheld),
        .kept_count = server->withheld.count,
        .concurrency = server->concurrency,
        .cpu = request->cpu,
        .copy = true,
    };
    int status;

    close(server->socket);
    close(server->caller_pidfd);
    setpgid(0, 0);
    status = worker_main(&options);
    fflush(NULL);
    coverage_save();
    _exit(status);
}

/* Those that came, each in its place. False when the system had no room for some of them. */
static bool place_descriptors(const struct request *request, const int came[PASSED_MAX],
                              int ret_fds[PASSED_MAX])
{
    unsigned count = 0;

    for (unsigned i = 0; i < PASSED_MAX; i++)
        ret_fds[i] = request->brings[i] ? came[count++] : -1;
    return count == 0 || came[count - 1] >= 0;
}

/* Whoever has no answer is not to wait for one: the end of the server is one. */
static void send_answer(const struct server *server, struct answer *answer, const int fds[PASSED_MAX])
{
    if (!send_packet(server->socket, answer, sizeof *answer, fds))
        _exit(1);
}

static void answer_spawn(const struct server *server, const struct request *request,
                         const int came[PASSED_MAX])
{
    struct answer answer = {.error = 0};
    int passed[PASSED_MAX] = {-1, -1, -1, -1};
    int fds[PASSED_MAX];
    pid_t pid = -1;

    if (place_descriptors(request, came, fds))
        pid = fork();
    else
        errno = EMFILE;
    if (pid == 0)
        be_worker(server, request, fds);
    answer.pid = pid;
    if (pid < 0) {
        answer.error = errno;
    } else {
        setpgid(pid, pid); /* before the caller may kill the group */
        passed[0] = pidfd_open(pid, 0);
        if (passed[0] < 0) {
            answer.error = errno;
            kill(-pid, SIGKILL);
            TEMP_FAILURE_RETRY(waitpid(pid, NULL, 0));
        }
    }
    send_answer(server, &answer, passed);
    if (passed[0] >= 0)
        close(passed[0]);
}

static void answer_collect(const struct server *server, pid_t pid)
{
    struct answer answer = {.pid = pid};

    if (TEMP_FAILURE_RETRY(wait4(pid, &answer.status, 0, &answer.usage)) != pid)
        answer.error = errno;
    send_answer(server, &answer, no_fds);
}

/* Until the caller closes its end or is dead, which its pidfd tells even where a process that
 * it forked holds a copy of that end. A server that is stopped is woken by the death signal. */
static _Noreturn void serve(const struct server *server)
{
    struct pollfd items[] = {{.fd = server->socket, .events = POLLIN},
                             {.fd = server->caller_pidfd, .events = POLLIN}};

    for (;;) {
        struct request request;
        int fds[PASSED_MAX];

        if (poll(items, 2, -1) < 0 && errno != EINTR)
            _exit(1);
        if (items[1].revents)
            _exit(0);
        if (!items[0].revents)
            continue;
        if (!receive_packet(server->socket, &request, sizeof request, fds))
            _exit(0);
        switch (request.kind) {
        case SPAWN:
            answer_spawn(server, &request, fds);
            break;
        case COLLECT:
            answer_collect(server, request.pid);
            break;
        }
        close_all(fds);
        coverage_save(); /* its end is a SIGKILL */
    }
}

static _Noreturn void be_server(struct server *server, pid_t caller)
{
    setpgid(0, 0); /* signals of the terminal are the caller's */
    become_plain();
    prctl(PR_SET_NAME, "muster-fork");
    prctl(PR_SET_PDEATHSIG, SIGCONT);
    server->pid = getpid();
    server->caller_pidfd = pidfd_open(caller, 0);
    if (server->caller_pidfd < 0 || getppid() != caller)
        _exit(1);
    if (server->clean)
        close_inner(server);
    serve(server);
}

/* --- in the caller */

static int count_threads(unsigned *ret_count)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    unsigned count = 0;

    if (!tasks)
        return MUSTER_ESYSTEM;
    while ((entry = readdir(tasks)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    *ret_count = count;
    return 0;
}

int forkserver_check(struct muster_error *ret_error)
{
    static const struct timespec moment = {.tv_nsec = CLOCK_NS_PER_MS};
    unsigned threads = 0;

    if (wire_contexts() > 0)
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "workers cannot be forked while a muster of processes is open, since its "
                                "ZeroMQ context would be in them: open the one that forks first and alone");
    for (int i = 0; i < SETTLE_MS && (i == 0 || threads > THREADS_MAX); i++) {
        if (i > 0)
            nanosleep(&moment, NULL);
        if (count_threads(&threads) != 0)
            return muster_error_system(ret_error, errno, "cannot count threads in /proc/self/task");
    }
    if (threads > THREADS_MAX)
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "workers cannot be forked from a program that has %u threads, whose locks "
                                "would be held for ever in them: open muster before threads are started",
                                threads);
    return 0;
}

static void lose(struct forkserver *server)
{
    pidfd_send_signal(server->pidfd, SIGKILL, NULL, 0);
    close(server->socket);
    server->socket = -1;
}

/* What stops all of a program is waited for by whoever stopped it. What stops this process alone keeps the
 * caller waiting, who cannot tell. */
static void wake(const struct forkserver *server)
{
    struct pollfd item = {.fd = server->socket, .events = POLLIN};

    if (poll(&item, 1, clock_poll_ms(0, server->silence_ns)) <= 0)
        pidfd_send_signal(server->pidfd, SIGCONT, NULL, 0);
}

/* 0 with an answer; MUSTER_ELOST when there is none, and will be none any more. */
static int ask(struct forkserver *server, struct request *request, const int fds[PASSED_MAX],
               struct answer *ret_answer, int ret_fds[PASSED_MAX])
{
    if (server->socket < 0)
        return MUSTER_ELOST;
    if (send_packet(server->socket, request, sizeof *request, fds)) {
        wake(server);
        if (receive_packet(server->socket, ret_answer, sizeof *ret_answer, ret_fds))
            return 0;
    }
    lose(server);
    return MUSTER_ELOST;
}

static int spawn(struct launcher *launcher, const struct launch *launch, pid_t *ret_pid, int *ret_pidfd,
                 struct muster_error *ret_error)
{
    struct request request = {.kind = SPAWN, .cpu = launch->cpu};
    const int fds[PASSED_MAX] = {[FLIGHT] = launch->flight_fd,
                                 [HEAP] = launch->heap_fd,
                                 [SLOTS] = launch->slots_fd,
                                 [BELL] = launch->bell_fd};
    int passed[PASSED_MAX] = {-1, -1, -1, -1}, came[PASSED_MAX];
    unsigned count = 0;
    struct answer answer;

    if (strlen(launch->endpoint) >= sizeof request.endpoint || strlen(launch->name) >= sizeof request.name)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "cannot fork a worker: its endpoint is too long");
    strcpy(request.endpoint, launch->endpoint);
    strcpy(request.name, launch->name);
    for (unsigned i = 0; i < PASSED_MAX; i++) {
        request.brings[i] = fds[i] >= 0;
        if (request.brings[i])
            passed[count++] = fds[i];
    }
    if (ask((struct forkserver *)launcher, &request, passed, &answer, came) != 0)
        return muster_error_set(
            ret_error, MUSTER_ELOST,
            "cannot fork a worker: the process that forks them is dead; open muster anew");
    if (answer.error != 0)
        return muster_error_system(ret_error, answer.error, "cannot fork a worker");
    if (came[0] < 0)
        return muster_error_set(ret_error, MUSTER_ELIMIT,
                                "cannot watch a worker: this process is out of file descriptors");
    *ret_pid = answer.pid;
    *ret_pidfd = came[0];
    return 0;
}

static int collect(struct launcher *launcher, pid_t pid, int *ret_status, struct rusage *ret_usage)
{
    struct request request = {.kind = COLLECT, .pid = pid};
    int came[PASSED_MAX];
    struct answer answer;

    if (ask((struct forkserver *)launcher, &request, no_fds, &answer, came) != 0 || answer.error != 0)
        return MUSTER_ELOST;
    *ret_status = answer.status;
    *ret_usage = answer.usage;
    return 0;
}

static const struct launcher_ops forkserver_ops = {.spawn = spawn, .collect = collect};

/* Forks with all signals blocked, so that no handler of the caller runs in the server. */
static pid_t fork_server(struct server *server, int caller_socket)
{
    sigset_t all, before;
    pid_t caller = getpid(), pid;
    int error;

    fflush(NULL); /* else a worker would write what is still in the caller's buffers, too */
    wire_prepare();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        close(caller_socket);
        be_server(server, caller);
    }
    error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
}

int forkserver_start(const struct registry *registry, const struct muster_options *options,
                     struct forkserver **ret_server, struct muster_error *ret_error)
{
    const struct timeval limit = {.tv_sec = ANSWER_S};
    double silence_s = options->heartbeat_s < WAKE_S ? options->heartbeat_s : WAKE_S;
    struct server server = {.registry = registry,
                            .memory_bytes = options->memory_bytes,
                            .sandbox = options->sandbox,
                            .concurrency = options->concurrency,
                            .clean = options->start == MUSTER_FORK_CLEAN};
    struct forkserver *own;
    int sockets[2], code = forkserver_check(ret_error);

    if (code != 0)
        return code;
    if (!(own = malloc(sizeof *own)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if ((code = withheld_init(&server.withheld, ret_error)) != 0) {
        free(own);
        return code;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        withheld_fini(&server.withheld);
        free(own);
        return muster_error_system(ret_error, errno,
                                   "cannot make the socket of the process that forks workers");
    }
    server.socket = sockets[1];
    *own = (struct forkserver){.launcher = {.ops = &forkserver_ops},
                               .socket = sockets[0],
                               .pidfd = -1,
                               .silence_ns = (uint64_t)(silence_s * 1e9)};
    setsockopt(own->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(own->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    own->pid = fork_server(&server, own->socket);
    withheld_fini(&server.withheld); /* the copy has its own */
    if (own->pid > 0)
        own->pidfd = pidfd_open(own->pid, 0);
    if (own->pidfd < 0)
        code = muster_error_system(ret_error, errno, "cannot fork the process that forks workers");
    close(sockets[1]);
    if (code != 0) {
        forkserver_stop(own);
        return code;
    }
    *ret_server = own;
    return 0;
}

struct launcher *forkserver_launcher(struct forkserver *server)
{
    return &server->launcher;
}

/* It has nothing to put in order, and its workers notice. */
void forkserver_end(struct forkserver *server)
{
    if (!server)
        return;
    if (server->socket >= 0)
        close(server->socket); /* it sees the end, where it cannot be killed for want of a pidfd */
    server->socket = -1;
    if (server->pidfd >= 0)
        pidfd_send_signal(server->pidfd, SIGKILL, NULL, 0);
}

void forkserver_stop(struct forkserver *server)
{
    if (!server)
        return;
    forkserver_end(server);
    if (server->pidfd >= 0)
        close(server->pidfd);
    if (server->pid > 0)
        TEMP_FAILURE_RETRY(waitpid(server->pid, NULL, 0));
    free(server);
}
