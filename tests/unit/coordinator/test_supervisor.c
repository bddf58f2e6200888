/* SPDX-License-Identifier: MIT
 *
 * The supervisor with real processes (tests/support/fake_worker.c): how their ends are told,
 * that nothing of them is left, and that nothing leaks. A plain executable, since the processes
 * are watched as the coordinator's thread watches them. A limit of time ends it if it hangs.
 */
#include "coordinator/supervisor.h"
#include "proto/heapfile.h"
#include "proto/reference.h"
#include "proto/slots.h"

#include "tests/support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3 };

static char folder[] = "/tmp/muster-test-XXXXXX", fifo[64];
static struct supervisor *supervisor;
static struct worker_exit last; /* of the worker that was reaped last */

static void create(const char *program)
{
    static const char *const plugins[] = {"first.so", "second.so"};
    struct supervisor_options options = {.program = program,
                                         .endpoint = fifo,
                                         .workers = WORKERS,
                                         .plugins = plugins,
                                         .plugin_count = 2,
                                         .memory_bytes = 12345678,
                                         .lends = true,
                                         .pin = true};
    struct muster_error error;

    CHECK(supervisor_create(&options, &supervisor, &error) == 0);
}

static void spawn(unsigned slot, const char *name)
{
    struct muster_error error = {0};

    if (supervisor_spawn(supervisor, slot, name, -1, -1, &error) != 0)
        fprintf(stderr, "%s\n", error.text);
    CHECK(error.code == 0);
}

/* Waits until a worker is dead, and buries it. */
static void reap(void)
{
    struct pollfd item = {.fd = supervisor_fd(supervisor), .events = POLLIN};

    CHECK(poll(&item, 1, 30000) == 1);
    CHECK(supervisor_reap(supervisor, &last) == 0);
}

static void end(const char *name)
{
    spawn(2, name);
    reap();
    CHECK(last.slot == 2);
    CHECK(supervisor_alive(supervisor) == 0);
}

