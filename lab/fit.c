/* SPDX-License-Identifier: MIT
 *
 * Weighted linear least squares of two or three terms. See fit.h.
 *
 * Each row is divided by its wall time, which makes errors relative and all right-hand sides 1.
 * The normal equations of terms so different from each other are solved without loss.
 */
#include "lab/fit.h"

#include <math.h>
#include <stdint.h>

/* Half of the 95% interval of Student's t, for so many degrees of freedom; between the entries it is
 * taken for the fewer of them. */
static double student(size_t freedom)
{
    static const struct {
        size_t freedom;
        double t;
    } table[] = {{1, 12.706}, {2, 4.303},  {3, 3.182},   {4, 2.776},      {5, 2.571},
                 {6, 2.447},  {8, 2.306},  {10, 2.228},  {15, 2.131},     {20, 2.086},
                 {30, 2.042}, {60, 2.000}, {120, 1.980}, {SIZE_MAX, 1.96}};
    size_t i = 0;

    while (table[i + 1].freedom <= freedom)
        i++;
    return table[i].t;
}

struct system {
    size_t terms;
    double matrix[FIT_TERMS_MAX][FIT_TERMS_MAX], right[FIT_TERMS_MAX];
};

static void row_of(const struct fit_point *point, double row[FIT_TERMS_MAX])
{
    double n = point->workers;

    row[0] = 1 / n / point->wall_s;
    row[1] = (n - 1) / n / point->wall_s;
    row[2] = (n - 1) / point->wall_s;
}

static void add(struct system *s, const double row[FIT_TERMS_MAX])
{
    for (size_t i = 0; i < s->terms; i++) {
        for (size_t k = 0; k < s->terms; k++)
            s->matrix[i][k] += row[i] * row[k];
        s->right[i] += row[i];
    }
}

/* Gauss and Jordan: the matrix becomes its inverse. It is symmetric and positive definite, so its
 * diagonal does for pivots. */
static void invert(struct system *s)
{
    for (size_t p = 0; p < s->terms; p++) {
        double pivot = s->matrix[p][p];

        s->matrix[p][p] = 1;
        for (size_t k = 0; k < s->terms; k++)
            s->matrix[p][k] /= pivot;
        for (size_t i = 0; i < s->terms; i++) {
            double factor = s->matrix[i][p];

            if (i == p)
                continue;
            s->matrix[i][p] = 0;
            for (size_t k = 0; k < s->terms; k++)
                s->matrix[i][k] -= factor * s->matrix[p][k];
        }
    }
}

/* How many numbers of workers there are, as far as `terms`. */
static size_t count_distinct(const struct fit_point *points, size_t count, size_t terms)
{
    unsigned seen[FIT_TERMS_MAX + 1];
    size_t distinct = 0, k;

    for (size_t i = 0; i < count && distinct <= terms; i++) {
        for (k = 0; k < distinct && seen[k] != points[i].workers; k++)
            ;
        if (k == distinct)
            seen[distinct++] = points[i].workers;
    }
    return distinct;
}

/* The coefficient x[term] / x[0], and its error by the first derivatives. */
static struct fit_value ratio(const struct system *s, const double *x, size_t term, double variance, double t)
{
    double value = x[term] / x[0];
    double spread = s->matrix[term][term] - 2 * value * s->matrix[0][term] + value * value * s->matrix[0][0];

    return (struct fit_value){value, t * sqrt(fmax(0, variance * spread)) / x[0]};
}

static bool fit_terms(const struct fit_point *points, size_t count, size_t terms, struct fit *ret_fit)
{
    struct system s = {.terms = terms};
    double row[FIT_TERMS_MAX], x[FIT_TERMS_MAX] = {0}, squares = 0, variance, t;
    size_t distinct = count_distinct(points, count, terms);

    if (distinct < terms || count <= terms)
        return false;
    for (size_t i = 0; i < count; i++) {
        row_of(&points[i], row);
        add(&s, row);
    }
    invert(&s);
    for (size_t i = 0; i < terms; i++)
        for (size_t k = 0; k < terms; k++)
            x[i] += s.matrix[i][k] * s.right[k];
    for (size_t i = 0; i < count; i++) {
        double rest = 1;

        row_of(&points[i], row);
        for (size_t k = 0; k < terms; k++)
            rest -= row[k] * x[k];
        squares += rest * rest;
    }
    variance = squares / (double)(count - terms);
    t = student(count - terms);
    *ret_fit = (struct fit){.t1_s = {x[0], t * sqrt(variance * s.matrix[0][0])},
                            .contention = ratio(&s, x, 1, variance, t),
                            .exact = distinct == terms};
    if (terms > 2)
        ret_fit->coherence = ratio(&s, x, 2, variance, t);
    return true;
}

bool fit_amdahl(const struct fit_point *points, size_t count, struct fit *ret_fit)
{
    return fit_terms(points, count, 2, ret_fit);
}

bool fit_scalability(const struct fit_point *points, size_t count, struct fit *ret_fit)
{
    return fit_terms(points, count, 3, ret_fit);
}

double fit_speedup(const struct fit *fit, double workers)
{
    return workers /
           (1 + fit->contention.value * (workers - 1) + fit->coherence.value * workers * (workers - 1));
}
