/* SPDX-License-Identifier: MIT
 *
 * Workers that are copies of this program, through the API: what they have of it, how their
 * crashes end, when they are refused, and that nothing of them is left. A plain executable: the
 * process that opens muster has one thread.
 */
#include "client/muster.h"
#include "jobs/muster_job.h"

#include "tests/support/self.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_MS = 60000, JOBS_MAX = 200 };

/* --- functions of this program */

static uint64_t secret; /* set before muster is opened */

static int number(msgpack_object *ret_result, uint64_t value)
{
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = value;
    return 0;
}

static int run_secret(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    return number(ret_result, secret + argument->via.u64);
}

/* The seventh job kills its worker. */
static int run_crash(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    if (argument->via.u64 == 7)
        raise(SIGKILL);
    return number(ret_result, argument->via.u64);
}

/* 1: the worker, 2: the process that forked it. */
static int run_process(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    return number(ret_result, (uint64_t)(argument->via.u64 == 1 ? getpid() : getppid()));
}

/* 1 when signals are as in a program that was just started, and the group is the worker's own. */
static int run_plain(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    struct sigaction user, interrupt;
    sigset_t blocked;

    (void)call;
    (void)argument;
    sigaction(SIGUSR1, NULL, &user);
    sigaction(SIGINT, NULL, &interrupt);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    return number(ret_result, user.sa_handler == SIG_DFL && interrupt.sa_handler == SIG_DFL &&
                                  !sigismember(&blocked, SIGUSR2) && getpgrp() == getpid());
}

static int arrivals[2]; /* a pipe */

static int run_arrive(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    (void)ret_result;
    return write(arrivals[1], "", 1) == 1 ? 0 : muster_call_fail(call, "cannot write");
}

/* The first is closed where a program is started. Their numbers may be given to others then. */
static struct {
    int fd;
    struct stat file;
} open_files[2];

static int run_has(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t i = argument->via.u64 - 1;
    struct stat file;

    (void)call;
    return number(ret_result,
                  fstat(open_files[i].fd, &file) == 0 && file.st_ino == open_files[i].file.st_ino);
}

static const muster_function functions[] = {
    {.name = "secret", .summary = "what this program knows", .run = run_secret},
    {.name = "crash", .summary = "kills its worker at 7", .run = run_crash},
    {.name = "process", .summary = "process numbers", .run = run_process},
    {.name = "arrive", .summary = "says that it runs", .run = run_arrive},
    {.name = "has", .summary = "whether a descriptor is open", .run = run_has},
    {.name = "plain", .summary = "whether signals are default", .run = run_plain},
};
static const muster_plugin table = MUSTER_PLUGIN(functions);

/* --- what the tests share */

static struct muster_error error;
static uint64_t values[JOBS_MAX + 1];
static int codes[JOBS_MAX + 1];
static char text[256];

static muster *open_fork(struct muster_options options)
{
    muster *m = NULL;

    options.model = MUSTER_PROCESSES;
    options.start = options.start ? options.start : MUSTER_FORK;
    options.functions = &table;
    error.text[0] = '\0';
    error.code = muster_open(&options, &m, &error);
    CHECK((error.code == 0) == (m != NULL));
    return m;
}

static int note(void *context, const struct muster_result *result)
{
    (void)context;
    codes[result->index] = result->code;
    values[result->index] = result->value ? result->value->via.u64 : 0;
    if (result->text)
        snprintf(text, sizeof text, "%s", result->text);
    return 0;
}

static int map(muster *m, const char *function, int64_t jobs, struct muster_summary *ret_summary)
{
    struct muster_batch batch = {
        .function = function, .source = muster_source_range(1, jobs), .on_result = note};

    return muster_map(m, &batch, ret_summary, &error);
}

static void must_open(muster *m)
{
    if (!m)
        fprintf(stderr, "%s\n", error.text);
    CHECK(m);
}

static void await_end(int pidfd)
{
    struct pollfd item = {.fd = pidfd, .events = POLLIN};

    CHECK(poll(&item, 1, LIMIT_MS) == 1);
    close(pidfd);
}

/* --- tests */

static void workers_have_the_functions_and_the_memory_of_this_program(void)
{
    struct muster_summary summary;
    muster *m;

    secret = 4711;
    must_open(m = open_fork((struct muster_options){.workers = 2}));
    secret = 1; /* too late for them */
    CHECK(map(m, "secret", JOBS_MAX, &summary) == 0 && summary.succeeded == JOBS_MAX);
    for (uint64_t i = 1; i <= JOBS_MAX; i++)
        CHECK(values[i] == 4711 + i);
    CHECK(map(m, "is_prime", 7, &summary) == 0 && summary.succeeded == 7); /* of those that ship */
    muster_close(m);
}

