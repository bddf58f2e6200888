/* SPDX-License-Identifier: MIT
 *
 * The flight recorder of a dead worker, as its supervisor reads it: whatever that wrote, what is said of its
 * end is a line of text within its bounds. The worker never was: a number that no process has, with a
 * descriptor that is readable at once.
 */
#include "coordinator/fault.h"
#include "coordinator/supervisor.h"
#include "fuzz.h"
#include "input.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>

enum { NO_PROCESS = 0x7ffffff0 }; /* beyond what the kernel gives */

static struct input page_bytes;
static int status;

static int spawn(struct launcher *launcher, const struct launch *launch, pid_t *ret_pid, int *ret_pidfd,
                 struct muster_error *ret_error)
{
    (void)launcher, (void)ret_error;
    FUZZ_CHECK(pwrite(launch->flight_fd, page_bytes.bytes, page_bytes.size, 0) == (ssize_t)page_bytes.size);
    *ret_pid = NO_PROCESS;
    *ret_pidfd = eventfd(1, EFD_CLOEXEC);
    FUZZ_CHECK(*ret_pidfd >= 0);
    return 0;
}

static int collect(struct launcher *launcher, pid_t pid, int *ret_status, struct rusage *ret_usage)
{
    (void)launcher;
    FUZZ_CHECK(pid == NO_PROCESS);
    *ret_status = status;
    *ret_usage = (struct rusage){.ru_maxrss = 1};
    return 0;
}

static void check_text(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    FUZZ_CHECK(length < size);
    for (size_t i = 0; i < length; i++)
        FUZZ_CHECK((unsigned char)text[i] >= ' ' && text[i] != 127);
}

static void reap(struct supervisor *supervisor)
{
    struct muster_error error;
    struct worker_exit end;

    FUZZ_CHECK(supervisor_spawn(supervisor, 1, "worker-1.1", -1, -1, &error) == 0);
    FUZZ_CHECK(supervisor_reap(supervisor, &end) == 0 && end.slot == 1);
    check_text(end.reason, sizeof end.reason);
    FUZZ_CHECK(end.reason[0] && end.progress <= 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct launcher_ops ops = {.spawn = spawn, .collect = collect};
    static const char *const plugins[] = {"/no/such/first.so", "/no/such/second.so"};
    struct launcher launcher = {.ops = &ops};
    const struct supervisor_options options = {.launcher = &launcher,
                                               .program = "/no/such/muster",
                                               .workers = 1,
                                               .plugins = plugins,
                                               .plugin_count = 2};
    struct input input = {bytes, size};
    struct supervisor *supervisor;
    struct muster_error error;

    FUZZ_CHECK(kill(NO_PROCESS, 0) != 0 && errno == ESRCH);
    status = (int)input_number(&input, 2) & 0xff7f; /* as wait has it: an exit, or a signal */
    page_bytes.size = input_bytes(&input, FLIGHT_PAGE_BYTES, &page_bytes.bytes);
    FUZZ_CHECK(supervisor_create(&options, &supervisor, &error) == 0);
    reap(supervisor);
    supervisor_destroy(supervisor);
    return 0;
}
