/* SPDX-License-Identifier: MIT
 *
 * Workers whose supervisor was killed, and the supervisor that comes after it, with real processes
 * (tests/support/fake_worker.c). A limit of time ends it if it hangs.
 */
#include "base/tree.h"
#include "coordinator/supervisor.h"
#include "proto/flight.h"

#include "tests/support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3 };

static char folder[] = "/tmp/muster-test-XXXXXX", fifo[64];
static int folder_fd, fifo_fd;
static struct supervisor *supervisor;
static struct worker_exit last;
static unsigned refusals;
static uint64_t memory_bytes;

static struct {
    unsigned count, slot;
    char name[64];
} found;

static void create(void)
{
    struct supervisor_options options = {.program = FAKE_WORKER,
                                         .endpoint = fifo,
                                         .folder = folder,
                                         .orphan_grace_ns = 60000000000,
                                         .workers = WORKERS,
                                         .memory_bytes = memory_bytes};
    struct muster_error error;

    CHECK(supervisor_create(&options, &supervisor, &error) == 0);
}

static void note(void *context, unsigned slot, const char *name, const char *refused)
{
    CHECK(context == &found);
    if (refused) {
        refusals++;
        return;
    }
    found.count++;
    found.slot = slot;
    snprintf(found.name, sizeof found.name, "%s", name);
}

/* A supervisor that comes to this folder. */
static void come_back(void)
{
    struct muster_error error;

    found.count = refusals = 0;
    create();
    CHECK(supervisor_adopt(supervisor, note, &found, &error) == 0);
}

static void reap(void)
{
    struct pollfd item = {.fd = supervisor_fd(supervisor), .events = POLLIN};

    CHECK(poll(&item, 1, 30000) == 1);
    CHECK(supervisor_reap(supervisor, &last) == 0);
}

/* A supervisor that starts a worker in a slot and is killed, when that has said its letter (`stays`) or is
 * dead. */
static void leave(unsigned slot, const char *name, bool stays)
{
    pid_t pid = fork();
    int status;
    char letter;

    CHECK(pid >= 0);
    if (pid == 0) {
        struct muster_error error;
        struct pollfd item;

        create();
        if (supervisor_spawn(supervisor, slot, name, -1, -1, &error) != 0)
            _exit(1);
        item = (struct pollfd){.fd = supervisor_fd(supervisor), .events = POLLIN};
        if (stays ? read(open(fifo, O_RDONLY | O_CLOEXEC), &letter, 1) == 1 : poll(&item, 1, 30000) == 1)
            raise(SIGKILL);
        _exit(2);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status));
}

static bool is_there(const char *file)
{
    return faccessat(folder_fd, file, F_OK, 0) == 0;
}

static void worker_that_outlived_its_supervisor_is_watched_by_the_next_one(void)
{
    struct stat status;

    leave(2, "worker-2.stay", true);
    CHECK(fstatat(folder_fd, "worker-2.stay.flight", &status, 0) == 0 && (status.st_mode & 0777) == 0600);
    come_back();
    CHECK(found.count == 1 && found.slot == 2 && strcmp(found.name, "worker-2.stay") == 0);
    CHECK(supervisor_alive(supervisor) == 1);
    CHECK(supervisor_reap(supervisor, &last) == MUSTER_EAGAIN);
    supervisor_kill(supervisor, 2);
    reap();
    CHECK(last.slot == 2 && !last.executing && strstr(last.reason, "nobody knows how"));
    CHECK(supervisor_alive(supervisor) == 0 && !is_there("worker-2.stay.flight"));
    supervisor_destroy(supervisor);
}

static void job_of_a_worker_that_died_while_nobody_watched_is_named(void)
{
    leave(1, "worker-1.job-progress", false);
    come_back();
    CHECK(found.count == 1 && found.slot == 1);
    reap();
    CHECK(last.slot == 1 && last.executing && strstr(last.reason, "nobody knows how"));
    CHECK(last.batch == 3 && last.chunk == 7 && last.index == 41 && last.attempt == 1);
    CHECK(last.progress / 10 == 37);
    CHECK(!is_there("worker-1.job-progress.flight"));
    supervisor_destroy(supervisor);
}

/* Of a verdict about the chunk before nobody knows the batch. */
static void batch_of_another_chunk_is_not_taken_for_that_of_a_verdict(void)
{
    leave(1, "worker-1.job-late-then-next", false);
    come_back();
    reap();
    CHECK(last.timed_out && last.chunk == 7 && last.index == 41 && last.batch == 0);
    supervisor_destroy(supervisor);
}

/* A page that says it is of this process is of a worker that is dead, and the process is left alone. */
static void check_innocent(pid_t pid, uint64_t started)
{
    struct flight_page *page;
    int fd;

    CHECK(flight_create_file(folder_fd, "worker-3.1.flight", &fd, &page) == 0);
    close(fd);
    atomic_store(&page->started, started);
    atomic_store(&page->pid, (uint32_t)pid);
    atomic_store(&page->command, 1);
    atomic_store(&page->magic, FLIGHT_MAGIC);
    come_back();
    CHECK(found.count == 1 && found.slot == 3);
    supervisor_kill(supervisor, 3);
    reap();
    CHECK(last.slot == 3);
    supervisor_destroy(supervisor);
    CHECK(!is_there("worker-3.1.flight"));
    flight_unmap(page);
}

