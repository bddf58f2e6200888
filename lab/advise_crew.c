/* SPDX-License-Identifier: MIT
 *
 * The crew as its employer sees it: forked, asked, and sent home. See advise_crew.h.
 */
#include "lab/advise_crew.h"

#include "base/clock.h"
#include "client/forkserver.h"
#include "lab/advise_trial.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* For models to be closed, workers to be ended and folders to be removed. */
enum { CLOSE_MS = 2000 };

static void enter_child(struct crew *crew, size_t place, int fd, pid_t parent, const struct crew_spec *spec)
{
    for (size_t i = 0; i < place; i++)
        close(crew->members[i].fd); /* else a member would outlive its employer's end of it */
    trial_serve(spec, fd, parent);
    _exit(0);
}

static int fork_member(struct crew *crew, size_t place, const struct crew_spec *spec,
                       struct muster_error *ret_error)
{
    struct crew_member *member = &crew->members[place];
    pid_t parent = getpid();
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return muster_error_system(ret_error, errno, "cannot make a socket pair");
    if ((member->pid = fork()) == 0) {
        close(ends[0]);
        enter_child(crew, place, ends[1], parent, spec);
    }
    close(ends[1]);
    member->fd = ends[0];
    if (member->pid > 0)
        return 0;
    member->pid = 0;
    return muster_error_system(ret_error, errno, "cannot fork");
}

int crew_open(struct crew *crew, const struct crew_spec *spec, struct muster_error *ret_error)
{
    int code;

    for (size_t i = 0; i < CREW_MEMBERS; i++)
        crew->members[i] = (struct crew_member){.fd = -1};
    if ((code = forkserver_check(ret_error)) != 0)
        return code;
    for (size_t i = 0; i < CREW_MEMBERS && !code; i++)
        code = fork_member(crew, i, spec, ret_error);
    if (code)
        crew_close(crew);
    return code;
}

/* Lets a member go: it ends when it sees that its socket is closed. */
static void let_go(struct crew_member *member)
{
    if (member->fd >= 0)
        close(member->fd);
    member->fd = -1;
}

/* Waits for the member's end until the deadline, then ends it. Returns its status, as of waitpid. */
static int bury(struct crew_member *member, uint64_t deadline_ns)
{
    int pidfd = pidfd_open(member->pid, 0), status = 0, ready;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};

    do
        ready = pidfd < 0 ? 0 : poll(&ended, 1, clock_poll_ms(clock_now_ns(), deadline_ns));
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        kill(member->pid, SIGKILL);
    while (waitpid(member->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pidfd >= 0)
        close(pidfd);
    member->pid = 0;
    return status;
}

void crew_close(struct crew *crew)
{
    uint64_t deadline_ns = clock_now_ns() + CLOSE_MS * CLOCK_NS_PER_MS;

    for (size_t i = 0; i < CREW_MEMBERS; i++)
        if (crew->members[i].pid > 0)
            let_go(&crew->members[i]);
    for (size_t i = 0; i < CREW_MEMBERS; i++)
        if (crew->members[i].pid > 0)
            bury(&crew->members[i], deadline_ns);
}

/* The member closed its end, or broke off. */
static int report_death(struct crew_member *member, struct muster_error *ret_error)
{
    int status;

    let_go(member);
    status = bury(member, clock_now_ns() + CLOSE_MS * CLOCK_NS_PER_MS);
    if (WIFSIGNALED(status))
        return muster_error_set(ret_error, MUSTER_ECRASHED, "crashed the process (SIG%s)",
                                sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    return muster_error_set(ret_error, MUSTER_ECRASHED, "ended the process with status %d",
                            WEXITSTATUS(status));
}

/* Waits until something can be read of the member. 0 or what crew_ask returns. */
static int wait_for_answer(struct crew_member *member, uint64_t deadline_ns, double limit_s, int interrupt_fd,
                           struct muster_error *ret_error)
{
    struct pollfd waiting[] = {{.fd = member->fd, .events = POLLIN}, {.fd = interrupt_fd, .events = POLLIN}};
    int ready;

    do
        ready = poll(waiting, 2, clock_poll_ms(clock_now_ns(), deadline_ns));
    while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return muster_error_system(ret_error, errno, "cannot wait for a trial");
    if (waiting[1].revents)
        return muster_error_set(ret_error, MUSTER_ECANCELLED, "interrupted");
    if (ready > 0)
        return 0;
    let_go(member);
    bury(member, clock_now_ns() + CLOSE_MS * CLOCK_NS_PER_MS);
    return muster_error_set(ret_error, MUSTER_ETIMEOUT, "did not come to an end within %.3g s", limit_s);
}

int crew_ask(struct crew *crew, size_t place, const struct crew_order *order, double limit_s,
             int interrupt_fd, struct crew_answer *ret_answer, struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), (uint64_t)(limit_s * (double)CLOCK_NS_PER_S));
    struct crew_member *member = &crew->members[place];
    struct crew_answer answer;
    size_t got = 0;
    ssize_t size;
    int code;

    if (member->fd < 0)
        return muster_error_set(ret_error, MUSTER_ECRASHED, "has ended before");
    if (send(member->fd, order, sizeof *order, MSG_NOSIGNAL) != (ssize_t)sizeof *order)
        return report_death(member, ret_error);
    while (got < sizeof answer) {
        if ((code = wait_for_answer(member, deadline_ns, limit_s, interrupt_fd, ret_error)) != 0)
            return code;
        size = recv(member->fd, (char *)&answer + got, sizeof answer - got, 0);
        if (size == 0 || (size < 0 && errno != EINTR))
            return report_death(member, ret_error);
        got += size > 0 ? (size_t)size : 0;
    }
    answer.error[sizeof answer.error - 1] = '\0';
    *ret_answer = answer;
    return 0;
}
