/* SPDX-License-Identifier: MIT
 *
 * Names and lines of code by libdw, in a process that is there for one crash. See fault.h.
 *
 * Only what is in the files themselves is read: libdw would ask servers for the rest. They are
 * mapped, all of them, before the process is confined and before any is looked into: a job may put
 * a pipe where its plug-in was, and what it wrote in there may make libdw do anything. By then no descriptor
 * can be opened, no process started, no file written. A job that cuts its plug-in short meanwhile ends the
 * process, and has no names. (To read them took half of the time that a crash took, at 9 MB for muster
 * alone.)
 */
#include "base/library.h"
#include "base/sandbox.h"
#include "base/sanitize.h"
#include "coordinator/fault.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY "libdw.so.1"

#define SYMBOL_MAP(X)        \
    X(begin)                 \
    X(end)                   \
    X(report_begin_add)      \
    X(report_offline_memory) \
    X(report_end)            \
    X(module_getelf)         \
    X(module_addrinfo)       \
    X(module_getsrc)         \
    X(lineinfo)              \
    X(offline_section_address)

struct dwfl {
#define X(name) __typeof__(dwfl_##name) *name;
    SYMBOL_MAP(X)
#undef X
};

static const struct library_symbol library_symbols[] = {
#define X(name) {"dwfl_" #name, offsetof(struct dwfl, name)},
    SYMBOL_MAP(X)
#undef X
};

enum {
    FILES_MAX = FLIGHT_MODULES_MAX,
    FILE_MAX = 256 << 20,
    QUESTIONS_MAX = FLIGHT_FRAMES_MAX,
    QUESTIONS_BYTES = QUESTIONS_MAX * (PATH_MAX + 32),
    CPU_S = 2,
};

#define MEMORY_BYTES (SANITIZE_ADDRESS || SANITIZE_THREAD ? RLIM_INFINITY : (rlim_t)1 << 30)

static struct dwfl library;
static Dwfl_Callbacks callbacks;
static char questions[QUESTIONS_BYTES + 1];

static struct fault_place places[QUESTIONS_MAX];
static size_t place_count;

static struct {
    const char *path; /* in `questions` */
    char *bytes;
    size_t size;
    Dwfl_Module *module; /* NULL: it cannot be read */
} files[FILES_MAX];
static size_t file_count;

static int find_no_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, char **file,
                       Elf **elf)
{
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)elf;
    return -1;
}

static int find_no_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
                             const char *file, const char *link, GElf_Word crc, char **found)
{
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)found;
    return -1;
}

/* The bytes of a file of no more than FILE_MAX, of which libdw may change its copy; NULL: it has none to
 * read. */
static char *map_file(const char *path, size_t *ret_size)
{
    int file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;
    char *bytes = MAP_FAILED;

    if (file < 0)
        return NULL;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
        status.st_size <= FILE_MAX) {
        *ret_size = (size_t)status.st_size;
        bytes = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    }
    close(file);
    return bytes == MAP_FAILED ? NULL : bytes;
}

/* "1f /path" and a NUL, again and again. */
static bool read_questions(void)
{
    size_t size = 0;
    ssize_t got;
    char *at, *rest;

    while ((got = read(STDIN_FILENO, questions + size, QUESTIONS_BYTES - size)) > 0)
        size += (size_t)got;
    for (at = questions; at < questions + size && place_count < QUESTIONS_MAX; at += strlen(at) + 1) {
        places[place_count].address = strtoull(at, &rest, 16);
        if (*rest != ' ')
            return false;
        places[place_count++].file = rest + 1;
    }
    return got == 0;
}

static size_t find_file(const char *path)
{
    size_t i;

    for (i = 0; i < file_count && strcmp(files[i].path, path) != 0; i++)
        ;
    return i;
}

static void map_files(void)
{
    for (size_t i = 0; i < place_count; i++) {
        const char *path = places[i].file;

        if (!*path || file_count == FILES_MAX || find_file(path) < file_count)
            continue;
        files[file_count].path = path;
        files[file_count].bytes = map_file(path, &files[file_count].size);
        file_count++;
    }
}

static int limit(__rlimit_resource_t resource, rlim_t most)
{
    const struct rlimit limit = {.rlim_cur = most, .rlim_max = most};

    return setrlimit(resource, &limit);
}

/* What can only be done before. False when it cannot be, or nothing was asked. */
static bool prepare(void)
{
    const char *why;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || limit(RLIMIT_CPU, CPU_S) != 0 ||
        limit(RLIMIT_DATA, MEMORY_BYTES) != 0 || !read_questions())
        return false;
    map_files();
    return library_load(LIBRARY, library_symbols, sizeof library_symbols / sizeof *library_symbols, &library,
                        &why) == 0;
}

static bool confine(void)
{
    const struct sandbox_leave nothing = {.output = -1};
    struct sandbox *sandbox;
    struct muster_error error;

    return sandbox_create(SANDBOX_ON, &nothing, &sandbox, &error) == 0 && sandbox_enter(sandbox) == 0 &&
           limit(RLIMIT_FSIZE, QUESTIONS_MAX * (rlim_t)FAULT_FRAME_BYTES) == 0 &&
           limit(RLIMIT_NOFILE, 0) == 0 && limit(RLIMIT_NPROC, 0) == 0;
}

/* Nothing of it is ever freed: the process ends. */
static bool report_files(void)
{
    Dwfl *dwfl;

    callbacks = (Dwfl_Callbacks){.find_elf = find_no_elf,
                                 .find_debuginfo = find_no_debuginfo,
                                 .section_address = library.offline_section_address};
    dwfl = library.begin(&callbacks);
    if (!dwfl)
        return false;
    library.report_begin_add(dwfl);
    for (size_t i = 0; i < file_count; i++)
        if (files[i].bytes)
            files[i].module = library.report_offline_memory(dwfl, files[i].path, files[i].path,
                                                            files[i].bytes, files[i].size);
    library.report_end(dwfl, NULL, NULL);
    return true;
}

static void answer(const struct fault_place *place, char ret_text[FAULT_FRAME_BYTES])
{
    size_t file = find_file(place->file);
    Dwfl_Module *module = file < file_count ? files[file].module : NULL;
    const char *name, *source = NULL, *slash;
    GElf_Addr bias;
    GElf_Off offset;
    GElf_Sym symbol;
    Dwfl_Line *line;
    int number = 0;

    ret_text[0] = '\0';
    if (!module || !library.module_getelf(module, &bias))
        return;
    name = library.module_addrinfo(module, place->address + bias, &offset, &symbol, NULL, NULL, NULL);
    if (!name)
        return;
    line = library.module_getsrc(module, place->address + bias);
    if (line)
        source = library.lineinfo(line, NULL, &number, NULL, NULL, NULL);
    slash = source ? strrchr(source, '/') : NULL;
    if (source)
        snprintf(ret_text, FAULT_FRAME_BYTES, "%.80s (%.60s:%d)", name, slash ? slash + 1 : source, number);
    else
        snprintf(ret_text, FAULT_FRAME_BYTES, "%.80s", name);
}

int fault_symbols_answer(void)
{
    char text[FAULT_FRAME_BYTES];

    if (!prepare() || !confine() || !report_files())
        return EXIT_FAILURE;
    for (size_t i = 0; i < place_count; i++) {
        ssize_t size;

        answer(&places[i], text);
        size = (ssize_t)strlen(text) + 1;
        if (write(STDOUT_FILENO, text, (size_t)size) != size)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
