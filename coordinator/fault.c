/* SPDX-License-Identifier: MIT
 *
 * A crash in words. See fault.h.
 */
#include "coordinator/fault.h"

#include "base/controls.h"

#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

/* Of a stack: what is further out is the worker's own. */
enum { FRAMES_SHOWN = 6 };

struct loaded {
    const char *name;
    const char *found; /* the same, as long as it is loaded */
};

static int is_loaded(struct dl_phdr_info *info, size_t size, void *context)
{
    struct loaded *loaded = context;

    (void)size;
    if (info->dlpi_name[0] == '/' && strcmp(flight_module_name(info->dlpi_name), loaded->name) == 0)
        loaded->found = info->dlpi_name;
    return loaded->found != NULL;
}

/* The file of that name, for longer than that lives, if it is one that the worker did not choose: it may name
 * any. */
static const char *trusted_file(const struct fault_files *files, const char *name)
{
    struct loaded loaded = {.name = name};

    if (!name[0])
        return files->program;
    for (unsigned i = 0; i < files->plugin_count; i++)
        if (strcmp(flight_module_name(files->plugins[i]), name) == 0)
            return files->plugins[i];
    dl_iterate_phdr(is_loaded, &loaded);
    return loaded.found;
}

/* The last part of a path, with nothing in it that would garble a terminal. */
static void show_file(const char *path, char *ret_text, size_t size)
{
    const char *slash = strrchr(path, '/');

    snprintf(ret_text, size, "%s", slash ? slash + 1 : path);
    controls_hide_string(ret_text);
}

/* Where the frame is, if in a file that may be looked at. What a caller goes on with is behind its call. */
static struct fault_place place_of(const struct flight_page *page, const struct fault_files *files,
                                   uint32_t number)
{
    struct flight_frame frame = page->frames[number];
    char name[FLIGHT_MODULE_BYTES] = "";

    if (frame.module >= FLIGHT_MODULES_MAX)
        return (struct fault_place){.file = NULL};
    memcpy(name, page->modules[frame.module].name, sizeof name - 1);
    return (struct fault_place){.file = trusted_file(files, name),
                                .address = number > 0 && frame.offset > 0 ? frame.offset - 1 : frame.offset};
}

/* Of a frame whose name is not known. */
static void describe_place(const struct flight_page *page, uint32_t number, const char *file,
                           char ret_text[FAULT_FRAME_BYTES])
{
    struct flight_frame frame = page->frames[number];
    char name[FLIGHT_MODULE_BYTES] = "", shown[64];

    if (frame.module >= FLIGHT_MODULES_MAX) {
        snprintf(ret_text, FAULT_FRAME_BYTES, "0x%" PRIx64, frame.offset);
        return;
    }
    memcpy(name, page->modules[frame.module].name, sizeof name - 1);
    show_file(file ? file : name, shown, sizeof shown);
    snprintf(ret_text, FAULT_FRAME_BYTES, "%s+0x%" PRIx64, shown, frame.offset);
}

static bool describe_stack(const struct flight_page *page, const struct fault_files *files, uint32_t count,
                           char *text, size_t size)
{
    char frames[FLIGHT_FRAMES_MAX][FAULT_FRAME_BYTES] = {{'\0'}};
    struct fault_place places[FLIGHT_FRAMES_MAX];
    bool any = false, in_time = true;
    unsigned shown = 0;
    size_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        places[i] = place_of(page, files, i);
        any |= places[i].file != NULL;
    }
    if (any && files->program_fd >= 0)
        in_time = fault_names(files, places, count, frames);
    for (uint32_t i = 0; i < count && shown < FRAMES_SHOWN; i++) {
        if (!places[i].file || !frames[i][0])
            describe_place(page, i, places[i].file, frames[i]);
        if (i > 0 && strcmp(frames[i], frames[i - 1]) == 0) /* it called itself */
            continue;
        if (used + strlen(frames[i]) + sizeof ", in " > size) /* no half of one */
            break;
        used += (size_t)snprintf(text + used, size - used, "%s%s", shown++ == 0 ? ", in " : " < ", frames[i]);
    }
    return in_time;
}

bool fault_describe(const struct flight_page *page, const struct fault_files *files,
                    char ret_text[FAULT_TEXT_BYTES])
{
    uint32_t signal = atomic_load_explicit(&page->fault_signal, memory_order_acquire);
    uint32_t count = atomic_load_explicit(&page->frame_count, memory_order_acquire);
    uint32_t flags = atomic_load(&page->fault_flags);
    size_t used = 0;

    ret_text[0] = '\0';
    if (signal == 0)
        return true;
    if (flags & FLIGHT_STACK_IS_FULL)
        used = (size_t)snprintf(ret_text, FAULT_TEXT_BYTES, ", its stack overflowed");
    else if (flags & FLIGHT_HAS_ADDRESS)
        used = (size_t)snprintf(ret_text, FAULT_TEXT_BYTES, ", at address 0x%" PRIx64,
                                atomic_load(&page->fault_address));
    return describe_stack(page, files, count < FLIGHT_FRAMES_MAX ? count : FLIGHT_FRAMES_MAX, ret_text + used,
                          FAULT_TEXT_BYTES - used);
}
