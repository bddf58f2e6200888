/* SPDX-License-Identifier: MIT
 *
 * Jobs that go back while an executor runs the chunk that they are in. The link is this test's: its
 * struct, with an inbox and a socket whose other end is in the same thread. The executor is a thread
 * that begins jobs as fast as it can, or one that does what it is told.
 */
#include "tests/support/check.h"
#include "worker/link_internal.h"

#include <linux/membarrier.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 500, JOBS = 2000 };

static struct wire_context *context;
static struct wire *router;
static struct link link_of_test;
static unsigned told;
static int slots_fd;

/* What the inbox and recall.c ask of the rest of the link. */
void link_need(const struct link *link)
{
    (void)link;
}

void link_stop_taking(struct link *link)
{
    (void)link;
    CHECK(!"the link works");
}

void watch_tell_arrived(struct link *link)
{
    (void)link;
}

void watch_tell_cancelled(struct link *link)
{
    (void)link;
    told++;
}

void watch_tell_idle(struct link *link)
{
    (void)link;
}

static void open_link(unsigned concurrency)
{
    struct link *link = &link_of_test;
    struct wire_poll item;
    struct wire_frame *frame;
    struct muster_error error;

    *link = (struct link){.concurrency = concurrency, .credit = 16, .bell_fd = -1};
    told = 0;
    pthread_mutex_init(&link->mutex, NULL);
    CHECK(slots_create(&slots_fd, &link->slots) == 0);
    CHECK(wire_context_create(&context, &error) == 0);
    CHECK(wire_open_router(context, &router, &error) == 0);
    CHECK(wire_bind(router, "inproc://test", &error) == 0);
    CHECK(wire_open_dealer(context, "worker", &link->wire, &error) == 0);
    CHECK(wire_connect(link->wire, "inproc://test", &error) == 0);
    CHECK(wire_send(link->wire, NULL, &(struct proto_message){.type = PROTO_PONG}) == 0);
    item = (struct wire_poll){.wire = router};
    CHECK(wire_wait(&item, 1, 10000) > 0);
    CHECK(wire_receive(router, &frame) == 0);
    wire_frame_destroy(frame);
}

static void close_link(void)
{
    inbox_fini(&link_of_test);
    wire_close(link_of_test.wire, 0);
    wire_close(router, 0);
    wire_context_destroy(context);
    pthread_mutex_destroy(&link_of_test.mutex);
    slots_unmap(link_of_test.slots);
    close(slots_fd);
}

/* A chunk comes, of the batch 7; its frame is not one of the wire's. */
static void add(uint64_t chunk, uint64_t first, uint32_t count)
{
    struct wire_frame *frame;
    struct wire_poll item = {.wire = link_of_test.wire};
    struct proto_message message = {.type = PROTO_CHUNK,
                                    .chunk = {.batch = 7,
                                              .chunk = chunk,
                                              .function = {"noop", 4},
                                              .first = first,
                                              .count = count,
                                              .attempt = 1,
                                              .kind = PROTO_RANGE,
                                              .argument = 1}};

    CHECK(wire_send(router, "worker", &message) == 0);
    CHECK(wire_wait(&item, 1, 10000) > 0);
    CHECK(wire_receive(link_of_test.wire, &frame) == 0);
    inbox_add(&link_of_test, &frame);
}

static void ask(uint64_t first, uint64_t count)
{
    recall_jobs(&link_of_test,
                &(struct proto_cancel){.id = 7, .mode = PROTO_CANCEL_RETURN, .first = first, .count = count});
}

static bool receive(struct proto_returned *ret_returned)
{
    struct wire_poll item = {.wire = router};
    struct wire_frame *frame;

    if (wire_wait(&item, 1, 0) <= 0 || wire_receive(router, &frame) != 0)
        return false;
    CHECK(frame->error.code == 0);
    CHECK(frame->message.type == PROTO_RETURNED);
    *ret_returned = frame->message.returned;
    wire_frame_destroy(frame);
    return true;
}

static void expect_returned(uint64_t chunk, uint64_t first, uint32_t count)
{
    struct proto_returned returned;

    CHECK(receive(&returned));
    CHECK(returned.batch == 7 && returned.chunk == chunk);
    CHECK(returned.first == first && returned.count == count);
}

static void expect_nothing(void)
{
    struct proto_returned returned;

    CHECK(!receive(&returned));
}

/* --- one thing after another */

static void chunk_that_waits_goes_back_and_is_not_taken(void)
{
    struct assignment *assignment;

    open_link(1);
    add(70, 1, 10);
    add(71, 11, 10);
    add(72, 21, 10);
    ask(11, 10);
    expect_returned(71, 11, 10);
    CHECK(link_try_take(&link_of_test, &assignment) == 0 && assignment->chunk->chunk == 70);
    link_release(&link_of_test, assignment);
    CHECK(link_try_take(&link_of_test, &assignment) == 0 && assignment->chunk->chunk == 72);
    link_release(&link_of_test, assignment);
    CHECK(link_try_take(&link_of_test, &assignment) == MUSTER_EAGAIN);
    expect_nothing();
    close_link();
}

