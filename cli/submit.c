/* SPDX-License-Identifier: MIT
 *
 * muster submit: the steps of a job file, as batches that wait for each other. All of the file is checked
 * before anything is submitted; if the coordinator refuses a step, those before it are cancelled.
 */
#include "base/log.h"
#include "cli/interrupt.h"
#include "cli/jobfile.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/submit_step.h"
#include "cli/verbs.h"
#include "client/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct submit {
    struct options options;
    char *text;           /* of the file; owned */
    char place[PATH_MAX]; /* its folder */
    struct jobfile file;
    uint64_t *batches; /* of its steps, by place; 0: not submitted; owned */
    struct output output;
};

/* --- the file */

/* All of it, or a byte more than it may have. 0, or -1 with errno. */
static int read_all(int fd, char **ret_text, size_t *ret_size)
{
    const size_t most = JOBFILE_BYTES_MAX + 1;
    char *text = malloc(most);
    ssize_t got = -1;
    size_t size = 0;

    while (text && size < most && (got = read(fd, text + size, most - size)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        size += got > 0 ? (size_t)got : 0;
    }
    if (got < 0) {
        free(text);
        return -1;
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}

static int read_file(struct submit *submit, const char *path, struct muster_error *ret_error)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path, *slash = strrchr(path, '/');
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC), code = 0;
    size_t size = 0;

    if (fd < 0 || read_all(fd, &submit->text, &size) != 0)
        code = muster_error_system(ret_error, errno, "cannot read %s", name);
    if (fd >= 0 && !standard)
        close(fd);
    if (code)
        return code;
    snprintf(submit->place, sizeof submit->place, "%.*s", slash ? (int)(slash - path) + 1 : 0, path);
    return jobfile_read(name, submit->place, jobfile_format(path, submit->text, size), submit->text, size,
                        &submit->file, ret_error);
}

static int check_steps(const struct jobfile *file, struct muster_error *ret_error)
{
    int code = 0;

    for (size_t i = 0; i < file->count && !code; i++)
        code = submit_step_check(file, &file->steps[i], ret_error);
    return code;
}

/* --- what is written */

static const struct jobfile_step *step_at(const struct submit *submit, size_t place)
{
    return &submit->file.steps[submit->file.order[place]];
}

/* A name, and a number or a command line, for each step. */
static int print_steps(struct submit *submit, struct muster_error *ret_error)
{
    bool json = submit->options.format == OUTPUT_JSON;
    json_t *list = json ? json_array() : NULL;
    int code = 0;

    for (size_t i = 0; i < submit->file.count && !code; i++) {
        const struct jobfile_step *step = step_at(submit, i);
        uint64_t batch = submit->batches ? submit->batches[submit->file.order[i]] : 0;
        char *line = submit->batches ? NULL : submit_step_line(&submit->file, step);

        if (!submit->batches && !line)
            code = MUSTER_ENOMEM;
        else if (json && line)
            code = json_array_append_new(list, json_pack("{s:s, s:s}", "name", step->name, "command", line));
        else if (json)
            code = json_array_append_new(
                list, json_pack("{s:s, s:I}", "name", step->name, "batch", (json_int_t)batch));
        else if (line)
            code = output_text(&submit->output, "%s\t%s\n", step->name, line);
        else
            code = output_text(&submit->output, "%s\t%" PRIu64 "\n", step->name, batch);
        free(line);
    }
    if (json)
        code = (code != 0) | output_document(&submit->output, list);
    return code ? muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory")
                : output_flush(&submit->output, ret_error);
}

/* --- submission */

/* Whether a signal that was held came meanwhile. */
static int signal_came(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t pending;

    sigpending(&pending);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (sigismember(&pending, wanted[i]))
            return wanted[i];
    return 0;
}

/* Cancels the first steps, which were accepted; the last one first, so that none begins since another was
 * cancelled. */
static int take_back(const struct submit *submit, size_t count, struct muster_error *ret_error)
{
    struct proto_request request = {.operation = PROTO_REQUEST_CANCEL, .number = PROTO_CANCEL_NOW};
    struct remote *remote;
    int code = remote_open(submit->options.open.coordinator, &remote, ret_error);

    if (code)
        return code;
    while (count-- > 0 && !code) {
        request.batch = submit->batches[submit->file.order[count]];
        code = remote_ask(remote, &request, NULL, NULL, ret_error);
    }
    remote_close(remote);
    return code;
}

/* Nothing of a file goes on that was not accepted whole. */
static void give_up(const struct submit *submit, size_t count)
{
    const struct jobfile *file = &submit->file;
    struct muster_error error = {0};

    log_error("%s: step '%s' was not accepted", file->name, step_at(submit, count)->name);
    if (count > 0 && take_back(submit, count, &error) == 0)
        log_error("the %zu step%s before it %s cancelled, as far as %s had not ended", count,
                  count == 1 ? "" : "s", count == 1 ? "is" : "are", count == 1 ? "it" : "they");
    for (size_t i = 0; count > 0 && error.code && i < count; i++)
        log_error("step '%s' goes on as batch %" PRIu64 ": %s", step_at(submit, i)->name,
                  submit->batches[file->order[i]], error.text);
}

/* Returns an exit status. */
static int submit_all(struct submit *submit)
{
    const struct jobfile *file = &submit->file;

    for (size_t i = 0; i < file->count; i++) {
        const struct jobfile_step *step = step_at(submit, i);
        int status = signal_came();

        status = status ? STATUS_SIGNAL + status
                        : submit_step_run(step, submit->batches, &submit->batches[file->order[i]]);
        if (status) {
            give_up(submit, i);
            return status;
        }
    }
    return 0;
}

/* Verbs that run steps find the coordinator there. */
static int name_coordinator(const struct submit *submit, struct muster_error *ret_error)
{
    if (setenv("MUSTER_COORDINATOR", submit->options.open.coordinator, 1) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return 0;
}

/* Returns the exit status. */
static int run(struct submit *submit)
{
    struct muster_error error;
    int status;

    if (name_coordinator(submit, &error) || read_file(submit, submit->options.words[0], &error) ||
        check_steps(&submit->file, &error))
        return plain_error(&error);
    if (!submit->options.dry_run) {
        submit->batches = calloc(submit->file.count, sizeof *submit->batches);
        if (!submit->batches)
            return plain_error(&(struct muster_error){MUSTER_ENOMEM, "out of memory"});
        interrupt_hold();
        if ((status = submit_all(submit)) != 0)
            return status;
    }
    if (print_steps(submit, &error) == 0)
        return 0;
    for (size_t i = 0; submit->batches && i < submit->file.count; i++) /* their numbers are lost else */
        log_error("step '%s' goes on as batch %" PRIu64, step_at(submit, i)->name,
                  submit->batches[submit->file.order[i]]);
    return plain_error(&error);
}

int verb_submit(int argc, char **argv)
{
    struct submit submit = {.text = NULL};
    struct muster_error error;
    int status;

    if (options_parse(&submit.options, VERB_SUBMIT, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (submit.options.help)
        return help_print(argv[0]);
    output_init(&submit.output, STDOUT_FILENO, "standard output", submit.options.format);
    status = run(&submit);
    output_fini(&submit.output);
    jobfile_fini(&submit.file);
    free(submit.batches);
    free(submit.text);
    return status;
}
