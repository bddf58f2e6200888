/* SPDX-License-Identifier: MIT
 *
 * muster advise: which model, how many workers, what chunk. Measuring and judging is done in
 * lab/advise; this takes samples of the arguments, shows what was found, and with --run becomes
 * the muster map that is advised, over all of the arguments.
 */
#include "lab/advise.h"
#include "base/log.h"
#include "cli/advise_report.h"
#include "cli/arguments.h"
#include "cli/interrupt.h"
#include "cli/json_read.h"
#include "cli/json_write.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/samples.h"
#include "cli/verbs.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct advise_verb {
    struct options options;
    struct arguments arguments;
    struct samples samples;
    msgpack_sbuffer texts[SAMPLES_MAX]; /* of the samples, as JSON */
    msgpack_sbuffer written;            /* of a result; in a trial */
    struct progress progress;
    int output_fd;
    bool broken; /* nobody reads the advice */
};

static void on_step(void *context, const char *what)
{
    char text[PROGRESS_TEXT_BYTES];

    snprintf(text, sizeof text, "measuring: %s", what);
    progress_note(context, text);
}

/* Reads a sample's text once more, which takes the time that it takes map. The argument is the sample itself,
 * for no JSON has texts that are not UTF-8. */
static int produce(void *context, size_t sample, msgpack_zone *zone, msgpack_object *ret_argument)
{
    const struct advise_verb *verb = context;
    const msgpack_sbuffer *text = &verb->texts[sample];
    msgpack_object read;
    int code = json_read(text->data, text->size, zone, &read, NULL);

    if (!code)
        *ret_argument = verb->samples.values[sample];
    return code;
}

/* Writes a result, as map would. */
static void consume(void *context, const struct muster_result *result)
{
    struct advise_verb *verb = context;

    verb->written.size = 0;
    if (result->value)
        json_write(result->value, &verb->written);
}

/* The samples as text. 0, or the error. */
static int write_texts(struct advise_verb *verb, struct muster_error *ret_error)
{
    for (size_t i = 0; i < verb->samples.count; i++) {
        int code = json_write(&verb->samples.values[i], &verb->texts[i]);

        if (code)
            return muster_error_set(ret_error, code, "sample %zu: %s", i + 1, muster_error_name(code));
    }
    return 0;
}

/* A command line that is put together word by word; numbers are kept beside it. */
struct command {
    const char **words; /* owned; NULL-terminated */
    size_t count;
    char workers[16], concurrency[16], timeout[32];
};

static void add(struct command *command, const char *word)
{
    command->words[command->count++] = word;
}

static void add_option(struct command *command, const char *name, const char *value)
{
    add(command, name);
    add(command, value);
}

/* An argument as map must be told it: what begins like an option is quoted as JSON. NULL: out of
 * memory. The process is about to become another one, which frees all. */
static const char *quote(const char *word)
{
    msgpack_sbuffer quoted;

    if (word[0] != '-' || isdigit((unsigned char)word[1]))
        return word;
    msgpack_sbuffer_init(&quoted);
    if (json_write_string(word, strlen(word), &quoted) || json_write_raw("", 1, &quoted))
        return NULL;
    return quoted.data;
}

/* The words of the muster map that is advised. 0 or MUSTER_ENOMEM. */
static int make_command(const struct advise_verb *verb, const struct advise_report *report,
                        struct command *command)
{
    enum { WORDS = 24 }; /* besides those that the user may repeat */
    static const char *const formats[] = {
        [OUTPUT_TEXT] = "text", [OUTPUT_JSON] = "json", [OUTPUT_NONE] = "none"};
    const struct advise_way *way = &report->ways[report->choice.advised];
    const struct options *options = &verb->options;
    size_t room = WORDS + 2 * (size_t)options->open.plugin_count + options->item_count;

