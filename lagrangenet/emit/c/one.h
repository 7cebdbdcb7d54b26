/* One sample: a vector holds the components of one state, an array of parameters is read row by row or
 * column by column. Lanes after the last component are never summed, multiplied into others or stored. */

/* component q in all lanes */
INLINE V lane(V x, int q) { return all(x[q]); }

/* a column of a matrix with so many rows, whose numbers are apart */
INLINE V column(const T *w, int rows, int apart)
{
    V v = all(0);
#pragma GCC unroll 16
    for (int p = 0; p < rows; p++) v[p] = w[p * apart];
    return v;
}

/* start + W x; two sums, which need not wait for each other */
INLINE V times(V start, const T *w, int rows, int columns, V x)
{
    V sum[2] = {start, all(0)};
#pragma GCC unroll 16
    for (int q = 0; q < columns; q++) sum[q % 2] += column(w + q, rows, columns) * lane(x, q);
    return sum[0] + sum[1];
}

/* start + W^T x */
INLINE V turned_times(V start, const T *w, int rows, int columns, V x)
{
    V sum[2] = {start, all(0)};
#pragma GCC unroll 16
    for (int p = 0; p < rows; p++) sum[p % 2] += some(w + p * columns, columns) * lane(x, p);
    return sum[0] + sum[1];
}

/* the sum of the first components */
INLINE T total(V x, int count) { return v_total(v_where(v_first(count), x, all(0))); }
INLINE T largest(V x, int count)
{
    V most = lane(x, 0);
    for (int p = 1; p < count; p++) most = v_maximum(most, lane(x, p));
    return most[0];
}

/* what a sample adds to a gradient: g_p += u_p */
INLINE void add_some(T *g, V u, int count, int first)
{
    if (!first) u += some(g, count);
    put(g, u, count);
}

/* G_pq += u_p x_q */
INLINE void add_outer(T *g, int rows, int columns, V u, V x, int first)
{
#pragma GCC unroll 16
    for (int p = 0; p < rows; p++) add_some(g + p * columns, lane(u, p) * x, columns, first);
}
