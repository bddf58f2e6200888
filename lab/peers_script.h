/* SPDX-License-Identifier: MIT
 *
 * The text of peers.py, put into this program when it is built.
 */
#ifndef MUSTER_LAB_PEERS_SCRIPT_H
#define MUSTER_LAB_PEERS_SCRIPT_H

extern const char peers_script[];

#endif
