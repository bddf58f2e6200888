/* SPDX-License-Identifier: MIT
 *
 * Commands: what a program gets, what comes back of it, and how it is ended.
 */
#include "base/clock.h"
#include "base/tree.h"
#include "jobs/call.h"
#include "jobs/sanitize.h"
#include "worker/command.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLOT = 7, WORDS_MAX = 8, MEMBERS_MAX = 8, LIMIT_MS = 20000 };

static struct {
    msgpack_zone zone;
    struct call_cancel cancel;
    struct call call;
    struct flight_page flight;
    msgpack_object_kv members[MEMBERS_MAX];
    uint32_t count;
    msgpack_object result;
    char folder[64];
} rig;

static msgpack_object text_of(const char *bytes, size_t size)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR, .via.str = {.ptr = bytes, .size = (uint32_t)size}};
}

static msgpack_object text(const char *string)
{
    return text_of(string, strlen(string));
}

static msgpack_object integer(uint64_t number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = number};
}

static msgpack_object number(double value)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = value};
}

static void with(const char *name, msgpack_object value)
{
    rig.members[rig.count++] = (msgpack_object_kv){.key = text(name), .val = value};
}

/* An array of the words up to NULL. */
static msgpack_object array(const char *const *words)
{
    msgpack_object *elements = msgpack_zone_malloc(&rig.zone, WORDS_MAX * sizeof *elements);
    uint32_t count = 0;

    for (; words[count]; count++)
        elements[count] = text(words[count]);
    return (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = elements, .size = count}};
}

#define WITH_WORDS(name, ...) with(name, array((const char *const[]){__VA_ARGS__, NULL}))

/* Runs what was asked for with WITH_WORDS and with. */
static int run(void)
{
    const muster_function function = {.name = "command", .run = command_run};
    const msgpack_object argument = {.type = MSGPACK_OBJECT_MAP,
                                     .via.map = {.ptr = rig.members, .size = rig.count}};

    rig.count = 0;
    return call_run(&rig.call, &function, &argument, &rig.result);
}

static void run_ok(void)
{
    cr_assert_eq(run(), 0, "%s", rig.call.text);
}

static void shell(const char *line)
{
    with("shell", text("/bin/sh"));
    with("line", text(line));
}

static void run_shell(const char *line)
{
    shell(line);
    run_ok();
}

static const msgpack_object *place(enum command_place at)
{
    return &rig.result.via.array.ptr[at];
}

static void expect_status(int status, int signal, unsigned flags)
{
    cr_assert_eq(place(COMMAND_EXIT)->via.i64, status, "exit %d", (int)place(COMMAND_EXIT)->via.i64);
    cr_assert_eq(place(COMMAND_SIGNAL)->via.i64, signal, "signal %d", (int)place(COMMAND_SIGNAL)->via.i64);
    cr_assert_eq(place(COMMAND_FLAGS)->via.u64, flags, "flags %u", (unsigned)place(COMMAND_FLAGS)->via.u64);
}

static const char *written(enum command_place at)
{
    const msgpack_object *value = place(at);
    char *copy;

    cr_assert_eq((int)value->type, (int)MSGPACK_OBJECT_BIN);
    copy = msgpack_zone_malloc(&rig.zone, value->via.bin.size + 1);
    if (value->via.bin.size)
        memcpy(copy, value->via.bin.ptr, value->via.bin.size);
    copy[value->via.bin.size] = '\0';
    return copy;
}

static void expect_out(const char *expected)
{
    cr_assert_str_eq(written(COMMAND_OUT), expected);
}

static void refuse(const char *fragment)
{
    cr_assert_eq(run(), MUSTER_EFAILED);
    cr_assert_not_null(strstr(rig.call.text, fragment), "\"%s\" does not say: %s", rig.call.text, fragment);
}

static const char *path(const char *name)
{
    char *whole = msgpack_zone_malloc(&rig.zone, 256);

    snprintf(whole, 256, "%s/%s", rig.folder, name);
    return whole;
}

