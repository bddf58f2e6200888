/* SPDX-License-Identifier: MIT
 *
 * A coordinator on demand. See summon.h.
 *
 * Who starts one holds a lock on the state folder until it is ready, so that others that come meanwhile
 * find it. The lock of its place decides against one that somebody starts by hand at the same time. Ready is
 * what it says to NOTIFY_SOCKET, as it would to systemd; dead, a pidfd.
 */
#include "cli/summon.h"

#include "base/afresh.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/interrupt.h"
#include "cli/verbs.h"
#include "client/connect.h"
#include "coordinator/withheld.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READY_S = 60,        /* ten million batches that wait are counted in less */
    POLL_MS = 50,        /* for one that somebody else starts */
    LOG_BYTES = 1 << 20, /* of a log that is gone on with; a larger one begins anew */
    LAST_BYTES = 1000,   /* of a log, that its last line is looked for in */
};

struct summons {
    const char *const *plugins;
    unsigned plugin_count;
    char endpoint[PLACE_ENDPOINT_BYTES];
    char folder[PATH_MAX], state[PATH_MAX + 16], log[PATH_MAX + 16];
    int folder_fd, log_fd, notify_fd, pidfd;
    off_t log_bytes; /* of earlier ones */
    struct sockaddr_un notify;
    socklen_t notify_size;
    pid_t pid;
};

/* Makes the folder and those above it. */
static int make_folders(const char *path, struct muster_error *ret_error)
{
    char part[PATH_MAX];

    for (const char *slash = path; slash;) {
        slash = strchr(slash + 1, '/');
        snprintf(part, sizeof part, "%.*s", (int)(slash ? slash - path : (ptrdiff_t)strlen(path)), path);
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return muster_error_system(ret_error, errno,
                                       "cannot make the folder %s for the coordinator's state", part);
    }
    return 0;
}

static int find_folder(struct summons *s, struct muster_error *ret_error)
{
    if (!withheld_state_folder(s->folder))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "neither XDG_STATE_HOME nor HOME names a folder for the coordinator's state, "
                                "or its path is too long");
    snprintf(s->state, sizeof s->state, "%s/coordinator.db", s->folder);
    snprintf(s->log, sizeof s->log, "%s/coordinator.log", s->folder);
    return make_folders(s->folder, ret_error);
}

/* Whether one listens; MUSTER_ELOST when none does. Waits while somebody has the place who does not listen
 * yet, or not any more: one that is started then would be refused. */
static int knock(const struct summons *s, struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), READY_S * CLOCK_NS_PER_S);
    int code;

    while ((code = connect_knock(s->endpoint, NULL, ret_error)) == MUSTER_ELOST &&
           place_is_taken(s->endpoint) && clock_now_ns() < deadline_ns)
        poll(NULL, 0, POLL_MS);
    return code;
}

/* Waits until nobody else starts one, or one listens: who starts it may have been stopped as he does. */
static int lock(struct summons *s, struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), READY_S * CLOCK_NS_PER_S);
    int code;

    s->folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (s->folder_fd < 0 || flock(s->folder_fd, LOCK_EX | LOCK_NB) != 0) {
        if (s->folder_fd < 0 || errno != EWOULDBLOCK)
            return muster_error_system(ret_error, errno, "cannot lock %s", s->folder);
        if ((code = connect_knock(s->endpoint, NULL, ret_error)) != MUSTER_ELOST)
            return code;
        if (clock_now_ns() >= deadline_ns)
            return muster_error_set(ret_error, MUSTER_ESTATE,
                                    "%s has been locked for %d s by another muster, which starts a "
                                    "coordinator: is it stopped? ('fuser -v %s' shows who has it open)",
                                    s->folder, READY_S, s->folder);
        poll(NULL, 0, POLL_MS);
    }
    return 0;
}

static int open_log(struct summons *s, struct muster_error *ret_error)
{
    struct stat status;

    s->log_fd = open(s->log, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->log_fd < 0 || fstat(s->log_fd, &status) != 0 ||
        (status.st_size > LOG_BYTES && ftruncate(s->log_fd, 0) != 0))
        return muster_error_system(ret_error, errno, "cannot write the coordinator's log %s", s->log);
    s->log_bytes = status.st_size > LOG_BYTES ? 0 : status.st_size;
    return 0;
}

