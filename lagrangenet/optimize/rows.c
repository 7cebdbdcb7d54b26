/* The KKT system of a chain: its memory, and products of rows.

   Samples are the last axis of every array here; a "row" holds the samples of one entry, ROW of them
   at a time, so that all intermediate results of these samples stay in cache. */
#include <math.h>
#include <string.h>

#ifndef REAL
#define REAL double
#endif
#define LANES 8
#define PAIR (2 * LANES)
#define ROW 208 /* a multiple of PAIR, and no power of two: rows would share cache sets */

typedef REAL real;
typedef real lanes __attribute__((vector_size(LANES * sizeof(real)), aligned(sizeof(real))));
typedef real row[ROW];
#define AT(numbers, t) (*(lanes *)((numbers) + (t)))

/* What a caller hands over: arrays with samples as the first axis. */
typedef struct {
    long depth, samples, full_output;
    const long *widths;            /* n_0, ..., n_N */
    const real *theta;             /* V^1, ..., V^N with V^k = (W^k | b^k), row by row */
    const real *const *states;     /* x^0, ..., x^{N-1}, each (M, n_k) */
    const real *const *slopes;     /* σ′ of layers 1, ..., N-1 */
    const real *const *curvatures; /* σ″λ of layers 1, ..., N-1 */
    const real *const *mu;         /* of layers 1, ..., N */
    const real *const *gaps;       /* constraints of layers 1, ..., N */
    const real *output;            /* ∂²J/∂z², (M, n_N) or (M, n_N, n_N) */
    const real *wanted;            /* −∂J/∂z, (M, n_N) */
} System;

/* The rows of some samples, by layer. */
typedef struct {
    long used; /* samples, rounded up to PAIR; those beyond are zero */
    row **x, **slope, **curvature, **minus_mu, **gap, *output, *wanted;
} Part;

/* Memory: the rows of all parts, then what one part at a time needs, then sums over all samples. */
typedef struct {
    Part *parts;
    row *B, *C, *D, *T, *U, *pairs, **dz, **dx;
    real **own, **cross, **bent, *sums;
    long sums_from, sums_to; /* the bytes of own, cross and bent */
} Work;

static long triangle(long n) { return n * (n + 1) / 2; }
static long parts_of(const System *s) { return (s->samples + ROW - 1) / ROW; }
/* The samples of a part, all but the last: parts are about equal. */
static long length_of(const System *s)
{
    const long parts = parts_of(s), even = (s->samples + parts - 1) / parts;
    return (even + PAIR - 1) / PAIR * PAIR;
}
static long outputs_of(const System *s)
{
    const long n = s->widths[s->depth];
    return s->full_output ? n * n : n;
}

/* -- memory ------------------------------------------------------------------------------------ */

/* The next piece of memory; without any this only counts bytes. */
static void *take(char *base, long *used, long bytes)
{
    void *found = base ? base + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return found;
}

static void lay_out_part(const System *s, Part *p, char *base, long *used)
{
    const long N = s->depth, *n = s->widths;
    row ***layers[5] = {&p->x, &p->slope, &p->curvature, &p->minus_mu, &p->gap};
    for (int a = 0; a < 5; a++) {
        row **found = take(base, used, (N + 1) * sizeof(row *));
        if (base) *layers[a] = found;
        for (long k = 0; k <= N; k++) {
            row *rows = take(base, used, (n[k] + (a == 0)) * sizeof(row));
            if (base) found[k] = rows;
        }
    }
    row *output = take(base, used, outputs_of(s) * sizeof(row));
    row *wanted = take(base, used, n[N] * sizeof(row));
    if (base) p->output = output, p->wanted = wanted;
}

/* Lay out all arrays; returns the bytes that they need. */
static long lay_out(const System *s, Work *w, char *base)
{
    const long N = s->depth, *n = s->widths;
    long widest = 0, used = 0;
    for (long k = 0; k <= N; k++) widest = n[k] + 1 > widest ? n[k] + 1 : widest;
    w->parts = take(base, &used, parts_of(s) * sizeof(Part));
    for (long p = 0; p < parts_of(s); p++)
        lay_out_part(s, base ? &w->parts[p] : NULL, base, &used);
    row **rows[6] = {&w->B, &w->C, &w->D, &w->T, &w->U, &w->pairs};
    for (int a = 0; a < 6; a++) *rows[a] = take(base, &used, widest * widest * sizeof(row));
    row ***moved[2] = {&w->dz, &w->dx};
    for (int a = 0; a < 2; a++) {
        *moved[a] = take(base, &used, (N + 1) * sizeof(row *));
        for (long k = 0; k <= N; k++) {
            row *found = take(base, &used, n[k] * sizeof(row));
            if (base) (*moved[a])[k] = found;
        }
    }
    real ***sums[3] = {&w->own, &w->cross, &w->bent};
    for (int a = 0; a < 3; a++) *sums[a] = take(base, &used, (N + 1) * (N + 1) * sizeof(real *));
    w->sums = take(base, &used, widest * widest * sizeof(real));
    w->sums_from = used;
    for (long l = 1; l <= N; l++) {
        const long h = n[l], b = n[l - 1] + 1;
        real *own = take(base, &used, triangle(h) * triangle(b) * sizeof(real));
        if (base) w->own[l * (N + 1)] = own;
        for (long k = 1; k < l; k++) {
            const long hk = n[k], bk = n[k - 1] + 1;
            real *cross = take(base, &used, hk * h * b * bk * sizeof(real));
            real *bent = take(base, &used, h * bk * hk * (k == l - 1 ? 1 : b - 1) * sizeof(real));
            if (base) w->cross[l * (N + 1) + k] = cross, w->bent[l * (N + 1) + k] = bent;
        }
    }
    w->sums_to = used;
    return used;
}

