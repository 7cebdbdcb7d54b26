/* Sweeps over the layers: directions, multipliers and derivatives of L at what was loaded.

   Part of the text that rows.c begins. */

/* ẋ and ż of some samples; D is null where θ does not move. */
static void forward(const System *s, Work *w, const Part *p, const real *const *V,
                    const real *const *D)
{
    const long N = s->depth, *n = s->widths;
    for (long k = 1; k <= N; k++) {
        const long h = n[k], b = n[k - 1] + 1;
        for (long i = 0; i < h; i++) clear(p->used, w->dz[k][i]);
        if (k > 1) product(p->used, w->dz[k], 1, h, b - 1, V[k], b, 1, w->dx[k - 1], 1, 1);
        if (D) product(p->used, w->dz[k], 1, h, b, D[k], b, 1, p->x[k - 1], 1, 1);
        for (long i = 0; i < h; i++)
            for (long t = 0; t < p->used; t++)
                w->dx[k][i][t] = w->dz[k][i][t] * (k == N ? 1 : p->slope[k][i][t]) - p->gap[k][i][t];
    }
}

/* μ⁺ of the output: −∂J/∂z − (∂²J/∂z² + weight) ẋ. */
static void turn(const System *s, Work *w, const Part *p, real weight)
{
    const long n = s->widths[s->depth];
    const row *dx = w->dx[s->depth];
    for (long i = 0; i < n; i++)
        for (long t = 0; t < p->used; t++) {
            real sum = p->wanted[i][t] - weight * dx[i][t];
            if (!s->full_output) sum -= p->output[i][t] * dx[i][t];
            else
                for (long j = 0; j < n; j++) sum -= p->output[i * n + j][t] * dx[j][t];
            w->B[i][t] = sum;
        }
}

/* gradient += −Σ μ⁺ (x, 1)ᵀ − Σ μ ẋᵀ of layer k, with μ⁺ in B. */
static void slopes(const System *s, Work *w, const Part *p, long k, real *gradient)
{
    const long h = s->widths[k], b = s->widths[k - 1] + 1;
    memset(w->sums, 0, h * b * sizeof(real));
    dots(p->used, h, b, w->B, p->x[k - 1], w->sums);
    for (long j = 0; j < h * b; j++) gradient[j] -= w->sums[j];
    if (k == 1) return;
    memset(w->sums, 0, h * b * sizeof(real));
    dots(p->used, h, b - 1, p->minus_mu[k], w->dx[k - 1], w->sums);
    for (long i = 0; i < h; i++)
        for (long j = 0; j < b - 1; j++) gradient[i * b + j] += w->sums[i * (b - 1) + j];
}

/* ẋ, λ⁺ and ∂L̇/∂θ (without the regularizer) along θ̇; ``along``, ``dx`` and ``plus`` may be null. */
void sweep(const System *s, char *memory, double weight, const real *along, real *gradient,
           real *const *dx, real *const *plus)
{
    const long N = s->depth, *n = s->widths, length = length_of(s);
    const real *V[N + 1], *D[N + 1];
    Work work, *w = &work;
    lay_out(s, w, memory);
    const real *end = matrices(s, s->theta, V);
    if (along) matrices(s, along, D);
    memset(gradient, 0, (V[N] - end + n[N] * (n[N - 1] + 1)) * sizeof(real));
    for (long part = 0, first = 0; first < s->samples; part++, first += length) {
        const Part *p = &w->parts[part];
        const long left = s->samples - first, count = left < length ? left : length;
        forward(s, w, p, V, along ? D : NULL);
        turn(s, w, p, weight);
        if (plus) scatter(plus[N - 1] + first * n[N], w->B, count, n[N]);
        for (long k = N; k >= 1; k--) {
            const long h = n[k], b = n[k - 1] + 1;
            if (dx) scatter(dx[k - 1] + first * h, w->dx[k], count, h);
            if (k < N)
                for (long i = 0; i < h; i++)
                    for (long t = 0; t < p->used; t++)
                        w->B[i][t] = w->C[i][t] * p->slope[k][i][t]
                                   + p->curvature[k][i][t] * w->dz[k][i][t];
            slopes(s, w, p, k, gradient + (V[k] - V[1]));
            if (k == 1) break;
            for (long j = 0; j < b - 1; j++) clear(p->used, w->C[j]);
            if (along) { /* λ⁺ = Wᵀ μ⁺ + Ẇᵀ μ − weight ẋ; −μ is what is kept */
                product(p->used, w->C, 1, b - 1, h, D[k], 1, b, p->minus_mu[k], 1, 1);
                for (long j = 0; j < b - 1; j++)
                    for (long t = 0; t < p->used; t++) w->C[j][t] = -w->C[j][t];
            }
            product(p->used, w->C, 1, b - 1, h, V[k], 1, b, w->B, 1, 1);
            for (long j = 0; j < b - 1; j++)
                for (long t = 0; t < p->used; t++) w->C[j][t] -= weight * w->dx[k - 1][j][t];
            if (plus) scatter(plus[k - 2] + first * (b - 1), w->C, count, b - 1);
        }
    }
}

/* The larger of a number and |a|; NaN stays. */
static real larger(real worst, real a)
{
    return fabs(a) > worst || a != a ? fabs(a) : worst;
}

/* ∂L/∂θ at the point itself, where ρ Ω′ is ``penalty``, and max |∂L/∂x|, |∂L/∂θ|. */
double residual(const System *s, char *memory, const real *const *multipliers, const real *penalty,
                real *gradient)
{
    const long N = s->depth, *n = s->widths, length = length_of(s);
    const real *V[N + 1];
    Work work, *w = &work;
    real worst = 0;
    lay_out(s, w, memory);
    matrices(s, s->theta, V);
    const long size = V[N] - V[1] + n[N] * (n[N - 1] + 1);
    memcpy(gradient, penalty, size * sizeof(real));
    for (long part = 0, first = 0; first < s->samples; part++, first += length) {
        const Part *p = &w->parts[part];
        const long left = s->samples - first, count = left < length ? left : length;
        for (long k = N; k >= 1; k--) {
            const long h = n[k], b = n[k - 1] + 1;
            dots(p->used, h, b, p->minus_mu[k], p->x[k - 1], gradient + (V[k] - V[1]));
            const real *lam = multipliers[k - 1] + first * h;
            const row *solved = k == N ? p->wanted : w->C;
            for (long i = 0; i < h; i++)
                for (long t = 0; t < count; t++)
                    worst = larger(worst, lam[t * h + i] - (k == N ? 1 : -1) * solved[i][t]);
            if (k == 1) break;
            for (long j = 0; j < b - 1; j++) clear(p->used, w->C[j]);
            product(p->used, w->C, 1, b - 1, h, V[k], 1, b, p->minus_mu[k], 1, 1);
        }
    }
    for (long i = 0; i < size; i++) worst = larger(worst, gradient[i]);
    return worst;
}
