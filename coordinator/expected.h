/* SPDX-License-Identifier: MIT
 *
 * Which other hosts have workers of a coordinator whose workers may outlive it: an empty file for each, in
 * the folder of these, so that its next life waits for those that were there when it died.
 */
#ifndef MUSTER_COORDINATOR_EXPECTED_H
#define MUSTER_COORDINATOR_EXPECTED_H

#include <stdbool.h>
#include <stdint.h>

/* Names of these files begin so. */
#define EXPECTED_PREFIX "host-"

/* The host is there, or not any more. Where that cannot be noted it is not waited for. */
void expected_note(int folder_fd, uint64_t session, bool here);

/* Tells of each that was noted. */
typedef void expected_found(void *context, uint64_t session);
void expected_list(int folder_fd, expected_found *found, void *context);

#endif
