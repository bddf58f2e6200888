/* SPDX-License-Identifier: MIT
 *
 * Deaths that are not told yet. See deaths.h.
 */
#include "coordinator/deaths.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* The end of a connection is seen some 100 us behind the death, unless a job has left a process that has a
 * copy of it. */
static const uint64_t LAST_WORDS_NS = 300 * CLOCK_NS_PER_MS;

struct death {
    struct worker_exit exit;
    char name[PROTO_PEER_NAME_MAX + 1];
    uint64_t told_ns; /* at the latest */
    struct death *prev, *next;
};

static void drop(struct deaths *deaths, struct death *death)
{
    DL_DELETE(deaths->list, death);
    free(death);
}

void deaths_clear(struct deaths *deaths)
{
    while (deaths->list)
        drop(deaths, deaths->list);
}

int deaths_add(struct deaths *deaths, uint64_t now_ns, const char *name, const struct worker_exit *exit)
{
    struct death *death = calloc(1, sizeof *death);

    if (!death)
        return MUSTER_ENOMEM;
    death->exit = *exit;
    memcpy(death->name, name, strnlen(name, PROTO_PEER_NAME_MAX));
    death->told_ns = clock_after(now_ns, LAST_WORDS_NS);
    DL_APPEND(deaths->list, death);
    return 0;
}

int deaths_next(struct deaths *deaths, uint64_t now_ns, struct wire *router, struct worker_exit *ret_exit)
{
    struct death *death;

    DL_FOREACH(deaths->list, death) {
        if (now_ns < death->told_ns && router && wire_has(router, death->name))
            continue;
        *ret_exit = death->exit;
        drop(deaths, death);
        return 0;
    }
    return MUSTER_EAGAIN;
}

uint64_t deaths_deadline(const struct deaths *deaths)
{
    return deaths->list ? deaths->list->told_ns : CLOCK_NEVER;
}
