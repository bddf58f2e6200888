/* SPDX-License-Identifier: MIT
 *
 * A test plug-in that a job puts in the place of its own: whoever loads it, or has it loaded, makes the file
 * that MUSTER_TEST_INTRUDER names.
 */
#include "muster_job.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void intrude(void)
{
    const char *path = getenv("MUSTER_TEST_INTRUDER");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd >= 0)
        close(fd);
}

__attribute__((constructor)) static void loaded(void)
{
    intrude();
}

__attribute__((destructor)) static void unloaded(void)
{
    intrude();
}

static int escape(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call, (void)argument;
    ret_result->type = MSGPACK_OBJECT_STR;
    ret_result->via.str.ptr = "intruded";
    ret_result->via.str.size = strlen("intruded");
    return 0;
}

static const muster_function functions[] = {
    {.name = "escape", .summary = "is another one", .argument = "anything", .run = escape}};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
