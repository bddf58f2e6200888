/* SPDX-License-Identifier: MIT
 *
 * From the words of a command line to the exit status of a subject. See subject.h.
 */
#include "cli/subject.h"

#include "cli/verbs.h"

#include <assert.h>
#include <unistd.h>

static int find(const struct subject *subjects, size_t count, const char *word, const char *verb,
                size_t *ret_place, struct muster_error *ret_error)
{
    const char *names[SUBJECTS_MAX];

    assert(count <= SUBJECTS_MAX);
    for (size_t i = 0; i < count; i++)
        names[i] = subjects[i].name;
    return word_find(word, names, count, verb, ret_place, ret_error);
}

int subject_verb(enum verb verb, const struct subject *subjects, size_t count, const char *nothing, int argc,
                 char **argv)
{
    struct muster_error error;
    struct options options;
    struct output output;
    size_t place;
    int code;

    if (options_parse(&options, verb, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (options.help)
        return help_print(argv[0]);
    if (find(subjects, count, options.function, argv[0], &place, &error))
        return usage_error(argv[0], &error);
    output_init(&output, STDOUT_FILENO, "standard output", options.format);
    code = subjects[place].run(&options, &output, &error);
    if (!code)
        code = output_flush(&output, &error);
    output_fini(&output);
    if (!code)
        return 0;
    return unfinished_error(code, &error, nothing);
}
