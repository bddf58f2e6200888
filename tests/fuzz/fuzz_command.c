/* SPDX-License-Identifier: MIT
 *
 * What a command is, as a worker reads it from the argument of a job, which anybody may have submitted: what
 * is taken has words with an end and limits that are limits. What is behind the argument is what it has in
 * common with others, if that is one value.
 */
#include "base/sandbox.h"
#include "fuzz.h"
#include "input.h"
#include "jobs/call.h"
#include "proto/scan.h"
#include "proto/value.h"
#include "worker/command_internal.h"

#include <math.h>

static void check_words(char *const *words)
{
    size_t length = 0;

    for (size_t i = 0; words[i]; i++)
        length += strlen(words[i]);
    FUZZ_CHECK(words[0] && length < 1 << 20);
}

static void check_spec(const struct command_spec *spec)
{
    check_words(spec->words);
    for (size_t i = 0; spec->environment[i]; i++)
        FUZZ_CHECK(strlen(spec->environment[i]) < 1 << 20);
    FUZZ_CHECK(!isnan(spec->timeout_s) && spec->backoff_s >= 0 && spec->backoff_s <= COMMAND_BACKOFF_MAX_S);
    FUZZ_CHECK(spec->range_count <= COMMAND_RANGES_MAX && spec->ulimit_count <= RLIM_NLIMITS);
    FUZZ_CHECK(spec->steps.count <= COMMAND_STEPS_MAX && spec->memory_bytes >= COMMAND_MEMORY_MIN);
    FUZZ_CHECK(spec->label_bytes <= COMMAND_LABEL_MAX && spec->sandbox <= SANDBOX_ALL);
    FUZZ_CHECK(!spec->label || memchr(spec->label, '\0', spec->label_bytes + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char slot[] = "PARALLEL_JOBSLOT=7", mark[] = "MUSTER_WORKER=1.a", path[] = "PATH=/bin";
    char *environment[] = {slot, mark, path, NULL};
    struct command_spec spec;
    struct call_cancel cancel = {0};
    msgpack_object argument;
    struct call call;
    msgpack_zone zone;
    size_t offset = 0, length;

    FUZZ_CHECK(msgpack_zone_init(&zone, 4096));
    if (scan_value(&scan_value_limits, bytes, size, &length) == 0 &&
        value_unpack(bytes, size, &offset, &zone, &argument) == 0) {
        call_init(&call, &zone, &cancel, NULL);
        if (scan_value(&scan_value_limits, bytes + offset, size - offset, &length) == 0 &&
            length == size - offset) {
            call.common = bytes + offset;
            call.common_bytes = length;
        }
        if (command_spec_read(&call.base, &argument, 7, environment, &spec) == 0)
            check_spec(&spec);
        else
            FUZZ_CHECK(call.text[0]);
    }
    msgpack_zone_destroy(&zone);
    return 0;
}
