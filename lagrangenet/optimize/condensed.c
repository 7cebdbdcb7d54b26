/* The condensed KKT matrix of a chain: products of given blocks, summed over samples.

   The same sums as condensed.py, for diagonal factors, with all intermediate results of a few
   samples in cache. It holds no derivative: z, σ′, σ″λ, ∂²J/∂z² come in as arrays.
   Samples are the last axis of every intermediate array, "row" means the samples of one entry. */
#include <string.h>

#ifndef REAL
#define REAL double
#endif
#define LANES 8
/* Samples at once: a multiple of LANES. */
#define ROW 96

typedef REAL real;
typedef real lanes __attribute__((vector_size(LANES * sizeof(real)), aligned(sizeof(real))));
typedef real row[ROW];

typedef struct {
    long depth, samples, full_output, metric;
    const long *widths;          /* n_0, ..., n_N */
    const real *theta;           /* V^1, ..., V^N with V^k = (W^k | b^k), row by row */
    const real *const *states;   /* x^0, ..., x^{N-1}, each (M, n_k) */
    const real *const *slopes;   /* σ′ of layers 1, ..., N-1 */
    const real *const *curvatures;
    const real *const *mu;       /* of layers 1, ..., N */
    const real *output;          /* ∂²J/∂z², (M, n_N) or (M, n_N, n_N) */
    double weight;
} System;

/* out[i][j] += Σ a_i b_j over the samples of a row, of which ``used`` are in use. */
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
            for (long p = 0; p < 4 && i + p < m; p++)
                for (long q = 0; q < 4 && j + q < n; q++) {
                    lanes v = s[p][q];
                    out[(i + p) * n + j + q] +=
                        ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
                }
        }
    }
}

static void multiply(long used, real *out, const real *a, const real *b)
{
    for (long t = 0; t < used; t += LANES)
        *(lanes *)(out + t) = *(const lanes *)(a + t) * *(const lanes *)(b + t);
}

/* (m, columns) from memory as rows, zero where there is no sample. */
static void gather(long used, row *out, const real *from, long count, long columns, real sign)
{
    for (long c = 0; c < columns; c++) {
        for (long t = 0; t < count; t++) out[c][t] = sign * from[t * columns + c];
        for (long t = count; t < used; t++) out[c][t] = 0;
    }
}

/* out[j][i] = slope_j Σ_q W[q][j] in[q][i]: taken through W^{k+1} and σ^k. */
static void through(long used, row *out, const row *in, const real *V, long after, long width,
                    long inner, const row *slope)
{
    for (long j = 0; j < width; j++)
        for (long i = 0; i < inner; i++)
            for (long t = 0; t < used; t += LANES) {
                lanes sum = {0};
                for (long q = 0; q < after; q++)
                    sum += V[q * (width + 1) + j] * *(const lanes *)(in[q * inner + i] + t);
                *(lanes *)(out[j * inner + i] + t) = sum * *(const lanes *)(slope[j] + t);
            }
}

typedef struct {
    row **x, **slope, **curvature, **mu, *B, *C, *D, *T, *U, *pairs;
    real **own, **cross, **bent;
} Work;

static long triangle(long n) { return n * (n + 1) / 2; }

/* The next piece of the workspace; without one this only counts bytes. */
static void *take(char *base, long *used, long bytes)
{
    void *found = base ? base + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return found;
}

/* Lay out all arrays; returns the bytes that they need. */
static long lay_out(const System *s, Work *w, char *base)
{
    const long N = s->depth, *n = s->widths;
    long widest = 0, used = 0;
    for (long k = 0; k <= N; k++) widest = n[k] + 1 > widest ? n[k] + 1 : widest;
    row ***layers[4] = {&w->x, &w->slope, &w->curvature, &w->mu};
    row **rows[6] = {&w->B, &w->C, &w->D, &w->T, &w->U, &w->pairs};
    real ***sums[3] = {&w->own, &w->cross, &w->bent};
    for (int a = 0; a < 4; a++) *layers[a] = take(base, &used, (N + 1) * sizeof(row *));
    for (int a = 0; a < 3; a++) *sums[a] = take(base, &used, (N + 1) * (N + 1) * sizeof(real *));
    for (int a = 0; a < 6; a++) *rows[a] = take(base, &used, widest * widest * sizeof(row));
    for (long k = 0; k <= N; k++)
        for (int a = 0; a < 4; a++) {
            row *found = take(base, &used, (n[k] + 1) * sizeof(row));
            if (base) (*layers[a])[k] = found;
        }
    const long begin = used;
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
    if (base) memset(base + begin, 0, used - begin);
    return used;
}

