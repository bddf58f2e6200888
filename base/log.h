/* SPDX-License-Identifier: MIT
 *
 * Lines on standard error, for main programs and loops only (libraries return errors). A
 * line is written with one write(2), so lines of several processes do not mix.
 */
#ifndef MUSTER_BASE_LOG_H
#define MUSTER_BASE_LOG_H

/* Writes "muster: <text>\n" to standard error; control characters become '?'. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
