/* SPDX-License-Identifier: MIT
 *
 * The ladder, measured: each rung has a figure or a reason, and nothing is left. No time is
 * asserted. A plain executable, since there are threads.
 */
#include "lab/ladder.h"

#include "tests/support/check.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct muster_error error;
static struct ladder_report report;
static char folder[] = "/tmp/muster-test-ladder-XXXXXX";

/* But for the user's own folder for sockets, which stays. */
static bool is_empty(const char *path)
{
    char home[32];
    struct dirent *entry;
    bool empty = true;
    DIR *listing = opendir(path);

    CHECK_SAYING(listing, error.text);
    snprintf(home, sizeof home, "muster-%u", (unsigned)getuid());
    while ((entry = readdir(listing)))
        empty = empty && (entry->d_name[0] == '.' || strcmp(entry->d_name, home) == 0);
    closedir(listing);
    return empty;
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *listing = opendir("/proc/self/fd");

    CHECK_SAYING(listing, error.text);
    while (readdir(listing))
        count++;
    closedir(listing);
    return count;
}

static unsigned told;

static void on_rung(void *context, enum ladder_rung rung)
{
    CHECK_SAYING(context == &told && (unsigned)rung == told, error.text);
    told++;
}

static void figure_is_neither_a_time_nor_a_reason(void)
{
    struct ladder_spec spec = {.folder = folder, .interrupt_fd = -1, .on_rung = on_rung, .context = &told};
    unsigned before = open_descriptors();

    CHECK_SAYING(ladder_run(&spec, &report, &error) == 0, error.text);
    CHECK_SAYING(told == LADDER_RUNGS && report.cycle_ns > 0 && report.sentence[0], error.text);
    for (int i = 0; i < LADDER_RUNGS; i++) {
        const struct ladder_figure *figure = &report.figures[i];

        CHECK_SAYING(figure->rung == (enum ladder_rung)i && figure->note[0], error.text);
        if (!figure->measured)
            continue;
        CHECK_SAYING(isfinite(figure->value_ns) && figure->value_ns > 0 && figure->scaled[0], error.text);
        CHECK_SAYING(figure->low_ns <= figure->value_ns && figure->value_ns <= figure->high_ns, error.text);
    }
    CHECK_SAYING(report.figures[LADDER_REGISTER].measured && report.figures[LADDER_RAM].measured, error.text);
    CHECK_SAYING(report.figures[LADDER_MUTEX].measured && report.figures[LADDER_HOP_IPC].measured,
                 error.text);
    CHECK_SAYING(report.figures[LADDER_FSYNC].measured, error.text);
    CHECK_SAYING(is_empty(folder) && open_descriptors() == before, error.text);
}

static void folder_that_is_missing_costs_the_other_figures(void)
{
    struct ladder_spec spec = {.folder = "/nonexistent", .interrupt_fd = -1};

    CHECK_SAYING(ladder_run(&spec, &report, &error) == 0, error.text);
    CHECK_SAYING(!report.figures[LADDER_FSYNC].measured && !report.figures[LADDER_DISK_READ].measured,
                 error.text);
    CHECK_SAYING(strstr(report.figures[LADDER_FSYNC].note, "/nonexistent (--dir): No such file"), error.text);
    CHECK_SAYING(report.figures[LADDER_SPAWN].measured, error.text);
}

static void interrupt_is_not_heard(void)
{
    struct ladder_spec spec = {.folder = folder, .interrupt_fd = eventfd(1, EFD_CLOEXEC)};

    CHECK_SAYING(spec.interrupt_fd >= 0, error.text);
    CHECK_SAYING(ladder_run(&spec, &report, &error) == MUSTER_ECANCELLED, error.text);
    close(spec.interrupt_fd);
}

int main(void)
{
    char home[64];

    CHECK_SAYING(mkdtemp(folder), error.text);
    CHECK_SAYING(setenv("TMPDIR", folder, 1) == 0, error.text);
    CHECK_SAYING(unsetenv("XDG_RUNTIME_DIR") == 0, error.text);
    folder_that_is_missing_costs_the_other_figures();
    interrupt_is_not_heard();
    figure_is_neither_a_time_nor_a_reason();
    snprintf(home, sizeof home, "%s/muster-%u", folder, (unsigned)getuid());
    rmdir(home);
    CHECK_SAYING(rmdir(folder) == 0, error.text);
    return 0;
}
