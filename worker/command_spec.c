/* SPDX-License-Identifier: MIT
 *
 * Reads what a command is: from a map of bytes from outside to words, environment and limits. See
 * command.h for the members.
 */
#include "base/sandbox.h"
#include "jobs/argument.h"
#include "jobs/call.h"
#include "proto/value.h"
#include "worker/command_internal.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NICE_MAX = 40, SLOT_BYTES = 16, SLOT_MARK_BYTES = sizeof COMMAND_SLOT - 1 };

enum member {
    ARGV,
    SHELL,
    LINE,
    STDIN,
    AS_FILE,
    ENV,
    ONLY_ENV,
    FOLDER,
    UMASK,
    ULIMITS,
    NICE,
    TIMEOUT,
    TERMSEQ,
    TRIES,
    BACKOFF,
    PACE,
    MEMORY,
    FILE_SIZE,
    CPU_TIME,
    OPEN_FILES,
    PRIVILEGES,
    SANDBOX,
    FAILS,
    TMPDIR,
    TMPDIR_FD,
    FILES_IN,
    SPILL,
    STDOUT,
    LIVE,
    LABEL,
    SHOWN,
    TOLD,
    NOTE,
    MEMBERS
};

static const char *const names[MEMBERS] = {
    [ARGV] = "argv",
    [SHELL] = "shell",
    [LINE] = "line",
    [STDIN] = "stdin",
    [AS_FILE] = "as_file",
    [ENV] = "env",
    [ONLY_ENV] = "only_env",
    [FOLDER] = "dir",
    [UMASK] = "umask",
    [ULIMITS] = "ulimits",
    [NICE] = "nice",
    [TIMEOUT] = "timeout",
    [TERMSEQ] = "termseq",
    [TRIES] = "tries",
    [BACKOFF] = "backoff",
    [PACE] = "pace",
    [MEMORY] = "memory",
    [FILE_SIZE] = "file_size",
    [CPU_TIME] = "cpu_time",
    [OPEN_FILES] = "open_files",
    [PRIVILEGES] = "privileges",
    [SANDBOX] = "sandbox",
    [FAILS] = "fails",
    [TMPDIR] = "tmpdir",
    [TMPDIR_FD] = "tmpdir_fd",
    [FILES_IN] = "files_in",
    [SPILL] = "spill",
    [STDOUT] = "stdout",
    [LIVE] = "live",
    [LABEL] = "label",
    [SHOWN] = "shown",
    [TOLD] = "told",
    [NOTE] = "note",
};

struct reader {
    muster_call *call;
    const msgpack_object *members[MEMBERS]; /* of the job, else of what it has in common with others */
    const msgpack_object *common_env;       /* beside the job's own; NULL: none */
    char slot[SLOT_BYTES];
    size_t slot_size;
};

static int refuse(const struct reader *reader, enum member member, const char *what)
{
    return muster_call_fail(reader->call, "command: %s must be %s", names[member], what);
}

static void *alloc(const struct reader *reader, size_t count, size_t size)
{
    void *memory = count < SIZE_MAX / size ? msgpack_zone_malloc(reader->call->zone, count * size) : NULL;

    if (!memory)
        muster_call_fail(reader->call, "command: out of memory");
    return memory;
}

/* Text or bytes: words of a command need not be UTF-8. */
static bool get_bytes(const msgpack_object *value, const char **ret_bytes, size_t *ret_size)
{
    if (value->type == MSGPACK_OBJECT_STR) {
        *ret_bytes = value->via.str.ptr;
        *ret_size = value->via.str.size;
        return true;
    }
    if (value->type == MSGPACK_OBJECT_BIN) {
        *ret_bytes = value->via.bin.ptr;
        *ret_size = value->via.bin.size;
        return true;
    }
    return false;
}

/* The next mark of the slot in the bytes; NULL: none. */
static const char *find_mark(const char *bytes, size_t size)
{
    return size ? memmem(bytes, size, COMMAND_SLOT, SLOT_MARK_BYTES) : NULL;
}