/* Where it says that it is ready: a name that nobody can guess, in no file system. */
static int open_notify(struct summons *s, struct muster_error *ret_error)
{
    const int yes = 1;
    unsigned long long chance;
    int size;

    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        return muster_error_system(ret_error, errno, "cannot make up a name for a socket");
    s->notify.sun_family = AF_UNIX;
    size = snprintf(s->notify.sun_path, sizeof s->notify.sun_path, "@muster-%ld-%016llx", (long)getpid(),
                    chance);
    s->notify_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size);
    s->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    s->notify.sun_path[0] = '\0';
    if (s->notify_fd < 0 || setsockopt(s->notify_fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0 ||
        bind(s->notify_fd, (const struct sockaddr *)&s->notify, s->notify_size) != 0)
        return muster_error_system(ret_error, errno, "cannot listen to a coordinator that starts");
    return 0;
}

/* This process's, and where to say that it is ready. NULL when out of memory. */
static char **make_environment(const struct summons *s, char notify[sizeof s->notify.sun_path + 16])
{
    size_t count = 0, kept = 0;
    char **copy;

    while (environ[count])
        count++;
    copy = calloc(count + 2, sizeof *copy);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "NOTIFY_SOCKET=", strlen("NOTIFY_SOCKET=")) != 0)
            copy[kept++] = environ[i];
    snprintf(notify, sizeof s->notify.sun_path + 16, "NOTIFY_SOCKET=@%s", s->notify.sun_path + 1);
    copy[kept] = notify;
    return copy;
}

/* Frees what make_words made. */
static void free_words(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}

/* The command line, all of it owned; NULL when out of memory. Its working directory is another one: paths of
 * plug-ins begin at the root. */
static char **make_words(const struct summons *s)
{
    const char *const first[] = {"muster", "coordinator", "--state", s->state};
    size_t count = 0, fixed = sizeof first / sizeof *first;
    char **words = calloc(fixed + 2 * (size_t)s->plugin_count + 1, sizeof *words);

    if (!words)
        return NULL;
    while (count < fixed && (words[count] = strdup(first[count])))
        count++;
    for (unsigned i = 0; i < s->plugin_count && count == fixed + 2 * (size_t)i; i++) {
        char *path = realpath(s->plugins[i], NULL); /* what is not there it says itself */

        if ((words[count] = strdup("--plugin")) && (words[count + 1] = path ? path : strdup(s->plugins[i])))
            count += 2;
        else
            free(path);
    }
    if (count == fixed + 2 * (size_t)s->plugin_count)
        return words;
    free_words(words);
    return NULL;
}

/* Nothing of this process's files is inherited. 0 or an errno. */
static int redirect(posix_spawn_file_actions_t *actions, int log_fd)
{
    int error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, log_fd, STDOUT_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, log_fd, STDERR_FILENO);
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (!error)
        error = posix_spawn_file_actions_addchdir_np(actions, "/");
    return error;
}

