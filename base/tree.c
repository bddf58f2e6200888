/* SPDX-License-Identifier: MIT
 *
 * The processes that descend from one. See tree.h.
 */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    NUMBER_BYTES = 24, /* of a 64-bit number in decimal, with a NUL */
    KILL_ROUNDS = 2000,
    QUIET_ROUNDS = 3, /* one may miss what goes from a dying parent to `root` meanwhile */
    MARKED_ROUNDS = 100,
    UNKNOWN_ROUNDS = 20, /* for what has no environment yet; others may have none for ever */
    VARIABLE_MAX = 256,  /* bytes of a mark */
    ROUND_NS = 1000000,
};

/* As the kernel fills it: see getdents64(2). */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[];
};

/* Appends `number` in decimal; snprintf is not for signal handlers. */
static char *append_number(char *end, pid_t number)
{
    char digits[NUMBER_BYTES];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0)
        *end++ = digits[--count];
    *end = '\0';
    return end;
}

static int open_of(pid_t pid, const char *what, int flags)
{
    char path[64] = "/proc/";
    char *end = append_number(path + strlen(path), pid);

    strcpy(end, what);
    return open(path, flags | O_RDONLY | O_CLOEXEC);
}

/* Reads numbers that are separated by spaces from a file. */
static size_t read_numbers(int fd, pid_t *ret_pids, size_t size)
{
    char bytes[4096];
    size_t count = 0;
    ssize_t had;
    pid_t number = 0;

    while ((had = TEMP_FAILURE_RETRY(read(fd, bytes, sizeof bytes))) > 0) {
        for (ssize_t i = 0; i < had; i++) {
            if (bytes[i] >= '0' && bytes[i] <= '9') {
                number = number * 10 + (bytes[i] - '0');
                continue;
            }
            if (number > 0 && count < size)
                ret_pids[count++] = number;
            number = 0;
        }
    }
    return count;
}

