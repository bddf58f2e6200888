/* SPDX-License-Identifier: MIT
 *
 * muster lab: what goes wrong when memory is shared. The experiments are made in lab/race and
 * lab/deadlock; this prints what they found. A further one is a line in a table here.
 */
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/subject.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "lab/deadlock.h"
#include "lab/race.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* muster lab race */

enum { RACE_COLUMNS = 7 };

static void on_variant(void *context, enum race_variant variant)
{
    char text[PROGRESS_TEXT_BYTES];

    snprintf(text, sizeof text, "race: %s", race_variant_name(variant));
    progress_note(context, text);
}

static void add_race_row(struct table *table, const struct race_row *row)
{
    table_add(table, "%s", race_variant_name(row->variant));
    if (row->rounds == 0) {
        for (int i = 1; i < RACE_COLUMNS; i++)
            table_add(table, "-");
        return;
    }
    table_add(table, "%" PRIu64, row->rounds);
    table_add(table, "%" PRIu64, row->overdrawn);
    table_add(table, "%.2f%%", 100 * (double)row->overdrawn / (double)row->rounds);
    table_add(table, "%" PRId64, row->lowest_balance);
    table_add_time(table, row->wall_s / (double)row->rounds);
    table_add(table, "%" PRIu64, row->miscounted);
}

static int print_race(const struct race_report *report, struct output *output)
{
    static const char *const headings[RACE_COLUMNS] = {"variant", "rounds",     "overdrawn",    "share",
                                                       "lowest",  "time/round", "wrong balance"};
    struct table table;
    int code;

    table_init(&table, headings, RACE_COLUMNS);
    for (size_t i = 0; i < RACE_VARIANTS; i++)
        add_race_row(&table, &report->rows[i]);
    code = table_print(&table, output);
    return code ? code : output_text(output, "\n%s\n", report->sentence);
}

static json_t *race_row_document(const struct race_row *row)
{
    json_t *object;

    if (row->rounds == 0)
        return json_pack("{s:s, s:i, s:n, s:n, s:n, s:n, s:n}", "variant", race_variant_name(row->variant),
                         "rounds", 0, "overdrawn", "share", "lowest_balance", "wrong_balance", "wall_s");
    object = json_pack("{s:s, s:I, s:I, s:f, s:I, s:I, s:f}", "variant", race_variant_name(row->variant),
                       "rounds", (json_int_t)row->rounds, "overdrawn", (json_int_t)row->overdrawn, "share",
                       (double)row->overdrawn / (double)row->rounds, "lowest_balance",
                       (json_int_t)row->lowest_balance, "wrong_balance", (json_int_t)row->miscounted,
                       "wall_s", row->wall_s);

    if (object && row->variant == RACE_PROCESSES &&
        (json_object_set_new(object, "stale", json_integer((json_int_t)row->stale)) ||
         json_object_set_new(object, "by_two_workers", json_integer((json_int_t)row->apart)))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *race_document(const struct race_report *report)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < RACE_VARIANTS; i++)
        if (json_array_append_new(rows, race_row_document(&report->rows[i]))) {
            json_decref(rows);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:s}", "name", "race", "variants", rows, "sentence", report->sentence);
}

static int run_race(const struct options *options, struct output *output, struct muster_error *ret_error)
{
    struct race_spec spec = {.rounds = options->rounds ? options->rounds : RACE_ROUNDS_DEFAULT,
                             .on_variant = on_variant};
    struct race_report report;
    struct progress progress;
    struct muster_error why;
    int code;

    interrupt_hold();
    code = race_open(&spec.workers, &why);
    if (code == MUSTER_ESTATE)
        spec.without = why.text; /* somebody else's thread is in this process: LD_PRELOAD, a profiler */
    else if (code)
        return muster_error_set(ret_error, code, "%s", why.text);
    if ((code = interrupt_start(&spec.interrupt_fd, ret_error)) != 0)
        goto out;
    progress_init(&progress, STDERR_FILENO, PROGRESS_AUTOMATIC);
    spec.context = &progress;
    code = race_run(&spec, &report, ret_error);
    progress_hide(&progress);
out:
    muster_close(spec.workers);
    if (code)
        return code;
    code = output->format == OUTPUT_JSON ? output_document(output, race_document(&report))
                                         : print_race(&report, output);
    return code ? muster_error_set(ret_error, code, "%s", muster_error_name(code)) : 0;
}

/* muster lab deadlock */

static int print_deadlock(const struct deadlock_report *report, struct output *output)
{
    const char *refused = deadlock_thread(report->cycle[0].thread);
    int code = output_text(output, "deadlock: %zu threads wait for each other\n\n", report->count);

    for (size_t i = 0; i < report->count && !code; i++) {
        const struct waits_link *link = &report->cycle[i];

        code = output_text(output,
                           "  thread '%s' holds '%s' (%s of lab/deadlock.c, line %d)\n"
                           "    and waits for '%s' (line %d), which '%s' holds\n",
                           deadlock_thread(link->thread), deadlock_lock(link->holds), link->held_at.function,
                           link->held_at.line, deadlock_lock(link->wants), link->wanted_at.line,
                           deadlock_thread(report->cycle[(i + 1) % report->count].thread));
    }
    if (!code)
        code = output_text(output,
                           "\n'%s' closed the cycle and was refused: it gave '%s' back, and the other "
                           "ran through.\n",
                           refused, deadlock_lock(report->cycle[0].holds));
    if (!code)
        code = output_text(output,
                           "With '%s' before '%s', whichever way the money goes: %" PRIu64
                           " transfers ran through in %.3f s.\n",
                           deadlock_lock(0), deadlock_lock(1), report->transfers, report->wall_s);
    return code;
}

static json_t *link_document(const struct waits_link *link)
{
    return json_pack("{s:s, s:s, s:{s:s, s:i}, s:s, s:{s:s, s:i}}", "thread", deadlock_thread(link->thread),
                     "holds", deadlock_lock(link->holds), "held_at", "function", link->held_at.function,
                     "line", link->held_at.line, "waits_for", deadlock_lock(link->wants), "waits_at",
                     "function", link->wanted_at.function, "line", link->wanted_at.line);
}

static json_t *deadlock_document(const struct deadlock_report *report)
{
    json_t *cycle = json_array();

    for (size_t i = 0; i < report->count; i++)
        if (json_array_append_new(cycle, link_document(&report->cycle[i]))) {
            json_decref(cycle);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:s, s:{s:I, s:f}}", "name", "deadlock", "cycle", cycle, "refused",
                     deadlock_thread(report->cycle[0].thread), "in_order", "transfers",
                     (json_int_t)report->transfers, "wall_s", report->wall_s);
}

/* Nothing of it outlives the process: signals may end it as they do by themselves. */
static int run_deadlock(const struct options *options, struct output *output, struct muster_error *ret_error)
{
    struct deadlock_report report;
    int code;

    code = deadlock_run(options->rounds ? options->rounds : DEADLOCK_TRANSFERS_DEFAULT, &report, ret_error);
    if (code)
        return code;
    code = output->format == OUTPUT_JSON ? output_document(output, deadlock_document(&report))
                                         : print_deadlock(&report, output);
    return code ? muster_error_set(ret_error, code, "%s", muster_error_name(code)) : 0;
}

int verb_lab(int argc, char **argv)
{
    static const struct subject subjects[] = {{"race", run_race}, {"deadlock", run_deadlock}};

    return subject_verb(VERB_LAB, subjects, sizeof subjects / sizeof *subjects, "nothing was shown", argc,
                        argv);
}
