/* SPDX-License-Identifier: MIT
 *
 * muster functions: what can be mapped, with documentation.
 */
#include "cli/options.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "jobs/registry.h"

#include <string.h>
#include <unistd.h>

/* One line of a description; a plug-in need not say everything. */
static int print_line(const char *label, const char *text, struct output *output)
{
    return *text ? output_text(output, "  %-10s%s\n", label, text) : 0;
}

static int print_one(const muster_function *function, const char *origin, struct output *output)
{
    int code = output_text(output, "%s: %s\n\n", function->name, function->summary);

    if (!code)
        code = print_line("argument", function->argument, output);
    if (!code)
        code = print_line("result", function->result, output);
    if (!code && *function->example)
        code = output_text(output, "  %-10smuster map %s ::: '%s'\n", "example", function->name,
                           function->example);
    return code ? code : print_line("from", origin, output);
}

static int print_all(const struct registry *registry, struct output *output)
{
    size_t count = registry_count(registry), width = 0, size;
    int code = 0;

    for (size_t i = 0; i < count; i++) {
        size = strlen(registry_at(registry, i, NULL)->name);
        width = size > width ? size : width;
    }
    for (size_t i = 0; i < count && !code; i++) {
        const muster_function *function = registry_at(registry, i, NULL);

        code = output_text(output, "%-*s  %s\n", (int)width, function->name, function->summary);
    }
    return code;
}

static json_t *make_object(const muster_function *function, const char *origin)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", function->name, "summary", function->summary,
                     "argument", function->argument, "result", function->result, "example", function->example,
                     "origin", origin);
}

static json_t *make_array(const struct registry *registry)
{
    size_t count = registry_count(registry);
    json_t *array = json_array();
    const char *origin;

    for (size_t i = 0; i < count; i++) {
        const muster_function *function = registry_at(registry, i, &origin);

        if (json_array_append_new(array, make_object(function, origin))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* The place of a function that is registered. */
static const char *origin_of(const struct registry *registry, const muster_function *function)
{
    const char *origin = "";

    for (size_t i = 0; i < registry_count(registry); i++)
        if (registry_at(registry, i, &origin) == function)
            break;
    return origin;
}

static int print(const struct options *options, const struct registry *registry, struct output *output,
                 struct muster_error *ret_error)
{
    bool json = options->format == OUTPUT_JSON;
    const muster_function *function;
    const char *origin;
    int code;

    if (options->function) {
        code = registry_require(registry, options->function, &function, ret_error);
        if (code)
            return code;
        origin = origin_of(registry, function);
        code = json ? output_document(output, make_object(function, origin))
                    : print_one(function, origin, output);
    } else {
        code = json ? output_document(output, make_array(registry)) : print_all(registry, output);
    }
    if (code)
        return muster_error_set(ret_error, code, "%s", muster_error_name(code));
    return output_flush(output, ret_error);
}

int verb_functions(int argc, char **argv)
{
    struct muster_error error;
    struct registry *registry;
    struct options options;
    struct output output;
    int code;

    if (options_parse(&options, VERB_FUNCTIONS, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (options.help)
        return help_print(argv[0]);
    output_init(&output, STDOUT_FILENO, "standard output", options.format);
    registry = registry_create();
    if (registry)
        code = options_load_plugins(&options, registry, &error);
    else
        code = muster_error_set(&error, MUSTER_ENOMEM, "out of memory");
    if (!code)
        code = print(&options, registry, &output, &error);
    registry_destroy(registry);
    output_fini(&output);
    return code ? plain_error(&error) : 0;
}
