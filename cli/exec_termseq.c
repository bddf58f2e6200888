/* SPDX-License-Identifier: MIT
 *
 * Signals and times. See exec_termseq.h.
 */
#include "cli/exec_termseq.h"

#include "cli/quantity.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    LAST_WAIT_MS = 200,              /* where none is written: the first that is usual */
    WAIT_MS_MAX = 60 * 60 * 1000,    /* an hour */
    WORD_BYTES = sizeof "SIGSTKFLT", /* the longest name; times are shorter */
};

/* The next word up to a comma. Returns what follows, NULL behind the last. */
static const char *next_word(const char *text, char word[WORD_BYTES])
{
    size_t size = strcspn(text, ",");

    snprintf(word, WORD_BYTES, "%.*s", (int)(size < WORD_BYTES ? size : 0), text);
    return text[size] ? text + size + 1 : NULL;
}

/* 0: there is no such signal. */
static int signal_of(const char *word)
{
    const char *name = strncmp(word, "SIG", 3) == 0 ? word + 3 : word;
    uint64_t number;

    if (quantity_integer(word, 1, NSIG - 1, &number, NULL) == 0)
        return (int)number;
    for (int i = 1; i < NSIG; i++)
        if (sigabbrev_np(i) && strcmp(sigabbrev_np(i), name) == 0)
            return i;
    return 0;
}

int exec_termseq_parse(const char *text, struct command_steps *ret_steps, struct muster_error *ret_error)
{
    struct command_steps steps = {.count = 0};
    char word[WORD_BYTES];

    while (text && steps.count < COMMAND_STEPS_MAX) {
        uint64_t wait_ms = LAST_WAIT_MS;

        text = next_word(text, word);
        steps.steps[steps.count].signal = signal_of(word);
        if (!steps.steps[steps.count].signal)
            break;
        if (text) {
            text = next_word(text, word);
            if (quantity_integer(word, 0, WAIT_MS_MAX, &wait_ms, NULL))
                break;
        }
        steps.steps[steps.count++].wait_ms = (uint32_t)wait_ms;
        if (!text) {
            *ret_steps = steps;
            return 0;
        }
    }
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "signals and milliseconds are expected: TERM,200,KILL,25; at most %d signals",
                            COMMAND_STEPS_MAX);
}

uint64_t exec_termseq_ms(const struct command_steps *steps)
{
    uint64_t sum_ms = 0;

    for (size_t i = 0; i < steps->count; i++)
        sum_ms += steps->steps[i].wait_ms;
    return sum_ms;
}
