/* SPDX-License-Identifier: MIT
 *
 * The functions by name. See registry.h.
 *
 * Each source of functions is a table of its own, so what was handed out stays where it is
 * when another is added; the index over all of them is sorted by name. Adding builds a new
 * index beside the old and replaces it only when nothing is wrong.
 */
#include "jobs/registry.h"

#include "jobs/builtin.h"
#include "jobs/nearest.h"
#include "jobs/plugin.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUGGESTIONS_MAX = 3 };

struct table {
    struct table *next;
    char *origin; /* owned */
    char *texts;  /* of its functions, owned; NULL: they are where they were found */
    void *handle; /* of the plug-in, owned; NULL for a table of this process */
    uint32_t count;
    muster_function functions[];
};

struct entry {
    const muster_function *function;
    const struct table *table;
};

struct registry {
    struct table *tables;
    struct entry *index; /* owned, sorted by name */
    size_t count;
};

static void table_destroy(struct table *table)
{
    if (!table)
        return;
    plugin_close(table->handle);
    free(table->origin);
    free(table->texts);
    free(table);
}

enum { TEXTS = 5 };

static void list_texts(muster_function *function, const char **ret_texts[TEXTS])
{
    ret_texts[0] = &function->name;
    ret_texts[1] = &function->summary;
    ret_texts[2] = &function->argument;
    ret_texts[3] = &function->result;
    ret_texts[4] = &function->example;
}

/* Leaves nothing in the table that is in the plug-in's memory. 0 or MUSTER_ENOMEM. */
static int keep_names(struct table *table)
{
    const char **texts[TEXTS];
    size_t size = 1; /* no table is empty, which is checked elsewhere */
    char *end;

    for (uint32_t i = 0; i < table->count; i++) {
        list_texts(&table->functions[i], texts);
        for (size_t text = 0; text < TEXTS; text++)
            size += strlen(*texts[text]) + 1;
    }
    if (!(end = table->texts = malloc(size)))
        return MUSTER_ENOMEM;
    for (uint32_t i = 0; i < table->count; i++) {
        list_texts(&table->functions[i], texts);
        for (size_t text = 0; text < TEXTS; text++) {
            char *start = end;

            end = stpcpy(start, *texts[text]) + 1;
            *texts[text] = start;
        }
        table->functions[i].run = NULL;
    }
    return 0;
}

static struct table *table_create(const muster_plugin *plugin, const char *origin)
{
    struct table *table = calloc(1, sizeof *table + plugin->count * sizeof *table->functions);
    uint32_t i;

    if (!table)
        return NULL;
    table->origin = strdup(origin);
    if (!table->origin) {
        table_destroy(table);
        return NULL;
    }
    table->count = plugin->count;
    for (i = 0; i < plugin->count; i++) {
        muster_function *function = &table->functions[i];

        *function = plugin->functions[i];
        function->argument = function->argument ? function->argument : "";
        function->result = function->result ? function->result : "";
        function->example = function->example ? function->example : "";
    }
    return table;
}

static int by_name(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    return strcmp(a->function->name, b->function->name);
}

static int check_unique(const struct entry *index, size_t count, const struct table *added,
                        struct muster_error *ret_error)
{
    const struct table *holder;
    size_t i;

    for (i = 0; i < added->count; i++)
        if (strcmp(added->functions[i].name, function_command.name) == 0)
            return muster_error_set(ret_error, MUSTER_EINVALID,
                                    "plug-in \"%s\": the name %s is taken by a function of muster",
                                    added->origin, function_command.name);
    for (i = 1; i < count; i++) {
        if (by_name(&index[i - 1], &index[i]) != 0)
            continue;
        holder = index[i].table == added ? index[i - 1].table : index[i].table;
        if (holder == added)
            return muster_error_set(ret_error, MUSTER_EINVALID, "plug-in \"%s\" has two functions named %s",
                                    added->origin, index[i].function->name);
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "plug-in \"%s\": the name %s is taken by a function of %s", added->origin,
                                index[i].function->name, holder->origin);
    }
    return 0;
}

/* Ensures: the table belongs to the registry, or nothing has changed. */
static int insert_table(struct registry *registry, struct table *table, struct muster_error *ret_error)
{
    size_t count = registry->count + table->count, i;
    struct entry *index = malloc(count * sizeof *index);
    int code;

    if (!index)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory for the functions of \"%s\"",
                                table->origin);
    if (registry->count > 0)
        memcpy(index, registry->index, registry->count * sizeof *index);
    for (i = 0; i < table->count; i++)
        index[registry->count + i] = (struct entry){&table->functions[i], table};
    qsort(index, count, sizeof *index, by_name);
    code = check_unique(index, count, table, ret_error);
    if (code != 0) {
        free(index);
        return code;
    }
    free(registry->index);
    registry->index = index;
    registry->count = count;
    table->next = registry->tables;
    registry->tables = table;
    return 0;
}

