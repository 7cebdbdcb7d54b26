/* A Newton step in one call: the condensed matrix, Cholesky factors with the smallest shift, two sweeps.

   Part of the text that rows.c begins. The schedule of shifts is that of inertia.py,
   which hands over its numbers; LAPACK is SciPy's. */
#include <float.h>

/* Column-major LAPACK, which takes a lower half that is stored row by row for an upper one. */
typedef void Potrf(char *, int *, real *, int *, int *);
typedef void Potrs(char *, int *, int *, real *, int *, real *, int *, int *);

/* What a step needs beside the system, and where it goes. */
typedef struct {
    long size; /* P */
    Potrf *potrf;
    Potrs *potrs;
    double weight; /* of the shift of ∂²L/∂x², relative to that of ∂²L/∂θ² */
    double first, more, largest; /* shifts: the first, what each is multiplied by, and the limit */
    const real *penalty, *bend;  /* ρ Ω′ and the diagonal of ρ Ω″ */
    real *H, *metric, *factor;   /* matrices of P² */
    real *spare;                 /* P numbers */
    real *along;                 /* θ̇ */
    real *const *dx, *const *plus;
    double shift, slope; /* the shift that was needed, and the derivative of J along the step */
} Newton;

/* Whether every number of a lower half is finite. */
static int all_finite(long size, const real *H)
{
    int bad = 0;
    for (long i = 0; i < size; i++)
        for (long j = 0; j <= i; j++) bad |= !(fabs((double)H[i * size + j]) <= DBL_MAX);
    return !bad;
}

/* factor ← H + shift (1 + weight · metric), lower half. */
static void shifted(const Newton *n, double shift)
{
    const real by = shift * n->weight;
    for (long i = 0; i < n->size; i++) {
        const long row = i * n->size;
        if (n->weight)
            for (long j = 0; j <= i; j++) n->factor[row + j] = by * n->metric[row + j] + n->H[row + j];
        else
            memcpy(n->factor + row, n->H + row, (i + 1) * sizeof(real));
        n->factor[row + i] += shift;
    }
}

static int factorized(const Newton *n)
{
    char half = 'U';
    int size = n->size, info;
    n->potrf(&half, &size, n->factor, &size, &info);
    return info == 0;
}

/* Factors with the smallest shift of the schedule of inertia.py; whether there are any. */
static int factored(const System *s, char *memory, Newton *n)
{
    const long last = n->size * n->size - 1;
    condense(s, memory, 0, 0, n->H);
    for (long i = 0; i < n->size; i++) n->H[i * n->size + i] += n->bend[i];
    n->shift = 0;
    memcpy(n->factor, n->H, (last + 1) * sizeof(real));
    if (factorized(n)) /* also where an entry is NaN, which the last pivot then is, too */
        return fabs((double)n->factor[last]) <= DBL_MAX;
    if (!all_finite(n->size, n->H)) return 0;
    if (n->weight) condense(s, memory, 0, 1, n->metric);
    for (n->shift = n->first; n->shift < n->largest; n->shift *= n->more) {
        shifted(n, n->shift);
        if (factorized(n)) return 1;
    }
    return 0;
}

/* The Newton step with the smallest shift that makes the condensed matrix positive definite; whether
   there is one. */
int step(const System *s, char *memory, Newton *n)
{
    char half = 'U';
    int size = n->size, one = 1, info;
    if (!factored(s, memory, n)) return 0;
    const double shift = n->weight * n->shift;
    sweep(s, memory, shift, NULL, n->along, NULL, NULL);
    for (long i = 0; i < n->size; i++) n->along[i] = -(n->along[i] + n->penalty[i]);
    n->potrs(&half, &size, &one, n->factor, &size, n->along, &size, &info);
    sweep(s, memory, shift, n->along, n->spare, n->dx, n->plus);
    n->slope = 0;
    for (long i = 0; i < n->size; i++) n->slope += n->penalty[i] * n->along[i];
    const long outputs = s->samples * s->widths[s->depth];
    for (long i = 0; i < outputs; i++) n->slope -= s->wanted[i] * n->dx[s->depth - 1][i];
    return 1;
}
