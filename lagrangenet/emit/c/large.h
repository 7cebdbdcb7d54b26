/* Products whose operands are too large for the first cache. Blocks of an operand are copied so that
 * what a register block reads lies together: numbers a power of two apart share cache sets. */
#define COLUMN_BLOCK (2 * LANES)
#define SAMPLE_CHUNK 128

/* some rows of x: those of one register block of samples after another */
static NOINLINE void gather(const T *x, int rows, int most, int n, T *packed)
{
    for (int i = 0; i < n; i += STEP)
        for (int q = 0; q < rows; q++)
            memcpy(packed + (size_t)i * most + (size_t)q * STEP, x + (size_t)q * STRIDE + i, STEP * sizeof(T));
}

/* four samples of four components */
INLINE void turn_four(const T *x, T *turned)
{
    const Four a = *(const Four *)x, b = *(const Four *)(x + STRIDE);
    const Four c = *(const Four *)(x + 2 * STRIDE), d = *(const Four *)(x + 3 * STRIDE);
    const Four s = __builtin_shufflevector(a, b, 0, 4, 1, 5), t = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Four u = __builtin_shufflevector(c, d, 0, 4, 1, 5), v = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(Four *)turned = __builtin_shufflevector(s, u, 0, 1, 4, 5);
    *(Four *)(turned + COLUMN_BLOCK) = __builtin_shufflevector(s, u, 2, 3, 6, 7);
    *(Four *)(turned + 2 * COLUMN_BLOCK) = __builtin_shufflevector(t, v, 0, 1, 4, 5);
    *(Four *)(turned + 3 * COLUMN_BLOCK) = __builtin_shufflevector(t, v, 2, 3, 6, 7);
}

/* x with its components next to each other, in blocks of columns: those of all samples, then the next */
static NOINLINE void turn(const T *x, int columns, int n, T *turned)
{
    for (int q0 = 0; q0 < columns; q0 += COLUMN_BLOCK, turned += (size_t)COLUMN_BLOCK * n) {
        const int end = columns < q0 + COLUMN_BLOCK ? columns : q0 + COLUMN_BLOCK;
        for (int i = 0; i < n; i += 4) {
            int q = q0;
            for (; q + 4 <= end; q += 4)
                turn_four(x + (size_t)q * STRIDE + i, turned + (size_t)i * COLUMN_BLOCK + q - q0);
            for (; q < end; q++)
                for (int j = i; j < i + 4; j++)
                    turned[(size_t)j * COLUMN_BLOCK + q - q0] = x[(size_t)q * STRIDE + j];
        }
    }
}

INLINE void outer_block(const int height, int from, int to, int fresh, int columns, T sign, const T *u,
                        const T *turned, T *g)
{
    V c[BLOCK_ROWS][2];
#pragma GCC unroll 12
    for (int r = 0; r < height; r++) c[r][0] = c[r][1] = all(0);
    for (int i = from; i < to; i++) {
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

/* G_pq += sign sum_i u_ip x_iq: x is turned, so that no vector has to be summed up */
static NOINLINE void outer_large(int n, int first, int rows, int columns, T sign, const T *u, const T *x,
                                 T *turned, T *g)
{
    turn(x, columns, n, turned);
    for (int from = 0; from < n; from += SAMPLE_CHUNK) {
        const int to = from + SAMPLE_CHUNK < n ? from + SAMPLE_CHUNK : n, fresh = first && from == 0;
        for (int q = 0; q < columns; q += COLUMN_BLOCK) {
            const T *const xq = turned + (size_t)q * n;
            for (int p = 0, height; p < rows; p += height) {
                const T *const up = u + (size_t)p * STRIDE;
                T *const at = g + (size_t)p * columns + q;
                T spare[BLOCK_ROWS * COLUMN_BLOCK]; /* where the last block of columns is not whole */
                const int whole = columns - q >= COLUMN_BLOCK;
                T *const to_g = whole ? at : spare;
                const int apart = whole ? columns : COLUMN_BLOCK, anew = whole ? fresh : 1;
                height = rows - p >= BLOCK_ROWS ? BLOCK_ROWS : rows - p >= 4 ? 4 : 1;
                if (height == BLOCK_ROWS)
                    outer_block(BLOCK_ROWS, from, to, anew, apart, sign, up, xq, to_g);
                else if (height == 4)
                    outer_block(4, from, to, anew, apart, sign, up, xq, to_g);
                else
                    outer_block(1, from, to, anew, apart, sign, up, xq, to_g);
                for (int r = 0; !whole && r < height; r++)
                    for (int s = 0; s < columns - q; s++)
                        at[(size_t)r * columns + s] =
                            spare[r * COLUMN_BLOCK + s] + (fresh ? 0 : at[(size_t)r * columns + s]);
            }
        }
    }
}
