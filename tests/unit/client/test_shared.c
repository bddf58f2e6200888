/* SPDX-License-Identifier: MIT
 *
 * Large values between a client and real workers: in shared memory where there is room, in messages
 * where there is none; workers that die; values that many jobs use.
 */
#include "base/sanitize.h"
#include "client/handle.h"
#include "proto/heapfile.h"
#include "shared_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BYTES_MAX = 24 * MIB };

/* Of batches, once all that is kept is there: under the thread sanitizer one takes four seconds. */
enum { ROUNDS = SANITIZE_THREAD ? 1 : 4 };

/* Of a millisecond at least. */
enum { LOOKS_MAX = 20000 };

/* --- batches */

static void fill(struct echoes *echoes)
{
    static const size_t sizes[] = {
        0,   1,       100,     4 * KIB - 1, 4 * KIB, 64 * KIB, 256 * KIB, 256 * KIB + 1,
        MIB, 3 * MIB, 8 * MIB, 24 * MIB,    5,       MIB};

    *echoes = (struct echoes){.count = 42};
    for (unsigned i = 0; i < echoes->count; i++)
        echoes->sizes[i] = sizes[i % (sizeof sizes / sizeof *sizes)];
}

static void binaries_of_any_size_come_back_as_they_went(void)
{
    struct echoes echoes;
    unsigned heaps, fds;

    open_processes();
    fill(&echoes);
    map_echoes(&echoes, false);
    heaps = mapped_heaps();
    fds = self_descriptors();
    CHECK(heaps > 0);
    for (int i = 0; i < ROUNDS; i++)
        map_echoes(&echoes, i % 2 == 0);
    CHECK(mapped_heaps() <= heaps + 2); /* the other worker's, and its table */
    CHECK(self_descriptors() == fds);
    CHECK(heap_stats(m->model->heap).used_bytes == 0);
    muster_close(m);
    CHECK(mapped_heaps() == 0);
}

/* What cannot be had in this process is no memory for any heap. */
static void map_without_heap(void)
{
    struct rlimit limit = {.rlim_cur = 512 * KIB, .rlim_max = 512 * KIB};
    struct echoes echoes;

    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    open_processes();
    fill(&echoes);
    map_echoes(&echoes, false);
    CHECK(mapped_heaps() == 0);
    muster_close(m);
}

static void without_room_for_a_heap_values_go_through_messages(void)
{
    char text[1024];
    int status = self_in_child(map_without_heap, text, sizeof text);

    CHECK_SAYING(status == 0, text);
}

static void workers_killed_while_the_client_reads_harm_no_result(void)
{
    struct echoes echoes;

    open_processes();
    fill(&echoes);
    echoes.kills = true;
    map_echoes(&echoes, true);
    CHECK(!echoes.kills);
    muster_close(m);
    CHECK(mapped_heaps() == 0);
}

/* --- results of workers that die right after */

struct spills {
    unsigned good, dead;
};

static int take_spill(void *context, const struct muster_result *result)
{
    struct spills *spills = context;
    size_t size = MIB - 1 + result->index;

    if (size % 2) {
        CHECK_SAYING(result->code == MUSTER_EQUARANTINED, result->text);
        spills->dead++;
        return 0;
    }
    CHECK_SAYING(result->code == 0, result->text);
    CHECK(result->value->via.bin.size == size);
    CHECK(result->value->via.bin.ptr[0] == 's' && result->value->via.bin.ptr[size - 1] == 's');
    spills->good++;
    return 0;
}

static void results_outlive_a_worker_that_dies_of_the_next_job(void)
{
    struct spills spills = {0};
    struct muster_batch batch = {
        .function = "spill",
        .source = muster_source_range(MIB, MIB + 19),
        .chunk_jobs = 2,
        .on_result = take_spill,
        .context = &spills,
        .interrupt_fd = -1,
    };

    open_processes();
    CHECK_SAYING(muster_map(m, &batch, &summary, &error) == 0, error.text);
    CHECK(spills.good == 10 && spills.dead == 10);
    CHECK(summary.succeeded == 10 && summary.failed == 10);
    CHECK(mapped_heaps() <= 3 * 2 + 1); /* those of dead workers are unmapped: two a heap, and one's own */
    muster_close(m);
    CHECK(mapped_heaps() == 0);
}

/* --- single jobs */

static struct muster_future *submit(const char *function, const msgpack_object *argument)
{
    struct muster_future *future;
    struct muster_job job = {.function = function, .argument = argument};

    CHECK_SAYING(muster_submit(m, &job, &future, &error) == 0, error.text);
    return future;
}

static const msgpack_object *await(struct muster_future *future)
{
    const msgpack_object *value;

    CHECK_SAYING(muster_await(future, &value, &error) == 0, error.text);
    return value;
}