/* A copy with the slot in its places, NUL-terminated. 0, or fails the call. */
static int copy_word(const struct reader *reader, enum member member, const msgpack_object *value,
                     char **ret_word)
{
    const char *bytes, *mark;
    size_t size, marks = 0;
    char *word, *end;

    if (!get_bytes(value, &bytes, &size))
        return refuse(reader, member, "made of texts");
    if (size && memchr(bytes, '\0', size))
        return muster_call_fail(reader->call, "command: %s holds a NUL byte, which no program can be given",
                                names[member]);
    for (const char *at = bytes; (mark = find_mark(at, size - (size_t)(at - bytes))); marks++)
        at = mark + SLOT_MARK_BYTES;
    word = end = alloc(reader, size + marks * reader->slot_size + 1, 1);
    if (!word)
        return MUSTER_JOB_FAILED;
    while ((mark = find_mark(bytes, size))) {
        end = mempcpy(end, bytes, (size_t)(mark - bytes));
        end = mempcpy(end, reader->slot, reader->slot_size);
        size -= (size_t)(mark - bytes) + SLOT_MARK_BYTES;
        bytes = mark + SLOT_MARK_BYTES;
    }
    if (size)
        end = mempcpy(end, bytes, size);
    *end = '\0';
    *ret_word = word;
    return 0;
}

/* Words with room for one in front. */
static char **alloc_words(const struct reader *reader, size_t count)
{
    char **words = alloc(reader, count + 2, sizeof *words);

    if (!words)
        return NULL;
    words[0] = NULL;
    words[count + 1] = NULL;
    return words + 1;
}

static int read_argv(const struct reader *reader, char ***ret_words)
{
    const msgpack_object *argv = reader->members[ARGV];
    char **words;
    int code = 0;

    if (argv->type != MSGPACK_OBJECT_ARRAY || argv->via.array.size == 0)
        return refuse(reader, ARGV, "an array of a program and its arguments");
    words = alloc_words(reader, argv->via.array.size);
    if (!words)
        return MUSTER_JOB_FAILED;
    for (uint32_t i = 0; i < argv->via.array.size && code == 0; i++)
        code = copy_word(reader, ARGV, &argv->via.array.ptr[i], &words[i]);
    *ret_words = words;
    return code;
}

static int read_words(const struct reader *reader, char ***ret_words)
{
    static char option[] = "-c";
    const msgpack_object *shell = reader->members[SHELL], *line = reader->members[LINE];
    char **words;
    int code;

    if (reader->members[ARGV] && !shell && !line)
        return read_argv(reader, ret_words);
    if (reader->members[ARGV] || !shell || !line)
        return muster_call_fail(reader->call, "command: either argv, or shell and line");
    words = alloc_words(reader, 3);
    if (!words)
        return MUSTER_JOB_FAILED;
    words[1] = option;
    code = copy_word(reader, SHELL, shell, &words[0]);
    if (code == 0)
        code = copy_word(reader, LINE, line, &words[2]);
    *ret_words = words;
    return code;
}

/* Whether one of the variables has the name of `variable`. */
static bool is_set(const char *variable, char *const *variables, size_t count)
{
    size_t size = (size_t)(strchrnul(variable, '=') - variable) + 1;

    for (size_t i = 0; i < count; i++)
        if (strncmp(variables[i], variable, size) == 0)
            return true;
    return false;
}

static int read_bool(const struct reader *reader, enum member member, bool *ret_bool)
{
    const msgpack_object *value = reader->members[member];

    if (value && value->type != MSGPACK_OBJECT_BOOLEAN)
        return refuse(reader, member, "true or false");
    *ret_bool = value && value->via.boolean;
    return 0;
}

/* Behind those that are there already, which go before. */
static int add_variables(const struct reader *reader, const msgpack_object *env, char **base,
                         char **environment, size_t *count)
{
    size_t before = *count;
    int code;

    for (uint32_t i = 0; env && i < env->via.array.size; i++) {
        char **place = &environment[*count];

        if ((code = copy_word(reader, ENV, &env->via.array.ptr[i], place)) != 0)
            return code;
        if (!strchr(*place, '=') || **place == '=')
            return refuse(reader, ENV, "an array of NAME=VALUE");
        *count += !is_set(*place, base, COMMAND_OWN_VARIABLES) && !is_set(*place, environment, before);
    }
    return 0;
}

static size_t array_size(const msgpack_object *array)
{
    return array ? array->via.array.size : 0;
}

/* The job's variables; those of `base` that are the worker's to set, COMMAND_OWN_VARIABLES at its beginning;
 * and the others of `base` that the job does not set, unless it wants its own only. */