/* Of one thread, whose name is that of its folder in `tasks_fd`. */
static size_t thread_children(int tasks_fd, const char *thread, pid_t *ret_pids, size_t size)
{
    char path[NUMBER_BYTES + sizeof "/children"];
    size_t count;
    int fd;

    if (strlen(thread) >= NUMBER_BYTES)
        return 0;
    strcpy(path, thread);
    strcat(path, "/children");
    fd = openat(tasks_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    count = read_numbers(fd, ret_pids, size);
    close(fd);
    return count;
}

size_t tree_children(pid_t pid, pid_t *ret_pids, size_t size)
{
    _Alignas(struct entry) char bytes[4096];
    int tasks_fd = open_of(pid, "/task", O_DIRECTORY);
    size_t count = 0;
    long had;

    if (tasks_fd < 0)
        return 0;
    while ((had = syscall(SYS_getdents64, tasks_fd, bytes, sizeof bytes)) > 0) {
        for (long at = 0; at < had;) {
            const struct entry *entry = (const struct entry *)(const void *)(bytes + at);

            if (entry->name[0] != '.')
                count += thread_children(tasks_fd, entry->name, ret_pids + count, size - count);
            at += entry->size;
        }
    }
    close(tasks_fd);
    return count;
}

/* Its letter in proc(5); 'X', dead, when it is gone. It stands behind the last ')' of what names the
 * process. */
static char state_of(pid_t pid)
{
    char bytes[256]; /* "PID (NAME) S ...", the name at most 64 bytes long */
    int fd = open_of(pid, "/stat", 0);
    ssize_t had;

    if (fd < 0)
        return 'X';
    had = TEMP_FAILURE_RETRY(read(fd, bytes, sizeof bytes - 1));
    close(fd);
    while (had > 0 && bytes[had - 1] != ')')
        had--;
    return had > 0 ? bytes[had + 1] : 'X';
}

static bool is_among(pid_t pid, const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Whether a stop is on its way to the process: one that waits for its child in vfork stops only when that
 * executes. The line of its signals is "ShdPnd:", a tab, and the set in hexadecimal; the one of its groups
 * ahead of it, which may be long, is short where commands run. */
static bool will_stop(pid_t pid)
{
    static const char name[] = "\nShdPnd:\t";
    char bytes[8192];
    int fd = open_of(pid, "/status", 0);
    ssize_t had;
    char *line;

    if (fd < 0)
        return false;
    had = TEMP_FAILURE_RETRY(read(fd, bytes, sizeof bytes - 1));
    close(fd);
    bytes[had > 0 ? had : 0] = '\0';
    line = strstr(bytes, name);
    return line && strtoull(line + sizeof name - 1, NULL, 16) >> (SIGSTOP - 1) & 1;
}

/* Signals one process; returns whether it lived. */
static bool signal_one(pid_t pid, int signal)
{
    char state = state_of(pid);

    if (signal && (signal != SIGCONT || state == 'T' || will_stop(pid)))
        kill(pid, signal); /* one whose first thread has ended, too, which looks dead */
    return state != 'Z' && state != 'X';
}

/* None is signalled before all are found: some die with their parents, and what they started is then
 * nobody's. A stopped one starts no more. */
size_t tree_signal(pid_t root, const pid_t *spared, size_t spared_count, int signal)
{
    pid_t found[TREE_MAX];
    size_t count = tree_children(root, found, TREE_MAX), kept = 0, living = 0;
    int saved = errno;

    for (size_t i = 0; i < count; i++) {
        if (is_among(found[i], spared, spared_count))
            continue;
        if (signal == SIGKILL)
            kill(found[i], SIGSTOP);
        count += tree_children(found[i], found + count, TREE_MAX - count);
        found[kept++] = found[i];
    }
    for (size_t i = 0; i < kept; i++)
        living += signal_one(found[i], signal);
    errno = saved;
    return living;
}

void tree_kill(pid_t root, const pid_t *spared, size_t spared_count)
{
    int saved = errno;

    for (int i = 0, quiet = 0; i < KILL_ROUNDS && quiet < QUIET_ROUNDS; i++) {
        quiet = tree_signal(root, spared, spared_count, SIGKILL) == 0 ? quiet + 1 : 0;
        if (quiet == 0)
            nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
    }
    errno = saved;
}

/* Whether the file, of texts that end with NUL, has this one; -1 if it is empty. */
static int has_text(int fd, const char *text, size_t size)
{
    char bytes[VARIABLE_MAX + 8192];
    size_t kept = 0;
    ssize_t more;
    bool any = false;

    while ((more = TEMP_FAILURE_RETRY(read(fd, bytes + kept, sizeof bytes - kept))) > 0) {
        size_t had = kept + (size_t)more;

        any = true;
        if (memmem(bytes, had, text, size + 1))
            return 1;
        kept = had < size ? had : size; /* it may have begun there */
        memmove(bytes, bytes + had - kept, kept);
    }
    return any ? 0 : -1;
}

/* A process that loads a program has no environment for a moment; it does have a program, which the dead
 * and threads of the kernel have not. */
static bool has_program(pid_t pid)
{
    char path[64] = "/proc/", target[1];
    char *end = append_number(path + strlen(path), pid);

    strcpy(end, "/exe");
    return readlink(path, target, sizeof target) > 0;
}

/* What one round found. */
struct round {
    size_t killed;
    size_t unknown; /* that had no environment */
};

static void kill_if_marked(pid_t pid, const char *variable, struct round *round)
{
    int fd = open_of(pid, "/environ", 0), has;

    if (fd < 0)
        return;
    has = has_text(fd, variable, strlen(variable));
    close(fd);
    if (has > 0) {
        kill(pid, SIGSTOP);
        tree_signal(pid, NULL, 0, SIGKILL); /* some may have changed the variable */
        round->killed += kill(pid, SIGKILL) == 0;
    } else if (has < 0) {
        round->unknown += has_program(pid);
    }
}

static struct round kill_marked(DIR *list, const char *variable)
{
    struct round round = {0};
    const struct dirent *entry;

    while ((entry = readdir(list))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid > 1 && pid != getpid())
            kill_if_marked(pid, variable, &round);
    }
    return round;
}

void tree_kill_marked(const char *variable)
{
    DIR *list;

    if (strlen(variable) >= VARIABLE_MAX || !(list = opendir("/proc")))
        return;
    for (int i = 0; i < MARKED_ROUNDS; i++) {
        struct round round = kill_marked(list, variable);

        if (round.killed == 0 && (round.unknown == 0 || i >= UNKNOWN_ROUNDS))
            break;
        nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
        rewinddir(list);
    }
    closedir(list);
}

/* The 22nd number of /proc/PID/stat, counted from 1; the second is a name in brackets, which may hold
 * anything. */
uint64_t tree_started(pid_t pid)
{
    enum { NAME = 2, STARTED = 22 };
    char bytes[1024];
    const char *field;
    ssize_t had;
    int fd = open_of(pid, "/stat", 0);

    if (fd < 0)
        return 0;
    had = TEMP_FAILURE_RETRY(read(fd, bytes, sizeof bytes - 1));
    close(fd);
    bytes[had > 0 ? had : 0] = '\0';
    field = strrchr(bytes, ')');
    for (int i = NAME; field && i < STARTED; i++)
        field = strchr(field + 1, ' ');
    return field ? strtoull(field, NULL, 10) : 0;
}
