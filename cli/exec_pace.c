/* SPDX-License-Identifier: MIT
 *
 * The pace of a run. See exec_pace.h.
 */
#include "cli/exec_pace.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How long what was seen of the host is believed. */
static const uint64_t SEEN_NS = 100 * CLOCK_NS_PER_MS;

/* Beyond the signals that end a command, for workers to tell of it. */
static const uint64_t TELL_NS = CLOCK_NS_PER_S;

/* 31 years; a longer limit is none. */
static const double LIMIT_NS_MAX = 1e18;

/* A median of fewer run times is none. */
enum { TIMES_LEAST = 3 };

static bool looks_at_host(const struct exec_pace_rules *rules)
{
    return rules->load > 0 || rules->memfree_bytes > 0 || rules->memsuspend_bytes > 0 || rules->noswap;
}

static bool holds_back(const struct exec_pace_rules *rules)
{
    return rules->delay_s > 0 || rules->halts || looks_at_host(rules);
}

int exec_pace_init(struct exec_pace *pace, const struct exec_pace_rules *rules, unsigned workers,
                   uint64_t grace_ms, struct muster_error *ret_error)
{
    *pace = (struct exec_pace){.rules = *rules,
                               .page_fd = -1,
                               .fd = -1,
                               .timer_fd = -1,
                               .workers = workers,
                               .places = workers,
                               .grace_ns = clock_after(grace_ms * CLOCK_NS_PER_MS, TELL_NS),
                               .end_ns = CLOCK_NEVER};
    if (pace_create(&pace->page_fd, &pace->page) != 0 ||
        (pace->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) < 0 ||
        (pace->fd = fcntl(pace->timer_fd, F_DUPFD_CLOEXEC, 0)) < 0)
        return muster_error_system(ret_error, errno, "cannot share the pace with workers");
    snprintf(pace->path, sizeof pace->path, "/proc/%d/fd/%d", (int)getpid(), pace->page_fd);
    atomic_store(&pace->page->delay_ns, (uint64_t)(rules->delay_s * (double)CLOCK_NS_PER_S));
    return looks_at_host(rules) ? exec_machine_look(&pace->seen, ret_error) : 0;
}

void exec_pace_share(struct exec_pace *pace, unsigned workers, unsigned most)
{
    pace->places = workers;
    pace->workers = most > 0 && most < workers ? most : workers;
}

void exec_pace_fini(struct exec_pace *pace)
{
    if (!pace->page)
        return;
    pace_detach(pace->page);
    close(pace->page_fd);
    if (pace->timer_fd >= 0)
        close(pace->timer_fd);
    if (pace->fd >= 0)
        close(pace->fd);
    pace->page = NULL;
}

/* --- what is waited for */

static void set_timer(const struct exec_pace *pace, uint64_t after_ns)
{
    struct itimerspec time = {.it_value = {.tv_sec = (time_t)(after_ns / CLOCK_NS_PER_S),
                                           .tv_nsec = (long)(after_ns % CLOCK_NS_PER_S)}};

    timerfd_settime(pace->timer_fd, 0, &time, NULL);
}

static void watch(const struct exec_pace *pace, int fd)
{
    dup3(fd, pace->fd, O_CLOEXEC);
}

static bool wait_for(const struct exec_pace *pace, uint64_t after_ns)
{
    set_timer(pace, after_ns);
    watch(pace, pace->timer_fd);
    return false;
}

void exec_pace_awaits(struct exec_pace *pace, int source_fd)
{
    watch(pace, source_fd);
}

/* --- the host */

/* Where it cannot be read any more, it is as it was. */
static void look_at_host(struct exec_pace *pace, uint64_t now_ns)
{
    struct exec_machine before = pace->seen;
    struct muster_error ignored;

    if (now_ns - pace->seen_ns < SEEN_NS || exec_machine_look(&pace->seen, &ignored) != 0)
        return;
    pace->swaps = pace->seen.swapped_in > before.swapped_in && pace->seen.swapped_out > before.swapped_out;
    pace->seen_ns = now_ns;
    pace->since = 0;
}

/* What began since the host was looked at does not show there yet: each such command is taken for a thread
 * that runs, and for all of the memory that is asked for. */
static bool host_admits(const struct exec_pace *pace)
{
    const struct exec_pace_rules *rules = &pace->rules;
    uint64_t least =
        rules->memfree_bytes > rules->memsuspend_bytes ? rules->memfree_bytes : rules->memsuspend_bytes;

    if (rules->load && pace->seen.running + pace->since >= rules->load)
        return false;
    if (least && pace->seen.free_bytes / least <= pace->since)
        return false;
    return !(rules->noswap && pace->swaps);
}

bool exec_pace_admits(struct exec_pace *pace)
{
    uint64_t now_ns;

    pace->awaits_worker = false;
    if (!holds_back(&pace->rules))
        return true;
    now_ns = clock_now_ns();
    if (pace->given - pace->ended >= pace->workers) {
        pace->awaits_worker = true;
        return wait_for(pace, SEEN_NS);
    }
    if (now_ns < pace->due_ns)
        return wait_for(pace, pace->due_ns - now_ns);
    if (looks_at_host(&pace->rules))
        look_at_host(pace, now_ns);
    return host_admits(pace) || wait_for(pace, SEEN_NS);
}

