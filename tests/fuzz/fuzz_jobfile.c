/* SPDX-License-Identifier: MIT
 *
 * Job files, TOML or JSON by how they begin: in what is accepted, each step comes once, behind those that
 * it waits for, and is a command line.
 */
#include "cli/jobfile.h"
#include "fuzz.h"

#include <string.h>

static void check_words(const struct jobfile_step *step)
{
    FUZZ_CHECK(step->word_count > 3);
    FUZZ_CHECK(strcmp(step->words[0], "map") == 0 || strcmp(step->words[0], "exec") == 0);
    for (size_t i = 0; i < step->word_count; i++)
        FUZZ_CHECK(step->words[i] != NULL);
}

static void check_order(const struct jobfile *file)
{
    bool *placed = calloc(file->count, sizeof *placed);

    FUZZ_CHECK(placed && file->count > 0);
    for (size_t i = 0; i < file->count; i++) {
        const struct jobfile_step *step = &file->steps[file->order[i]];

        FUZZ_CHECK(!placed[file->order[i]]);
        for (size_t j = 0; j < step->after_count; j++)
            FUZZ_CHECK(step->after[j].name ? placed[step->after[j].step] : step->after[j].batch > 0);
        placed[file->order[i]] = true;
        check_words(step);
    }
    free(placed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *text = (const char *)bytes;
    struct muster_error error;
    struct jobfile file;

    if (jobfile_read("f", "", jobfile_format("-", text, size), text, size, &file, &error) != 0) {
        FUZZ_CHECK(error.code != 0 && error.text[0]);
        return 0;
    }
    check_order(&file);
    jobfile_fini(&file);
    return 0;
}
