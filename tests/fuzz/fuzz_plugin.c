/* SPDX-License-Identifier: MIT
 *
 * Tables of plug-ins: one that is taken has all of its functions found by their names, in order, and one that
 * is not leaves nothing behind. (What a table points to is its plug-in's, which is code of the user's own.)
 */
#include "fuzz.h"
#include "input.h"
#include "jobs/registry.h"

enum { FUNCTIONS_MAX = 40, TEXTS = 5 };

static int run(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call, (void)argument, (void)ret_result;
    return 0;
}

struct table {
    muster_plugin plugin;
    muster_function functions[FUNCTIONS_MAX];
    char *texts[FUNCTIONS_MAX][TEXTS];
    uint32_t count;
};

static void read_table(struct input *input, struct table *table)
{
    unsigned wrong = input_byte(input);

    *table = (struct table){.count = 0};
    while (input->size > 0 && table->count < FUNCTIONS_MAX) {
        muster_function *function = &table->functions[table->count];
        unsigned missing = input_byte(input);
        size_t size;

        for (unsigned i = 0; i < TEXTS; i++)
            table->texts[table->count][i] = missing & 1U << i ? NULL : input_text(input, '\n', &size);
        function->name = table->texts[table->count][0];
        function->summary = table->texts[table->count][1];
        function->argument = table->texts[table->count][2];
        function->result = table->texts[table->count][3];
        function->example = table->texts[table->count][4];
        function->run = missing & 1U << TEXTS ? NULL : run;
        table->count++;
    }
    table->plugin = (muster_plugin){MUSTER_JOB_ABI, sizeof(muster_function), table->count, table->functions};
    if (wrong == 1)
        table->plugin.abi = (uint32_t)input_number(input, 4);
    else if (wrong == 2)
        table->plugin.function_size++;
    else if (wrong == 3)
        table->plugin.count = REGISTRY_PLUGIN_FUNCTIONS_MAX + 1;
    else if (wrong == 4)
        table->plugin.functions = NULL;
}

static void check_order(const struct registry *registry)
{
    for (size_t i = 1; i < registry_count(registry); i++)
        FUZZ_CHECK(strcmp(registry_at(registry, i - 1, NULL)->name, registry_at(registry, i, NULL)->name) <
                   0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct registry *registry = registry_create();
    struct input input = {bytes, size};
    struct muster_error error = {0};
    const muster_function *found;
    struct table table;
    size_t before;

    FUZZ_CHECK(registry);
    before = registry_count(registry);
    read_table(&input, &table);
    if (registry_add(registry, &table.plugin, "plug-in", &error) != 0) {
        FUZZ_CHECK(error.code < 0 && error.text[0] && registry_count(registry) == before);
    } else {
        FUZZ_CHECK(registry_count(registry) == before + table.count);
        for (uint32_t i = 0; i < table.count; i++)
            FUZZ_CHECK(registry_require(registry, table.texts[i][0], &found, &error) == 0 && found->example);
    }
    check_order(registry);
    registry_destroy(registry);
    for (uint32_t i = 0; i < table.count; i++)
        for (unsigned j = 0; j < TEXTS; j++)
            free(table.texts[i][j]);
    return 0;
}
