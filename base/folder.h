/* SPDX-License-Identifier: MIT
 *
 * Folders that are removed with all that is in them, while others may be writing to them. By descriptors:
 * what is put in the place of something leads nowhere.
 */
#ifndef MUSTER_BASE_FOLDER_H
#define MUSTER_BASE_FOLDER_H

#include <dirent.h>

/* Lists an open folder. Takes the descriptor, or -1: NULL then, as when it cannot be listed. */
DIR *folder_list(int fd);

/* Who made a folder may have closed it to himself, too. By its descriptor, also of O_PATH: a mode must not be
 * that of what a link names. */
void folder_open_up(int fd);

/* Opens a folder that is this user's own for listing, and opens it up for that, by a descriptor of it, also
 * of O_PATH. -1: it is not his, or cannot be opened. */
int folder_open_own(int fd);

/* Removes what is in an open folder, which others may be writing to: links are not followed, and what is left
 * after a second stays. So does what is in folders that are not this user's, or on another device, and with
 * it what these are in. Takes the descriptor, or -1. */
void folder_empty(int fd);

#endif