static void workers_have_limits_cores_and_plugins_like_others(void)
{
    struct muster_options options = {.workers = 2, .pin = true, .warm = true};
    const char *plugin = getenv("MUSTER_TEST_PLUGIN");
    muster *m;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which need more */
    options.memory_bytes = 256 << 20;
#endif
    CHECK(plugin);
    options.plugins = &plugin;
    options.plugin_count = 1;
    must_open(m = open_fork(options));
    CHECK(map(m, "secret", 10, NULL) == 0);
    CHECK(map(m, "collatz", 27, NULL) == 0 && values[27] == 111);
    muster_close(m);
}

static void a_crash_costs_its_job_and_the_worker_is_forked_anew(void)
{
    struct muster_summary summary;
    muster *m;

    must_open(m = open_fork((struct muster_options){.workers = 1, .crash_limit = 2}));
    CHECK(map(m, "crash", 50, &summary) == 0);
    CHECK(summary.failed == 1 && summary.succeeded == 49 && summary.crashes == 2);
    CHECK(codes[7] == MUSTER_EQUARANTINED && strstr(text, "SIGKILL"));
    CHECK(map(m, "secret", 10, &summary) == 0 && summary.succeeded == 10);
    muster_close(m);
}

static void handler(int number_)
{
    (void)number_;
}

static void workers_start_with_default_signals_in_a_group_of_their_own(void)
{
    struct sigaction action = {.sa_handler = handler};
    sigset_t blocked, before;
    muster *m;

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    action.sa_handler = SIG_IGN;
    CHECK(sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGCHLD, &action, NULL) == 0);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    must_open(m = open_fork((struct muster_options){.workers = 1}));
    CHECK(map(m, "plain", 1, NULL) == 0 && values[1] == 1);
    CHECK(map(m, "crash", 10, NULL) == 0 && strstr(text, "SIGKILL")); /* also with SIGCHLD ignored */
    muster_close(m);
    sigprocmask(SIG_SETMASK, &before, NULL);
    action.sa_handler = SIG_DFL;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGINT, &action, NULL) == 0);
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
}

/* Interrupts this process's group until it is killed, more often than a fork takes. */
static pid_t interrupt_for_ever(void)
{
    pid_t caller = getpid(), pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (setpgid(0, 0) == 0 && kill(-caller, SIGINT) == 0)
        usleep(20);
    _exit(1);
}

/* It was pending from before the server left the caller's group, and killed it. */
static void an_interrupt_while_the_server_is_forked_is_the_callers_alone(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    pid_t pid;

    CHECK((getpgrp() == getpid() || setpgid(0, 0) == 0) && sigaction(SIGINT, &action, NULL) == 0);
    CHECK((pid = interrupt_for_ever()) > 0);
    for (int round = 0; round < 20; round++) {
        muster *m;

        must_open(m = open_fork((struct muster_options){.workers = 1}));
        CHECK_SAYING(map(m, "secret", 1, NULL) == 0, error.text);
        muster_close(m);
    }
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    action.sa_handler = SIG_DFL;
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
}

static void *stay(void *gate)
{
    char byte;

    CHECK(read(*(int *)gate, &byte, 1) == 0);
    return NULL;
}

static void a_program_with_threads_is_refused_until_they_have_ended(void)
{
    pthread_t thread;
    int gate[2];
    muster *m;

    CHECK(pipe(gate) == 0 && pthread_create(&thread, NULL, stay, &gate[0]) == 0);
    CHECK(!open_fork((struct muster_options){.workers = 1}));
    CHECK(error.code == MUSTER_ESTATE && strstr(error.text, "threads"));
    close(gate[1]);
    CHECK(pthread_join(thread, NULL) == 0);
    close(gate[0]);
    must_open(m = open_fork((struct muster_options){.workers = 1}));
    muster_close(m);
}

static void a_program_with_a_zeromq_context_is_refused_until_it_is_closed(void)
{
    muster *m;

    must_open(m = open_fork((struct muster_options){.workers = 1}));
    CHECK(!open_fork((struct muster_options){.workers = 1}));
    CHECK(error.code == MUSTER_ESTATE && strstr(error.text, "ZeroMQ context"));
    CHECK(map(m, "secret", 10, NULL) == 0);
    muster_close(m);
    must_open(m = open_fork((struct muster_options){.workers = 1}));
    CHECK(map(m, "secret", 10, NULL) == 0);
    muster_close(m);
}

static void closing_leaves_no_process_and_no_descriptor(void)
{
    unsigned before = 0;

    for (int round = 0; round < 4; round++) {
        muster *m;

        must_open(m = open_fork((struct muster_options){.workers = 2, .warm = true}));
        CHECK(map(m, "crash", 10, NULL) == 0);
        muster_close(m);
        CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
        CHECK(round == 0 || self_descriptors() == before); /* libraries open some for good at first */
        before = self_descriptors();
    }
}

