/* SPDX-License-Identifier: MIT
 *
 * Which sanitizer a file is compiled with, which GCC and clang tell in different ways. For code
 * that switches stacks and has to say so, or limits memory, of which they need their own.
 */
#ifndef MUSTER_BASE_SANITIZE_H
#define MUSTER_BASE_SANITIZE_H

#ifdef __has_feature
#define SANITIZE_HAS(feature) __has_feature(feature)
#else
#define SANITIZE_HAS(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SANITIZE_HAS(address_sanitizer)
#define SANITIZE_ADDRESS 1
#else
#define SANITIZE_ADDRESS 0
#endif

#if defined(__SANITIZE_THREAD__) || SANITIZE_HAS(thread_sanitizer)
#define SANITIZE_THREAD 1
#else
#define SANITIZE_THREAD 0
#endif

#endif
