/* SPDX-License-Identifier: MIT
 *
 * A step of a job file as a command line. See submit_step.h.
 *
 * Its verb runs in a copy of this process: it owns a connection and threads, and ends where its errors
 * are said. A copy takes any number of arguments, which a program that is started anew does not.
 */
#include "cli/submit_step.h"

#include "base/coverage.h"
#include "cli/exec_options.h"
#include "cli/options.h"
#include "cli/shell.h"
#include "cli/verbs.h"
#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBER_BYTES = 32 }; /* of a batch, as its verb prints it */

static bool is_command(const struct jobfile_step *step)
{
    return strcmp(step->words[0], "exec") == 0;
}

/* --- what it says */

/* "--after=squares:any" */
static void quote_after(const struct jobfile *file, const struct jobfile_after *after,
                        struct shell_line *line)
{
    char number[NUMBER_BYTES], *word;
    int size;

    snprintf(number, sizeof number, "%" PRIu64, after->batch);
    size = asprintf(&word, "--after=%s%s", after->name ? file->steps[after->step].name : number,
                    after->any ? ":any" : "");
    if (size < 0) {
        line->failed = true;
        return;
    }
    shell_line_add(line, " ", 1);
    shell_line_quote(line, word, (size_t)size);
    free(word);
}

char *submit_step_line(const struct jobfile *file, const struct jobfile_step *step)
{
    struct shell_line line = {0};

    shell_line_add(&line, "muster", strlen("muster"));
    for (size_t i = 0; i < step->word_count; i++) {
        shell_line_add(&line, " ", 1);
        shell_line_quote(&line, step->words[i], strlen(step->words[i]));
        for (size_t j = 0; i == 0 && j < step->after_count; j++)
            quote_after(file, &step->after[j], &line);
    }
    shell_line_add(&line, "", 1); /* its NUL */
    if (!line.failed)
        return line.bytes;
    shell_line_fini(&line);
    return NULL;
}

/* --- whether it can be taken */

/* The verbs reorder the words, and point into them. */
static char **copy_words(const struct jobfile_step *step)
{
    char **words = calloc(step->word_count + 1, sizeof *words);

    if (words)
        memcpy(words, step->words, step->word_count * sizeof *words);
    return words;
}

static int check_function(int argc, char **argv, struct muster_error *ret_error)
{
    struct arguments arguments;
    struct options options;
    int code = options_parse(&options, VERB_MAP, argc, argv, ret_error);

    if (code)
        return code;
    code = arguments_init(&arguments, options.family, options.items, options.item_count, ret_error);
    if (code == 0)
        arguments_fini(&arguments);
    return code;
}

static int check_command(int argc, char **argv, struct muster_error *ret_error)
{
    struct exec_options options;
    struct sources sources;
    int code = exec_options_parse(&options, argc, argv, ret_error);

    if (code == 0 && (code = sources_init(&sources, &options.sources, ret_error)) == 0)
        sources_fini(&sources);
    exec_options_fini(&options);
    return code;
}

int submit_step_check(const struct jobfile *file, const struct jobfile_step *step,
                      struct muster_error *ret_error)
{
    char **words = copy_words(step);
    struct muster_error why;
    int argc = (int)step->word_count, code;

    if (!words)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    code = is_command(step) ? check_command(argc, words, &why) : check_function(argc, words, &why);
    free(words);
    return code ? jobfile_fail(file, step, ret_error, "%s", why.text) : 0;
}

/* --- its submission */

/* Runs a verb in a copy of this process, and takes what it prints. Its exit status. */
static int run_verb(int (*verb)(int argc, char **argv), int argc, char **argv, char ret_text[NUMBER_BYTES])
{
    int ends[2], status;
    size_t size = 0;
    ssize_t got;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return STATUS_ERROR;
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        status = verb(argc, argv);
        coverage_save();
        _exit(status);
    }
    close(ends[1]);
    while (
        pid > 0 && size < NUMBER_BYTES - 1 &&
        ((got = read(ends[0], ret_text + size, NUMBER_BYTES - 1 - size)) > 0 || (got < 0 && errno == EINTR)))
        size += got > 0 ? (size_t)got : 0;
    close(ends[0]);
    ret_text[size] = '\0';
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pid < 0)
        return STATUS_ERROR;
    return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_SIGNAL + WTERMSIG(status);
}

/* "--after=12,13:any" */
static void name_batches(const struct jobfile_step *step, const uint64_t *batches, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "--after=");

    for (size_t i = 0; i < step->after_count; i++) {
        const struct jobfile_after *after = &step->after[i];

        used += (size_t)snprintf(text + used, size - used, "%s%" PRIu64 "%s", i ? "," : "",
                                 after->name ? batches[after->step] : after->batch, after->any ? ":any" : "");
    }
}

int submit_step_run(const struct jobfile_step *step, const uint64_t *batches, uint64_t *ret_batch)
{
    char after[PROTO_AFTER_MAX * sizeof ",18446744073709551615:any" + sizeof "--after="],
        number[NUMBER_BYTES];
    char **words = calloc(step->word_count + 2, sizeof *words), *end;
    int count = 0, status;

    if (!words)
        return STATUS_ERROR;
    words[count++] = step->words[0];
    if (step->after_count > 0) {
        name_batches(step, batches, after, sizeof after);
        words[count++] = after;
    }
    memcpy(words + count, step->words + 1, (step->word_count - 1) * sizeof *words);
    count += (int)step->word_count - 1;
    status = run_verb(is_command(step) ? verb_exec : verb_map, count, words, number);
    free(words);
    if (status)
        return status;
    *ret_batch = strtoull(number, &end, 10);
    return *ret_batch > 0 && *end == '\n' ? 0 : STATUS_ERROR;
}
