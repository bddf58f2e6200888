/* SPDX-License-Identifier: MIT
 *
 * What systemd, or whoever else set NOTIFY_SOCKET, is told of a service's state: sd_notify(3), as its
 * manual page describes it for those who do not link libsystemd.
 */
#ifndef MUSTER_COORDINATOR_NOTIFY_H
#define MUSTER_COORDINATOR_NOTIFY_H

/* Sends lines such as "READY=1\nSTATUS=..."; does nothing where nobody asked to be told, or where he
 * cannot be: a service works without. From any thread. */
void notify_send(const char *lines);

#endif