/* Takes the handle when it succeeds. `names`: what is added does not need the plug-in. */
static int add_table(struct registry *registry, const muster_plugin *plugin, const char *origin, void *handle,
                     bool names, struct muster_error *ret_error)
{
    struct table *table;
    int code = plugin_check(plugin, origin, ret_error);

    if (code != 0)
        return code;
    table = table_create(plugin, origin);
    if (!table || (names && keep_names(table) != 0)) {
        table_destroy(table);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory for the functions of \"%s\"",
                                origin);
    }
    code = insert_table(registry, table, ret_error);
    if (code != 0) {
        table_destroy(table);
        return code;
    }
    table->handle = handle;
    return 0;
}

struct registry *registry_create(void)
{
    struct registry *registry = calloc(1, sizeof *registry);
    muster_function functions[BUILTIN_COUNT];
    muster_plugin builtin = MUSTER_PLUGIN(functions);
    size_t i;

    if (!registry)
        return NULL;
    for (i = 0; i < BUILTIN_COUNT; i++)
        functions[i] = *builtin_functions[i];
    if (registry_add(registry, &builtin, "muster", NULL) != 0) {
        registry_destroy(registry);
        return NULL;
    }
    return registry;
}

void registry_destroy(struct registry *registry)
{
    struct table *table, *next;

    if (!registry)
        return;
    for (table = registry->tables; table; table = next) {
        next = table->next;
        table_destroy(table);
    }
    free(registry->index);
    free(registry);
}

int registry_add(struct registry *registry, const muster_plugin *plugin, const char *origin,
                 struct muster_error *ret_error)
{
    return add_table(registry, plugin, origin, NULL, false, ret_error);
}

static int load(struct registry *registry, const char *path, bool names, struct muster_error *ret_error)
{
    const muster_plugin *plugin;
    char *found;
    void *handle;
    int code = plugin_open(path, &found, &handle, &plugin, ret_error);

    if (code != 0)
        return code;
    code = add_table(registry, plugin, found, names ? NULL : handle, names, ret_error);
    if (code != 0 || names)
        plugin_close(handle);
    free(found);
    return code;
}

int registry_load(struct registry *registry, const char *path, struct muster_error *ret_error)
{
    return load(registry, path, false, ret_error);
}

int registry_load_names(struct registry *registry, const char *path, struct muster_error *ret_error)
{
    return load(registry, path, true, ret_error);
}

/* As strcmp, for a name of `size` bytes that may hold anything. */
static int compare_name(const char *name, size_t size, const char *known)
{
    size_t known_size = strlen(known);
    int order = memcmp(name, known, size < known_size ? size : known_size);

    return order != 0 ? order : (size > known_size) - (size < known_size);
}

const muster_function *registry_find(const struct registry *registry, const char *name, size_t size)
{
    size_t low = 0, high = registry->count, middle;
    int order;

    if (compare_name(name, size, function_command.name) == 0)
        return &function_command;
    while (low < high) {
        middle = low + (high - low) / 2;
        order = compare_name(name, size, registry->index[middle].function->name);
        if (order == 0)
            return registry->index[middle].function;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct suggestion {
    const char *name;
    unsigned distance;
};

/* Nearest first, in order of names among equals; how many there are. */
static size_t suggest(const struct registry *registry, const char *name,
                      struct suggestion suggestions[SUGGESTIONS_MAX])
{
    size_t count = 0, i, place;
    unsigned distance;

    for (i = 0; i < registry->count; i++) {
        distance = nearest_distance(name, registry->index[i].function->name);
        if (distance == NEAREST_FAR)
            continue;
        for (place = count; place > 0 && suggestions[place - 1].distance > distance; place--)
            if (place < SUGGESTIONS_MAX)
                suggestions[place] = suggestions[place - 1];
        if (place < SUGGESTIONS_MAX)
            suggestions[place] = (struct suggestion){registry->index[i].function->name, distance};
        if (count < SUGGESTIONS_MAX)
            count++;
    }
    return count;
}

static int refuse(const struct registry *registry, const char *name, struct muster_error *ret_error)
{
    struct suggestion near[SUGGESTIONS_MAX];
    char text[SUGGESTIONS_MAX * (REGISTRY_NAME_MAX + 4) + 32] = "";
    size_t count = suggest(registry, name, near), i, used;

    if (count > 0)
        strcpy(text, "; did you mean ");
    for (i = 0; i < count; i++) {
        used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s",
                 i == 0          ? ""
                 : i + 1 < count ? ", "
                                 : " or ",
                 near[i].name);
    }
    return muster_error_set(ret_error, MUSTER_ENOTFOUND,
                            "there is no function \"%.80s\"%s%s (muster functions lists them)", name, text,
                            count > 0 ? "?" : "");
}

int registry_require(const struct registry *registry, const char *name, const muster_function **ret_function,
                     struct muster_error *ret_error)
{
    const muster_function *function = registry_find(registry, name, strlen(name));

    if (!function)
        return refuse(registry, name, ret_error);
    *ret_function = function;
    return 0;
}

size_t registry_count(const struct registry *registry)
{
    return registry->count;
}

const muster_function *registry_at(const struct registry *registry, size_t place, const char **ret_origin)
{
    if (place >= registry->count)
        return NULL;
    if (ret_origin)
        *ret_origin = registry->index[place].table->origin;
    return registry->index[place].function;
}