    if (!(command->words = calloc(room, sizeof *command->words)))
        return MUSTER_ENOMEM;
    snprintf(command->workers, sizeof command->workers, "%u", way->workers);
    snprintf(command->concurrency, sizeof command->concurrency, "%u", way->concurrency);
    snprintf(command->timeout, sizeof command->timeout, "%.9g", report->timeout_s);
    add_option(command, "muster", "map");
    add(command, options->function);
    add_option(command, "--model", muster_model_name(way->model));
    if (way->model == MUSTER_PROCESSES)
        add_option(command, "--coordinator", "none"); /* the environment may name one */
    if (way->model == MUSTER_THREADS || way->model == MUSTER_PROCESSES)
        add_option(command, "--workers", command->workers);
    if (way->concurrency > 1)
        add_option(command, "--concurrency", command->concurrency);
    if (report->timeout_s > 0 && way->model == MUSTER_PROCESSES)
        add_option(command, "--timeout", command->timeout);
    add_option(command, "--output", formats[options->format]);
    for (unsigned i = 0; i < options->open.plugin_count; i++)
        add_option(command, "--plugin", options->plugins[i]);
    if (options->progress != PROGRESS_AUTOMATIC)
        add(command, options->progress == PROGRESS_ALWAYS ? "--progress" : "--no-progress");
    if (options->family == ARGUMENTS_WORDS) {
        add(command, ":::");
        for (size_t i = 0; i < options->item_count; i++)
            add(command, quote(options->items[i]));
    }
    for (size_t i = 0; i < command->count; i++)
        if (!command->words[i])
            return MUSTER_ENOMEM;
    return 0;
}

/* Makes the lines that were read for samples standard input again. 0 or MUSTER_ESYSTEM. */
static int give_lines_back(const struct arguments *arguments, struct muster_error *ret_error)
{
    int fd = memfd_create("muster arguments", 0);
    size_t written = 0;
    ssize_t part = 0;

    if (fd < 0)
        return muster_error_system(ret_error, errno, "cannot make a file for the arguments");
    while (written < arguments->store.size && part >= 0) {
        part = write(fd, arguments->store.data + written, arguments->store.size - written);
        written += part > 0 ? (size_t)part : 0;
    }
    if (part < 0 || lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, STDIN_FILENO) < 0) {
        muster_error_system(ret_error, errno, "cannot write the arguments to memory");
        close(fd);
        return MUSTER_ESYSTEM;
    }
    close(fd);
    return 0;
}

/* Becomes the muster map that is advised. Returns only when it cannot. */
static int become(struct advise_verb *verb, const struct advise_report *report,
                  struct muster_error *ret_error)
{
    struct command command = {.count = 0};
    sigset_t none;
    int code;

    if (verb->options.family != ARGUMENTS_WORDS && (code = give_lines_back(&verb->arguments, ret_error)) != 0)
        return code;
    if (make_command(verb, report, &command) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory for a command line");
    dup2(verb->output_fd, STDOUT_FILENO);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(program_path(), (char *const *)(uintptr_t)command.words);
    muster_error_system(ret_error, errno, "cannot run %s", program_path());
    free(command.words);
    return MUSTER_ESYSTEM;
}

/* A word as a shell must be told it. */
static int print_word(const char *word, struct output *output)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+,:@%=";
    int code;

    if (word[strspn(word, plain)] == '\0')
        return output_text(output, "%s", word);
    code = output_text(output, "'");
    for (; *word && !code; word++)
        code = *word == '\'' ? output_text(output, "'\\''") : output_text(output, "%c", *word);
    return code ? code : output_text(output, "'");
}

/* Whether map would go to the workers of a coordinator that the environment names. */
static bool has_coordinator(const struct advise_report *report)
{
    const char *coordinator = getenv("MUSTER_COORDINATOR");

    return report->ways[report->choice.advised].model == MUSTER_PROCESSES && coordinator && *coordinator &&
           strcmp(coordinator, "none") != 0;
}

/* The command that is advised, which lacks the arguments. */
static int print_command(const struct options *options, const struct advise_report *report,
                         struct output *output)
{
    int code = output_text(output, "\n  muster map %s %s%s", options->function, report->options,
                           has_coordinator(report) ? " --coordinator none" : "");

    for (unsigned i = 0; i < options->open.plugin_count && !code; i++) {
        code = output_text(output, " --plugin ");
        if (!code)
            code = print_word(options->plugins[i], output);
    }
    return code ? code : output_text(output, "\n");
}