static void make_file(const char *name, const char *content, mode_t mode)
{
    int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

/* How many files are there but those that tests made. */
static void expect_no_files(void)
{
    cr_assert_eq(rmdir(rig.folder), 0, "left in %s: %s", rig.folder, strerror(errno));
    cr_assert_eq(mkdir(rig.folder, 0700), 0);
}

static void start(void)
{
    cr_assert(msgpack_zone_init(&rig.zone, 8192));
    call_init(&rig.call, &rig.zone, &rig.cancel, NULL);
    strcpy(rig.folder, "/tmp/muster-test-XXXXXX");
    cr_assert_not_null(mkdtemp(rig.folder));
    setenv("TMPDIR", rig.folder, 1);
    command_init(SLOT, &rig.flight);
}

static void end(void)
{
    char *line;

    command_kill_all();
    command_fini();
    msgpack_zone_destroy(&rig.zone);
    cr_assert(asprintf(&line, "rm -rf %s", rig.folder) > 0);
    cr_assert_eq(system(line), 0);
    free(line);
}

TestSuite(command, .init = start, .fini = end);

/* --- what comes back */

Test(command, status_output_and_error_come_back)
{
    run_shell("echo out; echo err >&2; exit 3");
    expect_status(3, 0, 0);
    expect_out("out\n");
    cr_assert_str_eq(written(COMMAND_ERR), "err\n");
    WITH_WORDS("argv", "printf", "%s-%s", "a b", "$HOME");
    run_ok();
    expect_status(0, 0, 0);
    expect_out("a b-$HOME");
    cr_assert_str_eq(written(COMMAND_ERR), "");
    expect_no_files();
}

Test(command, killed_command_has_its_signal)
{
    run_shell("kill -KILL $$");
    expect_status(-1, SIGKILL, 0);
}

Test(command, times_and_memory_are_measured)
{
    run_shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
    cr_assert_gt(place(COMMAND_USER)->via.u64, 0);
    cr_assert_gt(place(COMMAND_WALL)->via.u64, place(COMMAND_USER)->via.u64 * 100);
    cr_assert_gt(place(COMMAND_MEMORY)->via.u64, 100);
    cr_assert_gt(place(COMMAND_START)->via.f64, 1e9);
}

Test(command, output_of_one_is_not_in_the_next)
{
    run_shell("echo a long first line; echo more");
    run_shell("echo b");
    expect_out("b\n");
    run_shell(":");
    expect_out("");
}

Test(command, closed_standard_output_is_no_error)
{
    run_shell("exec >&- 2>&-; exit 4");
    expect_status(4, 0, 0);
    expect_out("");
}

Test(command, output_above_the_limit_is_a_file)
{
    struct stat status;
    char *spilled;

    shell("head -c 100001 /dev/zero; echo x >&2");
    with("spill", integer(100000));
    run_ok();
    cr_assert_eq((int)place(COMMAND_OUT)->type, (int)MSGPACK_OBJECT_STR);
    spilled = strndup(place(COMMAND_OUT)->via.str.ptr, place(COMMAND_OUT)->via.str.size);
    cr_assert_eq(stat(spilled, &status), 0, "%s: %s", spilled, strerror(errno));
    cr_assert_eq(status.st_size, 100001);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_str_eq(written(COMMAND_ERR), "x\n");
    cr_assert_eq(unlink(spilled), 0);
    free(spilled);
    shell("head -c 100000 /dev/zero");
    with("spill", integer(100000));
    run_ok();
    cr_assert_eq(place(COMMAND_OUT)->via.bin.size, 100000);
    expect_no_files();
}

/* --- what cannot be started */

Test(command, missing_program_is_127)
{
    WITH_WORDS("argv", "no-such-program");
    run_ok();
    expect_status(127, 0, COMMAND_NOT_STARTED);
    cr_assert_str_eq(written(COMMAND_ERR), "muster: no-such-program: command not found\n");
    WITH_WORDS("argv", "/nowhere/program");
    run_ok();
    expect_status(127, 0, COMMAND_NOT_STARTED);
    cr_assert_str_eq(written(COMMAND_ERR), "muster: /nowhere/program: No such file or directory\n");
    WITH_WORDS("argv", "");
    run_ok();
    expect_status(127, 0, COMMAND_NOT_STARTED);
}

Test(command, file_that_is_not_executable_is_126)
{
    make_file("plain", "text", 0644);
    WITH_WORDS("argv", path("plain"));
    run_ok();
    expect_status(126, 0, COMMAND_NOT_STARTED);
    cr_assert_not_null(strstr(written(COMMAND_ERR), "plain: Permission denied\n"));
    WITH_WORDS("argv", rig.folder);
    run_ok();
    expect_status(126, 0, COMMAND_NOT_STARTED);
}

Test(command, script_without_interpreter_is_run_by_the_shell)
{
    make_file("script", "echo \"$0:$1\"; exit 5\n", 0755);
    WITH_WORDS("argv", path("script"), "one");
    run_ok();
    expect_status(5, 0, 0);
    cr_assert_not_null(strstr(written(COMMAND_OUT), "/script:one\n"));
}

Test(command, argument_longer_than_the_kernel_takes_is_126)
{
    char *line = malloc(200001);

    memset(line, 'x', 200000);
    line[200000] = '\0';
    WITH_WORDS("argv", "echo", line);
    run_ok();
    expect_status(126, 0, COMMAND_NOT_STARTED);
    cr_assert_str_eq(written(COMMAND_ERR), "muster: echo: Argument list too long\n");
    free(line);
}

Test(command, missing_folder_is_126)
{
    WITH_WORDS("argv", "pwd");
    with("dir", text("/nowhere"));
    run_ok();
    expect_status(126, 0, COMMAND_NOT_STARTED);
    cr_assert_str_eq(written(COMMAND_ERR),
                     "muster: pwd: cannot enter its folder /nowhere: No such file or directory\n");
}

Test(command, bad_arguments_are_refused)
{
    static const char nul[] = {'a', '\0', 'b'};
    msgpack_object word = text_of(nul, sizeof nul);

    refuse("either argv, or shell and line");
    WITH_WORDS("argv", "true");
    with("line", text("true"));
    refuse("either argv, or shell and line");
    with("argv", integer(1));
    refuse("argv must be an array");
    with("argv", (msgpack_object){.type = MSGPACK_OBJECT_ARRAY});
    refuse("argv must be an array");
    with("argv", (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.size = 1, .ptr = &word}});
    refuse("NUL byte");
    WITH_WORDS("argv", "true");
    with("surprise", integer(1));
    refuse("takes a map");
    WITH_WORDS("argv", "true");
    WITH_WORDS("env", "no value");
    refuse("NAME=VALUE");
    WITH_WORDS("argv", "true");
    with("timeout", number(-1));
    refuse("seconds");
    WITH_WORDS("argv", "true");
    with("memory", text("much"));
    refuse("memory must be an integer");
    WITH_WORDS("argv", "true");
    with("tmpdir", text("/nowhere"));
    refuse("cannot make a file for output in /nowhere");
}

