/* SPDX-License-Identifier: MIT
 *
 * Replacement strings: how they are spelled ({}, {.}, {2/.}, {name//}, and what -I and its kin
 * rename them to), and the part of an argument that each stands for. A part is a slice of the
 * argument; only expansions of --plus may be copies.
 */
#ifndef MUSTER_CLI_TEMPLATE_PARTS_H
#define MUSTER_CLI_TEMPLATE_PARTS_H

#include "cli/template.h"
#include "cli/template_plus.h"

enum part_kind {
    PART_STEM,      /* {} {.} {..} {...} */
    PART_BASENAME,  /* {/} {/.} {/..} {/...} */
    PART_DIRNAME,   /* {//}, as dirname(1) */
    PART_DIRECTORY, /* {+/} */
    PART_EXTENSION, /* {+.} {+..} {+...} */
    PART_EXPANSION, /* {%text} and others of --plus */
};

struct part {
    enum part_kind kind;
    int extensions; /* so many are removed, or are what is left */
    struct expansion expansion;
};

enum replacement_kind {
    REPLACEMENT_ALL,
    REPLACEMENT_ONE,
    REPLACEMENT_SEQUENCE,
    REPLACEMENT_SLOT,
    REPLACEMENT_TOTAL,
};

struct replacement {
    enum replacement_kind kind;
    struct part part;
    long position; /* of REPLACEMENT_ONE: from 1, or from -1 backwards; 0 is none */
    size_t size;   /* as it is spelled */
};

/* The longest replacement string that `text` begins with. 0; MUSTER_ENOTFOUND, without a text,
 * when it begins with none; MUSTER_EINVALID when it begins with one that muster does not know. */
int template_parts_find(const struct template_rules *rules, struct word text,
                        struct replacement *ret_replacement, struct muster_error *ret_error);

/* 0; MUSTER_EINVALID when an option renames a replacement string to nothing. */
int template_parts_check(const struct template_rules *rules, struct muster_error *ret_error);

/* A slice of the argument, or, of an expansion, what may be in `made`. */
struct word template_part(const struct part *part, struct word argument, struct shell_line *made);

#endif
