/* SPDX-License-Identifier: MIT
 *
 * Names of places in code, asked of a process of its own. See fault.h.
 *
 * Where a job crashed may be what that job wrote: its plug-in, whose tables say anything. So who reads it
 * (fault_symbols.c, as `muster worker --symbols`) is confined, and may crash, or hang until its time is over,
 * without more harm than that the names are missing. Questions and answers are memory that has the size
 * of what is in it: neither side waits for the other to read.
 */
#include "coordinator/fault.h"

#include "base/afresh.h"
#include "base/controls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 3000, PART_MS = 100, ANSWERS_BYTES = FLIGHT_FRAMES_MAX * FAULT_FRAME_BYTES };

static bool ask(int fd, const struct fault_place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char question[PATH_MAX + 32];
        int size = snprintf(question, sizeof question, "%" PRIx64 " %s", places[i].address,
                            places[i].file ? places[i].file : "");

        if (size < 0 || (size_t)size >= sizeof question || write(fd, question, (size_t)size + 1) != size + 1)
            return false;
    }
    return lseek(fd, 0, SEEK_SET) == 0;
}

/* 0 or an errno value. */
static int spawn(int program_fd, int questions_fd, int answers_fd, pid_t *ret_pid)
{
    static const char *const words[] = {"muster", "worker", "--symbols", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char program[32];
    int error = afresh_attributes(&attributes, POSIX_SPAWN_SETPGROUP);

    if (error)
        return error;
    snprintf(program, sizeof program, "/proc/self/fd/%d", program_fd);
    posix_spawn_file_actions_init(&actions);
    error = posix_spawn_file_actions_adddup2(&actions, questions_fd, STDIN_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, answers_fd, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error =
            posix_spawn(ret_pid, program, &actions, &attributes, (char *const *)(uintptr_t)words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Whether it computed for longer than it may: the kernel sends SIGKILL then. Where this program ignores
 * SIGCHLD, or waits for all its children, somebody else has reaped it, and it is not known. */
static bool is_out_of_time(pid_t pid)
{
    int status;

    return TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) == pid && WIFSIGNALED(status) &&
           (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL);
}

/* Until it has ended; false when it had to be killed. */
static bool await(pid_t pid, const struct fault_files *files)
{
    int fd = pidfd_open(pid, 0); /* close-on-exec by itself */
    struct pollfd item = {.fd = fd, .events = POLLIN};
    bool ended = false;

    for (int waited_ms = 0; fd >= 0 && !ended && waited_ms < WAIT_MS; waited_ms += PART_MS) {
        ended = TEMP_FAILURE_RETRY(poll(&item, 1, PART_MS)) == 1;
        if (!ended && files->meanwhile)
            files->meanwhile(files->context);
    }
    if (fd >= 0 && !ended)
        pidfd_send_signal(fd, SIGKILL, NULL, 0);
    else if (fd < 0)
        kill(pid, SIGKILL);
    ended &= !is_out_of_time(pid);
    if (fd >= 0)
        close(fd);
    return ended;
}

/* As many as there are, none longer than its place, without what would garble a terminal. */
static void read_answers(int fd, size_t count, char (*ret_names)[FAULT_FRAME_BYTES])
{
    char bytes[ANSWERS_BYTES];
    ssize_t size = pread(fd, bytes, sizeof bytes, 0);
    const char *at = bytes, *end = bytes + (size > 0 ? size : 0), *stop;

    for (size_t i = 0; i < count && (stop = memchr(at, '\0', (size_t)(end - at))) != NULL;
         i++, at = stop + 1) {
        snprintf(ret_names[i], FAULT_FRAME_BYTES, "%.*s", FAULT_FRAME_BYTES - 1, at);
        controls_hide_string(ret_names[i]);
    }
}

bool fault_names(const struct fault_files *files, const struct fault_place *places, size_t count,
                 char (*ret_names)[FAULT_FRAME_BYTES])
{
    int questions = memfd_create("muster-questions", MFD_CLOEXEC), answers;
    bool in_time = true;
    pid_t pid;

    memset(ret_names, 0, count * sizeof *ret_names);
    if (questions < 0)
        return true;
    answers = memfd_create("muster-answers", MFD_CLOEXEC);
    if (answers >= 0 && ask(questions, places, count) &&
        spawn(files->program_fd, questions, answers, &pid) == 0) {
        in_time = await(pid, files);
        read_answers(answers, count, ret_names);
    }
    close(questions);
    if (answers >= 0)
        close(answers);
    return in_time;
}
