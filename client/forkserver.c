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

    /* A server that does not answer for so long is taken for dead: a fork takes milliseconds,
     * of a process of many gigabytes some hundred. */
    ANSWER_S = 20,

    /* A thread that has been joined is listed for a moment longer. */
    SETTLE_MS = 200,

#ifdef __SANITIZE_THREAD__
    THREADS_MAX = 2, /* the sanitizer's own, which sees to forks itself */
#else
    THREADS_MAX = 1,
#endif
};

enum request_kind { SPAWN, COLLECT };

struct request {
    enum request_kind kind;
    pid_t pid; /* COLLECT */
    int cpu;   /* SPAWN, which brings the flight recorder's descriptor */
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
};

/* --- one message, with a descriptor or without, over a socket of packets */

static bool send_packet(int socket, void *bytes, size_t size, int fd)
{
    char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *header;

    if (fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    return TEMP_FAILURE_RETRY(sendmsg(socket, &message, MSG_NOSIGNAL)) == (ssize_t)size;
}

/* *ret_fd is the descriptor that came along, or -1. False at the end, too. */
static bool receive_packet(int socket, void *bytes, size_t size, int *ret_fd)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = TEMP_FAILURE_RETRY(recvmsg(socket, &message, MSG_CMSG_CLOEXEC));
    struct cmsghdr *header = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;

    *ret_fd = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(header), sizeof *ret_fd);
    if (got == (ssize_t)size)
        return true;
    if (*ret_fd >= 0)
        close(*ret_fd);
    *ret_fd = -1;
    return false;
}

/* --- in the server */

struct server {
    const struct registry *registry;
    uint64_t memory_bytes;
    unsigned concurrency;
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

    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        signal(signal_number, SIG_DFL); /* refused for SIGKILL and SIGSTOP */
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

/* The life of a worker. What the caller's program registered for its own end does not run. */
static _Noreturn void be_worker(const struct server *server, const struct request *request, int flight_fd)
{
    struct worker_options options = {
        .endpoint = request->endpoint,
        .name = request->name,
        .parent_pid = server->pid,
        .flight_fd = flight_fd,
        .registry = server->registry,
        .memory_bytes = server->memory_bytes,
        .concurrency = server->concurrency,
        .cpu = request->cpu,
    };
    int status;

    close(server->socket);
    close(server->caller_pidfd);
    setpgid(0, 0);
    prctl(PR_SET_NAME, "muster-worker");
    status = worker_main(&options);
    fflush(NULL);
    _exit(status);
}

static void answer_spawn(const struct server *server, const struct request *request, int flight_fd)
{
    struct answer answer = {.error = 0};
    int pidfd = -1;
    pid_t pid = fork();

    if (pid == 0)
        be_worker(server, request, flight_fd);
    answer.pid = pid;
    if (pid < 0) {
        answer.error = errno;
    } else {
        setpgid(pid, pid); /* before the caller may kill the group */
        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0) {
            answer.error = errno;
            kill(-pid, SIGKILL);
            TEMP_FAILURE_RETRY(waitpid(pid, NULL, 0));
        }
    }
    send_packet(server->socket, &answer, sizeof answer, pidfd);
    if (pidfd >= 0)
        close(pidfd);
}

static void answer_collect(const struct server *server, pid_t pid)
{
    struct answer answer = {.pid = pid};

    if (TEMP_FAILURE_RETRY(wait4(pid, &answer.status, 0, &answer.usage)) != pid)
        answer.error = errno;
    send_packet(server->socket, &answer, sizeof answer, -1);
}

/* Until the caller closes its end or is dead, which its pidfd tells even where a process that
 * it forked holds a copy of that end. A server that is stopped is woken by the death signal. */
static _Noreturn void serve(const struct server *server)
{
    struct pollfd items[] = {{.fd = server->socket, .events = POLLIN},
                             {.fd = server->caller_pidfd, .events = POLLIN}};

    for (;;) {
        struct request request;
        int fd;

        if (poll(items, 2, -1) < 0 && errno != EINTR)
            _exit(1);
        if (items[1].revents)
            _exit(0);
        if (!items[0].revents)
            continue;
        if (!receive_packet(server->socket, &request, sizeof request, &fd))
            _exit(0);
        switch (request.kind) {
        case SPAWN:
            answer_spawn(server, &request, fd);
            break;
        case COLLECT:
            answer_collect(server, request.pid);
            break;
        }
        if (fd >= 0)
            close(fd);
    }
}