void exec_pace_gave(struct exec_pace *pace)
{
    pace->given++;
    pace->since++;
    if (pace->rules.delay_s > 0)
        pace->due_ns = clock_now_ns() + atomic_load(&pace->page->delay_ns);
}

/* --- what runs */

/* When the command there began; 0: none runs. */
static uint64_t began(struct pace_place *place)
{
    uint64_t began_ns = atomic_load(&place->began_ns);
    pid_t worker = (pid_t)atomic_load(&place->pid);

    return began_ns && worker > 0 && kill(worker, 0) != 0 && errno == ESRCH ? 0 : began_ns;
}

/* The place of the command that began last, and how many run, of those that are stopped or not; NULL: none
 * is. */
static struct pace_place *youngest(struct exec_pace *pace, bool stopped, unsigned *ret_count)
{
    struct pace_place *found = NULL;
    uint64_t found_ns = 0;

    *ret_count = 0;
    for (unsigned i = 0; i < pace->places; i++) {
        struct pace_place *place = &pace->page->places[i];
        uint64_t began_ns = began(place);

        if (!began_ns || (atomic_load(&place->stopped) != 0) != stopped)
            continue;
        ++*ret_count;
        if (began_ns > found_ns) {
            found = place;
            found_ns = began_ns;
        }
    }
    return found;
}

/* --memfree: below half of it the youngest gives way, but for the last one. */
static void keep_free(struct exec_pace *pace)
{
    uint64_t least = pace->rules.memfree_bytes;
    unsigned running;
    struct pace_place *place = youngest(pace, false, &running);

    atomic_store(&pace->page->held, pace->seen.free_bytes < least && running > 0);
    if (running > 1 && pace->seen.free_bytes < least / 2)
        atomic_store(&place->give_way_ns, atomic_load(&place->began_ns));
}

/* --memsuspend: below twice its size the youngest stops, but for the last one; above, one goes on. */
static void suspend(struct exec_pace *pace)
{
    uint64_t least = pace->rules.memsuspend_bytes;
    unsigned running, stopped;
    struct pace_place *place = youngest(pace, false, &running), *waiting = youngest(pace, true, &stopped);

    if (stopped > 0 && (running == 0 || pace->seen.free_bytes / 2 >= least))
        atomic_store(&waiting->stopped, 0);
    else if (running > 1 && pace->seen.free_bytes / 2 < least)
        atomic_store(&place->stopped, 1);
}

void exec_pace_note(struct exec_pace *pace, uint64_t wall_ns, bool succeeded)
{
    double limit_ns;

    pace->ran++;
    pace->ran_ns += (double)wall_ns;
    if (pace->rules.timeout_percent == 0 || !succeeded)
        return;
    run_times_add(&pace->times, wall_ns);
    limit_ns = (double)run_times_median(&pace->times) * pace->rules.timeout_percent / 100;
    if (pace->times.count >= TIMES_LEAST)
        atomic_store(&pace->page->limit_ns, limit_ns < LIMIT_NS_MAX ? (uint64_t)limit_ns : 0);
}

/* One that runs longer than the mean is expected to take half as long again: the last of very different
 * jobs are the long ones. */
double exec_pace_left_s(const struct exec_pace *pace, uint64_t left)
{
    double mean_ns = pace->ran ? pace->ran_ns / (double)pace->ran : 0, longest_ns = 0, sum_ns = 0;
    uint64_t now_ns = clock_now_ns(), running = 0;

    if (pace->ran == 0)
        return -1;
    for (unsigned i = 0; i < pace->places; i++) {
        uint64_t began_ns = began(&pace->page->places[i]);
        double age_ns = began_ns && began_ns < now_ns ? (double)(now_ns - began_ns) : 0;
        double rest_ns = age_ns < mean_ns ? mean_ns - age_ns : age_ns / 2;

        if (!began_ns)
            continue;
        running++;
        sum_ns += rest_ns;
        longest_ns = rest_ns > longest_ns ? rest_ns : longest_ns;
    }
    if (left > running)
        sum_ns += (double)(left - running) * mean_ns;
    sum_ns /= left < pace->workers && left > 0 ? (double)left : (double)pace->workers;
    return (sum_ns > longest_ns ? sum_ns : longest_ns) / (double)CLOCK_NS_PER_S;
}

void exec_pace_tick(struct exec_pace *pace, uint64_t ended)
{
    uint64_t now_ns, before_ns = pace->seen_ns;

    pace->ended = ended;
    if (pace->awaits_worker && pace->given - ended < pace->workers)
        set_timer(pace, 1); /* at once */
    if (!looks_at_host(&pace->rules))
        return;
    now_ns = clock_now_ns();
    look_at_host(pace, now_ns);
    if (pace->seen_ns == before_ns)
        return;
    if (pace->rules.memfree_bytes)
        keep_free(pace);
    if (pace->rules.memsuspend_bytes)
        suspend(pace);
}

void exec_pace_end(struct exec_pace *pace)
{
    if (pace->end_ns != CLOCK_NEVER)
        return;
    atomic_store(&pace->page->ending, 1);
    pace->end_ns = clock_after(clock_now_ns(), pace->grace_ns);
}

bool exec_pace_is_over(const struct exec_pace *pace)
{
    return pace->end_ns != CLOCK_NEVER && clock_now_ns() >= pace->end_ns;
}
