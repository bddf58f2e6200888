/* SPDX-License-Identifier: MIT
 *
 * When a command begins, and what is asked of it while it runs. See command_internal.h and pace.h.
 */
#include "base/clock.h"
#include "jobs/call.h"
#include "worker/command_input.h"
#include "worker/command_internal.h"
#include "worker/pace.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often the page is looked at, as often as a blocking call looks for a cancel. */
static const uint64_t LOOK_NS = 50 * CLOCK_NS_PER_MS;

/* The page that was asked for last. */
static struct {
    char path[PATH_MAX];
    struct stat file;
    struct pace_page *page;
    struct pace_place *place; /* of this worker */
} own;

/* Whether the path still leads to the page: its process may be gone, and another have its number. */
static bool is_own(const char *path, const struct stat *file)
{
    return own.page && strcmp(own.path, path) == 0 && own.file.st_dev == file->st_dev &&
           own.file.st_ino == file->st_ino;
}

int command_pace_open(muster_call *call, const char *path, unsigned slot)
{
    struct stat file;
    int code;

    if (!path || stat(path, &file) != 0) { /* who submitted it has left */
        command_pace_close();
        return 0;
    }
    if (is_own(path, &file))
        return 0;
    command_pace_close();
    if (strlen(path) >= sizeof own.path || slot < 1 || slot > PROTO_WORKERS_MAX)
        return muster_call_fail(call, "command: no pace for worker %u in %s", slot, path);
    code = pace_attach(path, &own.page);
    if (code == MUSTER_EINVALID || (code != 0 && (errno == ENOENT || errno == EACCES)))
        return 0; /* and something else is there */
    if (code != 0)
        return muster_call_fail(call, "command: cannot share the pace of the run in %s: %s", path,
                                strerror(errno));
    strcpy(own.path, path);
    own.file = file;
    own.place = &own.page->places[slot - 1];
    atomic_store(&own.place->began_ns, 0); /* of the worker before */
    atomic_store(&own.place->pid, (uint32_t)getpid());
    return 0;
}

void command_pace_close(void)
{
    pace_detach(own.page);
    own.page = NULL;
}

/* Who submitted the command may leave it to the coordinator: then nobody holds it back or stops it any more.
 * Returns whether the page is still shared. */
static bool is_watched(void)
{
    struct stat file;

    if (own.page && (stat(own.path, &file) != 0 || !is_own(own.path, &file)))
        command_pace_close();
    return own.page;
}

/* How long it has to wait still; 0: it begins, and others see that it did. */
static uint64_t begin_after(uint64_t now_ns, uint64_t begin_ns)
{
    uint64_t delay_ns, latest_ns, due_ns;

    if (now_ns < begin_ns)
        return begin_ns - now_ns < LOOK_NS ? begin_ns - now_ns : LOOK_NS;
    if (!own.page)
        return 0;
    delay_ns = atomic_load(&own.page->delay_ns);
    latest_ns = atomic_load(&own.page->latest_ns);
    due_ns = latest_ns ? clock_after(latest_ns, delay_ns) : 0;
    if (atomic_load(&own.page->held))
        return LOOK_NS;
    if (delay_ns == 0)
        return 0;
    if (now_ns < due_ns)
        return due_ns - now_ns < LOOK_NS ? due_ns - now_ns : LOOK_NS;
    return atomic_compare_exchange_strong(&own.page->latest_ns, &latest_ns, now_ns) ? 0 : 1;
}

bool command_pace_is_cut(void)
{
    return is_watched() && atomic_load(&own.page->ending);
}

int command_pace_begin(muster_call *call, uint64_t begin_ns, bool *ret_cut)
{
    uint64_t now_ns, left_ns;

    while (!(*ret_cut = command_pace_is_cut())) {
        now_ns = clock_now_ns();
        left_ns = begin_after(now_ns, begin_ns);
        if (left_ns == 0 && own.page) {
            atomic_store(&own.place->stopped, 0);
            atomic_store(&own.place->began_ns, now_ns);
        }
        if (left_ns == 0)
            return 0;
        if (muster_call_sleep(call, (double)left_ns / (double)CLOCK_NS_PER_S) != 0)
            return MUSTER_ECANCELLED;
    }
    return 0;
}

void command_pace_end(void)
{
    if (own.page)
        atomic_store(&own.place->began_ns, 0);
}

static void let_run(const struct command_child *child, const struct command_strays *strays, bool run,
                    bool *stopped)
{
    if (*stopped == run)
        command_signal(child->pid, strays, run ? SIGCONT : SIGSTOP);
    *stopped = !run;
}

static enum command_verdict look(const struct command_child *child, const struct command_strays *strays,
                                 uint64_t now_ns, bool *stopped)
{
    uint64_t began_ns, limit_ns;

    if (!is_watched()) {
        let_run(child, strays, true, stopped);
        return COMMAND_RUNS;
    }
    began_ns = atomic_load(&own.place->began_ns);
    limit_ns = atomic_load(&own.page->limit_ns);
    if (atomic_load(&own.page->ending))
        return COMMAND_IS_CUT;
    if (atomic_load(&own.place->give_way_ns) == began_ns)
        return COMMAND_GIVES_WAY;
    if (limit_ns && now_ns - began_ns >= limit_ns)
        return COMMAND_IS_LATE;
    let_run(child, strays, !atomic_load(&own.place->stopped), stopped);
    return COMMAND_RUNS;
}

enum command_verdict command_await(muster_call *call, const struct command_spec *spec,
                                   struct command_input *input, const struct command_child *child,
                                   const struct command_strays *strays)
{
    uint64_t now_ns = clock_now_ns(), look_ns;
    uint64_t deadline_ns = spec->timeout_s < 0 ? CLOCK_NEVER : call_deadline(spec->timeout_s);
    enum command_verdict verdict;
    bool stopped = false;

    do {
        uint64_t until_ns = deadline_ns;
        int result;

        look_ns = clock_after(now_ns, LOOK_NS);
        if (own.page && look_ns < until_ns)
            until_ns = look_ns;
        result = command_input_wait(call, input, child->pidfd,
                                    until_ns == CLOCK_NEVER ? -1
                                    : until_ns > now_ns ? (double)(until_ns - now_ns) / (double)CLOCK_NS_PER_S
                                                        : 0);
        if (result <= 0)
            return result == 0 ? COMMAND_HAS_ENDED : COMMAND_IS_CANCELLED;
        now_ns = clock_now_ns();
        if (now_ns >= deadline_ns)
            return COMMAND_IS_LATE;
        verdict = own.page ? look(child, strays, now_ns, &stopped) : COMMAND_RUNS;
    } while (verdict == COMMAND_RUNS);
    return verdict;
}