/* Add what some samples give, from the last layer to the first. */
static void part(const System *s, Work *w, long first, long count)
{
    const long N = s->depth, *n = s->widths;
    const long used = (count + LANES - 1) / LANES * LANES;
    const real *V[N + 1];
    V[1] = s->theta;
    for (long k = 2; k <= N; k++) V[k] = V[k - 1] + n[k - 1] * (n[k - 2] + 1);
    for (long k = 0; k < N; k++) {
        gather(used, w->x[k], s->states[k] + first * n[k], count, n[k], 1);
        for (long t = 0; t < used; t++) w->x[k][n[k]][t] = t < count;
        if (k) {
            gather(used, w->slope[k], s->slopes[k - 1] + first * n[k], count, n[k], 1);
            if (!s->metric)
                gather(used, w->curvature[k], s->curvatures[k - 1] + first * n[k], count, n[k], 1);
        }
        if (!s->metric)
            gather(used, w->mu[k + 1], s->mu[k] + first * n[k + 1], count, n[k + 1], -1);
    }
    const long out = n[N];
    memset(w->B, 0, out * out * sizeof(row)); /* also where there are no samples */
    if (s->metric)
        for (long i = 0; i < out; i++)
            for (long t = 0; t < count; t++) w->B[i * out + i][t] = 1;
    else if (s->full_output)
        gather(used, w->B, s->output + first * out * out, count, out * out, 1);
    else
        for (long i = 0; i < out; i++)
            for (long t = 0; t < count; t++)
                w->B[i * out + i][t] = s->output[(first + t) * out + i];
    if (!s->metric)
        for (long i = 0; i < out; i++)
            for (long t = 0; t < count; t++) w->B[i * out + i][t] += s->weight;
    const real weight = s->metric ? 1 : s->weight;
    for (long l = N; l >= 1; l--) {
        const long h = n[l], b = n[l - 1] + 1;
        row *x = w->x[l - 1];
        long at = 0;
        for (long p = 0; p < b; p++)
            for (long q = p; q < b; q++) multiply(used, w->pairs[at++], x[p], x[q]);
        at = 0;
        for (long i = 0; i < h; i++)
            for (long j = i; j < h; j++) memcpy(w->U[at++], w->B[i * h + j], sizeof(row));
        dots(used, triangle(h), triangle(b), w->U, w->pairs, w->own[l * (N + 1)]);
        if (l == 1) break;
        row *C = w->B, *spare[2] = {w->C, w->D};
        for (long k = l - 1; k >= 1; k--) {
            const long hk = n[k], bk = n[k - 1] + 1;
            row *next = spare[(l - k) & 1];
            through(used, next, C, V[k + 1], n[k + 1], hk, h, w->slope[k]);
            C = next;
            for (long p = 0; p < b; p++)
                for (long q = 0; q < bk; q++)
                    multiply(used, w->pairs[p * bk + q], x[p], w->x[k - 1][q]);
            dots(used, hk * h, b * bk, C, w->pairs, w->cross[l * (N + 1) + k]);
            if (k == l - 1) { /* B^{l-1} = σ′ Wᵀ B W σ′ + weight σ′² − σ″λ, from C with i first */
                for (long j = 0; j < hk; j++)
                    for (long i = 0; i < h; i++)
                        memcpy(w->U[i * hk + j], C[j * h + i], sizeof(row));
            }
            if (s->metric) continue;
            for (long i = 0; i < h; i++)
                for (long q = 0; q < bk; q++)
                    multiply(used, w->pairs[i * bk + q], w->mu[l][i], w->x[k - 1][q]);
            real *bent = w->bent[l * (N + 1) + k];
            if (k == l - 1) {
                dots(used, h * bk, hk, w->pairs, w->slope[k], bent);
                continue;
            }
            const long a = b - 1; /* T[j][a] = ∂x_a^{l-1}/∂z_j^k; T and B take turns with the rows */
            if (k == l - 2) {
                for (long j = 0; j < hk; j++)
                    for (long c = 0; c < a; c++) {
                        const real v = V[k + 1][c * (hk + 1) + j];
                        real *o = w->T[j * a + c];
                        for (long t = 0; t < used; t++)
                            o[t] = v * w->slope[l - 1][c][t] * w->slope[k][j][t];
                    }
            } else {
                through(used, w->B, w->T, V[k + 1], n[k + 1], hk, a, w->slope[k]);
                memcpy(w->T, w->B, hk * a * sizeof(row));
            }
            dots(used, h * bk, hk * a, w->pairs, w->T, bent);
        }
        const long width = n[l - 1];
        through(used, w->B, w->U, V[l], h, width, width, w->slope[l - 1]);
        for (long i = 0; i < width; i++) {
            real *B = w->B[i * width + i], *a = w->slope[l - 1][i];
            for (long t = 0; t < used; t++) B[t] += weight * a[t] * a[t];
            if (!s->metric)
                for (long t = 0; t < used; t++) B[t] -= w->curvature[l - 1][i][t];
        }
    }
}

