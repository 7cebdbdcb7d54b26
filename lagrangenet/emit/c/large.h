/* Products whose operands are too large for the first cache. What a register block reads is copied so that
 * it lies together: numbers a power of two apart share cache sets. */
#define VECTORS (STEP / LANES)
#define COLUMN_BLOCK (2 * LANES)

/* some rows of x: those of one register block of samples after another */
static NOINLINE void gather(const T *x, int rows, int most, int n, T *packed)
{
    for (int i = 0; i < n; i += STEP)
        for (int q = 0; q < rows; q++)
            memcpy(packed + (size_t)i * most + (size_t)q * STEP, x + (size_t)q * STRIDE + i, STEP * sizeof(T));
}

/* four rows of four numbers that are apart become columns */
INLINE void turn_four(const T *x, size_t apart, T *turned, size_t turned_apart)
{
    const Four a = *(const Four *)x, b = *(const Four *)(x + apart);
    const Four c = *(const Four *)(x + 2 * apart), d = *(const Four *)(x + 3 * apart);
    const Four s = __builtin_shufflevector(a, b, 0, 4, 1, 5), t = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Four u = __builtin_shufflevector(c, d, 0, 4, 1, 5), v = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(Four *)turned = __builtin_shufflevector(s, u, 0, 1, 4, 5);
    *(Four *)(turned + turned_apart) = __builtin_shufflevector(s, u, 2, 3, 6, 7);
    *(Four *)(turned + 2 * turned_apart) = __builtin_shufflevector(t, v, 0, 1, 4, 5);
    *(Four *)(turned + 3 * turned_apart) = __builtin_shufflevector(t, v, 2, 3, 6, 7);
}

/* a panel: the weights of some rows, those of one column next to each other */
INLINE void panel_of_rows(const int height, const T *w, size_t apart, int columns, T *panel)
{
    const int turned = height / 4 * 4, whole = columns / 4 * 4;
    for (int r = 0; r < turned; r += 4)
        for (int q = 0; q < whole; q += 4)
            turn_four(w + r * apart + q, apart, panel + (size_t)q * height + r, height);
    for (int r = 0; r < height; r++)
        for (int q = r < turned ? whole : 0; q < columns; q++) panel[(size_t)q * height + r] = w[r * apart + q];
}

/* the same of a matrix that is read transposed */
INLINE void panel_of_columns(const int height, const T *w, size_t apart, int columns, T *panel)
{
    for (int q = 0; q < columns; q++) memcpy(panel + (size_t)q * height, w + q * apart, height * sizeof(T));
}

/* what is read after the next sums is fetched while they are computed */
INLINE void ahead(const int height, const T *y)
{
    for (int r = 0; r < height; r++)
        for (int v = 0; v < VECTORS; v++) __builtin_prefetch(y + (size_t)r * STRIDE + v * LANES, 1);
}

/* sums of a panel times gathered samples */
INLINE void panel_times(const int height, const T *panel, const T *x, int columns, V (*sums)[VECTORS])
{
    V c[BLOCK_ROWS][VECTORS];
#pragma GCC unroll 12
    for (int r = 0; r < height; r++)
        for (int v = 0; v < VECTORS; v++) c[r][v] = all(0);
#pragma GCC unroll 2
    for (int q = 0; q < columns; q++)
#pragma GCC unroll 12
        for (int r = 0; r < height; r++) {
            const V w = all(panel[(size_t)q * height + r]);
            for (int v = 0; v < VECTORS; v++) c[r][v] += w * load(x + (size_t)q * STEP + v * LANES);
        }
#pragma GCC unroll 12
    for (int r = 0; r < height; r++)
        for (int v = 0; v < VECTORS; v++) sums[r][v] = c[r][v];
}