/* --- what it gets */

Test(command, standard_input_is_what_was_given_or_empty)
{
    size_t size = 3 << 20;
    char *bytes = calloc(size, 1);

    run_shell("cat; echo end");
    expect_out("end\n");
    WITH_WORDS("argv", "wc", "-c");
    with("stdin",
         (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = bytes, .size = (uint32_t)size}});
    run_ok();
    expect_out("3145728\n");
    WITH_WORDS("argv", "true"); /* does not read it */
    with("stdin",
         (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = bytes, .size = (uint32_t)size}});
    run_ok();
    expect_status(0, 0, 0);
    WITH_WORDS("argv", "cat");
    with("stdin", text("a\nb\n"));
    run_ok();
    expect_out("a\nb\n");
    free(bytes);
}

Test(command, slot_is_put_in_its_places)
{
    WITH_WORDS("argv", "sh", "-c", "echo $0 $1 $V $PARALLEL_JOBSLOT", "\1%\2", "a\1%\2b\1%\2");
    WITH_WORDS("env", "V=<\1%\2>");
    run_ok();
    expect_out("7 a7b7 <7> 7\n");
    run_shell("echo \1%\2");
    expect_out("7\n");
}

Test(command, variables_are_added_to_the_environment_and_replace_others)
{
    shell("echo \"$TMPDIR|$A\"; env | grep -c ^TMPDIR=");
    WITH_WORDS("env", "A=1=2", "TMPDIR=x");
    run_ok();
    expect_out("x|1=2\n1\n");
    run_shell("echo \"$A\"");
    expect_out("\n");
}