static void results_of_futures_outlive_their_workers_and_their_muster(void)
{
    enum { COUNT = 6 };
    struct muster_future *futures[COUNT];

    open_processes();
    for (size_t i = 0; i < COUNT; i++) {
        msgpack_object argument = bin_of(bytes, (i + 1) * MIB);

        futures[i] = submit("echo", &argument);
    }
    for (size_t i = 0; i < COUNT; i++)
        CHECK(is(await(futures[i]), bytes, (i + 1) * MIB));
    CHECK(heap_stats(m->model->heap).blocks == COUNT); /* the arguments */
    muster_close(m);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(is(muster_future_result(futures[i])->value, bytes, (i + 1) * MIB));
        muster_future_drop(futures[i]);
    }
    CHECK(mapped_heaps() == 0);
}

/* Whether an open file is a heap's. Opened anew, since its thread may close it at any time. */
static bool look_at_file(int folder, const char *name, bool *ret_waiting)
{
    char target[64] = "";
    int fd;

    if (readlinkat(folder, name, target, sizeof target - 1) < 0 || !strstr(target, "memfd:" HEAP_NAME))
        return false;
    fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    *ret_waiting |= !heapfile_is_taken(fd);
    close(fd);
    return true;
}

/* Files of heaps that this process keeps open; and whether one has what was sent and not taken. */
static unsigned kept_heaps(bool *ret_waiting)
{
    DIR *fds = opendir("/proc/self/fd");
    struct dirent *entry;
    unsigned count = 0;

    CHECK(fds);
    *ret_waiting = false;
    while ((entry = readdir(fds)) != NULL)
        count += look_at_file(dirfd(fds), entry->d_name, ret_waiting);
    closedir(fds);
    return count;
}

static void result_that_was_not_received_outlives_its_worker(void)
{
    static const struct timespec moment = {.tv_nsec = 1000000};
    msgpack_object argument = bin_of(bytes, MIB);
    struct pollfd told = {.events = POLLIN};
    struct muster_future *future;
    bool waiting = false;
    pid_t worker;

    open_with((struct muster_options){.model = MUSTER_PROCESSES, .workers = 1});
    told.fd = muster_fd(m);
    CHECK(is(await(future = submit("echo", &argument)), bytes, MIB));
    muster_future_drop(future);
    worker = signal_workers(SIGSTOP);
    future = submit("echo", &argument);
    for (int i = 0; i < LOOKS_MAX && heap_stats(m->model->heap).blocks == 0; i++) {
        CHECK_SAYING(muster_dispatch(m, &error) == 0, error.text);
        nanosleep(&moment, NULL);
    }
    kill(worker, SIGCONT);
    for (int i = 0; i < LOOKS_MAX && !waiting; i++) {
        nanosleep(&moment, NULL);
        kept_heaps(&waiting);
    }
    CHECK(waiting);
    CHECK(poll(&told, 1, LOOKS_MAX) == 1); /* nor did what tells of it die with the worker */
    kill(worker, SIGKILL);
    for (int i = 0; i < LOOKS_MAX && kill(worker, 0) == 0; i++)
        nanosleep(&moment, NULL);
    CHECK(kill(worker, 0) != 0);
    CHECK(is(await(future), bytes, MIB));
    muster_future_drop(future);
    for (int i = 0; i < LOOKS_MAX && (kept_heaps(&waiting) != 2 || waiting); i++) {
        CHECK(is(await(future = submit("echo", &argument)), bytes, MIB));
        muster_future_drop(future);
    }
    CHECK(kept_heaps(&waiting) == 2 && !waiting); /* this process's, and the worker's that lives */
    muster_close(m);
    CHECK(kept_heaps(&waiting) == 0 && mapped_heaps() == 0);
}

/* Here and in workers no heap is larger than 64 MiB. */
static void hold_more_than_heaps_have(void)
{
    enum { COUNT = 100 };
    struct rlimit limit = {.rlim_cur = 64 * MIB, .rlim_max = 64 * MIB};
    struct muster_future *futures[COUNT];
    msgpack_object argument = bin_of(bytes, MIB);

    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    open_processes();
    for (size_t i = 0; i < COUNT; i++)
        futures[i] = submit("echo", &argument);
    for (size_t i = 0; i < COUNT; i++)
        CHECK(is(await(futures[i]), bytes, MIB));
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(is(muster_future_result(futures[i])->value, bytes, MIB));
        muster_future_drop(futures[i]);
    }
    CHECK(heap_stats(m->model->heap).blocks == 0);
    muster_close(m);
    CHECK(mapped_heaps() == 0);
}

static void values_beyond_what_heaps_hold_go_through_messages(void)
{
    char text[1024];
    int status = self_in_child(hold_more_than_heaps_have, text, sizeof text);

    CHECK_SAYING(status == 0, text);
}

static void jobs_that_are_cancelled_leave_no_block(void)
{
    enum { COUNT = 20 };
    struct muster_future *futures[COUNT];
    msgpack_object argument = bin_of(bytes, MIB);

    open_processes();
    for (size_t i = 0; i < COUNT; i++)
        futures[i] = submit("echo", &argument);
    for (size_t i = 0; i < COUNT; i++) {
        muster_future_cancel(futures[i]);
        muster_future_drop(futures[i]);
    }
    CHECK(is(await(futures[0] = submit("echo", &argument)), bytes, MIB));
    muster_future_drop(futures[0]);
    muster_close(m);
    CHECK(mapped_heaps() == 0);
}

