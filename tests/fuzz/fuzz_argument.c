/* SPDX-License-Identifier: MIT
 *
 * Arguments as text: what is read is written as JSON, which reads as the same again; and as words of a
 * command line, ranges among them, they are as many as they say.
 */
#include "cli/arguments.h"
#include "cli/json_read.h"
#include "cli/json_write.h"
#include "fuzz.h"
#include "input.h"
#include "proto/value.h"

enum { WORDS_MAX = 8, TAKEN_MAX = 100 };

static void check_written(const msgpack_object *value, msgpack_zone *zone)
{
    msgpack_sbuffer first, second;
    struct muster_error error;
    msgpack_object back;

    msgpack_sbuffer_init(&first);
    msgpack_sbuffer_init(&second);
    FUZZ_CHECK(json_write(value, &first) == 0);
    FUZZ_CHECK(json_read(first.data, first.size, zone, &back, &error) == 0);
    FUZZ_CHECK(json_write(&back, &second) == 0);
    FUZZ_CHECK(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    msgpack_sbuffer_clear(&second);
    FUZZ_CHECK(value_pack(value, &second, NULL) == 0);
    msgpack_sbuffer_destroy(&first);
    msgpack_sbuffer_destroy(&second);
}

static void check_text(const uint8_t *bytes, size_t size)
{
    struct muster_error error = {0};
    msgpack_object value;
    msgpack_zone zone;

    FUZZ_CHECK(msgpack_zone_init(&zone, 4096));
    if (json_read((const char *)bytes, size, &zone, &value, &error) == 0)
        check_written(&value, &zone);
    else
        FUZZ_CHECK(error.code < 0 && error.text[0]);
    msgpack_zone_destroy(&zone);
}

static void check_words(const char *const *words, size_t count)
{
    struct muster_error error = {0};
    struct arguments arguments;
    struct muster_source source;
    msgpack_object value;
    msgpack_zone zone;
    uint64_t taken = 0;
    int code = 0;

    if (arguments_init(&arguments, ARGUMENTS_WORDS, words, count, &error) != 0) {
        FUZZ_CHECK(error.code < 0 && error.text[0]);
        arguments_fini(&arguments);
        return;
    }
    FUZZ_CHECK(msgpack_zone_init(&zone, 4096));
    source = arguments_source(&arguments);
    if (source.kind == MUSTER_SOURCE_STREAM) {
        while (taken <= TAKEN_MAX && (code = source.next(source.context, &zone, &value, &error)) == 0)
            taken++;
        FUZZ_CHECK(code == 0 || (code == MUSTER_EEND && taken == arguments_total(&arguments)));
    }
    msgpack_zone_destroy(&zone);
    arguments_fini(&arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    char *words[WORDS_MAX];
    size_t count = 0, length;

    check_text(bytes, size);
    while (input.size > 0 && count < WORDS_MAX)
        words[count++] = input_text(&input, '\0', &length);
    check_words((const char *const *)words, count);
    while (count > 0)
        free(words[--count]);
    return 0;
}