Test(command, program_is_looked_up_in_the_path_of_its_environment)
{
    make_file("tool", "#!/bin/sh\necho mine\n", 0755);
    WITH_WORDS("argv", "tool");
    char *variable;
    cr_assert(asprintf(&variable, "PATH=/nowhere:%s:/bin", rig.folder) > 0);
    WITH_WORDS("env", variable);
    run_ok();
    expect_out("mine\n");
    WITH_WORDS("argv", "tool");
    WITH_WORDS("env", "PATH=");
    with("dir", text(rig.folder));
    run_ok();
    expect_out("mine\n");
    free(variable);
}

Test(command, folder_and_niceness_are_set)
{
    shell("pwd; nice");
    with("dir", text("/usr"));
    with("nice", integer(5));
    run_ok();
    expect_out("/usr\n5\n");
}

/* A handler of the worker's, an ignored and a blocked signal, and a descriptor must not reach it. */
Test(command, signals_are_as_a_program_expects_them)
{
    sigset_t blocked;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    run_shell("kill -USR1 $$; exit 1");
    expect_status(-1, SIGUSR1, 0);
    run_shell("kill -PIPE $$; exit 1");
    expect_status(-1, SIGPIPE, 0);
}

Test(command, command_leads_a_session_without_a_terminal_and_gains_no_privileges)
{
    run_shell("cut -d' ' -f1,5,6,7 /proc/$$/stat | { read a b c d; [ $a = $b ] && [ $b = $c ] && echo $d; }; "
              "grep NoNewPrivs /proc/self/status");
    expect_out("0\nNoNewPrivs:\t1\n");
    shell("grep NoNewPrivs /proc/self/status");
    with("privileges", (msgpack_object){.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true});
    run_ok();
    expect_out("NoNewPrivs:\t0\n");
}