static int read_environment(const struct reader *reader, char **base, char ***ret_environment)
{
    const msgpack_object *env = reader->members[ENV], *common = reader->common_env;
    size_t count = 0, own = 0;
    char **environment;
    bool only;
    int code = read_bool(reader, ONLY_ENV, &only);

    if (code != 0)
        return code;
    if ((env && env->type != MSGPACK_OBJECT_ARRAY) || (common && common->type != MSGPACK_OBJECT_ARRAY))
        return refuse(reader, ENV, "an array of NAME=VALUE");
    if (!env || (array_size(env) + array_size(common) == 0 && !only)) {
        *ret_environment = base;
        return 0;
    }
    while (base[count])
        count++;
    environment = alloc(reader, count + array_size(env) + array_size(common) + 1, sizeof *environment);
    if (!environment)
        return MUSTER_JOB_FAILED;
    if ((code = add_variables(reader, env, base, environment, &own)) != 0 ||
        (code = add_variables(reader, common, base, environment, &own)) != 0)
        return code;
    count = own;
    for (size_t i = 0; (i < COMMAND_OWN_VARIABLES || !only) && base[i]; i++)
        if (!is_set(base[i], environment, own))
            environment[count++] = base[i];
    environment[count] = NULL;
    *ret_environment = environment;
    return 0;
}

static int read_limit(const struct reader *reader, enum member member, uint64_t *ret_limit)
{
    int64_t integer;

    if (!reader->members[member])
        return 0;
    if (!argument_integer(reader->members[member], 0, INT64_MAX, &integer))
        return refuse(reader, member, "an integer >= 0");
    *ret_limit = (uint64_t)integer;
    return 0;
}

static int read_steps(const struct reader *reader, struct command_steps *steps)
{
    const msgpack_object *termseq = reader->members[TERMSEQ];

    if (!termseq) {
        *steps = command_steps_usual;
        return 0;
    }
    if (termseq->type != MSGPACK_OBJECT_ARRAY || termseq->via.array.size % 2 != 0 ||
        termseq->via.array.size > (uint32_t)COMMAND_STEPS_MAX * 2)
        return refuse(reader, TERMSEQ, "an array of signals and milliseconds");
    steps->count = termseq->via.array.size / 2;
    for (size_t i = 0; i < steps->count; i++) {
        int64_t signal, wait_ms;

        if (!argument_integer(&termseq->via.array.ptr[2 * i], 1, NSIG - 1, &signal) ||
            !argument_integer(&termseq->via.array.ptr[2 * i + 1], 0, UINT32_MAX, &wait_ms))
            return refuse(reader, TERMSEQ, "an array of signals and milliseconds");
        steps->steps[i].signal = (int)signal;
        steps->steps[i].wait_ms = (uint32_t)wait_ms;
    }
    return 0;
}

/* The modes of files, and the soft limits, of where it was submitted. */
static int read_ulimits(const struct reader *reader, struct command_spec *spec)
{
    const msgpack_object *ulimits = reader->members[ULIMITS];
    int64_t number;

    if (reader->members[UMASK] && !argument_integer(reader->members[UMASK], 0, 0777, &spec->umask))
        return refuse(reader, UMASK, "an integer from 0 to 0777");
    if (!ulimits)
        return 0;
    if (ulimits->type != MSGPACK_OBJECT_ARRAY || ulimits->via.array.size > RLIM_NLIMITS)
        return refuse(reader, ULIMITS, "an array of limits");
    spec->ulimit_count = ulimits->via.array.size;
    for (uint32_t i = 0; i < ulimits->via.array.size; i++) {
        spec->ulimits[i] = UINT64_MAX;
        if (ulimits->via.array.ptr[i].type == MSGPACK_OBJECT_NIL)
            continue;
        if (!argument_integer(&ulimits->via.array.ptr[i], 0, INT64_MAX, &number))
            return refuse(reader, ULIMITS, "an array of limits");
        spec->ulimits[i] = (uint64_t)number;
    }
    return 0;
}

static int read_limits(const struct reader *reader, struct command_spec *spec)
{
    const msgpack_object *const *members = reader->members;
    int code;

    if (members[NICE] && !argument_integer(members[NICE], -NICE_MAX, NICE_MAX, &spec->nice))
        return refuse(reader, NICE, "an integer from -40 to 40");
    if (members[TIMEOUT] && !argument_number(members[TIMEOUT], 0, HUGE_VAL, &spec->timeout_s))
        return refuse(reader, TIMEOUT, "seconds, at least 0");
    if (members[BACKOFF] && !argument_number(members[BACKOFF], 0, COMMAND_BACKOFF_MAX_S, &spec->backoff_s))
        return refuse(reader, BACKOFF, "seconds, from 0 to 3600");
    if ((code = read_bool(reader, PRIVILEGES, &spec->privileges)) != 0 ||
        (code = read_ulimits(reader, spec)) != 0 || (code = read_steps(reader, &spec->steps)) != 0 ||
        (code = read_limit(reader, TRIES, &spec->tries)) != 0 ||
        (code = read_limit(reader, MEMORY, &spec->memory_bytes)) != 0 ||
        (code = read_limit(reader, FILE_SIZE, &spec->file_bytes)) != 0 ||
        (code = read_limit(reader, CPU_TIME, &spec->cpu_time_s)) != 0 ||
        (code = read_limit(reader, OPEN_FILES, &spec->open_files)) != 0 ||
        (code = read_limit(reader, SPILL, &spec->spill_bytes)) != 0)
        return code;
    if (spec->memory_bytes < COMMAND_MEMORY_MIN)
        return refuse(reader, MEMORY, "8 MiB at least");
    return 0;
}

