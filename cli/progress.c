/* SPDX-License-Identifier: MIT
 *
 * The progress line. Each state of it is one write(2).
 */
#include "cli/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    NUMBER_BYTES = 32, /* 20 digits and 6 commas */
    COLUMNS = 80,      /* of a terminal that does not tell */
    BAR_CELLS = 100,   /* at most, one a percent; */
    BAR_LEAST = 10,    /* shorter ones are not shown */
};

#define QUIET_NS    CLOCK_NS_PER_S          /* shorter work shows nothing */
#define TERMINAL_NS (100 * CLOCK_NS_PER_MS) /* between two states of the line */
#define LOG_NS      CLOCK_NS_PER_S          /* between two lines of a log */
#define ERASE_LINE  "\r\033[K"

void progress_init(struct progress *progress, int fd, enum progress_wish wish)
{
    bool terminal = isatty(fd);

    *progress = (struct progress){.fd = fd, .terminal = terminal, .left_s = -1, .after_ns = QUIET_NS};
    progress->enabled = wish == PROGRESS_ALWAYS || (wish == PROGRESS_AUTOMATIC && terminal);
    if (wish == PROGRESS_ALWAYS && terminal)
        progress->after_ns = 0;
}

/* With commas between the thousands. */
static void group(uint64_t number, char text[NUMBER_BYTES])
{
    char digits[NUMBER_BYTES];
    size_t count = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number), used = 0;

    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
}

static void format_eta(double seconds, char *text, size_t size)
{
    uint64_t s = seconds < 1e9 ? (uint64_t)(seconds + 0.5) : UINT64_C(1000000000);

    if (s < 60)
        snprintf(text, size, "ETA %" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(text, size, "ETA %" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else
        snprintf(text, size, "ETA %" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
}

/* The parts of the line, ", " in front of all but the first; "" where there is none. */
struct parts {
    char done[2 * NUMBER_BYTES + 8], failed[NUMBER_BYTES + 16], rate[NUMBER_BYTES + 8], eta[64];
};

static struct parts make_parts(const struct muster_progress *now, double left_s)
{
    uint64_t done = now->succeeded + now->failed;
    double rate = now->elapsed_ns ? (double)done * (double)CLOCK_NS_PER_S / (double)now->elapsed_ns : 0;
    char done_text[NUMBER_BYTES], number[NUMBER_BYTES];
    struct parts parts = {.done = ""};

    group(done, done_text);
    group(now->total, number);
    snprintf(parts.done, sizeof parts.done, now->total ? "%s/%s done" : "%s done", done_text, number);
    group(now->failed, number);
    if (now->failed > 0)
        snprintf(parts.failed, sizeof parts.failed, ", %s failed", number);
    group((uint64_t)rate, number);
    if (rate >= 10)
        snprintf(parts.rate, sizeof parts.rate, ", %s/s", number);
    else
        snprintf(parts.rate, sizeof parts.rate, ", %.1f/s", rate);
    if (left_s < 0 && rate > 0)
        left_s = (double)(now->total - done) / rate;
    if (now->total > done && left_s >= 0) {
        memcpy(parts.eta, ", ", 2);
        format_eta(left_s, parts.eta + 2, sizeof parts.eta - 2);
    }
    return parts;
}

void progress_format(const struct muster_progress *now, double left_s, size_t width,
                     char text[PROGRESS_TEXT_BYTES])
{
    struct parts parts = make_parts(now, left_s);
    int size =
        snprintf(text, PROGRESS_TEXT_BYTES, "%s%s%s%s", parts.done, parts.failed, parts.rate, parts.eta);

    if ((size_t)size > width)
        snprintf(text, PROGRESS_TEXT_BYTES, "%s%s%s", parts.done, parts.failed, parts.eta);
}

void progress_bar(const struct muster_progress *now, size_t width, char text[PROGRESS_TEXT_BYTES])
{
    size_t used = strlen(text), cells, full;
    uint64_t done = now->succeeded + now->failed;
    char bar[BAR_CELLS + sizeof " []"];

    if (now->total == 0 || width < used + sizeof " []" - 1 + BAR_LEAST)
        return;
    cells = width - used - (sizeof " []" - 1);
    cells = cells < BAR_CELLS ? cells : BAR_CELLS;
    full = (size_t)((double)done / (double)now->total * (double)cells);
    snprintf(bar, sizeof bar, "[%*s] ", (int)cells, "");
    memset(bar + 1, '#', full < cells ? full : cells);
    if (used + strlen(bar) >= PROGRESS_TEXT_BYTES)
        return;
    memmove(text + strlen(bar), text, used + 1);
    memcpy(text, bar, strlen(bar));
}

static unsigned columns(int fd)
{
    struct winsize size;

    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : COLUMNS;
}

/* Progress that cannot be shown is no reason to fail. */
static void put(const struct progress *progress, const char *bytes, size_t size)
{
    ssize_t ignored = write(progress->fd, bytes, size);

    (void)ignored;
}

void progress_note(struct progress *progress, const char *text)
{
    char line[PROGRESS_TEXT_BYTES + 16];
    int size;

    if (!progress->enabled)
        return;
    if (progress->terminal)
        size = snprintf(line, sizeof line, ERASE_LINE "%.*s", (int)columns(progress->fd) - 1, text);
    else
        size = snprintf(line, sizeof line, "muster: %s\n", text);
    put(progress, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1);
    progress->visible = progress->terminal;
}

void progress_show(struct progress *progress, const struct muster_progress *now)
{
    size_t width = progress->terminal ? columns(progress->fd) - 1 : PROGRESS_TEXT_BYTES;
    char text[PROGRESS_TEXT_BYTES];

    if (!progress->enabled || now->elapsed_ns < progress->after_ns)
        return;
    progress->after_ns = now->elapsed_ns + (progress->terminal ? TERMINAL_NS : LOG_NS);
    progress_format(now, progress->left_s, width, text);
    if (progress->bar && progress->terminal)
        progress_bar(now, width, text);
    progress_note(progress, text);
}

void progress_hide(struct progress *progress)
{
    if (progress->visible)
        put(progress, ERASE_LINE, strlen(ERASE_LINE));
    progress->visible = false;
}