/* The bytes that all other functions need as ``memory``. */
long workspace(const System *s)
{
    Work work;
    return lay_out(s, &work, NULL);
}

/* -- rows ---------------------------------------------------------------------------------------- */

/* sign · (samples, columns) as rows, zero where there is no sample. */
static void gather(row *out, long used, const real *from, long count, long columns, real sign)
{
    for (long c = 0; c < columns; c++) {
        for (long t = 0; t < count; t++) out[c][t] = sign * from[t * columns + c];
        for (long t = count; t < used; t++) out[c][t] = 0;
    }
}

static void scatter(real *to, const row *in, long count, long columns)
{
    for (long t = 0; t < count; t++)
        for (long c = 0; c < columns; c++) to[t * columns + c] = in[c][t];
}

/* Take the arrays of the system into memory. */
void load(const System *s, char *memory)
{
    const long N = s->depth, *n = s->widths, length = length_of(s);
    Work work;
    lay_out(s, &work, memory);
    for (long part = 0, first = 0; first < s->samples; part++, first += length) {
        Part *p = &work.parts[part];
        const long left = s->samples - first, count = left < length ? left : length;
        p->used = (count + PAIR - 1) / PAIR * PAIR;
        for (long k = 0; k < N; k++) {
            gather(p->x[k], p->used, s->states[k] + first * n[k], count, n[k], 1);
            for (long t = 0; t < p->used; t++) p->x[k][n[k]][t] = t < count;
        }
        for (long k = 1; k <= N; k++) {
            gather(p->minus_mu[k], p->used, s->mu[k - 1] + first * n[k], count, n[k], -1);
            gather(p->gap[k], p->used, s->gaps[k - 1] + first * n[k], count, n[k], 1);
            if (k == N) break;
            gather(p->slope[k], p->used, s->slopes[k - 1] + first * n[k], count, n[k], 1);
            gather(p->curvature[k], p->used, s->curvatures[k - 1] + first * n[k], count, n[k], 1);
        }
        const long outputs = outputs_of(s);
        gather(p->output, p->used, s->output + first * outputs, count, outputs, 1);
        gather(p->wanted, p->used, s->wanted + first * n[N], count, n[N], 1);
    }
}

/* -- products ------------------------------------------------------------------------------------ */

