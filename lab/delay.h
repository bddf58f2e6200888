/* SPDX-License-Identifier: MIT
 *
 * For how long the calling thread was ready to run while others had the cores.
 */
#ifndef MUSTER_LAB_DELAY_H
#define MUSTER_LAB_DELAY_H

#include <stdint.h>

/* Since the thread started; 0 where the kernel does not say. */
uint64_t delay_ns(void);

#endif