/* Shows the advice: where the results of jobs follow, on standard error. */
static int show(struct advise_verb *verb, const struct advise_report *report, struct muster_error *ret_error)
{
    const struct options *options = &verb->options;
    struct output output;
    int code;

    if (options->run)
        output_init(&output, STDERR_FILENO, "standard error", OUTPUT_TEXT);
    else
        output_init(&output, verb->output_fd, "standard output", options->format);
    code = output.format == OUTPUT_JSON
               ? output_document(&output, advise_report_document(report, options->function))
               : advise_report_text(report, options->function, &output);
    if (!code && output.format != OUTPUT_JSON)
        code = print_command(options, report, &output);
    code = code ? muster_error_set(ret_error, code, "%s", muster_error_name(code))
                : output_flush(&output, ret_error);
    verb->broken = output.broken;
    output_fini(&output);
    return code;
}

/* Reads the arguments, all of them, and takes the samples. */
static int take_samples(struct advise_verb *verb, struct muster_error *ret_error)
{
    const struct options *options = &verb->options;
    struct muster_source source;
    int code =
        arguments_init(&verb->arguments, options->family, options->items, options->item_count, ret_error);

    if (code)
        return code;
    if (options->family == ARGUMENTS_STDIN && isatty(STDIN_FILENO))
        log_error("reading samples from standard input, a line each; end with Ctrl-D");
    if ((code = arguments_keep(&verb->arguments, -1, ret_error)) != 0)
        return code;
    source = arguments_source(&verb->arguments);
    if ((code = samples_take(&verb->samples, &source, ret_error)) != 0)
        return code;
    if (verb->samples.count == 0)
        return muster_error_set(ret_error, MUSTER_EINVALID, "no samples: there is nothing to measure");
    return write_texts(verb, ret_error);
}

static struct advise_spec make_spec(struct advise_verb *verb)
{
    const struct options *options = &verb->options;
    struct advise_spec spec = {
        .function = options->function,
        .samples = verb->samples.values,
        .sample_count = verb->samples.count,
        .around = {.produce = produce, .context = verb},
        .options = options->open,
        .jobs = options->jobs  ? options->jobs
                : options->run ? verb->samples.total
                               : 0,
        .time_s = options->time_s,
        .timeout_s = options->timeout_s,
        .on_step = on_step,
        .context = &verb->progress,
    };

    if (options->format != OUTPUT_NONE)
        spec.around.consume = consume;
    spec.options.worker_program = program_path();
    return spec;
}

static int measure(struct advise_verb *verb, struct advise_report *ret_report, struct muster_error *ret_error)
{
    struct advise_spec spec = make_spec(verb);
    struct advise *advise = NULL;
    int interrupt_fd, code;

    verb->output_fd = output_claim_stdout();
    interrupt_hold();
    if ((code = advise_open(&spec, &advise, ret_error)) != 0)
        return code;
    code = interrupt_start(&interrupt_fd, ret_error);
    if (!code) {
        progress_init(&verb->progress, STDERR_FILENO, verb->options.progress);
        code = advise_run(advise, interrupt_fd, ret_report, ret_error);
        progress_hide(&verb->progress);
    }
    advise_close(advise);
    return code;
}

static int run(struct advise_verb *verb)
{
    struct advise_report report;
    struct muster_error error;
    int code = take_samples(verb, &error);

    if (!code)
        code = measure(verb, &report, &error);
    if (!code)
        code = show(verb, &report, &error);
    if (!code && verb->options.run)
        code = become(verb, &report, &error);
    if (!code)
        return 0;
    if (verb->broken)
        return STATUS_SIGNAL + SIGPIPE; /* nobody reads (`muster advise ... | head`): nobody is told */
    return unfinished_error(code, &error, "no advice");
}

int verb_advise(int argc, char **argv)
{
    struct advise_verb verb = {.arguments.fd = -1};
    struct muster_error error;
    int status;

    if (options_parse(&verb.options, VERB_ADVISE, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (verb.options.help)
        return help_print(argv[0]);
    status = run(&verb);
    samples_fini(&verb.samples);
    for (size_t i = 0; i < SAMPLES_MAX; i++)
        msgpack_sbuffer_destroy(&verb.texts[i]);
    arguments_fini(&verb.arguments);
    return status;
}
