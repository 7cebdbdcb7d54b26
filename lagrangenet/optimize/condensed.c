/* The condensed matrix of the KKT system of a chain.

   Part of the text that rows.c begins. The same sums as condensed.py, for factors that are diagonal. It
   holds no derivative: z, σ′, σ″λ, ∂²J/∂z² come in as arrays. */

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
