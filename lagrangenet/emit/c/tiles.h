/* A routine for all samples: tile after tile, in THREADS shares, their sums added in a fixed order. */
#define NOINLINE __attribute__((noinline, unused))
#define WORK ((size_t)COMPONENTS * STRIDE)
#define SUMS (SPARE + (SUMS_IN_LANES ? (size_t)PARAMETERS * LANES : THREADS > 1 ? PARAMETERS : 0) + 15)
#define EACH ((WORK + SUMS) / 16 * 16)

/* a sum over the samples of a tile is added to that of the tiles before */
INLINE void add(T *g, size_t at, V sum, int first)
{
    g[at] = v_total(sum) + (first ? 0 : g[at]);
}

#if VECTOR_BYTES >= 4 * REAL_BYTES
/* four of them, for neighbours */
INLINE void add4(T *g, size_t at, V a, V b, V c, V d, int first)
{
    Four *const here = (Four *)(g + at);
    Four sums = v_four_totals(a, b, c, d);
    if (!first) sums += *here;
    *here = sums;
}
#endif

INLINE void add_lanes(T *g, size_t at, V sum, int first)
{
    if (!first) sum += load(g + at * LANES);
    store(g + at * LANES, sum);
}

/* a vector of an array that ends after count numbers; what is beyond counts as 0 */
INLINE V some(const T *x, int count)
{
    if (count >= LANES) return *(const Unaligned *)x;
#if defined(INSTRUCTION) && defined(__AVX512VL__)
    return INSTRUCTION(_maskz_loadu_)((1u << count) - 1, x);
#else
    V v = all(0);
    for (int j = 0; j < LANES; j++) v[j] = j < count ? x[j] : 0;
    return v;
#endif
}

INLINE void put(T *x, V v, int count)
{
    if (count >= LANES)
        *(Unaligned *)x = v;
    else
#if defined(INSTRUCTION) && defined(__AVX512VL__)
        INSTRUCTION(_mask_storeu_)(x, (1u << count) - 1, v);
#else
        for (int j = 0; j < LANES; j++)
            if (j < count) x[j] = v[j];
#endif
}

/* totals of as many vectors are added to a gradient */
INLINE void add_totals(T *g, V *c, int count, int first)
{
    V sums = v_totals(c);
    if (!first) sums += some(g, count);
    put(g, sums, count);
}

typedef void Tile(const T *theta, const T *x, const T *y, const T *direction, T *work, T *g, T *sums,
                  int samples, int first);

/* every THREADS-th tile, with sums of its own */
INLINE void tiles(Tile *tile, const T *theta, const T *x, const T *y, const T *direction, T *work, T *out,
                  double *partial, int me)
{
    T *const own = work + me * EACH, *const g = SUMS_IN_LANES || me > 0 ? own + WORK + SPARE : out;
    for (int t = me; t < TILES; t += THREADS) {
        T scalars[SCALARS] = {0};
        const int samples = t < TILES - 1 ? TILE : SAMPLES - (TILES - 1) * TILE;
        tile(theta, x + (size_t)t * INPUTS * STRIDE, y + (size_t)t * OUTPUTS * STRIDE, direction, own, g,
             scalars, samples, t == me);
        for (int j = 0; j < SCALARS; j++) partial[j] += scalars[j];
    }
}

#if THREADS > 1
typedef struct {
    Tile *tile;
    const T *theta, *x, *y, *direction;
    T *work, *out;
    double (*partial)[SCALARS];
} Call;

static void share(void *call, int me)
{
    const Call c = *(const Call *)call;
    tiles(c.tile, c.theta, c.x, c.y, c.direction, c.work, c.out, c.partial[me], me);
}
#endif

INLINE void all_tiles(Tile *tile, const T *theta, const T *x, const T *y, const T *direction, T *work,
                      T *out, double *sums)
{
    const int shares = THREADS < TILES ? THREADS : TILES;
    double partial[THREADS][SCALARS] = {{0}};
#if THREADS > 1
    in_shares(share, &(Call){tile, theta, x, y, direction, work, out, partial});
#else
    tiles(tile, theta, x, y, direction, work, out, partial[0], 0);
#endif
    for (int j = 0; sums && j < SCALARS; j++)
        for (int me = 0; me < shares; me++) sums[j] += partial[me][j];
    if (!out) return;
    if (SUMS_IN_LANES)
        for (int p = 0; p < PARAMETERS; p++) {
            V total = load(work + WORK + SPARE + p * LANES);
            for (int me = 1; me < shares; me++) total += load(work + me * EACH + WORK + SPARE + p * LANES);
            out[p] = v_total(total);
        }
    else
        for (int me = 1; me < shares; me++)
            for (int p = 0; p < PARAMETERS; p++) out[p] += (work + me * EACH + WORK + SPARE)[p];
}
