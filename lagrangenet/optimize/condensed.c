/* The KKT system of a chain, condensed to the parameters: memory, products and the matrix.

   The same sums as condensed.py, for factors that are diagonal, with all intermediate results of a
   few samples in cache. It holds no derivative: z, σ′, σ″λ, ∂²J/∂z² come in as arrays. Samples are
   the last axis of every array here; a "row" holds the samples of one entry, ROW of them at a time. */
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

/* -- the matrix ---------------------------------------------------------------------------------- */

/* B^N = ∂²J/∂z² + weight, or 1 in the metric. */
static void start(const System *s, const Part *p, row *B, real weight, int metric)
{
    const long n = s->widths[s->depth];
    if (s->full_output && !metric)
        for (long i = 0; i < n * n; i++) copy(p->used, B[i], p->output[i]);
    else
        for (long i = 0; i < n * n; i++) clear(p->used, B[i]);
    for (long i = 0; i < n; i++) {
        real *b = B[i * n + i];
        if (metric)
            for (long t = 0; t < p->used; t++) b[t] = p->x[s->depth - 1][s->widths[s->depth - 1]][t];
        else
            for (long t = 0; t < p->used; t++)
                b[t] += weight + (s->full_output ? 0 : p->output[i][t]);
    }
}

/* Σ B ⊗ x xᵀ, upper triangles only. */
static void own_block(Work *w, long used, const row *x, long h, long b, real *out)
{
    long at = 0;
    for (long p = 0; p < b; p++)
        for (long q = p; q < b; q++) multiply(used, w->pairs[at++], x[p], x[q]);
    at = 0;
    for (long i = 0; i < h; i++)
        for (long j = i; j < h; j++) copy(used, w->U[at++], w->B[i * h + j]);
    dots(used, triangle(h), triangle(b), w->U, w->pairs, out);
}

/* −Σ μ^l (∂x^{l−1}/∂z^k) x^{k−1}ᵀ; T, which holds ∂x^{l−1}/∂z^k as [j][a], goes on to layer k. */
static void bent_block(const System *s, Work *w, const Part *p, const real *const *V, long l, long k)
{
    const long *n = s->widths, h = n[l], a = n[l - 1], hk = n[k], bk = n[k - 1] + 1;
    real *out = w->bent[l * (s->depth + 1) + k];
    outer(p->used, w->pairs, p->minus_mu[l], h, p->x[k - 1], bk);
    if (k == l - 1) {
        dots(p->used, h * bk, hk, w->pairs, p->slope[k], out);
        return;
    }
    if (k == l - 2) {
        for (long j = 0; j < hk; j++)
            for (long c = 0; c < a; c++) {
                const real v = V[k + 1][c * (hk + 1) + j];
                for (long t = 0; t < p->used; t++)
                    w->T[j * a + c][t] = v * p->slope[l - 1][c][t] * p->slope[k][j][t];
            }
    } else {
        through(p->used, w->B, w->T, V[k + 1], n[k + 1], hk, a, p->slope[k], 0);
        for (long j = 0; j < hk * a; j++) copy(p->used, w->T[j], w->B[j]);
    }
    dots(p->used, h * bk, hk * a, w->pairs, w->T, out);
}

/* B^{l−1} = σ′ Wᵀ (B W σ′) + weight σ′² − σ″λ, from U = B W σ′ with i first. */
static void below(const System *s, Work *w, const Part *p, const real *V, long l, real weight,
                  int metric)
{
    const long h = s->widths[l], n = s->widths[l - 1];
    through(p->used, w->B, w->U, V, h, n, n, p->slope[l - 1], l == 2);
    for (long i = 0; i < n; i++) {
        real *B = w->B[i * n + i];
        const real *a = p->slope[l - 1][i], *c = p->curvature[l - 1][i];
        for (long t = 0; t < p->used; t++) B[t] += weight * a[t] * a[t] - (metric ? 0 : c[t]);
    }
}

