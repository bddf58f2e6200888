/* SPDX-License-Identifier: MIT
 *
 * Job logs, as --resume and its kin read them: jobs come in order, each once, and commands are as they stand
 * in the log.
 */
#include "cli/exec_resume.h"
#include "cli/template.h"
#include "fuzz.h"
#include "input.h"

enum { JOBS_MAX = 200 };

/* As a run that knows the commands: of half of its jobs they are those of the log. */
static void resume(struct exec_resume *log)
{
    static const struct word other = {.bytes = "echo " TEMPLATE_SLOT_MARK, .size = 8};
    struct muster_error error = {0};
    bool done;

    for (uint64_t sequence = 1; sequence <= JOBS_MAX; sequence++) {
        if (!exec_resume_knows(log, sequence))
            continue;
        if (exec_resume_done(log, other, &done, &error) != 0) {
            FUZZ_CHECK(error.code < 0 && error.text[0]);
            return;
        }
        FUZZ_CHECK(!exec_resume_knows(log, sequence));
    }
}

static void retry(struct exec_resume *log)
{
    uint64_t sequence, before = 0, count = 0;
    struct muster_error error = {0};
    struct word command;

    while (exec_resume_next(log, &sequence, &command, &error) == 0) {
        FUZZ_CHECK(sequence > before && command.bytes);
        FUZZ_CHECK(!memchr(command.bytes, '\0', command.size));
        before = sequence;
        count++;
    }
    FUZZ_CHECK(count == log->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static int file = -1;
    struct input input = {bytes, size};
    struct exec_resume log;
    struct muster_error error = {0};
    char path[INPUT_PATH_BYTES];
    enum exec_resume_mode mode = EXEC_RESUME + input_byte(&input) % 3;

    input_file(&file, input.bytes, input.size, path);
    if (exec_resume_read(&log, mode, path, &error) != 0)
        FUZZ_CHECK(error.code < 0 && error.text[0]);
    else if (mode == EXEC_RETRY_FAILED)
        retry(&log);
    else
        resume(&log);
    FUZZ_CHECK(log.whole_bytes <= input.size);
    exec_resume_fini(&log);
    return 0;
}