/* x with its components next to each other, in blocks of columns: those of all samples, then the next */
static NOINLINE void turn(const T *x, int columns, int n, T *turned)
{
    for (int q0 = 0; q0 < columns; q0 += COLUMN_BLOCK, turned += (size_t)COLUMN_BLOCK * n) {
        const int end = columns < q0 + COLUMN_BLOCK ? columns : q0 + COLUMN_BLOCK;
        for (int i = 0; i < n; i += 4) {
            int q = q0;
            for (; q + 4 <= end; q += 4)
                turn_four(x + (size_t)q * STRIDE + i, STRIDE, turned + (size_t)i * COLUMN_BLOCK + q - q0, COLUMN_BLOCK);
            for (; q < end; q++)
                for (int j = i; j < i + 4; j++)
                    turned[(size_t)j * COLUMN_BLOCK + q - q0] = x[(size_t)q * STRIDE + j];
        }
    }
}

INLINE void outer_block(const int height, int n, int fresh, int columns, T sign, const T *u, const T *turned, T *g)
{
    V c[BLOCK_ROWS][2];
#pragma GCC unroll 12
    for (int r = 0; r < height; r++) c[r][0] = c[r][1] = all(0);
    for (int i = 0; i < n; i++) {
        const V x0 = load(turned + (size_t)i * COLUMN_BLOCK), x1 = load(turned + (size_t)i * COLUMN_BLOCK + LANES);
#pragma GCC unroll 12
        for (int r = 0; r < height; r++) {
            const V w = all(u[(size_t)r * STRIDE + i]);
            c[r][0] += w * x0;
            c[r][1] += w * x1;
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < height; r++) {
        T *const at = g + (size_t)r * columns;
        V sum0 = all(sign) * c[r][0], sum1 = all(sign) * c[r][1];
        if (!fresh) sum0 += *(Unaligned *)at, sum1 += *(Unaligned *)(at + LANES);
        *(Unaligned *)at = sum0, *(Unaligned *)(at + LANES) = sum1;
    }
}

/* some rows and one block of columns; the last block may not be whole */
INLINE void outer_rows(const int height, int n, int first, int columns, int left, T sign, const T *u,
                       const T *turned, T *g)
{
    T spare[BLOCK_ROWS * COLUMN_BLOCK];
    if (left >= COLUMN_BLOCK) {
        outer_block(height, n, first, columns, sign, u, turned, g);
        return;
    }
    outer_block(height, n, 1, COLUMN_BLOCK, sign, u, turned, spare);
    for (int r = 0; r < height; r++)
        for (int s = 0; s < left; s++)
            g[(size_t)r * columns + s] = spare[r * COLUMN_BLOCK + s] + (first ? 0 : g[(size_t)r * columns + s]);
}

/* G_pq += sign sum_i u_ip x_iq: x is turned, so that no vector has to be summed up */
static NOINLINE void outer_large(int n, int first, int rows, int columns, T sign, const T *u, const T *x,
                                 T *turned, T *g)
{
    for (int from = 0; from < columns; from += COLUMNS_IN_CACHE) {
        const int to = columns < from + COLUMNS_IN_CACHE ? columns : from + COLUMNS_IN_CACHE;
        turn(x + (size_t)from * STRIDE, to - from, n, turned);
        for (int p = 0, height; p < rows; p += height) {
            height = rows - p >= BLOCK_ROWS ? BLOCK_ROWS : rows - p >= 4 ? 4 : 1;
            for (int q = from; q < to; q += COLUMN_BLOCK) {
                const T *const up = u + (size_t)p * STRIDE, *const xq = turned + (size_t)(q - from) * n;
                T *const at = g + (size_t)p * columns + q;
                if (height == BLOCK_ROWS)
                    outer_rows(BLOCK_ROWS, n, first, columns, columns - q, sign, up, xq, at);
                else if (height == 4)
                    outer_rows(4, n, first, columns, columns - q, sign, up, xq, at);
                else
                    outer_rows(1, n, first, columns, columns - q, sign, up, xq, at);
            }
        }
    }
}