Test(command, limits_hold_and_are_named)
{
    shell("ulimit -n; head -c 5000 /dev/zero");
    with("open_files", integer(17));
    with("file_size", integer(4096));
    run_ok();
    cr_assert_eq(place(COMMAND_EXIT)->via.i64, 128 + SIGXFSZ);
    cr_assert_eq(place(COMMAND_OUT)->via.bin.size, 4096);
    cr_assert_eq(memcmp(place(COMMAND_OUT)->via.bin.ptr, "17\n", 3), 0);
    shell("while :; do :; done");
    with("cpu_time", integer(1));
    run_ok();
    expect_status(-1, SIGXCPU, COMMAND_CPU_LIMIT);
    WITH_WORDS("argv", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1");
    with("memory", integer(100 << 20));
    run_ok();
    cr_assert_eq(place(COMMAND_EXIT)->via.i64, 1);
}

/* --- how it is ended */

static bool is_alive(const char *file)
{
    FILE *stream = fopen(path(file), "re");
    int pid = 0;

    cr_assert_not_null(stream, "%s was not written", file);
    cr_assert_eq(fscanf(stream, "%d", &pid), 1);
    fclose(stream);
    return kill(pid, 0) == 0;
}

Test(command, time_limit_ends_a_command_by_request)
{
    shell("trap 'echo asked; exit 9' TERM; echo ready; sleep 1000 & wait");
    with("timeout", number(0.5));
    run_ok();
    expect_status(9, 0, COMMAND_TIMED_OUT);
    expect_out("ready\nasked\n");
}

Test(command, time_limit_ends_the_tree_in_whatever_sessions_and_deaf)
{
    char *line;

    cr_assert(asprintf(&line,
                       "cd %s; trap '' TERM; (echo $$ >self; setsid sh -c 'echo $$ >first; setsid sh -c "
                       "\"echo \\$\\$ >second; while :; do sleep 1000; done\"' &) ; "
                       "while ! [ -s second ]; do :; done; touch ready; while :; do sleep 1000; done",
                       rig.folder) > 0);
    shell(line);
    with("timeout", number(1.5));
    run_ok();
    expect_status(-1, SIGKILL, COMMAND_TIMED_OUT);
    cr_assert(!is_alive("self"));
    cr_assert(!is_alive("first"));
    cr_assert(!is_alive("second"));
    free(line);
}

Test(command, stopped_command_ends_at_its_time_limit)
{
    shell("kill -STOP $$");
    with("timeout", number(0.2));
    run_ok();
    expect_status(-1, SIGTERM, COMMAND_TIMED_OUT);
}

/* Cancels once the command has told that it runs. */
static void *cancel_when_ready(void *context)
{
    uint64_t until_ns = clock_after(clock_now_ns(), LIMIT_MS * CLOCK_NS_PER_MS);

    while (access(context, F_OK) != 0 && clock_now_ns() < until_ns)
        sched_yield();
    call_cancel_raise(&rig.cancel);
    return NULL;
}

Test(command, cancelled_job_ends_with_all_that_it_started)
{
    char *ready = strdup(path("ready")), *line;
    pthread_t thread;

    cr_assert(asprintf(&line, "cd %s; trap '' TERM; setsid sleep 1000 & echo $! >child; echo >ready; wait",
                       rig.folder) > 0);
    cr_assert_eq(pthread_create(&thread, NULL, cancel_when_ready, ready), 0);
    shell(line);
    cr_assert_eq(run(), MUSTER_ECANCELLED);
    pthread_join(thread, NULL);
    cr_assert(!is_alive("child"));
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
    atomic_store(&rig.cancel.raised, 0);
    run_shell("echo next");
    expect_out("next\n");
    free(line);
    free(ready);
}

/* --- what it leaves */

Test(command, daemon_is_left_alone_and_its_output_does_not_reach_later_jobs)
{
    char *line;

    cr_assert(
        asprintf(
            &line,
            "cd %s; mkfifo go done; setsid sh -c 'echo $$ >daemon; read x <go; echo late; echo late >&2; "
            "echo >done; exec sleep 1000' & while ! [ -s daemon ]; do :; done; echo first",
            rig.folder) > 0);
    run_shell(line);
    expect_out("first\n");
    free(line);
    cr_assert(asprintf(&line, "cd %s; echo >go; read x <done; echo second", rig.folder) > 0);
    run_shell(line);
    expect_out("second\n");
    cr_assert_str_eq(written(COMMAND_ERR), "");
    cr_assert(is_alive("daemon"));
    free(line);
    shell("sleep 1000"); /* which is ended alone */
    with("timeout", number(0.1));
    run_ok();
    cr_assert(is_alive("daemon"));
    command_kill_all();
    while (waitpid(-1, NULL, 0) > 0)
        ;
    cr_assert(!is_alive("daemon"));
}

Test(command, what_runs_is_told_to_the_supervisor)
{
    cr_assert_eq(atomic_load(&rig.flight.command), 0);
    run_shell("exit 0");
    cr_assert_eq(atomic_load(&rig.flight.command), 0);
}

static uint32_t seen_command;

static void *look_when_ready(void *context)
{
    uint64_t until_ns = clock_after(clock_now_ns(), LIMIT_MS * CLOCK_NS_PER_MS);

    while (!(seen_command = atomic_load(&rig.flight.command)) && clock_now_ns() < until_ns)
        sched_yield();
    if (seen_command)
        kill((pid_t)seen_command, SIGINT);
    return context;
}

Test(command, process_that_is_told_to_the_supervisor_is_the_command)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, look_when_ready, NULL), 0);
    WITH_WORDS("argv", "sleep", "1000");
    run_ok();
    pthread_join(thread, NULL);
    expect_status(-1, SIGINT, 0);
}

/* The child of a worker that dies by SIGKILL. */
Test(command, command_dies_with_its_worker)
{
    uint64_t until_ns = clock_after(clock_now_ns(), LIMIT_MS * CLOCK_NS_PER_MS);
    char *line;
    pid_t worker;

    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    cr_assert(asprintf(&line, "cd %s; echo $$ >pid; mv pid ready; exec sleep 1000", rig.folder) > 0);
    worker = fork();
    cr_assert(worker >= 0);
    if (worker == 0) {
        shell(line);
        _exit(run());
    }
    while (access(path("ready"), F_OK) != 0 && clock_now_ns() < until_ns)
        sched_yield();
    cr_assert(is_alive("ready"));
    kill(worker, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0) /* the command too, left to this process */
        ;
    cr_assert(!is_alive("ready"));
    free(line);
}
