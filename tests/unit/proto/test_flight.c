/* SPDX-License-Identifier: MIT
 *
 * The flight recorder: what a supervisor reads after its worker was killed or crashed.
 */
#include "base/error.h"
#include "proto/flight.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct flight_page *page;
static int fd = -1;

static void set_up(void)
{
    cr_assert_eq(flight_create(&fd, &page), 0);
}

static void tear_down(void)
{
    flight_unmap(page);
    close(fd);
}

TestSuite(flight, .init = set_up, .fini = tear_down);

static uint64_t position(void)
{
    return atomic_load_explicit(&page->position, memory_order_acquire);
}

/* Runs `die` in a child that attached to the page and worked on chunk 7, and returns how the
 * child ended. */
static int status_of_child(void (*die)(struct flight_page *))
{
    pid_t pid = fork();
    int status;

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct flight_page *mine;

        if (flight_attach(fd, &mine) != 0)
            _exit(99);
        flight_begin_chunk(mine, 3, 7, 2, 1000);
        flight_begin_job(mine, 41);
        flight_end_job(mine, 41);
        die(mine);
        _exit(98);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static void die_between_jobs(struct flight_page *mine)
{
    (void)mine;
    kill(getpid(), SIGKILL);
}

static void die_killed(struct flight_page *mine)
{
    flight_begin_job(mine, 42);
    kill(getpid(), SIGKILL);
}

static void die_of_a_wild_write(struct flight_page *mine)
{
    char *nowhere = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    signal(SIGSEGV, SIG_DFL); /* a sanitizer would report it and exit */
    flight_begin_job(mine, 43);
    atomic_store_explicit(&mine->progress, 500, memory_order_relaxed);
    *(volatile char *)nowhere = 1;
}

Test(flight, new_page_names_no_job)
{
    cr_assert_eq(position(), 0);
    cr_assert_eq(page->magic, 0);
    cr_assert_eq(page->phase, FLIGHT_STARTING);
    cr_assert_eq(page->verdict, FLIGHT_NO_VERDICT);
}

Test(flight, descriptor_is_not_inherited_by_programs)
{
    cr_assert_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

Test(flight, worker_killed_in_a_job_leaves_its_index)
{
    int status = status_of_child(die_killed);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    cr_assert_eq(page->magic, FLIGHT_MAGIC);
    cr_assert_eq(position(), 42 << 1 | 1);
    cr_assert_eq(page->chunk, 7);
    cr_assert_eq(page->attempt, 2);
    cr_assert_eq(page->since_ns, 1000);
}

Test(flight, worker_that_crashed_in_a_job_leaves_its_index_and_progress)
{
    int status = status_of_child(die_of_a_wild_write);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    cr_assert_eq(position(), 43 << 1 | 1);
    cr_assert_eq(page->progress, 500);
}

Test(flight, worker_killed_between_jobs_leaves_none_executing)
{
    int status = status_of_child(die_between_jobs);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    cr_assert_eq(position(), 41 << 1);
}

Test(flight, next_chunk_forgets_the_progress_of_the_last)
{
    page->progress = 900;
    flight_begin_chunk(page, 3, 8, 1, 2000);
    cr_assert_eq(page->progress, 0);
    cr_assert_eq(page->chunk, 8);
    cr_assert_eq(page->attempt, 1);
    cr_assert_eq(page->since_ns, 2000);
}

static void die_late(struct flight_page *mine)
{
    flight_begin_job(mine, 42);
    flight_time_out(mine, 7, 42);
    flight_end_job(mine, 42);
    flight_begin_chunk(mine, 3, 8, 1, 2000);
    flight_begin_job(mine, 43);
    kill(getpid(), SIGKILL);
}

Test(flight, verdict_keeps_its_job_when_the_worker_goes_on)
{
    int status = status_of_child(die_late);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    cr_assert_eq(page->verdict, FLIGHT_TIMED_OUT);
    cr_assert_eq(page->verdict_chunk, 7);
    cr_assert_eq(page->verdict_index, 42);
    cr_assert_eq(position(), 43 << 1 | 1);
}

Test(flight, page_cannot_be_resized_under_the_other_side)
{
    cr_assert_eq(ftruncate(fd, 0), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert_eq(ftruncate(fd, 2 * FLIGHT_PAGE_BYTES), -1);
}

Test(flight, descriptor_of_another_size_is_refused)
{
    struct flight_page *other = NULL;
    int small = memfd_create("small", MFD_CLOEXEC), pipes[2];

    cr_assert_geq(small, 0);
    cr_assert_eq(flight_attach(small, &other), MUSTER_EINVALID);
    cr_assert_eq(ftruncate(small, FLIGHT_PAGE_BYTES - 1), 0);
    cr_assert_eq(flight_attach(small, &other), MUSTER_EINVALID);
    close(small);
    cr_assert_eq(pipe(pipes), 0);
    cr_assert_eq(flight_attach(pipes[0], &other), MUSTER_EINVALID);
    close(pipes[0]);
    close(pipes[1]);
    cr_assert_eq(flight_attach(-1, &other), MUSTER_ESYSTEM);
    cr_assert_null(other);
}
