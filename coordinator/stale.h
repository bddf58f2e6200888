/* SPDX-License-Identifier: MIT
 *
 * Folders in which workers wait for a coordinator that never came back: its state file was removed, or
 * is not used any more.
 */
#ifndef MUSTER_COORDINATOR_STALE_H
#define MUSTER_COORDINATOR_STALE_H

/* Of those in the user's folder (nest_open_home), removes the ones in which nobody has come or gone for a
 * week, that no coordinator has, and of whose workers none lives. What cannot be removed stays. */
void stale_sweep(int home_fd);

#endif
