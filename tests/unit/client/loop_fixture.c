/* SPDX-License-Identifier: MIT
 *
 * See loop_fixture.h.
 */
#include "loop_fixture.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int gate;
unsigned arrived, most_at_once, at_once;

void open_gate(void)
{
    CHECK((gate = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
    arrived = most_at_once = at_once = 0;
}

void raise_gate(void)
{
    CHECK(eventfd_write(gate, 1) == 0);
}

void open_gated(struct fixture *f, int64_t jobs)
{
    fixture_open(f, &model_loop, 1, jobs);
    open_gate();
}

void close_gated(struct fixture *f)
{
    fixture_close(f);
    close(gate);
}

void begin_wait(void)
{
    most_at_once = ++at_once > most_at_once ? at_once : most_at_once;
}

int wait_at_gate(muster_call *call)
{
    int code;

    arrived++;
    begin_wait();
    code = muster_call_wait_fd(call, gate, POLLIN, 3600);
    at_once--;
    return code;
}
