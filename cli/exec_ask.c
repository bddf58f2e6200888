/* SPDX-License-Identifier: MIT
 *
 * Questions on the terminal. See exec_ask.h.
 */
#include "cli/exec_ask.h"

#include "base/controls.h"
#include "cli/exec_again.h"
#include "cli/exec_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { ANSWER_BYTES = 4096 /* the longest line of a terminal, N_TTY_BUF_SIZE */ };

static int no_terminal(struct muster_error *ret_error)
{
    return muster_error_system(ret_error, errno, "cannot ask on the terminal");
}

int exec_ask_open(struct exec_ask *ask, struct muster_error *ret_error)
{
    ask->out = fopen("/dev/tty", "r+e");
    if (!ask->out)
        return no_terminal(ret_error);
    ask->in = fileno(ask->out);
    ask->fd = fcntl(ask->in, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return ask->fd < 0 ? no_terminal(ret_error) : 0;
}

void exec_ask_close(struct exec_ask *ask)
{
    if (!ask->out)
        return;
    if (ask->fd >= 0)
        close(ask->fd);
    fclose(ask->out);
    ask->out = NULL;
}

/* Until there is something to read from `fd`. */
static int await(struct exec_ask *ask, int fd, struct muster_error *ret_error)
{
    return dup3(fd, ask->fd, O_CLOEXEC) < 0 ? no_terminal(ret_error) : MUSTER_EAGAIN;
}

/* Shows the command, without what would have the terminal show something else. */
static int ask_about(struct exec_ask *ask, struct word line, struct muster_error *ret_error)
{
    for (size_t i = 0, length; i<line.size; i += length> 0 ? length : 1) {
        length = controls_at(line.bytes + i, line.size - i);
        putc(length > 0 ? '?' : (unsigned char)line.bytes[i], ask->out);
    }
    fputs(" ?...", ask->out);
    if (fflush(ask->out))
        return no_terminal(ret_error);
    ask->asked = true;
    return 0;
}

static int ask_next(struct exec *exec, struct muster_error *ret_error)
{
    struct exec_ask *ask = &exec->ask;
    struct command command;
    int code = exec_again_next(exec, &ask->row, &ask->sequence, ret_error);

    if (code == MUSTER_EAGAIN)
        return await(ask, exec_input_fd(exec), ret_error);
    if (code)
        return code;
    code = template_expand(&exec->command, &ask->row, 1, ask->sequence, &command, ret_error);
    if (code)
        return code;
    progress_hide(&exec->progress);
    return ask_about(ask, exec_note_fill(command.line, 1, &exec->title), ret_error);
}

static int take_answer(struct exec_ask *ask, bool *ret_yes, struct muster_error *ret_error)
{
    struct pollfd item = {.fd = ask->in, .events = POLLIN};
    char answer[ANSWER_BYTES];
    ssize_t size;

    if (poll(&item, 1, 0) == 0)
        return await(ask, ask->in, ret_error);
    size = read(ask->in, answer, sizeof answer);
    if (size <= 0)
        return MUSTER_EEND;
    ask->asked = false;
    *ret_yes = answer[0] == 'y' || answer[0] == 'Y';
    return 0;
}

int exec_ask_next(struct exec *exec, struct row *ret_row, uint64_t *ret_sequence,
                  struct muster_error *ret_error)
{
    struct exec_ask *ask = &exec->ask;
    bool yes = false;
    int code = 0;

    while (!yes) {
        code = ask->asked ? 0 : ask_next(exec, ret_error);
        if (!code)
            code = take_answer(ask, &yes, ret_error);
        if (code)
            return code;
    }
    *ret_row = ask->row;
    *ret_sequence = ask->sequence;
    return 0;
}
