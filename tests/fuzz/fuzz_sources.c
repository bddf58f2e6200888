/* SPDX-License-Identifier: MIT
 *
 * Input sources of exec: files and words, under every way to read, split, name and combine them. Rows come
 * and end, as many as were said, and their words are what they say.
 */
#include "cli/sources.h"
#include "fuzz.h"
#include "input.h"

enum { SOURCES_MAX = 3, ROWS_MAX = 300, SEPARATOR = 0xff };

struct asked {
    struct sources_spec spec;
    struct source_spec sources[SOURCES_MAX];
    char paths[SOURCES_MAX][INPUT_PATH_BYTES];
    char *texts[SOURCES_MAX]; /* owned */
    const char *words[SOURCES_MAX];
};

static void read_rules(struct input *input, struct sources_spec *spec)
{
    static const struct word delimiters[] = {{"\n", 1}, {"\0", 1}, {",", 1}, {"ab", 2}, {"aab", 3}};
    static const char *const separators[] = {NULL, NULL, ",", "\\t", "[ab]+", "(x)|y", "", "a*"};
    static const char *const headers[] = {NULL, NULL, ":", "0"};
    static const char *const ends[] = {NULL, "", "E", "a"};
    unsigned how = input_byte(input), flags = input_byte(input), more = input_byte(input);

    *spec = (struct sources_spec){
        .delimiter = delimiters[how % 5],
        .colsep = separators[how / 5 % 8],
        .header = headers[more & 3],
        .end = ends[more >> 2 & 3],
        .trim = (enum sources_trim)((more >> 4) % 5),
        .skip_blank = flags & 1,
        .continued = flags & 2,
        .skip_first = flags & 4,
        .link = flags & 8,
        .no_args = flags & 16,
        .read_all = flags & 32,
        .shuffle = flags & 64,
        .seed = how,
    };
}

static void read_asked(struct input *input, struct asked *asked)
{
    static int files[SOURCES_MAX] = {-1, -1, -1};
    unsigned kinds;
    size_t size;

    *asked = (struct asked){.spec = {.link = false}};
    read_rules(input, &asked->spec);
    kinds = input_byte(input);
    while (asked->spec.source_count == 0 || (input->size > 0 && asked->spec.source_count < SOURCES_MAX)) {
        size_t i = asked->spec.source_count++;

        asked->texts[i] = input_text(input, SEPARATOR, &size);
        asked->words[i] = asked->texts[i];
        input_file(&files[i], asked->texts[i], size, asked->paths[i]);
        asked->sources[i] = (struct source_spec){.linked = kinds & 8U << i};
        if (kinds & 1U << i)
            asked->sources[i].words = &asked->words[i], asked->sources[i].count = 1;
        else
            asked->sources[i].path = asked->paths[i];
    }
    asked->spec.sources = asked->sources;
}

static void take_rows(struct sources *s, const struct asked *asked)
{
    struct muster_error error = {0};
    uint64_t count = 0, total = 0;
    struct row row;
    int code = 0;

    while (count < ROWS_MAX && (code = sources_next(s, &row, &error)) == 0) {
        volatile char last;

        FUZZ_CHECK(!asked->spec.no_args || row.count == 0);
        for (size_t i = 0; i < row.count; i++)
            if (row.args[i].size > 0)
                last = row.args[i].bytes[row.args[i].size - 1];
        (void)last;
        if (count++ == 0)
            total = sources_total(s);
    }
    FUZZ_CHECK(code == 0 || code == MUSTER_EEND || (error.code == code && error.text[0]));
    FUZZ_CHECK(code != MUSTER_EEND || total == 0 || total == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    struct muster_error error = {0};
    const struct word *names;
    struct asked asked;
    struct sources s;
    size_t count;

    read_asked(&input, &asked);
    if (sources_init(&s, &asked.spec, &error) == 0) {
        if (sources_names(&s, &names, &count, &error) == 0)
            take_rows(&s, &asked);
        sources_fini(&s);
    } else {
        FUZZ_CHECK(error.code < 0 && error.text[0]);
    }
    for (size_t i = 0; i < SOURCES_MAX; i++)
        free(asked.texts[i]);
    return 0;
}
