/* SPDX-License-Identifier: MIT
 *
 * The pace of a run of commands: memory that who submits them and the workers share, for what has to be
 * known while commands wait and run: when the latest began, how long each may run, which is to stop, to
 * give way or to end. Each field has one kind of writer, and is looked at every 50 ms at least.
 */
#ifndef MUSTER_WORKER_PACE_H
#define MUSTER_WORKER_PACE_H

#include "proto/limits.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct pace_page {
    /* by who submits */
    _Atomic uint64_t delay_ns; /* at least so long between two starts */
    _Atomic uint64_t limit_ns; /* for the run time of each command; 0: none */
    _Atomic uint32_t ending;   /* what runs is to end, and nothing begins */
    _Atomic uint32_t held;     /* nothing begins for now */
    /* by the workers */
    _Atomic uint64_t latest_ns;    /* start of any command; CLOCK_MONOTONIC, as below */
    struct pace_place {            /* of each, by its number less 1 */
        _Atomic uint64_t began_ns; /* its command; 0: it runs none */
        _Atomic uint32_t pid;      /* its own: one that was killed does not say that its command ended */
        /* by who submits */
        _Atomic uint64_t give_way_ns; /* the command that began then ends, and runs again later */
        _Atomic uint32_t stopped;     /* what runs here is stopped */
    } places[PROTO_WORKERS_MAX];
};

/* Makes one. 0, its descriptor (close-on-exec) and mapping; MUSTER_ESYSTEM with errno set. The caller closes
 * and unmaps them. */
int pace_create(int *ret_fd, struct pace_page **ret_page);

/* Maps that of another process: the path is that of its descriptor in /proc. 0; MUSTER_EINVALID when it is
 * something else; MUSTER_ESYSTEM with errno set. */
int pace_attach(const char *path, struct pace_page **ret_page);

/* Takes NULL. */
void pace_detach(struct pace_page *page);

#endif
