/* SPDX-License-Identifier: MIT
 *
 * Timelines as lines of text. See draw.h.
 *
 * A column is computing, waiting or idle. Where a lane does several within a column, shares
 * are carried on to the next ones, so that of a lane that computes half of the time every
 * second column computes.
 */
#include "cli/draw.h"

#include "base/clock.h"
#include "lab/row.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    WIDTH_DEFAULT = 80,
    WIDTH_MIN = 40,
    WIDTH_MAX = 400,
    LABEL_WIDTH = 8, /* " 9999999" */
    MARGIN_WIDTH = LABEL_WIDTH + 1,
    TIME_BYTES = 32,
};

/* What a lane does for nearly all of a column, it does. */
static const double NEARLY_ALL = 0.9;

enum activity { COMPUTING, WAITING, IDLE, OVER, ACTIVITIES };

static const struct {
    const char *utf8, *ascii, *colour;
} looks[ACTIVITIES] = {
    [COMPUTING] = {"\u2588", "#", "\033[34m"},
    [WAITING] = {"\u2591", "-", "\033[33m"},
    [IDLE] = {"\u00b7", ".", "\033[2m"},
    [OVER] = {" ", " ", ""},
};

static bool locale_is_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    bool utf8;

    if (!locale)
        return false;
    utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return utf8;
}

static size_t width_of(int fd)
{
    const char *columns = getenv("COLUMNS");
    long width = columns ? strtol(columns, NULL, 10) : 0;
    struct winsize size;

    if (width <= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0)
        width = size.ws_col;
    if (width <= 0)
        width = WIDTH_DEFAULT;
    return (size_t)(width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width);
}

struct draw_style draw_style_of(int fd)
{
    const char *no_color = getenv("NO_COLOR");

    return (struct draw_style){
        .width = width_of(fd), .utf8 = locale_is_utf8(), .coloured = isatty(fd) && !(no_color && *no_color)};
}

/* What most is owed to, of which one column then is paid. */
static enum activity pay(double owed[IDLE + 1], const struct timeline_share *share)
{
    const double parts[IDLE + 1] = {share->computing, share->waiting, 1 - share->computing - share->waiting};
    enum activity most = COMPUTING;

    for (enum activity i = COMPUTING; i <= IDLE; i++)
        if (parts[i] >= NEARLY_ALL)
            return i;
    for (enum activity i = COMPUTING; i <= IDLE; i++) {
        owed[i] += parts[i];
        if (owed[i] > owed[most])
            most = i;
    }
    owed[most] -= 1;
    return most;
}

/* Writes one look `count` times. */
static int draw_run(enum activity activity, size_t count, const struct draw_style *style,
                    struct output *output)
{
    bool coloured = style->coloured && activity != OVER;
    int code = coloured ? output_text(output, "%s", looks[activity].colour) : 0;

    for (size_t i = 0; i < count && !code; i++)
        code = output_text(output, "%s", style->utf8 ? looks[activity].utf8 : looks[activity].ascii);
    return code || !coloured ? code : output_text(output, "\033[0m");
}

/* One lane; `shift` lets every other lane begin with the other half of what it does. */
static int draw_lane(const struct timeline *timeline, const struct timeline_lane *lane, uint64_t span_ns,
                     bool shift, const struct draw_style *style, struct output *output)
{
    struct timeline_share shares[WIDTH_MAX];
    size_t columns = style->width - MARGIN_WIDTH, ended, run = 0;
    double owed[IDLE + 1] = {[WAITING] = shift ? 0.5 : 0};
    enum activity last = OVER, now;
    int code = 0;

    timeline_sample(timeline, lane, span_ns, columns, shares);
    ended = (size_t)((double)timeline->wall_ns / (double)span_ns * (double)columns + 0.5);
    ended = ended < columns ? ended : columns;
    for (size_t i = 0; i < ended && !code; i++) {
        now = pay(owed, &shares[i]);
        if (now != last && run > 0) {
            code = draw_run(last, run, style, output);
            run = 0;
        }
        last = now;
        run++;
    }
    if (!code && run > 0)
        code = draw_run(last, run, style, output);
    return code ? code : output_text(output, "\n");
}

