/* SPDX-License-Identifier: MIT
 *
 * Lines on standard error, for main programs and loops only (libraries return errors). A
 * line is written with one write(2), so lines of several processes do not mix.
 */
#ifndef MUSTER_BASE_LOG_H
#define MUSTER_BASE_LOG_H

/* Writes "muster: <text>\n" to standard error; control characters become '?'. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, only when MUSTER_DEBUG is set in the environment; carries a monotonic time and
 * the process id. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