static void end_of_a_chunk_that_waits_goes_back(void)
{
    struct assignment *assignment;

    open_link(1);
    add(70, 1, 10);
    ask(8, 3);
    expect_returned(70, 8, 3);
    ask(8, 3); /* they are not here any more */
    expect_nothing();
    ask(3, 3); /* these are no end */
    expect_nothing();
    CHECK(link_try_take(&link_of_test, &assignment) == 0);
    for (uint32_t place = 0; place < 7; place++)
        CHECK(assignment_begin(assignment, place));
    CHECK(!assignment_begin(assignment, 7));
    link_release(&link_of_test, assignment);
    close_link();
}

static void neighbouring_chunks_go_back_for_one_question(void)
{
    open_link(1);
    add(70, 1, 10);
    add(71, 11, 10);
    add(72, 21, 10);
    ask(6, 25);
    expect_returned(70, 6, 5);
    expect_returned(71, 11, 10);
    expect_returned(72, 21, 10);
    expect_nothing();
    CHECK(link_of_test.queued == 1);
    CHECK(link_of_test.sent == 3); /* so that no message in a slot comes before them */
    close_link();
}

static void job_that_runs_stays(void)
{
    struct assignment *assignment;

    open_link(1);
    add(70, 1, 10);
    CHECK(link_try_take(&link_of_test, &assignment) == 0);
    CHECK(assignment_begin(assignment, 0));
    CHECK(assignment_begin(assignment, 1));
    ask(1, 10);
    expect_returned(70, 3, 8);
    CHECK(!assignment_begin(assignment, 2));
    link_release(&link_of_test, assignment);
    close_link();
}

static void chunk_that_is_taken_and_not_begun_goes_back(void)
{
    struct assignment *assignment;

    open_link(1);
    add(70, 1, 10);
    CHECK(link_try_take(&link_of_test, &assignment) == 0);
    ask(1, 10);
    expect_returned(70, 1, 10);
    CHECK(!assignment_begin(assignment, 0));
    CHECK(told == 0);
    link_release(&link_of_test, assignment);
    close_link();
}

static void executor_of_several_jobs_is_told(void)
{
    struct assignment *assignment;

    open_link(8);
    add(70, 1, 10);
    CHECK(link_try_take(&link_of_test, &assignment) == 0);
    ask(5, 6);
    expect_returned(70, 5, 6);
    CHECK(told == 1);
    ask(5, 6);
    CHECK(told == 1);
    link_release(&link_of_test, assignment);
    close_link();
}

static void jobs_of_another_batch_stay(void)
{
    open_link(1);
    add(70, 1, 10);
    recall_jobs(&link_of_test,
                &(struct proto_cancel){.id = 8, .mode = PROTO_CANCEL_RETURN, .first = 1, .count = 10});
    expect_nothing();
    CHECK(link_of_test.queued == 1);
    close_link();
}

/* --- against a thread that begins jobs */

static struct assignment *running;
static atomic_uint ended; /* jobs that the thread ran */

static void *begin_all(void *argument)
{
    unsigned place;

    (void)argument;
    for (place = 0; place < JOBS && assignment_begin(running, place); place++)
        atomic_store_explicit(&ended, place + 1, memory_order_relaxed);
    return NULL;
}

/* All that ran was not given back; what neither ran nor was given back is what a final report would
 * return: at most one job, at which the executor met a cut that was then moved behind it. */
static void race(uint64_t first)
{
    struct proto_returned returned = {.first = JOBS + 1};
    unsigned ran;
    pthread_t thread;

    atomic_store(&ended, 0);
    add(70, 1, JOBS);
    CHECK(link_try_take(&link_of_test, &running) == 0);
    CHECK(pthread_create(&thread, NULL, begin_all, NULL) == 0);
    while (atomic_load_explicit(&ended, memory_order_relaxed) < first / 2) {
    }
    ask(first, JOBS + 1 - first);
    CHECK(pthread_join(thread, NULL) == 0);
    ran = atomic_load(&ended);
    if (receive(&returned))
        CHECK(returned.first >= first && returned.first + returned.count == JOBS + 1);
    CHECK(ran < returned.first);
    CHECK(returned.first - 1 - ran <= 1);
    link_release(&link_of_test, running);
}

static void no_job_runs_that_was_given_back(void)
{
    open_link(1);
    for (uint64_t round = 0; round < ROUNDS; round++)
        race(1 + round * 7 % JOBS);
    close_link();
}

int main(void)
{
    static const struct check checks[] = {
        {"a chunk that waits goes back, and is not taken", chunk_that_waits_goes_back_and_is_not_taken},
        {"the end of a chunk that waits goes back", end_of_a_chunk_that_waits_goes_back},
        {"neighbouring chunks go back for one question", neighbouring_chunks_go_back_for_one_question},
        {"a job that runs stays", job_that_runs_stays},
        {"a chunk that is taken and not begun goes back", chunk_that_is_taken_and_not_begun_goes_back},
        {"an executor of several jobs is told", executor_of_several_jobs_is_told},
        {"jobs of another batch stay", jobs_of_another_batch_stay},
        {"no job runs that was given back", no_job_runs_that_was_given_back},
    };

    CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
    return check_all(checks, sizeof checks / sizeof *checks);
}