/* Reads from the fifo until all who have it open for writing are dead. */
static size_t read_fifo(int fd, char *ret_text, size_t size)
{
    size_t used = 0;
    ssize_t got;

    while (used < size - 1 && (got = read(fd, ret_text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    ret_text[used] = '\0';
    return used;
}

/* --- ends */

static void exit_and_signal_are_told_apart(void)
{
    end("exit-3");
    CHECK(strcmp(last.reason, "ended with exit status 3 before it was ready for jobs") == 0);
    CHECK(!last.executing && !last.timed_out);
    end("signal-11");
    CHECK(strstr(last.reason, "killed by SIGSEGV (Segmentation fault), peak memory ") == last.reason);
    end("exit-0");
    CHECK(strcmp(last.reason, "ended with exit status 0 before it was ready for jobs") == 0);
}

static void flight_recorder_names_the_job_that_was_executing(void)
{
    end("job-crash");
    CHECK(last.executing && !last.timed_out);
    CHECK(last.chunk == 7 && last.index == 41);
    CHECK(!strstr(last.reason, "%"));
    end("job-progress");
    CHECK(last.progress / 10 == 37);
}

static void job_past_its_time_is_told_from_a_crash(void)
{
    end("job-late");
    CHECK(last.executing && last.timed_out);
    CHECK(last.chunk == 7 && last.index == 41);
    CHECK(last.progress / 10 == 40);
}

static void verdict_is_about_its_job_though_the_worker_went_on(void)
{
    end("job-late-then-next");
    CHECK(last.executing && last.timed_out);
    CHECK(last.chunk == 7 && last.index == 41);
    CHECK(!strstr(last.reason, "%")); /* how far the other one was */
    end("job-late-then-stopping");
    CHECK(last.executing && last.timed_out);
    CHECK(last.chunk == 7 && last.index == 41);
}

static void worker_between_jobs_or_on_its_way_out_executes_nothing(void)
{
    end("job-between");
    CHECK(!last.executing && last.index == 41);
    end("job-stopping");
    CHECK(!last.executing);
}

static void flight_recorder_of_the_worker_before_is_not_read(void)
{
    end("job-crash");
    end("exit-0");
    CHECK(!last.executing && last.index == 0 && last.chunk == 0);
}

static void plugin_that_was_loading_is_named(void)
{
    end("loading");
    CHECK(strcmp(last.reason, "ended with exit status 7 while it loaded the plug-in second.so") == 0);
}

static void phase_without_jobs_is_told_and_no_other(void)
{
    end("signal-11");
    CHECK(strstr(last.reason, " MiB before it was ready for jobs"));
    end("job-stopping");
    CHECK(strstr(last.reason, " MiB as it stopped"));
    end("job-late-then-stopping"); /* of which its job is told */
    CHECK(!strstr(last.reason, "stopped"));
    end("job-between");
    CHECK(strcmp(strstr(last.reason, " MiB"), " MiB") == 0);
}

static void each_of_many_deaths_is_told_once(void)
{
    unsigned seen = 0;

    for (unsigned slot = 1; slot <= WORKERS; slot++)
        spawn(slot, "exit-1");
    CHECK(supervisor_alive(supervisor) == WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        reap();
        seen |= 1u << last.slot;
    }
    CHECK(seen == (1u << 1 | 1u << 2 | 1u << 3));
    CHECK(supervisor_alive(supervisor) == 0);
    CHECK(supervisor_reap(supervisor, &last) == MUSTER_EAGAIN);
}

/* --- what is left */

/* Spawns a worker in slot 1 and waits for so many letters: from it, and from its child. */
static int spawn_family(const char *name, size_t letters)
{
    char letter;
    int fd;

    spawn(1, name);
    fd = open(fifo, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    for (; letters > 0; letters--)
        CHECK(read(fd, &letter, 1) == 1);
    return fd;
}

/* Returns once all of them are dead. */
static void wait_for_family(int fd)
{
    char letter;

    CHECK(read(fd, &letter, 1) == 0);
    close(fd);
}

static void children_that_a_dead_worker_left_are_killed(void)
{
    int fd = spawn_family("family", 1);

    reap();
    CHECK(strcmp(last.reason, "ended with exit status 0 before it was ready for jobs") == 0);
    wait_for_family(fd);
}

static void kill_takes_the_whole_group(void)
{
    int fd = spawn_family("family-stays", 2);

    supervisor_kill(supervisor, 1);
    wait_for_family(fd);
    reap();
    CHECK(strstr(last.reason, "killed by SIGKILL"));
    supervisor_kill(supervisor, 1); /* nobody: not our own group */
}

static void end_is_told_though_the_program_ignores_sigchld(void)
{
    int fd;

    signal(SIGCHLD, SIG_IGN);
    fd = spawn_family("family-stays", 2);
    supervisor_kill(supervisor, 1);
    reap();
    signal(SIGCHLD, SIG_DFL);
    CHECK(strncmp(last.reason, "an end that nobody saw", strlen("an end that nobody saw")) == 0);
    wait_for_family(fd);
}

static void destroyed_supervisor_leaves_nobody(void)
{
    int fd = spawn_family("family-stays", 2);

    supervisor_destroy(supervisor);
    wait_for_family(fd);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    create(FAKE_WORKER);
}

/* --- what is inherited, what leaks */

/* What the worker `describe` says that it was given. */
static void read_description(char *text, size_t size)
{
    int fd = open(fifo, O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    read_fifo(fd, text, size);
    reap();
    close(fd);
}

static unsigned count_in(const char *text, const char *part)
{
    unsigned count = 0;

    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

static void worker_gets_its_command_line_and_the_flight_recorder_alone(void)
{
    char text[8192], parent[64];
    int open_here = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sigset_t mask;

    CHECK(open_here >= 0);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGUSR2, SIG_IGN);
    spawn(2, "describe");
    sigprocmask(SIG_UNBLOCK, &mask, NULL);
    read_description(text, sizeof text);
    close(open_here);
    snprintf(parent, sizeof parent, "\n--parent\n%d\n", (int)getpid());
    CHECK(strstr(text, "muster\nworker\n--connect\n") == text);
    CHECK(strstr(text, "\n--name\ndescribe\n") && strstr(text, parent));
    CHECK(strstr(text, "\n--plugin\nfirst.so\n--plugin\nsecond.so\n"));
    CHECK(strstr(text, "\n--memory\n12345678\n") && strstr(text, "\n--cpu\n"));
    CHECK(strstr(text, "\n--heap-fd\n") && count_in(text, " /memfd:muster-heap") == 1);
    CHECK(strstr(text, "\nfd 0 /dev/null\n") && count_in(text, " /memfd:muster-flight") == 1);
    CHECK(count_in(text, "\nfd ") == 5 && !strstr(text, "\n--slots-fd\n"));
    CHECK(strstr(text, "\nown group\n") && strstr(text, "\nno signals\n"));
}

static void worker_with_slots_gets_them_and_what_it_rings(void)
{
    char text[8192], words[64], slots_line[64], bell_line[64];
    struct muster_error error;
    struct slots *slots;
    int slots_fd, bell_fd = eventfd(0, EFD_CLOEXEC);

    CHECK(bell_fd >= 0 && slots_create(&slots_fd, &slots) == 0);
    CHECK(supervisor_spawn(supervisor, 2, "describe", slots_fd, bell_fd, &error) == 0);
    read_description(text, sizeof text);
    snprintf(words, sizeof words, "\n--slots-fd\n%d\n--bell-fd\n%d\n", slots_fd, bell_fd);
    snprintf(slots_line, sizeof slots_line, "\nfd %d /memfd:muster-slots", slots_fd);
    snprintf(bell_line, sizeof bell_line, "\nfd %d anon_inode:[eventfd]", bell_fd);
    CHECK(strstr(text, words) && strstr(text, slots_line) && strstr(text, bell_line));
    CHECK(count_in(text, "\nfd ") == 7);
    slots_unmap(slots);
    close(slots_fd);
    close(bell_fd);
}

/* The descriptor is a low number, which the worker would have for something of its own. */
static void recorder_survives_the_exec_under_its_own_number(void)
{
    supervisor_destroy(supervisor);
    CHECK(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) == 3);
    create(FAKE_WORKER);
    close(3);
    end("job-crash");
    CHECK(last.executing && last.index == 41);
}

static void program_that_is_not_there_is_an_error_with_its_name(void)
{
    struct muster_error error = {0};

    supervisor_destroy(supervisor);
    create("/nonexistent/muster");
    CHECK(supervisor_spawn(supervisor, 1, "exit-0", -1, -1, &error) == MUSTER_ESYSTEM);
    CHECK(strstr(error.text, "/nonexistent/muster"));
    CHECK(supervisor_alive(supervisor) == 0);
    CHECK(supervisor_reap(supervisor, &last) == MUSTER_EAGAIN);
    supervisor_destroy(supervisor);
    create(FAKE_WORKER);
}

/* Every number of free descriptors, from none to enough. */
static void spawn_that_runs_out_of_descriptors_leaves_nothing_behind(void)
{
    struct rlimit before, limit;
    unsigned failed = 0, here = self_descriptors();
    int result = -1;

    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    for (rlim_t most = 3; result != 0; most++) {
        struct muster_error error;

        limit = (struct rlimit){.rlim_cur = most, .rlim_max = before.rlim_max};
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        result = supervisor_spawn(supervisor, 1, "exit-0", -1, -1, &error);
        CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
        if (result == 0)
            reap();
        failed += result != 0;
        CHECK(self_descriptors() == here);
        CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    }
    CHECK(failed > 1);
}

/* --- results that dead workers left */

/* A supervisor of workers with large heaps. */
static void create_lending(void)
{
    struct supervisor_options options = {.program = FAKE_WORKER,
                                         .endpoint = fifo,
                                         .workers = 1,
                                         .memory_bytes = HEAP_BYTES_MAX,
                                         .lends = true};
    struct muster_error error;

    supervisor_destroy(supervisor);
    CHECK(supervisor_create(&options, &supervisor, &error) == 0);
}

/* Lets a worker die of which so many MiB of results were sent; returns how many files are kept. */
static unsigned bequeath(unsigned mib, unsigned without)
{
    char name[32];

    snprintf(name, sizeof name, "lend-%u", mib);
    spawn(1, name);
    reap();
    CHECK(strcmp(last.reason, "ended with exit status 0 before it was ready for jobs") == 0);
    return self_descriptors() - without;
}

static void results_that_nobody_takes_are_kept_of_the_last_64_dead_workers_alone(void)
{
    unsigned without;

    create_lending();
    without = self_descriptors();
    for (unsigned dead = 1; dead <= 70; dead++)
        CHECK(bequeath(0, without) == (dead < 64 ? dead : 64));
    CHECK(supervisor_settle(supervisor)); /* six were given up */
    CHECK(!supervisor_settle(supervisor));
    supervisor_destroy(supervisor);
    create(FAKE_WORKER);
    CHECK(self_descriptors() == without);
}

/* Three times 400 MiB are beyond 1 GiB. */
static void results_that_nobody_takes_are_kept_up_to_a_gibibyte(void)
{
    unsigned without;

    if (heapfile_fit(0) < (size_t)512 << 20) {
        puts("skipped: less than 4 GiB of memory");
        return;
    }
    create_lending();
    without = self_descriptors();
    CHECK(bequeath(400, without) == 1);
    CHECK(bequeath(400, without) == 2);
    CHECK(bequeath(400, without) == 2);
    CHECK(bequeath(0, without) == 3);
    supervisor_destroy(supervisor);
    create(FAKE_WORKER);
    CHECK(self_descriptors() == without);
}

static void result_that_was_taken_is_kept_no_longer(void)
{
    unsigned without;

    create_lending();
    without = self_descriptors();
    CHECK(bequeath(0, without) == 1);
    spawn(1, "lend-taken");
    reap();
    CHECK(self_descriptors() - without == 1);
    supervisor_destroy(supervisor);
    create(FAKE_WORKER);
}

int main(void)
{
    unsigned before;

    alarm(100);
    closefrom(3); /* so that numbers are known */
    CHECK(mkdtemp(folder));
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    CHECK(mkfifo(fifo, 0600) == 0);
    before = self_descriptors();
    create(FAKE_WORKER);
    exit_and_signal_are_told_apart();
    flight_recorder_names_the_job_that_was_executing();
    job_past_its_time_is_told_from_a_crash();
    verdict_is_about_its_job_though_the_worker_went_on();
    worker_between_jobs_or_on_its_way_out_executes_nothing();
    flight_recorder_of_the_worker_before_is_not_read();
    plugin_that_was_loading_is_named();
    phase_without_jobs_is_told_and_no_other();
    each_of_many_deaths_is_told_once();
    children_that_a_dead_worker_left_are_killed();
    kill_takes_the_whole_group();
    end_is_told_though_the_program_ignores_sigchld();
    destroyed_supervisor_leaves_nobody();
    worker_gets_its_command_line_and_the_flight_recorder_alone();
    worker_with_slots_gets_them_and_what_it_rings();
    recorder_survives_the_exec_under_its_own_number();
    program_that_is_not_there_is_an_error_with_its_name();
    spawn_that_runs_out_of_descriptors_leaves_nothing_behind();
    results_that_nobody_takes_are_kept_of_the_last_64_dead_workers_alone();
    results_that_nobody_takes_are_kept_up_to_a_gibibyte();
    result_that_was_taken_is_kept_no_longer();
    supervisor_destroy(supervisor);
    supervisor_destroy(NULL);
    CHECK(self_descriptors() == before);
    unlink(fifo);
    rmdir(folder);
    return 0;
}
