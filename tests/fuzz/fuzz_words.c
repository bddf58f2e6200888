/* SPDX-License-Identifier: MIT
 *
 * Words of options and of filters, a reader for each: what is taken is within the bounds that were given, and
 * what is not has a reason. The first byte says which.
 */
#include "base/sandbox.h"
#include "cli/begin.h"
#include "cli/escapes.h"
#include "cli/exec_halt.h"
#include "cli/exec_termseq.h"
#include "cli/quantity.h"
#include "cli/terms.h"
#include "coordinator/ledger_answer.h"
#include "fuzz.h"
#include "input.h"

static void check(int code, const struct muster_error *error)
{
    FUZZ_CHECK(code == error->code && (code == 0 || error->text[0]));
}

static void read_sandbox(const char *text)
{
    char words[SANDBOX_WORDS_BYTES];
    struct muster_error error = {0};
    unsigned sandbox, back;
    int code = sandbox_parse(text, &sandbox, &error);

    check(code, &error);
    if (code != 0)
        return;
    FUZZ_CHECK(sandbox <= SANDBOX_ALL && sandbox & SANDBOX_ON);
    sandbox_words(sandbox, words);
    FUZZ_CHECK(sandbox_parse(words, &back, NULL) == 0 && back == sandbox);
}

static void read_numbers(const char *text)
{
    struct muster_error error = {0};
    uint64_t number;
    double seconds;
    unsigned count;
    bool now;

    if (quantity_integer(text, 3, 1000, &number, NULL) == 0)
        FUZZ_CHECK(number >= 3 && number <= 1000);
    if (quantity_seconds(text, 0.5, 1e6, &seconds, NULL) == 0)
        FUZZ_CHECK(seconds >= 0.5 && seconds <= 1e6);
    if (quantity_duration(text, 1e9, &seconds, NULL) == 0)
        FUZZ_CHECK(seconds > 0 && seconds <= 1e9);
    if (quantity_workers(text, 2, 64, &count, NULL) == 0)
        FUZZ_CHECK(count >= 1 && count <= 64);
    (void)quantity_halt(text, &number, &now, NULL);
    check(quantity_size(text, &number, &error), &error);
}

static void read_halt(const char *text)
{
    struct muster_error error = {0};
    struct exec_halt halt;
    int code = exec_halt_parse(text, &halt, &error), status;

    check(code, &error);
    if (code != 0)
        return;
    FUZZ_CHECK(halt.percent <= 100);
    status = exec_halt_status(&halt, 3, 4, 100);
    FUZZ_CHECK(status >= 0 && status <= 255);
}

static void read_termseq(const char *text)
{
    struct muster_error error = {0};
    struct command_steps steps;
    int code = exec_termseq_parse(text, &steps, &error);

    check(code, &error);
    if (code != 0)
        return;
    FUZZ_CHECK(steps.count <= COMMAND_STEPS_MAX);
    for (size_t i = 0; i < steps.count; i++)
        FUZZ_CHECK(steps.steps[i].signal > 0 && steps.steps[i].signal < 65);
}

static void read_escapes(const char *text)
{
    size_t room = strlen(text) + 1, size;
    char *bytes = malloc(room);

    FUZZ_CHECK(bytes);
    size = escapes_read(text, bytes);
    FUZZ_CHECK(size < room && bytes[size] == '\0');
    free(bytes);
}

static void read_terms(const char *text)
{
    struct terms terms = {.name = NULL};
    struct muster_error error = {0};

    check(terms_take_after(&terms, text, &error), &error);
    FUZZ_CHECK(terms.after_count <= PROTO_AFTER_MAX);
    if (terms_take_priority(&terms, text, NULL) == 0)
        FUZZ_CHECK(abs(terms.priority) <= PROTO_PRIORITY_MAX);
    (void)terms_take_name(&terms, text, NULL);
}

static void read_begin(const char *text)
{
    struct muster_error error = {0};
    uint64_t at_ms;

    check(begin_read(text, INT64_C(1700000000000), &at_ms, &error), &error);
}

/* What a client asks a coordinator for. */
static void read_filter(const char *text, size_t size)
{
    struct store_page page = {.from = 0};
    const char *why = NULL;

    if (answer_filter(text, size, &page, &why) != 0)
        FUZZ_CHECK(why && why[0]);
    FUZZ_CHECK(page.user.size == 0 ||
               (page.user.bytes >= text && page.user.bytes + page.user.size <= text + size));
    FUZZ_CHECK(page.name.size == 0 ||
               (page.name.bytes >= text && page.name.bytes + page.name.size <= text + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const readers[])(const char *) = {read_sandbox, read_numbers, read_halt, read_termseq,
                                                    read_escapes, read_terms,   read_begin};
    const unsigned count = sizeof readers / sizeof *readers;
    struct input input = {bytes, size};
    unsigned which = input_byte(&input) % (count + 1);
    size_t length;
    char *text = input_text(&input, -1, &length);

    setenv("TZ", "UTC", 1);
    if (which < count)
        readers[which](text);
    else
        read_filter(text, length);
    free(text);
    return 0;
}