/* Add what some samples give, from the last layer to the first. */
static void add(const System *s, Work *w, const Part *p, const real *const *V, real weight,
                int metric)
{
    const long N = s->depth, *n = s->widths;
    start(s, p, w->B, weight, metric);
    for (long l = N; l >= 1; l--) {
        const long h = n[l], b = n[l - 1] + 1;
        own_block(w, p->used, p->x[l - 1], h, b, w->own[l * (N + 1)]);
        if (l == 1) break;
        row *C = w->B, *spare[2] = {w->C, w->D};
        for (long k = l - 1; k >= 1; k--) {
            const long hk = n[k], bk = n[k - 1] + 1;
            row *next = spare[k & 1];
            through(p->used, next, C, V[k + 1], n[k + 1], hk, h, p->slope[k], 0);
            C = next;
            outer(p->used, w->pairs, p->x[l - 1], b, p->x[k - 1], bk);
            dots(p->used, hk * h, b * bk, C, w->pairs, w->cross[l * (N + 1) + k]);
            if (k == l - 1)
                for (long j = 0; j < hk; j++)
                    for (long i = 0; i < h; i++)
                        copy(p->used, w->U[i * hk + j], C[j * h + i]);
            if (!metric) bent_block(s, w, p, V, l, k);
        }
        below(s, w, p, V[l], l, metric ? 1 : weight, metric);
    }
}

/* The lower half of H from the sums over samples. */
static void place(const System *s, const Work *w, real *H, int metric)
{
    const long N = s->depth, *n = s->widths;
    long size = 0, from[N + 1];
    for (long k = 1; k <= N; k++) from[k] = size, size += n[k] * (n[k - 1] + 1);
    for (long l = 1; l <= N; l++) {
        const long h = n[l], b = n[l - 1] + 1, pairs = triangle(b);
        const real *own = w->own[l * (N + 1)];
        for (long i = 0, ij = 0; i < h; i++)
            for (long j = i; j < h; j++, ij++)
                for (long p = 0, pq = 0; p < b; p++)
                    for (long q = p; q < b; q++, pq++) {
                        const real v = own[ij * pairs + pq];
                        H[(from[l] + j * b + p) * size + from[l] + i * b + q] = v;
                        H[(from[l] + j * b + q) * size + from[l] + i * b + p] = v;
                    }
        for (long k = 1; k < l; k++) {
            const long hk = n[k], bk = n[k - 1] + 1, a = k == l - 1 ? 1 : b - 1;
            const real *cross = w->cross[l * (N + 1) + k], *bent = w->bent[l * (N + 1) + k];
            for (long j = 0; j < hk; j++)
                for (long i = 0; i < h; i++)
                    for (long p = 0; p < b; p++)
                        for (long q = 0; q < bk; q++)
                            H[(from[l] + i * b + p) * size + from[k] + j * bk + q] =
                                cross[((j * h + i) * b + p) * bk + q];
            if (metric) continue;
            for (long i = 0; i < h; i++)
                for (long q = 0; q < bk; q++)
                    for (long j = 0; j < hk; j++)
                        for (long c = 0; c < a; c++) {
                            const long p = k == l - 1 ? j : c;
                            H[(from[l] + i * b + p) * size + from[k] + j * bk + q] +=
                                bent[((i * bk + q) * hk + j) * a + c];
                        }
        }
    }
}

/* The lower half of H ← the condensed matrix of what was loaded, without the regularizer. */
void condense(const System *s, char *memory, double weight, int metric, real *H)
{
    const real *V[s->depth + 1];
    Work work;
    lay_out(s, &work, memory);
    memset(memory + work.sums_from, 0, work.sums_to - work.sums_from);
    matrices(s, s->theta, V);
    for (long part = 0; part * length_of(s) < s->samples; part++)
        add(s, &work, &work.parts[part], V, weight, metric);
    place(s, &work, H, metric);
}