/* The sums of the lanes of four vectors. */
static void sums_of(const lanes *s, real *out)
{
#if defined(__clang__) || __GNUC__ >= 12
#define PICK __builtin_shufflevector
    const lanes x = PICK(s[0], s[1], 0, 8, 2, 10, 4, 12, 6, 14)
                  + PICK(s[0], s[1], 1, 9, 3, 11, 5, 13, 7, 15);
    const lanes y = PICK(s[2], s[3], 0, 8, 2, 10, 4, 12, 6, 14)
                  + PICK(s[2], s[3], 1, 9, 3, 11, 5, 13, 7, 15);
    const lanes z = PICK(x, y, 0, 1, 8, 9, 4, 5, 12, 13) + PICK(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
    for (int j = 0; j < 4; j++) out[j] = z[j] + z[j + 4];
#else
    for (int j = 0; j < 4; j++) {
        out[j] = 0;
        for (int t = 0; t < LANES; t++) out[j] += s[j][t];
    }
#endif
}

/* out[i][j] += Σ a_i b_j over the samples. */
static void dots(long used, long m, long n, const row *a, const row *b, real *out)
{
    for (long i = 0; i < m; i += 4) {
        const real *a0 = a[i], *a1 = a[i + 1 < m ? i + 1 : i];
        const real *a2 = a[i + 2 < m ? i + 2 : i], *a3 = a[i + 3 < m ? i + 3 : i];
        for (long j = 0; j < n; j += 4) {
            const real *b0 = b[j], *b1 = b[j + 1 < n ? j + 1 : j];
            const real *b2 = b[j + 2 < n ? j + 2 : j], *b3 = b[j + 3 < n ? j + 3 : j];
            lanes s[4][4] = {{{0}}};
            for (long t = 0; t < used; t += LANES) {
                lanes u0 = *(const lanes *)(a0 + t), u1 = *(const lanes *)(a1 + t);
                lanes u2 = *(const lanes *)(a2 + t), u3 = *(const lanes *)(a3 + t);
                lanes v0 = *(const lanes *)(b0 + t), v1 = *(const lanes *)(b1 + t);
                lanes v2 = *(const lanes *)(b2 + t), v3 = *(const lanes *)(b3 + t);
                s[0][0] += u0 * v0; s[0][1] += u0 * v1; s[0][2] += u0 * v2; s[0][3] += u0 * v3;
                s[1][0] += u1 * v0; s[1][1] += u1 * v1; s[1][2] += u1 * v2; s[1][3] += u1 * v3;
                s[2][0] += u2 * v0; s[2][1] += u2 * v1; s[2][2] += u2 * v2; s[2][3] += u2 * v3;
                s[3][0] += u3 * v0; s[3][1] += u3 * v1; s[3][2] += u3 * v2; s[3][3] += u3 * v3;
            }
            const long columns = n - j < 4 ? n - j : 4;
            for (long p = 0; p < 4 && i + p < m; p++) {
                real four[4];
                sums_of(s[p], four);
                for (long q = 0; q < columns; q++) out[(i + p) * n + j + q] += four[q];
            }
        }
    }
}

static void copy(long used, real *out, const real *in) { memcpy(out, in, used * sizeof(real)); }
static void clear(long used, real *out) { memset(out, 0, used * sizeof(real)); }

static void multiply(long used, real *out, const real *a, const real *b)
{
    for (long t = 0; t < used; t += LANES)
        *(lanes *)(out + t) = *(const lanes *)(a + t) * *(const lanes *)(b + t);
}

/* out_i = Σ_j V[i, j] in_j, or += with ``add``; V and the rows are stored with these steps. */
static void product(long used, row *out, long out_step, long m, long n, const real *V, long down,
                    long across, const row *in, long in_step, int add)
{
    for (long i = 0; i < m; i += 4) {
        const long i1 = i + 1 < m ? i + 1 : i, i2 = i + 2 < m ? i + 2 : i, i3 = i + 3 < m ? i + 3 : i;
        const real *v0 = V + i * down, *v1 = V + i1 * down, *v2 = V + i2 * down, *v3 = V + i3 * down;
        real *o0 = out[i * out_step], *o1 = out[i1 * out_step];
        real *o2 = out[i2 * out_step], *o3 = out[i3 * out_step];
        for (long t = 0; t < used; t += PAIR) {
            lanes s[4][2] = {{{0}}};
            if (add) {
                s[0][0] = AT(o0, t); s[0][1] = AT(o0, t + LANES);
                s[1][0] = AT(o1, t); s[1][1] = AT(o1, t + LANES);
                s[2][0] = AT(o2, t); s[2][1] = AT(o2, t + LANES);
                s[3][0] = AT(o3, t); s[3][1] = AT(o3, t + LANES);
            }
            for (long j = 0; j < n; j++) {
                const lanes x = AT(in[j * in_step], t), y = AT(in[j * in_step], t + LANES);
                const long at = j * across;
                s[0][0] += v0[at] * x; s[0][1] += v0[at] * y;
                s[1][0] += v1[at] * x; s[1][1] += v1[at] * y;
                s[2][0] += v2[at] * x; s[2][1] += v2[at] * y;
                s[3][0] += v3[at] * x; s[3][1] += v3[at] * y;
            }
            AT(o0, t) = s[0][0]; AT(o0, t + LANES) = s[0][1];
            AT(o1, t) = s[1][0]; AT(o1, t + LANES) = s[1][1];
            AT(o2, t) = s[2][0]; AT(o2, t + LANES) = s[2][1];
            AT(o3, t) = s[3][0]; AT(o3, t + LANES) = s[3][1];
        }
    }
}

/* out[j][i] = slope_j Σ_q W[q][j] in[q][i]: taken through W^{k+1} and σ^k. Of a symmetric result half
   is enough where nothing is taken through another layer: j ≤ i. */
static void through(long used, row *out, const row *in, const real *V, long after, long width,
                    long inner, const row *slope, int half)
{
    for (long i = 0; i < inner; i++)
        product(used, out + i, inner, half ? i + 1 : width, after, V, 1, width + 1, in + i, inner, 0);
    for (long j = 0; j < width; j++)
        for (long i = half ? j : 0; i < inner; i++)
            multiply(used, out[j * inner + i], out[j * inner + i], slope[j]);
}

static void outer(long used, row *out, const row *a, long m, const row *b, long n)
{
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++) multiply(used, out[i * n + j], a[i], b[j]);
}

static const real *matrices(const System *s, const real *theta, const real **V)
{
    V[1] = theta;
    for (long k = 2; k <= s->depth; k++)
        V[k] = V[k - 1] + s->widths[k - 1] * (s->widths[k - 2] + 1);
    return theta;
}
