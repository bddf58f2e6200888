/* SPDX-License-Identifier: MIT
 *
 * Durations in words that one can picture: "3 s", "5 minutes", "2 days", "11 years". Pure.
 */
#ifndef MUSTER_LAB_SCALE_H
#define MUSTER_LAB_SCALE_H

enum { SCALE_TEXT_BYTES = 32 };

/* Two digits, from tenths of a second on; "-" for what is beyond 10^18 seconds. */
void scale_write(double seconds, char text[SCALE_TEXT_BYTES]);

#endif