/* One of another start has the number of a dead worker; of a page that somebody forged all is right, but that
 * the process has never held its lock. */
static void process_that_a_page_names_is_left_alone_unless_it_holds_the_lock(void)
{
    pid_t innocent = fork();

    CHECK(innocent >= 0);
    if (innocent == 0) {
        setpgid(0, 0);
        for (;;)
            pause();
    }
    setpgid(innocent, innocent);
    check_innocent(innocent, tree_started(innocent) - 1);
    check_innocent(innocent, tree_started(innocent));
    CHECK(waitpid(innocent, NULL, WNOHANG) == 0);
    CHECK(kill(innocent, SIGKILL) == 0 && waitpid(innocent, NULL, 0) == innocent);
}

/* Returns when the one that was left behind, which had the fifo open for writing, is dead. */
static void await_hang_up(int write_fd)
{
    struct pollfd item = {.fd = fifo_fd, .events = POLLIN};

    close(write_fd);
    CHECK(poll(&item, 1, 30000) == 1 && (item.revents & POLLHUP));
}

static void worker_for_which_there_is_no_slot_is_ended(void)
{
    int write_fd;

    leave(2, "worker-4.stay", true); /* a number beyond the slots that there are now */
    write_fd = open(fifo, O_WRONLY | O_CLOEXEC);
    come_back();
    CHECK(found.count == 0 && refusals == 1 && supervisor_alive(supervisor) == 0);
    await_hang_up(write_fd);
    CHECK(!is_there("worker-4.stay.flight"));
    supervisor_destroy(supervisor);
}

static void worker_with_other_settings_is_ended(void)
{
    int write_fd;

    leave(2, "worker-2.stay", true);
    write_fd = open(fifo, O_WRONLY | O_CLOEXEC);
    memory_bytes = 1 << 30;
    come_back();
    memory_bytes = 0;
    CHECK(found.count == 0 && refusals == 1 && supervisor_alive(supervisor) == 0);
    await_hang_up(write_fd);
    CHECK(!is_there("worker-2.stay.flight"));
    supervisor_destroy(supervisor);
}

static void adopted_worker_does_not_outlive_a_supervisor_that_is_destroyed(void)
{
    int write_fd;

    leave(1, "worker-1.stay", true);
    write_fd = open(fifo, O_WRONLY | O_CLOEXEC);
    come_back();
    CHECK(supervisor_alive(supervisor) == 1);
    supervisor_destroy(supervisor);
    await_hang_up(write_fd);
    CHECK(!is_there("worker-1.stay.flight"));
}

static void file_that_is_no_flight_recorder_is_not_read(void)
{
    int fd = openat(folder_fd, "worker-1.short.flight", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    struct flight_page *page;

    CHECK(fd >= 0 && write(fd, "short", 5) == 5);
    close(fd);
    CHECK(mkdirat(folder_fd, "worker-2.folder.flight", 0700) == 0);
    CHECK(flight_create_file(folder_fd, "worker-3.never-ran.flight", &fd, &page) == 0);
    close(fd);
    flight_unmap(page);
    CHECK(flight_create_file(folder_fd, "other.flight", &fd, &page) == 0);
    close(fd);
    flight_unmap(page);
    come_back();
    CHECK(found.count == 0 && supervisor_alive(supervisor) == 0);
    supervisor_destroy(supervisor);
    CHECK(!is_there("worker-1.short.flight") && !is_there("worker-3.never-ran.flight"));
    CHECK(unlinkat(folder_fd, "worker-2.folder.flight", AT_REMOVEDIR) == 0);
    CHECK(unlinkat(folder_fd, "other.flight", 0) == 0);
}

static void folder_that_is_not_there_is_an_error(void)
{
    struct supervisor_options options = {.program = FAKE_WORKER, .folder = "/nonexistent", .workers = 1};
    struct muster_error error;

    CHECK(supervisor_create(&options, &supervisor, &error) == MUSTER_ESYSTEM);
}

int main(void)
{
    unsigned before;

    alarm(100);
    CHECK(mkdtemp(folder));
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    CHECK(mkfifo(fifo, 0600) == 0);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fifo_fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK(folder_fd >= 0 && fifo_fd >= 0 && fcntl(fifo_fd, F_SETFL, 0) == 0);
    before = self_descriptors();
    worker_that_outlived_its_supervisor_is_watched_by_the_next_one();
    job_of_a_worker_that_died_while_nobody_watched_is_named();
    batch_of_another_chunk_is_not_taken_for_that_of_a_verdict();
    process_that_a_page_names_is_left_alone_unless_it_holds_the_lock();
    worker_for_which_there_is_no_slot_is_ended();
    worker_with_other_settings_is_ended();
    adopted_worker_does_not_outlive_a_supervisor_that_is_destroyed();
    file_that_is_no_flight_recorder_is_not_read();
    folder_that_is_not_there_is_an_error();
    CHECK(self_descriptors() == before);
    close(folder_fd);
    close(fifo_fd);
    unlink(fifo);
    CHECK(rmdir(folder) == 0);
    return 0;
}