/* In a session of its own, with nothing of this process's but the environment. 0 or an errno. */
static int spawn(const struct summons *s, char **words, char **environment, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = afresh_attributes(&attributes, POSIX_SPAWN_SETSID);

    if (error)
        return error;
    posix_spawn_file_actions_init(&actions);
    error = redirect(&actions, s->log_fd);
    if (!error)
        error = posix_spawn(ret_pid, program_path(), &actions, &attributes, words, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int start(struct summons *s, struct muster_error *ret_error)
{
    char notify[sizeof s->notify.sun_path + 16], **environment = make_environment(s, notify);
    char **words = make_words(s);
    int error = environment && words ? spawn(s, words, environment, &s->pid) : ENOMEM;

    free_words(words);
    free(environment);
    if (!error && (s->pidfd = pidfd_open(s->pid, 0)) < 0) { /* one that cannot be watched must not run */
        error = errno;
        kill(s->pid, SIGKILL);
        TEMP_FAILURE_RETRY(waitpid(s->pid, NULL, 0));
    }
    return error ? muster_error_system(ret_error, error, "cannot start a coordinator") : 0;
}

/* The last line of its log, without what it begins with. */
static void read_last_line(const struct summons *s, char ret_line[LAST_BYTES + 1])
{
    static const char prefix[] = "muster: ";
    off_t end = lseek(s->log_fd, 0, SEEK_END), from = end > LAST_BYTES ? end - LAST_BYTES : 0;
    ssize_t size;
    char *line;

    from = from > s->log_bytes ? from : s->log_bytes;
    size = pread(s->log_fd, ret_line, LAST_BYTES, from);
    ret_line[size > 0 ? size : 0] = '\0';
    if (size > 0 && ret_line[size - 1] == '\n')
        ret_line[size - 1] = '\0';
    line = strrchr(ret_line, '\n');
    line = line ? line + 1 : ret_line;
    if (strncmp(line, prefix, strlen(prefix)) == 0)
        line += strlen(prefix);
    memmove(ret_line, line, strlen(line) + 1);
}

/* It has ended: because there is another one by now, or in vain. */
static int bury(const struct summons *s, struct muster_error *ret_error)
{
    char line[LAST_BYTES + 1];
    struct muster_error error;

    waitpid(s->pid, NULL, 0);
    read_last_line(s, line);
    if (knock(s, &error) == 0)
        return 0;
    return muster_error_set(ret_error, MUSTER_ESYSTEM,
                            "a coordinator was started and has ended: %s (its log is %s)",
                            line[0] ? line : "it said nothing", s->log);
}

/* Whether what came says that it is ready, and is its own word: anybody of this host can send to the socket.
 */
static bool take_notice(const struct summons *s)
{
    char text[256], control[CMSG_SPACE(sizeof(struct ucred))] __attribute__((aligned(8)));
    struct iovec part = {.iov_base = text, .iov_len = sizeof text - 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(s->notify_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    struct ucred sender;

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS ||
        header->cmsg_len != CMSG_LEN(sizeof sender))
        return false;
    memcpy(&sender, CMSG_DATA(header), sizeof sender);
    text[size] = '\0';
    return sender.pid == s->pid && strstr(text, "READY=1");
}

/* Waits until it is ready, or dead. */
static int wait_ready(const struct summons *s, struct muster_error *ret_error)
{
    uint64_t now_ns = clock_now_ns(), deadline_ns = clock_after(now_ns, READY_S * CLOCK_NS_PER_S);
    struct pollfd items[] = {{.fd = s->notify_fd, .events = POLLIN}, {.fd = s->pidfd, .events = POLLIN}};

    for (; now_ns < deadline_ns; now_ns = clock_now_ns()) {
        if (poll(items, 2, clock_poll_ms(now_ns, deadline_ns)) < 0)
            continue;
        if (items[0].revents && take_notice(s)) {
            log_error(
                "started a coordinator, process %ld, which goes on until 'muster stop'; batches are kept "
                "in %s, its log is %s",
                (long)s->pid, s->state, s->log);
            return 0;
        }
        if (items[1].revents)
            return bury(s, ret_error);
    }
    return muster_error_set(
        ret_error, MUSTER_ELOST,
        "a coordinator was started, process %ld, and is not ready after %d s (its log is %s)", (long)s->pid,
        READY_S, s->log);
}

static void close_all(const struct summons *s)
{
    const int fds[] = {s->folder_fd, s->log_fd, s->notify_fd, s->pidfd};

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Unless one listens by now. */
static int start_one(struct summons *s, struct muster_error *ret_error)
{
    int code = find_folder(s, ret_error);

    if (!code)
        code = lock(s, ret_error);
    if (!code && (code = knock(s, ret_error)) == MUSTER_ELOST && !(code = open_log(s, ret_error)) &&
        !(code = open_notify(s, ret_error)) && !(code = start(s, ret_error)))
        code = wait_ready(s, ret_error);
    close_all(s);
    return code;
}

int summon_coordinator(const char *const *plugins, unsigned plugin_count, struct muster_error *ret_error)
{
    struct summons s = {.plugins = plugins,
                        .plugin_count = plugin_count,
                        .folder_fd = -1,
                        .log_fd = -1,
                        .notify_fd = -1,
                        .pidfd = -1};
    sigset_t held;
    int code;

    if ((code = place_default(s.endpoint, ret_error)) ||
        (code = connect_knock(s.endpoint, NULL, ret_error)) != MUSTER_ELOST)
        return code;
    interrupt_release(&held);
    code = start_one(&s, ret_error);
    pthread_sigmask(SIG_SETMASK, &held, NULL);
    return code;
}