/* A path; "" counts as none. */
static int read_path(const struct reader *reader, enum member member, const char **ret_path)
{
    char *path;
    int code;

    if (!reader->members[member])
        return 0;
    code = copy_word(reader, member, reader->members[member], &path);
    if (code == 0 && path[0])
        *ret_path = path;
    return code;
}

/* A text; NULL when there is none. */
static int read_text(const struct reader *reader, enum member member, const char **ret_text, size_t *ret_size)
{
    char *text;
    int code;

    if (!reader->members[member])
        return 0;
    code = copy_word(reader, member, reader->members[member], &text);
    if (code == 0 && strlen(text) > COMMAND_LABEL_MAX)
        return refuse(reader, member, "shorter");
    if (code == 0) {
        *ret_text = text;
        *ret_size = strlen(text);
    }
    return code;
}

static int read_descriptor(const struct reader *reader, enum member member, const msgpack_object *value,
                           int *ret_fd)
{
    int64_t fd;

    if (!argument_integer(value, 0, INT_MAX, &fd))
        return refuse(reader, member, "a descriptor");
    *ret_fd = (int)fd;
    return 0;
}

/* Where output goes that is not kept. */
static int read_ways_out(const struct reader *reader, struct command_spec *spec)
{
    const msgpack_object *live = reader->members[LIVE];
    int code = 0;

    if (reader->members[STDOUT] && live)
        return muster_call_fail(reader->call, "command: either stdout or live");
    if (reader->members[STDOUT])
        code = read_descriptor(reader, STDOUT, reader->members[STDOUT], &spec->out_fd);
    if (code == 0 && reader->members[TMPDIR_FD])
        code = read_descriptor(reader, TMPDIR_FD, reader->members[TMPDIR_FD], &spec->tmpdir_fd);
    if (code == 0 && live) {
        if (live->type != MSGPACK_OBJECT_ARRAY || live->via.array.size != 2 ||
            live->via.array.ptr[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
            return refuse(reader, LIVE, "a descriptor and a number");
        spec->live_number = live->via.array.ptr[1].via.u64;
        code = read_descriptor(reader, LIVE, &live->via.array.ptr[0], &spec->live_fd);
    }
    if (code || (code = read_text(reader, LABEL, &spec->label, &spec->label_bytes)) != 0 ||
        (code = read_text(reader, SHOWN, &spec->shown, &spec->shown_bytes)) != 0)
        return code;
    return read_text(reader, TOLD, &spec->told, &spec->told_bytes);
}

static int read_sandbox(const struct reader *reader, unsigned *ret_sandbox)
{
    struct muster_error error;
    char *words;
    int code;

    if (!reader->members[SANDBOX])
        return 0;
    code = copy_word(reader, SANDBOX, reader->members[SANDBOX], &words);
    if (code == 0 && sandbox_parse(words, ret_sandbox, &error) != 0)
        return muster_call_fail(reader->call, "command: %s: %s", names[SANDBOX], error.text);
    return code;
}

static int read_ranges(const struct reader *reader, const msgpack_object *value, struct command_spec *spec)
{
    static const char what[] = "bytes, a text, or a path and ranges";
    const msgpack_object *items = value->via.array.ptr;
    uint32_t count = value->via.array.size / 2;
    int64_t offset, size;
    char *path;
    int code;

    if (value->via.array.size % 2 == 0 || count == 0 || count > COMMAND_RANGES_MAX)
        return refuse(reader, STDIN, what);
    code = copy_word(reader, STDIN, &items[0], &path);
    if (code != 0)
        return code;
    for (uint32_t i = 0; i < count; i++) {
        if (!argument_integer(&items[1 + 2 * i], 0, INT64_MAX, &offset) ||
            !argument_integer(&items[2 + 2 * i], 0, INT64_MAX - offset, &size))
            return refuse(reader, STDIN, what);
        spec->ranges[i] = (struct command_range){.offset = (uint64_t)offset, .size = (uint64_t)size};
    }
    spec->input_path = path;
    spec->range_count = count;
    return 0;
}

/* A variable for the path of the input, whose value is not known yet, before the others. */
static int add_file_variable(const struct reader *reader, struct command_spec *spec)
{
    size_t count = 0;
    char **environment;

    while (spec->environment[count])
        count++;
    environment = alloc(reader, count + 2, sizeof *environment);
    spec->file_variable = alloc(reader, COMMAND_FILE_VARIABLE_BYTES, 1);
    if (!environment || !spec->file_variable)
        return MUSTER_JOB_FAILED;
    environment[0] = spec->file_variable;
    memcpy(environment + 1, spec->environment, (count + 1) * sizeof *environment);
    spec->environment = environment;
    return 0;
}

static int read_input(const struct reader *reader, struct command_spec *spec)
{
    const msgpack_object *value = reader->members[STDIN], *as_file = reader->members[AS_FILE];
    const char *bytes = NULL;
    int code = 0;

    if (as_file && (as_file->type != MSGPACK_OBJECT_BOOLEAN || !value))
        return refuse(reader, AS_FILE, "true or false, where there is stdin");
    if (value && value->type == MSGPACK_OBJECT_ARRAY)
        code = read_ranges(reader, value, spec);
    else if (value && !get_bytes(value, &bytes, &spec->input_bytes))
        return refuse(reader, STDIN, "bytes, a text, or a path and ranges");
    spec->has_input = value != NULL;
    spec->input = bytes;
    return code == 0 && as_file && as_file->via.boolean ? add_file_variable(reader, spec) : code;
}

static const char *default_folder(void)
{
    const char *folder = getenv("TMPDIR");

    return folder && *folder ? folder : "/tmp";
}

/* What a job says itself goes before what it has in common with others of its batch. */
static int read_members(struct reader *reader, const msgpack_object *argument)
{
    const struct call *call = (const struct call *)reader->call;
    msgpack_object *common = alloc(reader, 1, sizeof *common);
    const msgpack_object *members[MEMBERS] = {NULL};
    size_t offset = 0;

    if (!common)
        return MUSTER_JOB_FAILED;
    if ((call->common_bytes > 0 &&
         (value_unpack(call->common, call->common_bytes, &offset, call->base.zone, common) != 0 ||
          !argument_members(common, MEMBERS, names, members))) ||
        !argument_members(argument, MEMBERS, names, reader->members))
        return muster_call_fail(reader->call, "command takes a map of its program and how to run it");
    for (size_t i = 0; i < MEMBERS; i++)
        if (!reader->members[i])
            reader->members[i] = members[i];
    reader->common_env = reader->members[ENV] == members[ENV] ? NULL : members[ENV];
    return 0;
}

int command_spec_read(muster_call *call, const msgpack_object *argument, unsigned slot, char **environment,
                      struct command_spec *ret_spec)
{
    struct command_spec spec = {.timeout_s = -1,
                                .tries = 1,
                                .memory_bytes = UINT64_MAX,
                                .cpu_time_s = UINT64_MAX,
                                .open_files = UINT64_MAX,
                                .file_bytes = UINT64_MAX,
                                .spill_bytes = COMMAND_SPILL_BYTES,
                                .tmpdir_fd = -1,
                                .out_fd = -1,
                                .live_fd = -1,
                                .umask = -1,
                                .tmpdir = command_spool()};
    struct reader reader = {.call = call};
    const msgpack_object **members = reader.members;
    int code;

    if ((code = read_members(&reader, argument)) != 0)
        return code;
    reader.slot_size = (size_t)snprintf(reader.slot, sizeof reader.slot, "%u", slot);
    if ((code = read_words(&reader, &spec.words)) != 0 ||
        (code = read_environment(&reader, environment, &spec.environment)) != 0 ||
        (code = read_path(&reader, FOLDER, &spec.dir)) != 0 ||
        (code = read_path(&reader, TMPDIR, &spec.tmpdir)) != 0 ||
        (code = read_path(&reader, FILES_IN, &spec.files_in)) != 0 ||
        (code = read_path(&reader, PACE, &spec.pace)) != 0 || (code = read_limits(&reader, &spec)) != 0 ||
        (code = read_sandbox(&reader, &spec.sandbox)) != 0 || (code = read_ways_out(&reader, &spec)) != 0 ||
        (code = read_input(&reader, &spec)) != 0)
        return code;
    spec.spooled = spec.tmpdir && !members[TMPDIR];
    if (!spec.tmpdir)
        spec.tmpdir = default_folder();
    *ret_spec = spec;
    return 0;
}
