/* SPDX-License-Identifier: MIT
 *
 * When to stop early, and with which status. See exec_halt.h.
 */
#include "cli/exec_halt.h"

#include "cli/quantity.h"
#include "cli/verbs.h"

#include <stdlib.h>
#include <string.h>

/* The forms from before there were causes. */
static const struct {
    const char *text;
    struct exec_halt halt;
} older[] = {
    {"never", {HALT_NEVER, false, 0, 0}}, {"0", {HALT_NEVER, false, 0, 0}},
    {"1", {HALT_FAIL, false, 1, 0}},      {"2", {HALT_FAIL, true, 1, 0}},
    {"-1", {HALT_SUCCESS, false, 1, 0}},  {"-2", {HALT_SUCCESS, true, 1, 0}},
};

static const struct {
    const char *text;
    enum exec_halt_cause cause;
} causes[] = {{"fail=", HALT_FAIL}, {"success=", HALT_SUCCESS}, {"done=", HALT_DONE}};

/* "3" or "3%" */
static int parse_amount(const char *text, struct exec_halt *halt)
{
    size_t size = strlen(text);
    char number[24];
    uint64_t amount;

    if (size == 0 || size >= sizeof number)
        return MUSTER_EINVALID;
    memcpy(number, text, size + 1);
    if (number[size - 1] == '%')
        number[size - 1] = '\0';
    if (quantity_integer(number, 1, text[size - 1] == '%' ? 100 : UINT64_MAX, &amount, NULL))
        return MUSTER_EINVALID;
    if (text[size - 1] == '%')
        halt->percent = (unsigned)amount;
    else
        halt->count = amount;
    return 0;
}

int exec_halt_parse(const char *text, struct exec_halt *ret_halt, struct muster_error *ret_error)
{
    struct exec_halt halt = {.now = strncmp(text, "now,", 4) == 0, .cause = HALT_FAIL};
    const char *cause = strchr(text, ',');

    for (size_t i = 0; i < sizeof older / sizeof *older; i++)
        if (strcmp(text, older[i].text) == 0) {
            *ret_halt = older[i].halt;
            return 0;
        }
    if (!cause && strchr(text, '%') && parse_amount(text, &halt) == 0) {
        *ret_halt = halt;
        return 0;
    }
    if (cause && (halt.now || strncmp(text, "soon,", 5) == 0))
        for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
            size_t size = strlen(causes[i].text);

            halt.cause = causes[i].cause;
            if (strncmp(cause + 1, causes[i].text, size) == 0 && parse_amount(cause + 1 + size, &halt) == 0) {
                *ret_halt = halt;
                return 0;
            }
        }
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "never, or soon or now with fail, success or done and how many is expected: "
                            "now,fail=1, soon,success=10%%");
}

/* Of what the cause counts. */
static uint64_t counted(const struct exec_halt *halt, uint64_t succeeded, uint64_t failed)
{
    switch (halt->cause) {
    case HALT_NEVER:
        break;
    case HALT_FAIL:
        return failed;
    case HALT_SUCCESS:
        return succeeded;
    case HALT_DONE:
        return succeeded + failed;
    }
    return 0;
}

bool exec_halt_due(const struct exec_halt *halt, uint64_t succeeded, uint64_t failed, uint64_t total)
{
    uint64_t count = counted(halt, succeeded, failed);

    if (halt->cause == HALT_NEVER || count == 0)
        return false;
    if (halt->count > 0)
        return count >= halt->count;
    return total > 0 && (double)count * 100 >= (double)halt->percent * (double)total;
}

int exec_halt_status(const struct exec_halt *halt, uint64_t succeeded, uint64_t failed, uint64_t total)
{
    if (halt->cause == HALT_SUCCESS && exec_halt_due(halt, succeeded, failed, total))
        return 0;
    if (halt->percent > 0 && total > 0)
        return (int)((double)failed * 100 / (double)total + 0.5);
    return failed < STATUS_FAILED_MANY ? (int)failed : STATUS_FAILED_MANY;
}