static _Noreturn void be_server(struct server *server, pid_t caller)
{
    become_plain();
    setpgid(0, 0); /* signals of the terminal are the caller's */
    prctl(PR_SET_NAME, "muster-fork");
    prctl(PR_SET_PDEATHSIG, SIGCONT);
    server->pid = getpid();
    server->caller_pidfd = pidfd_open(caller, 0);
    if (server->caller_pidfd < 0 || getppid() != caller)
        _exit(1);
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

/* 0 with an answer; MUSTER_ELOST when there is none, and will be none any more. */
static int ask(struct forkserver *server, struct request *request, int fd, struct answer *ret_answer,
               int *ret_fd)
{
    if (server->socket < 0)
        return MUSTER_ELOST;
    if (send_packet(server->socket, request, sizeof *request, fd) &&
        receive_packet(server->socket, ret_answer, sizeof *ret_answer, ret_fd))
        return 0;
    lose(server);
    return MUSTER_ELOST;
}

static int spawn(struct launcher *launcher, const struct launch *launch, pid_t *ret_pid, int *ret_pidfd,
                 struct muster_error *ret_error)
{
    struct request request = {.kind = SPAWN, .cpu = launch->cpu};
    struct answer answer;
    int pidfd;

    if (strlen(launch->endpoint) >= sizeof request.endpoint || strlen(launch->name) >= sizeof request.name)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "cannot fork a worker: its endpoint is too long");
    strcpy(request.endpoint, launch->endpoint);
    strcpy(request.name, launch->name);
    if (ask((struct forkserver *)launcher, &request, launch->flight_fd, &answer, &pidfd) != 0)
        return muster_error_set(
            ret_error, MUSTER_ELOST,
            "cannot fork a worker: the process that forks them is dead; open muster anew");
    if (answer.error != 0)
        return muster_error_system(ret_error, answer.error, "cannot fork a worker");
    if (pidfd < 0)
        return muster_error_set(ret_error, MUSTER_ELIMIT,
                                "cannot watch a worker: this process is out of file descriptors");
    *ret_pid = answer.pid;
    *ret_pidfd = pidfd;
    return 0;
}

static int collect(struct launcher *launcher, pid_t pid, int *ret_status, struct rusage *ret_usage)
{
    struct request request = {.kind = COLLECT, .pid = pid};
    struct answer answer;
    int none;

    if (ask((struct forkserver *)launcher, &request, -1, &answer, &none) != 0 || answer.error != 0)
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

int forkserver_start(const struct registry *registry, uint64_t memory_bytes, unsigned concurrency,
                     struct forkserver **ret_server, struct muster_error *ret_error)
{
    const struct timeval limit = {.tv_sec = ANSWER_S};
    struct server server = {.registry = registry, .memory_bytes = memory_bytes, .concurrency = concurrency};
    struct forkserver *own;
    int sockets[2], code = forkserver_check(ret_error);

    if (code != 0)
        return code;
    if (!(own = malloc(sizeof *own)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        free(own);
        return muster_error_system(ret_error, errno,
                                   "cannot make the socket of the process that forks workers");
    }
    server.socket = sockets[1];
    *own = (struct forkserver){.launcher = {.ops = &forkserver_ops}, .socket = sockets[0], .pidfd = -1};
    setsockopt(own->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(own->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    own->pid = fork_server(&server, own->socket);
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
void forkserver_stop(struct forkserver *server)
{
    if (!server)
        return;
    if (server->socket >= 0)
        close(server->socket); /* it sees the end, where it cannot be killed for want of a pidfd */
    if (server->pidfd >= 0) {
        pidfd_send_signal(server->pidfd, SIGKILL, NULL, 0);
        close(server->pidfd);
    }
    if (server->pid > 0)
        TEMP_FAILURE_RETRY(waitpid(server->pid, NULL, 0));
    free(server);
}