/* The blocks l ≥ k of H from the sums over samples. */
static void place(const System *s, const Work *w, real *H)
{
    const long N = s->depth, *n = s->widths;
    long size = 0, start[N + 1];
    for (long k = 1; k <= N; k++) start[k] = size, size += n[k] * (n[k - 1] + 1);
    for (long l = 1; l <= N; l++) {
        const long h = n[l], b = n[l - 1] + 1, pairs = triangle(b);
        const real *own = w->own[l * (N + 1)];
        for (long i = 0, ij = 0; i < h; i++)
            for (long j = i; j < h; j++, ij++)
                for (long p = 0, pq = 0; p < b; p++)
                    for (long q = p; q < b; q++, pq++) {
                        const real v = own[ij * pairs + pq];
                        H[(start[l] + i * b + p) * size + start[l] + j * b + q] = v;
                        H[(start[l] + i * b + q) * size + start[l] + j * b + p] = v;
                        H[(start[l] + j * b + p) * size + start[l] + i * b + q] = v;
                        H[(start[l] + j * b + q) * size + start[l] + i * b + p] = v;
                    }
        for (long k = 1; k < l; k++) {
            const long hk = n[k], bk = n[k - 1] + 1, a = b - 1;
            const real *cross = w->cross[l * (N + 1) + k], *bent = w->bent[l * (N + 1) + k];
            for (long j = 0; j < hk; j++)
                for (long i = 0; i < h; i++)
                    for (long p = 0; p < b; p++)
                        memcpy(&H[(start[l] + i * b + p) * size + start[k] + j * bk],
                               &cross[((j * h + i) * b + p) * bk], bk * sizeof(real));
            if (s->metric) continue;
            for (long i = 0; i < h; i++)
                for (long q = 0; q < bk; q++)
                    for (long j = 0; j < hk; j++) {
                        const real *v = &bent[((i * bk + q) * hk + j) * (k == l - 1 ? 1 : a)];
                        for (long c = 0; c < (k == l - 1 ? 1 : a); c++) {
                            const long p = k == l - 1 ? j : c;
                            H[(start[l] + i * b + p) * size + start[k] + j * bk + q] += v[c];
                        }
                    }
        }
    }
}

/* The bytes of the workspace that condense needs. */
long workspace(const System *s)
{
    Work work;
    return lay_out(s, &work, NULL);
}

/* The blocks l ≥ k of H ← the condensed matrix, without the regularizer. */
void condense(const System *s, real *H, char *memory)
{
    Work work;
    lay_out(s, &work, memory);
    for (long first = 0; first < s->samples; first += ROW) {
        const long left = s->samples - first;
        part(s, &work, first, left < ROW ? left : ROW);
    }
    place(s, &work, H);
}
