/* SPDX-License-Identifier: MIT
 *
 * The sizes of a core's data caches, as the kernel knows them.
 */
#ifndef MUSTER_LAB_CACHES_H
#define MUSTER_LAB_CACHES_H

#include <stddef.h>

enum { CACHES_LEVELS = 3 };

/* The kernel's folder about the first core. */
#define CACHES_FOLDER "/sys/devices/system/cpu/cpu0/cache"

struct caches {
    size_t bytes[CACHES_LEVELS]; /* of level 1, 2 and 3; 0: there is none, or it is not known */
};

/* Reads what a folder such as CACHES_FOLDER says; what it does not say stays 0. */
void caches_read(const char *folder, struct caches *ret_caches);

/* Bytes of "48K", "2M" or "512"; 0 for anything else. */
size_t caches_parse(const char *text);

#endif
