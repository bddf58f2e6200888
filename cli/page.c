/* SPDX-License-Identifier: MIT
 *
 * The page around a report. See page.h.
 */
#include "cli/page.h"

#include "base/cores.h"
#include "cli/json_write.h"
#include "cli/save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

/* page.html with its scripts, made into C as muster is built. */
extern const unsigned char page_compare[], page_bench[];
extern const size_t page_compare_bytes, page_bench_bytes;

/* Where in them the report goes. */
static const char PLACE[] = "@REPORT@";

enum { REAL_DIGITS = 9, LINE_BYTES = 256 };

static bool needs_quotes(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+.,:/@%";

    return word[0] == '\0' || word[strspn(word, plain)] != '\0';
}

/* Appends what fits; false when not all of it did. */
static bool append(char text[PAGE_COMMAND_BYTES], size_t *used, const char *bytes, size_t size)
{
    size_t room = PAGE_COMMAND_BYTES - sizeof " ..." - *used, taken = size < room ? size : room;

    memcpy(text + *used, bytes, taken);
    *used += taken;
    text[*used] = '\0';
    return taken == size;
}

/* In single quotes, each of its own as '\''. */
static bool append_quoted(char text[PAGE_COMMAND_BYTES], size_t *used, const char *word)
{
    bool fits = append(text, used, "'", 1);

    for (; *word && fits; word++)
        fits = *word == '\'' ? append(text, used, "'\\''", 4) : append(text, used, word, 1);
    return fits && append(text, used, "'", 1);
}

void page_command(int argc, char *const *argv, char text[PAGE_COMMAND_BYTES])
{
    size_t used = 0;
    bool fits = append(text, &used, "muster", strlen("muster"));

    for (int i = 0; i < argc && fits; i++) {
        fits = append(text, &used, " ", 1);
        if (fits)
            fits = needs_quotes(argv[i]) ? append_quoted(text, &used, argv[i])
                                         : append(text, &used, argv[i], strlen(argv[i]));
    }
    if (!fits)
        strcpy(text + used, " ...");
}

/* What the kernel calls the processor; "" where it does not say. */
static void read_processor(char name[LINE_BYTES])
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[LINE_BYTES];

    name[0] = '\0';
    if (!file)
        return;
    while (!name[0] && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", strlen("model name")) == 0 && strchr(line, ':'))
            snprintf(name, LINE_BYTES, "%s", strchr(line, ':') + 1 + strspn(strchr(line, ':') + 1, " "));
    fclose(file);
    name[strcspn(name, "\n")] = '\0';
}

json_t *page_facts(const char *command)
{
    char date[LINE_BYTES] = "", processor[LINE_BYTES], machine[2 * LINE_BYTES], kernel[2 * LINE_BYTES];
    time_t now = time(NULL);
    struct utsname names = {.sysname = ""};
    struct sysinfo info = {.mem_unit = 1};
    unsigned cores = 1;
    struct tm local;

    if (localtime_r(&now, &local))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S %z", &local);
    uname(&names);
    sysinfo(&info);
    cores_count(&cores);
    read_processor(processor);
    snprintf(machine, sizeof machine, "%s%s%s", names.machine, processor[0] ? ", " : "", processor);
    snprintf(kernel, sizeof kernel, "%s %s", names.sysname, names.release);
    return json_pack("{s:o, s:s, s:s, s:o, s:I, s:I, s:o}", "command", json_write_text(command), "date", date,
                     "version", MUSTER_VERSION, "machine", json_write_text(machine), "cores",
                     (json_int_t)cores, "memory_bytes", (json_int_t)info.totalram * info.mem_unit, "kernel",
                     json_write_text(kernel));
}

/* JSON as the text of an element: characters that mean something in HTML stand only inside its
 * strings, where they can be written as escapes. */
static int write_escaped(const char *bytes, size_t size, void *buffer)
{
    int code = 0;

    for (size_t i = 0; i < size && !code; i++) {
        char escape[sizeof "\\u0026"];

        if (!strchr("<>&", bytes[i])) {
            code = json_write_raw(bytes + i, 1, buffer);
        } else {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)bytes[i]);
            code = json_write_raw(escape, strlen(escape), buffer);
        }
    }
    return code;
}

int page_write(enum page page, const json_t *report, msgpack_sbuffer *buffer)
{
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS);
    const char *html = (const char *)(page == PAGE_BENCH ? page_bench : page_compare);
    size_t size = page == PAGE_BENCH ? page_bench_bytes : page_compare_bytes;
    const char *place = memmem(html, size, PLACE, strlen(PLACE));
    size_t before = (size_t)(place - html), after = before + strlen(PLACE);

    if (json_write_raw(html, before, buffer) || json_dump_callback(report, write_escaped, buffer, flags) ||
        json_write_raw(html + after, size - after, buffer))
        return MUSTER_ENOMEM;
    return 0;
}

int page_save(enum page page, json_t *report, const char *command, const char *path,
              struct muster_error *ret_error)
{
    msgpack_sbuffer buffer;
    int code = MUSTER_ENOMEM;

    msgpack_sbuffer_init(&buffer);
    if (report && json_object_set_new(report, "run", page_facts(command)) == 0)
        code = page_write(page, report, &buffer);
    if (code)
        muster_error_set(ret_error, code, "out of memory for %s", path);
    else
        code = save_file(path, buffer.data, buffer.size, ret_error);
    msgpack_sbuffer_destroy(&buffer);
    json_decref(report);
    return code;
}