static void a_batch_fails_when_the_process_that_forks_is_dead(void)
{
    int server, worker;
    muster *m;

    must_open(m = open_fork((struct muster_options){.workers = 1}));
    CHECK(map(m, "process", 2, NULL) == 0);
    CHECK((worker = pidfd_open((pid_t)values[1], 0)) >= 0);
    CHECK((server = pidfd_open((pid_t)values[2], 0)) >= 0);
    CHECK(kill((pid_t)values[2], SIGKILL) == 0);
    await_end(server);
    await_end(worker); /* which does not outlive it */
    CHECK(map(m, "secret", 10, NULL) == MUSTER_ELOST);
    CHECK(strstr(error.text, "the process that forks them is dead"));
    muster_close(m);
}

/* The child's side of the test below: tells its processes, then waits for its end. */
static void be_caller(int out)
{
    pid_t pids[2];
    muster *m;

    must_open(m = open_fork((struct muster_options){.workers = 1}));
    CHECK(map(m, "process", 2, NULL) == 0);
    pids[0] = (pid_t)values[1];
    pids[1] = (pid_t)values[2];
    CHECK(write(out, pids, sizeof pids) == sizeof pids);
    for (;;)
        pause();
}

static void a_caller_that_is_killed_leaves_nothing_running(void)
{
    pid_t caller, pids[2];
    int ends[2], watched[2];

    CHECK(pipe(ends) == 0);
    caller = fork();
    CHECK(caller >= 0);
    if (caller == 0)
        be_caller(ends[1]);
    CHECK(read(ends[0], pids, sizeof pids) == sizeof pids);
    for (int i = 0; i < 2; i++)
        CHECK((watched[i] = pidfd_open(pids[i], 0)) >= 0);
    CHECK(kill(caller, SIGKILL) == 0 && waitpid(caller, NULL, 0) == caller);
    await_end(watched[0]);
    await_end(watched[1]);
    close(ends[0]);
    close(ends[1]);
}

static void functions_of_this_program_need_workers_that_are_forked(void)
{
    struct muster_options options = {.model = MUSTER_PROCESSES, .functions = &table};
    muster *m;

    CHECK(muster_open(&options, &m, &error) == MUSTER_EINVALID && strstr(error.text, "MUSTER_FORK"));
}

static void a_clean_copy_lacks_what_is_closed_where_a_program_is_started(void)
{
    muster *m;

    for (int i = 0; i < 2; i++) {
        CHECK((open_files[i].fd = memfd_create("of a test", i == 0 ? MFD_CLOEXEC : 0)) >= 0);
        CHECK(fstat(open_files[i].fd, &open_files[i].file) == 0);
    }
    must_open(m = open_fork((struct muster_options){.workers = 1}));
    CHECK(map(m, "has", 2, NULL) == 0 && values[1] == 1 && values[2] == 1);
    muster_close(m);
    must_open(m = open_fork((struct muster_options){.workers = 1, .start = MUSTER_FORK_CLEAN}));
    CHECK(map(m, "has", 2, NULL) == 0 && values[1] == 0 && values[2] == 1);
    muster_close(m);
    close(open_files[0].fd);
    close(open_files[1].fd);
}

/* They waited for the coordinator's first grant, and for each other. */
static void jobs_run_while_their_caller_does_not_look(void)
{
    enum { JOBS = 3 };
    muster_future *futures[JOBS];
    muster *m;

    CHECK(pipe(arrivals) == 0);
    must_open(m = open_fork((struct muster_options){.workers = 2}));
    for (size_t i = 0; i < JOBS; i++)
        CHECK(muster_submit(m, &(struct muster_job){.function = "arrive"}, &futures[i], &error) == 0);
    for (size_t i = 0; i < JOBS; i++) {
        struct pollfd item = {.fd = arrivals[0], .events = POLLIN};
        char byte;

        CHECK(poll(&item, 1, LIMIT_MS) == 1);
        CHECK(read(arrivals[0], &byte, 1) == 1);
    }
    for (size_t i = 0; i < JOBS; i++) {
        CHECK(muster_await(futures[i], NULL, &error) == 0);
        muster_future_drop(futures[i]);
    }
    muster_close(m);
    close(arrivals[0]);
    close(arrivals[1]);
}

int main(void)
{
    jobs_run_while_their_caller_does_not_look();
    workers_have_the_functions_and_the_memory_of_this_program();
    workers_have_limits_cores_and_plugins_like_others();
    a_crash_costs_its_job_and_the_worker_is_forked_anew();
    workers_start_with_default_signals_in_a_group_of_their_own();
    a_clean_copy_lacks_what_is_closed_where_a_program_is_started();
    an_interrupt_while_the_server_is_forked_is_the_callers_alone();
    a_program_with_threads_is_refused_until_they_have_ended();
    a_program_with_a_zeromq_context_is_refused_until_it_is_closed();
    closing_leaves_no_process_and_no_descriptor();
    a_batch_fails_when_the_process_that_forks_is_dead();
    a_caller_that_is_killed_leaves_nothing_running();
    functions_of_this_program_need_workers_that_are_forked();
    return 0;
}
