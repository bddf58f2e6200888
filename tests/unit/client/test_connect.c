/* SPDX-License-Identifier: MIT
 *
 * Clients of a coordinator that another process has open: this program, started again as
 * `serve`. What they share, and what they hear of its end.
 */
#include "client/processes.h"
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *const plugins[] = {MUSTER_TEST_PLUGINS "/faulty.so"};

/* --- the other process */

static struct server {
    pid_t pid;
    FILE *input, *output; /* its */
    char endpoint[200];
} server;

/* Has a coordinator open until its standard input ends, and says where. */
static int serve(void)
{
    struct muster_options options = {
        .model = MUSTER_PROCESSES,
        .workers = 2,
        .plugins = plugins,
        .plugin_count = 1,
        .crash_limit = 1,
        .heartbeat_s = 5,
        .worker_program = getenv("MUSTER"),
    };
    struct muster_error error;
    struct task *none = NULL;
    struct model *model;

    if (model_processes.open(&options, NULL, &model, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("%s\n", coordinator_endpoint(((struct processes *)model)->coordinator));
    fflush(stdout);
    while (getchar() != EOF) {
    }
    model_close(model, &none);
    return 0;
}

static void start_server(void)
{
    char word[] = "serve", *argv[] = {word, word, NULL};
    posix_spawn_file_actions_t actions;
    int in[2], out[2];

    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, in[0], 0) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, out[1], 1) == 0);
    CHECK(posix_spawn(&server.pid, "/proc/self/exe", &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    CHECK((server.input = fdopen(in[1], "w")) && (server.output = fdopen(out[0], "r")));
    CHECK(fgets(server.endpoint, sizeof server.endpoint, server.output));
    server.endpoint[strcspn(server.endpoint, "\n")] = '\0';
}

/* Its end has begun. */
static void end_server(void)
{
    fclose(server.input);
    server.input = NULL;
}

static void bury_server(void)
{
    if (server.input)
        end_server();
    CHECK(waitpid(server.pid, NULL, 0) == server.pid);
    fclose(server.output);
}

static void kill_server(void)
{
    CHECK(kill(server.pid, SIGKILL) == 0);
}

/* --- clients */

static int try_open(const char *endpoint, double limit_s, muster **ret_muster, struct muster_error *ret_error)
{
    const struct muster_options options = {
        .model = MUSTER_PROCESSES,
        .plugins = plugins,
        .plugin_count = 1,
        .coordinator = endpoint,
        .heartbeat_s = limit_s,
        .worker_program = getenv("MUSTER"), /* which tries the plug-in */
    };

    return muster_open(&options, ret_muster, ret_error);
}

static muster *open_client(void)
{
    struct muster_error error;
    muster *m;

    if (try_open(server.endpoint, 0, &m, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return m;
}

static muster_future *submit(muster *m, const char *function, uint64_t number)
{
    const msgpack_object argument = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = number};
    struct muster_error error;
    muster_future *future;

    if (muster_submit(m, &(struct muster_job){.function = function, .argument = &argument}, &future,
                      &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return future;
}

static int add(void *context, const struct muster_result *result)
{
    CHECK(result->code == 0);
    *(uint64_t *)context += result->value->via.u64;
    return 0;
}

/* The sum of what echo returns for 1..last. */
static uint64_t map_sum(muster *m, int64_t last)
{
    struct muster_summary summary;
    struct muster_error error;
    uint64_t sum = 0;
    const struct muster_batch batch = {
        .function = "echo", .source = muster_source_range(1, last), .on_result = add, .context = &sum};

    CHECK(muster_map(m, &batch, &summary, &error) == 0);
    CHECK(summary.workers == 2);
    return sum;
}

static void two_clients_share_the_workers(void)
{
    enum { JOBS = 500 };
    muster_future *futures[2 * JOBS];
    const msgpack_object *value;
    muster *one, *two;

    start_server();
    one = open_client();
    two = open_client();
    for (int i = 0; i < 2 * JOBS; i++)
        futures[i] = submit(i % 2 ? one : two, "echo", (uint64_t)i);
    CHECK(map_sum(one, 1000) == 500500 && map_sum(two, 100) == 5050);
    for (int i = 0; i < 2 * JOBS; i++) {
        CHECK(muster_await(futures[i], &value, NULL) == 0 && value->via.u64 == (uint64_t)i);
        muster_future_drop(futures[i]);
    }
    muster_close(one);
    CHECK(map_sum(two, 100) == 5050);
    muster_close(two);
    bury_server();
}

static void client_that_closes_with_jobs_in_flight_leaves_the_others_their_workers(void)
{
    muster_future *stuck[2];
    muster *one, *two;

    start_server();
    one = open_client();
    two = open_client();
    for (int i = 0; i < 2; i++)
        stuck[i] = submit(one, "hang", 1);
    CHECK(muster_future_wait(stuck[0], 0.05) == MUSTER_ETIMEOUT);
    muster_close(one);
    for (int i = 0; i < 2; i++) {
        CHECK(muster_future_state(stuck[i]) == MUSTER_CANCELLED);
        muster_future_drop(stuck[i]);
    }
    CHECK(map_sum(two, 1000) == 500500);
    muster_close(two);
    bury_server();
}

/* --- its end */

static void jobs_fail_when_the_coordinator_goes(void (*go)(void))
{
    enum { JOBS = 300 };
    muster_future *futures[JOBS], *more;
    struct muster_error error;
    muster *m;

    start_server();
    m = open_client();
    CHECK(map_sum(m, 10) == 55);
    for (int i = 0; i < JOBS; i++)
        futures[i] = submit(m, "hang", 1);
    CHECK(muster_future_wait(futures[0], 0.05) == MUSTER_ETIMEOUT);
    go();
    for (int i = 0; i < JOBS; i++) {
        CHECK(muster_await(futures[i], NULL, &error) == MUSTER_ELOST);
        muster_future_drop(futures[i]);
    }
    CHECK(muster_submit(m, &(struct muster_job){.function = "echo"}, &more, &error) == MUSTER_ELOST);
    CHECK(muster_map(m, &(struct muster_batch){.function = "echo", .source = muster_source_range(1, 2)}, NULL,
                     &error) == MUSTER_ELOST);
    muster_close(m);
    bury_server();
}

static void jobs_fail_when_the_coordinator_ends(void)
{
    jobs_fail_when_the_coordinator_goes(end_server);
}

static void jobs_fail_when_the_coordinator_is_killed(void)
{
    jobs_fail_when_the_coordinator_goes(kill_server);
}

static int kill_at_first(void *context, const struct muster_result *result)
{
    bool *killed = context;

    (void)result;
    if (!*killed)
        kill_server();
    *killed = true;
    return 0;
}

static void map_fails_when_the_coordinator_is_killed(void)
{
    struct muster_error error = {0};
    bool killed = false;
    const struct muster_batch batch = {.function = "echo",
                                       .source = muster_source_range(1, INT64_C(1) << 40),
                                       .on_result = kill_at_first,
                                       .context = &killed};
    muster *m;

    start_server();
    m = open_client();
    CHECK(muster_map(m, &batch, NULL, &error) == MUSTER_ELOST && strstr(error.text, "broke"));
    muster_close(m);
    bury_server();
}

/* --- nobody there */

static void nobody_who_listens_is_said_at_once(void)
{
    struct muster_error error;
    muster *m;

    CHECK(try_open("ipc:///nonexistent/socket", 60, &m, &error) == MUSTER_ELOST);
    CHECK(strstr(error.text, "/nonexistent/socket"));
    start_server();
    kill_server();
    bury_server();
    CHECK(try_open(server.endpoint, 60, &m, &error) == MUSTER_ELOST);
}

static void coordinator_that_does_not_answer_is_given_up(void)
{
    char folder[] = "/tmp/muster-test-connect-XXXXXX", endpoint[64];
    struct wire_context *context;
    struct muster_error error;
    struct wire *router;
    muster *m;

    CHECK(mkdtemp(folder));
    snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", folder);
    CHECK(wire_context_create(&context, &error) == 0 && wire_open_router(context, &router, &error) == 0);
    CHECK(wire_bind(router, endpoint, &error) == 0);
    CHECK(try_open(endpoint, 0.05, &m, &error) == MUSTER_ELOST && strstr(error.text, endpoint));
    wire_close(router, 0);
    wire_context_destroy(context);
    unlink(endpoint + strlen("ipc://"));
    CHECK(rmdir(folder) == 0);
}

static void options_of_the_coordinator_are_refused_by_its_client(void)
{
    const struct muster_options wrong[] = {
        {.model = MUSTER_PROCESSES, .coordinator = "ipc://x", .workers = 2},
        {.model = MUSTER_PROCESSES, .coordinator = "ipc://x", .start = MUSTER_FORK},
        {.model = MUSTER_PROCESSES, .coordinator = "ipc://x", .concurrency = 2},
        {.model = MUSTER_PROCESSES, .coordinator = "ipc://x", .memory_bytes = 1 << 30},
        {.model = MUSTER_PROCESSES, .coordinator = "ipc://x", .pin = true},
        {.model = MUSTER_PROCESSES, .coordinator = "ipc://x", .warm = true},
        {.model = MUSTER_THREADS, .coordinator = "ipc://x"},
        {.model = MUSTER_PROCESSES, .coordinator = "tcp://192.0.2.1:9"},
        {.model = MUSTER_PROCESSES, .coordinator = "ipc://"},
        {.model = MUSTER_PROCESSES, .coordinator = ""},
    };
    struct muster_error error;
    muster *m;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(muster_open(&wrong[i], &m, &error) == MUSTER_EINVALID);
}

int main(int argc, char **argv)
{
    static void (*const tests[])(void) = {
        two_clients_share_the_workers,
        client_that_closes_with_jobs_in_flight_leaves_the_others_their_workers,
        jobs_fail_when_the_coordinator_ends,
        jobs_fail_when_the_coordinator_is_killed,
        map_fails_when_the_coordinator_is_killed,
        nobody_who_listens_is_said_at_once,
        coordinator_that_does_not_answer_is_given_up,
        options_of_the_coordinator_are_refused_by_its_client,
    };

    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return serve();
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tests[i]();
    return 0;
}