static int draw_lanes(const struct timeline *timeline, uint64_t span_ns, const struct draw_style *style,
                      struct output *output)
{
    const struct timeline_lane *rest = timeline_rest(timeline);
    char label[TIME_BYTES];
    int code = 0;

    for (size_t i = 0; i < timeline->lane_count && !code; i++) {
        code = output_text(output, "%*zu ", LABEL_WIDTH, i + 1);
        if (!code)
            code = draw_lane(timeline, &timeline->lanes[i], span_ns, i % 2, style, output);
    }
    if (!rest || code)
        return code;
    snprintf(label, sizeof label, "+%" PRIu64,
             timeline->workers ? (uint64_t)(timeline->workers - timeline->lane_count) : rest->jobs);
    code = output_text(output, "%*s ", LABEL_WIDTH, label);
    return code ? code : draw_lane(timeline, rest, span_ns, false, style, output);
}

static void format_time(double seconds, char text[TIME_BYTES])
{
    if (seconds >= 1)
        snprintf(text, TIME_BYTES, "%.2f s", seconds);
    else if (seconds >= 1e-3)
        snprintf(text, TIME_BYTES, "%.2f ms", seconds * 1e3);
    else
        snprintf(text, TIME_BYTES, "%.2f us", seconds * 1e6);
}

/* What the workers did with their time; where they have many jobs at once, how many. */
static int draw_heading(const struct compare_row *row, struct output *output)
{
    const struct timeline *timeline = row->timeline;
    double wall = timeline->wall_ns ? (double)timeline->wall_ns : 1, computing = 0, waiting = 0,
           all = wall * row->workers;
    char name[COMPARE_NAME_BYTES], time[TIME_BYTES];
    int code;

    for (size_t i = 0; i <= TIMELINE_LANES; i++) {
        computing += (double)timeline->lanes[i].computing_ns;
        waiting += (double)timeline->lanes[i].waiting_ns;
    }
    row_name(row, name);
    format_time(wall / (double)CLOCK_NS_PER_S, time);
    code = output_text(output, "%s: %s, computing %.0f%%", name, time, 100 * computing / all);
    if (code)
        return code;
    if (timeline->jobs == 0)
        return output_text(output, "; when its jobs ran is not known\n");
    if (timeline->workers > 0)
        return output_text(output, ", waiting %.0f%%, idle %.0f%%\n", 100 * waiting / all,
                           100 * (all - computing - waiting) / all);
    return output_text(output, ", %.1f jobs under way at once\n", (computing + waiting) / wall);
}

static int draw_legend(const struct draw_style *style, struct output *output)
{
    static const char *const words[] = {[COMPUTING] = " computing   ",
                                        [WAITING] = " waiting, also for a core or a lock   ",
                                        [IDLE] = " idle"};
    int code = output_text(output, "\nWho did what, in one round more: a line for each worker, or for each "
                                   "job under\nway where a worker has several.\n");

    for (enum activity i = COMPUTING; i <= IDLE && !code; i++) {
        code = draw_run(i, 1, style, output);
        if (!code)
            code = output_text(output, "%s", words[i]);
    }
    return code ? code : output_text(output, "\n\n");
}

/* Below the last lane: where time begins and ends. */
static int draw_axis(uint64_t span_ns, const struct draw_style *style, struct output *output)
{
    char time[TIME_BYTES];

    format_time((double)span_ns / (double)CLOCK_NS_PER_S, time);
    return output_text(output, "%*s0%*s\n", MARGIN_WIDTH, "", (int)(style->width - MARGIN_WIDTH - 1), time);
}

int draw_timelines(const struct compare_report *report, const struct draw_style *style, struct output *output)
{
    uint64_t span_ns = compare_span_ns(report);
    int code = draw_legend(style, output);

    for (size_t i = 0; i < report->count && !code; i++) {
        code = draw_heading(&report->rows[i], output);
        if (!code)
            code = draw_lanes(report->rows[i].timeline, span_ns, style, output);
    }
    return code ? code : draw_axis(span_ns, style, output);
}