/* --- values that many jobs use */

static muster_shared *share(size_t size)
{
    msgpack_object value = bin_of(bytes, size);
    muster_shared *shared;

    CHECK_SAYING(muster_share(m, &value, &shared, &error) == 0, error.text);
    CHECK(is(muster_shared_value(shared), bytes, size));
    return shared;
}

static void shared_argument_is_stored_once_however_many_jobs_use_it(void)
{
    struct echoes echoes = {.count = 50};
    muster_shared *shared;

    open_processes();
    echoes.shared = shared = share(8 * MIB);
    map_echoes(&echoes, true);
    CHECK(heap_stats(m->model->heap).used_bytes == 8 * MIB);
    CHECK(heap_stats(m->model->heap).idle_bytes < MIB); /* so there never was another */
    muster_shared_drop(shared);
    CHECK(heap_stats(m->model->heap).used_bytes == 0);
    muster_close(m);
}

static void shared_argument_lives_as_long_as_a_job_needs_it(void)
{
    struct muster_future *future;
    muster_shared *shared;

    open_processes();
    shared = share(8 * MIB);
    future = submit("echo", muster_shared_value(shared));
    muster_shared_drop(shared);
    CHECK(heap_stats(m->model->heap).used_bytes == 8 * MIB);
    CHECK(is(await(future), bytes, 8 * MIB));
    muster_future_drop(future);
    CHECK(heap_stats(m->model->heap).used_bytes == 0);
    shared = share(MIB);
    muster_close(m);
    CHECK(is(muster_shared_value(shared), bytes, MIB));
    muster_shared_drop(shared);
    CHECK(mapped_heaps() == 0);
}

static void shared_argument_is_not_copied_by_models_without_processes(void)
{
    static const enum muster_model models[] = {MUSTER_INLINE, MUSTER_THREADS, MUSTER_GIL, MUSTER_LOOP};

    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct echoes echoes = {.count = 20};
        struct muster_future *future;
        muster_shared *shared;

        open_model(models[i]);
        echoes.shared = shared = share(MIB);
        map_echoes(&echoes, false);
        future = submit("echo", muster_shared_value(shared));
        muster_shared_drop(shared);
        CHECK(is(await(future), bytes, MIB));
        CHECK(heap_stats(m->model->heap).used_bytes == MIB);
        muster_future_drop(future);
        CHECK(heap_stats(m->model->heap).used_bytes == 0);
        muster_close(m);
    }
}

static void what_is_no_value_is_not_shared(void)
{
    msgpack_object garbage = {.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = NULL, .size = MIB}};
    muster_shared *shared;

    open_processes();
    CHECK(muster_share(m, &garbage, &shared, &error) == MUSTER_EINVALID);
    garbage = bin_of(bytes, (size_t)PROTO_VALUE_BYTES_MAX + 1);
    CHECK(muster_share(m, &garbage, &shared, &error) == MUSTER_ELIMIT);
    CHECK(heap_stats(m->model->heap).used_bytes == 0);
    muster_close(m);
}

int main(void)
{
    static const struct check checks[] = {
        {"without_room_for_a_heap_values_go_through_messages",
         without_room_for_a_heap_values_go_through_messages},
        {"values_beyond_what_heaps_hold_go_through_messages",
         values_beyond_what_heaps_hold_go_through_messages},
        {"binaries_of_any_size_come_back_as_they_went", binaries_of_any_size_come_back_as_they_went},
        {"workers_killed_while_the_client_reads_harm_no_result",
         workers_killed_while_the_client_reads_harm_no_result},
        {"results_outlive_a_worker_that_dies_of_the_next_job",
         results_outlive_a_worker_that_dies_of_the_next_job},
        {"results_of_futures_outlive_their_workers_and_their_muster",
         results_of_futures_outlive_their_workers_and_their_muster},
        {"result_that_was_not_received_outlives_its_worker",
         result_that_was_not_received_outlives_its_worker},
        {"jobs_that_are_cancelled_leave_no_block", jobs_that_are_cancelled_leave_no_block},
        {"shared_argument_is_stored_once_however_many_jobs_use_it",
         shared_argument_is_stored_once_however_many_jobs_use_it},
        {"shared_argument_lives_as_long_as_a_job_needs_it", shared_argument_lives_as_long_as_a_job_needs_it},
        {"shared_argument_is_not_copied_by_models_without_processes",
         shared_argument_is_not_copied_by_models_without_processes},
        {"what_is_no_value_is_not_shared", what_is_no_value_is_not_shared},
    };

    fill_bytes(BYTES_MAX);
    return check_all(checks, sizeof checks / sizeof *checks);
}
