/* Vectors of LANES numbers of type T, and elementary functions of them.
 *
 * Needs GCC or Clang (vector extensions) and libm. The including file defines REAL_IS_DOUBLE (0 or 1),
 * VECTOR_BYTES (a power of two) and, if short waits matter more than few operations, FEW_SAMPLES as 1.
 * Errors of exp, expm1, log, log1p, logaddexp and tanh are at most 4 ulp over their whole range;
 * overflow gives infinity, underflow is gradual, NaN stays NaN. Other functions call libm lane by lane.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if REAL_IS_DOUBLE
typedef double T;
typedef int64_t Int;
#define F(name) name
#define REAL_BYTES 8
#define SHIFTER 0x1.8p52 /* adding it rounds to a whole number, which stands in the last bits */
#define MANTISSA 52
#define BIAS 1023
#define LN2_HIGH 0x1.62e42fefa38p-1
#define LN2_LOW 0x1.ef35793c7673p-45
#define EXP_LARGEST 710.5
#define EXP_LEAST (-746.0)
#define TANH_SATURATES 20.0
#define TINY 0x1p-1022
#else
typedef float T;
typedef int32_t Int;
#define F(name) name##f
#define REAL_BYTES 4
#define SHIFTER 0x1.8p23f
#define MANTISSA 23
#define BIAS 127
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define EXP_LARGEST 89.5f
#define EXP_LEAST (-104.5f)
#define TANH_SATURATES 10.0f
#define TINY 0x1p-126f
#endif

#define LANES ((int)(VECTOR_BYTES / sizeof(T)))
#define LANES_ARE_ONE (VECTOR_BYTES == REAL_BYTES)
typedef T V __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef Int Mask __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef T Unaligned __attribute__((vector_size(VECTOR_BYTES), may_alias, aligned(sizeof(T))));
typedef T Four __attribute__((vector_size(4 * sizeof(T)), may_alias, aligned(sizeof(T))));
#define INLINE static inline __attribute__((always_inline, unused))
INLINE V all(T c) { return c - (V){0}; } /* a broadcast; {0} + c would cost an addition */
INLINE V load(const T *address) { return *(const V *)address; }
INLINE void store(T *address, V value) { *(V *)address = value; }

INLINE V v_where(Mask c, V a, V b) { return (V)((c & (Mask)a) | (~c & (Mask)b)); }

#if LANES_ARE_ONE
INLINE V v_least(V c, V x) { return (V){c[0] < x[0] ? c[0] : x[0]}; }
INLINE V v_most(V c, V x) { return (V){c[0] > x[0] ? c[0] : x[0]}; }
#elif (defined(__SSE2__) && VECTOR_BYTES == 16) || (defined(__AVX__) && VECTOR_BYTES == 32) || (defined(__AVX512F__) && VECTOR_BYTES == 64)
#include <immintrin.h>
/* an instruction by its name without size and type, such as _min_ */
#define JOINED(size, name, type) size##name##type
#define INSTRUCTION_OF(size, name, type) JOINED(size, name, type)
#if VECTOR_BYTES == 64
#define REGISTER _mm512
#elif VECTOR_BYTES == 32
#define REGISTER _mm256
#else
#define REGISTER _mm
#endif
#if REAL_IS_DOUBLE
#define INSTRUCTION(name) INSTRUCTION_OF(REGISTER, name, pd)
#else
#define INSTRUCTION(name) INSTRUCTION_OF(REGISTER, name, ps)
#endif
/* Of two numbers the instruction returns the second if one is NaN. */
INLINE V v_least(V c, V x) { return INSTRUCTION(_min_)(c, x); }
INLINE V v_most(V c, V x) { return INSTRUCTION(_max_)(c, x); }
#else
INLINE V v_least(V c, V x) { return v_where(x > c, c, x); }
INLINE V v_most(V c, V x) { return v_where(x < c, c, x); }
#endif

/* min and max in which a NaN on either side wins, as NumPy's */
INLINE V v_minimum(V a, V b) { return v_where(a != a, a, v_least(a, b)); }
INLINE V v_maximum(V a, V b) { return v_where(a != a, a, v_most(a, b)); }
INLINE V v_abs(V x) { return (V)((Mask)x & ~(Mask)all(-0.0)); }
INLINE V v_sign(V x) { return v_where(x > 0, all(1), v_where(x < 0, all(-1), x)); }
INLINE V v_positive(V x) { return v_maximum(x, all(TINY)); }

typedef T Half __attribute__((vector_size(VECTOR_BYTES / 2 > sizeof(T) ? VECTOR_BYTES / 2 : sizeof(T)), may_alias));

INLINE T v_total(V x) {
#if VECTOR_BYTES >= 32
    Half half = ((Half *)&x)[0] + ((Half *)&x)[1];
    T total = 0;
    for (int j = 0; j < LANES / 4; j++) half[j] += half[j + LANES / 4];
    for (int j = 0; j < LANES / 4; j++) total += half[j];
    return total;
#else
    T total = x[0];
    for (int j = 1; j < LANES; j++) total += x[j];
    return total;
#endif
}

/* FOLDED(a, b, s) has sums of lanes of a that are s apart, next to those of b */
#define LOW(j, s) (((j) & ~(s)) + ((j) & (s) ? LANES : 0))
#define HIGH(j, s) (((j) | (s)) + ((j) & (s) ? LANES : 0))
#define LIST2(f, j, s) f(j, s), f(j + 1, s)
#define LIST4(f, j, s) LIST2(f, j, s), LIST2(f, j + 2, s)
#define LIST8(f, j, s) LIST4(f, j, s), LIST4(f, j + 4, s)
#define LIST16(f, j, s) LIST8(f, j, s), LIST8(f, j + 8, s)
#if VECTOR_BYTES == 16 * REAL_BYTES
#define LIST LIST16
#elif VECTOR_BYTES == 8 * REAL_BYTES
#define LIST LIST8
#elif VECTOR_BYTES == 4 * REAL_BYTES
#define LIST LIST4
#else
#define LIST LIST2
#endif
#define FOLDED(a, b, s)                                                                            \
    (__builtin_shufflevector(a, b, LIST(LOW, 0, s)) + __builtin_shufflevector(a, b, LIST(HIGH, 0, s)))
#define FOLD(s)                                                                                    \
    _Pragma("GCC unroll 16") for (int j = 0; s < LANES && j < LANES; j += 2 * s)                   \
        c[j] = FOLDED(c[j], c[(j + s) % LANES], s < LANES ? s : 0);

/* lane j is the total of c[j]; c is used up */
INLINE V v_totals(V *c)
{
#if !LANES_ARE_ONE
    FOLD(1)
    FOLD(2)
    FOLD(4)
    FOLD(8)
#endif
    return c[0];
}

#if VECTOR_BYTES >= 4 * REAL_BYTES
INLINE Four v_quarter(V x) {
    Four sum = ((Four *)&x)[0];
    for (int j = 1; j < LANES / 4; j++) sum += ((Four *)&x)[j];
    return sum;
}

/* the totals of four vectors, next to each other */
INLINE Four v_four_totals(V a, V b, V c, V d) {
    const Four w = v_quarter(a), x = v_quarter(b), y = v_quarter(c), z = v_quarter(d);
    const Four s = __builtin_shufflevector(w, x, 0, 4, 2, 6) + __builtin_shufflevector(w, x, 1, 5, 3, 7);
    const Four t = __builtin_shufflevector(y, z, 0, 4, 2, 6) + __builtin_shufflevector(y, z, 1, 5, 3, 7);
    return __builtin_shufflevector(s, t, 0, 1, 4, 5) + __builtin_shufflevector(s, t, 2, 3, 6, 7);
}
#endif

/* 2^n for whole n in [-BIAS + 1, BIAS], which stands in the last bits after the addition */
INLINE V v_power_of_two(V n) { return (V)(((Mask)(n + all(SHIFTER)) + BIAS) << MANTISSA); }

/* (exp(s r) - 1 - s r) / r^2 for |s r| <= ln(2)/2 and s = 1 or 2, by Chebyshev interpolation */
INLINE V v_exp_rest(V r, const T s)
{
    const T s2 = s * s, s3 = s * s2, s4 = s2 * s2;
#if REAL_IS_DOUBLE
    const V c0 = all(0x1p-1 * s2), c1 = all(0x1.5555555555556p-3 * s3), c2 = all(0x1.5555555553d68p-5 * s4);
    const V c3 = all(0x1.11111111109b5p-7 * s2 * s3), c4 = all(0x1.6c16c17889ef1p-10 * s3 * s3);
    const V c5 = all(0x1.a01a01a7c2efep-13 * s3 * s4), c6 = all(0x1.a019b9149a41cp-16 * s4 * s4);
    const V c7 = all(0x1.71de0db2f6b19p-19 * s2 * s3 * s4), c8 = all(0x1.28917c89a43a7p-22 * s2 * s4 * s4);
    const V c9 = all(0x1.af389ecfc4b9cp-26 * s3 * s4 * s4);
#else
    const V c0 = all(0x1p-1f * s2), c1 = all(0x1.5554dep-3f * s3), c2 = all(0x1.55551ap-5f * s4);
    const V c3 = all(0x1.120b62p-7f * s2 * s3), c4 = all(0x1.6d10fcp-10f * s3 * s3);
#endif
#if FEW_SAMPLES /* a tree, in which operations wait less for each other */
    const V r2 = r * r, low = (c0 + c1 * r) + (c2 + c3 * r) * r2;
#if REAL_IS_DOUBLE
    return low + ((c4 + c5 * r) + (c6 + c7 * r) * r2 + (c8 + c9 * r) * (r2 * r2)) * (r2 * r2);
#else
    return low + c4 * (r2 * r2);
#endif
#else /* Horner's scheme, which has fewer of them */
#if REAL_IS_DOUBLE
    const V high = ((((c9 * r + c8) * r + c7) * r + c6) * r + c5) * r + c4;
#else
    const V high = c4;
#endif
    return (((high * r + c3) * r + c2) * r + c1) * r + c0;
#endif
}

/* x = n ln 2 + r with |r| <= ln(2)/2; gives exp(r) - 1 */
INLINE V v_reduced_expm1(V x, V *n) {
    *n = (x * all(0x1.71547652b82fep0) + all(SHIFTER)) - all(SHIFTER);
    const V r = (x - *n * all(LN2_HIGH)) - *n * all(LN2_LOW);
    return r + r * r * v_exp_rest(r, 1);
}

INLINE V v_exp(V x) {
    V n;
    x = v_most(all(EXP_LEAST), v_least(all(EXP_LARGEST), x));
    const V p = v_reduced_expm1(x, &n);
    const V half = (n * all(0.5) + all(SHIFTER)) - all(SHIFTER); /* 2^n may be out of range, 2^(n/2) is not */
    return (p + all(1)) * v_power_of_two(half) * v_power_of_two(n - half);
}

INLINE V v_expm1(V x) {
    V n;
    const V large = v_exp(x) - all(1);
    const V p = v_reduced_expm1(v_most(all(-20), v_least(all(20), x)), &n), s = v_power_of_two(n);
    return v_where(v_abs(x) < all(20), s * p + (s - all(1)), large);
}

/* e/(e + 2) with e = exp(2x) - 1, where 2x = n ln 2 + 2r. Errors of n ln 2 grow with n, but tanh forgets them.
 * Rounding to a number that ends in n + BIAS leaves the exponent of 2^n in place. */
INLINE V v_tanh(V x) {
    const V bounded = v_most(all(-TANH_SATURATES), v_least(all(TANH_SATURATES), x));
    const V shifted = bounded * all(0x1.71547652b82fep1) + all(SHIFTER + BIAS), n = shifted - all(SHIFTER + BIAS);
    const V r = bounded - n * all(0x1.62e42fefa39efp-2), s = (V)((Mask)shifted << MANTISSA);
    const V p = r * (all(2) + r * v_exp_rest(r, 2));
    return (s * p + (s - all(1))) / (s * p + (s + all(1)));
}

/* log(m 2^k) for m near 1: k ln 2 + 2 artanh(f/(2 + f)), f = m - 1 */
INLINE V v_log(V x) {
    const Mask subnormal = x < all(TINY);
    const V scaled = v_where(subnormal, x * all((T)((Int)1 << (MANTISSA + 1))), x);
    const V sqrt_half = all(0.70710678118654752);
    const Mask offset = (Mask)scaled - (Mask)sqrt_half;
    const Mask k = offset >> MANTISSA;
    const V m = (V)((offset & (((Int)1 << MANTISSA) - 1)) + (Mask)sqrt_half);
    V exponent = __builtin_convertvector(k, V);
    exponent = v_where(subnormal, exponent - all(MANTISSA + 1), exponent);
    const V f = m - all(1), s = f / (f + all(2)), z = s * s, square = f * f * all(0.5);
#if REAL_IS_DOUBLE
    V p = all(2.0 / 23);
    p = p * z + all(2.0 / 21);
    p = p * z + all(2.0 / 19);
    p = p * z + all(2.0 / 17);
    p = p * z + all(2.0 / 15);
    p = p * z + all(2.0 / 13);
    p = p * z + all(2.0 / 11);
#else
    V p = all(2.0 / 11);
#endif
    p = p * z + all(2.0 / 9);
    p = p * z + all(2.0 / 7);
    p = p * z + all(2.0 / 5);
    p = p * z + all(2.0 / 3);
    const V tail = s * (square + z * p) + exponent * all(LN2_LOW);
    V found = exponent * all(LN2_HIGH) - ((square - tail) - f);
    found = v_where(x == all(INFINITY), x, found);
    found = v_where(x == all(0), all(-INFINITY), found);
    return v_where(x >= all(0), found, all(NAN));
}

/* log(1 + x) for finite x > -1 */
INLINE V v_log1p(V x) {
    const V u = x + all(1);
    return v_log(u) + (x - (u - all(1))) / u;
}

INLINE V v_logaddexp(V a, V b) {
    const V found = v_maximum(a, b) + v_log1p(v_exp(-v_abs(a - b)));
    return v_where(a == b, a + all(0.69314718055994531), found); /* also for two infinities */
}

#define LANEWISE(name, expression)                                                                 \
    INLINE V v_##name(V x_) {                                                                      \
        V y_;                                                                                      \
        for (int j_ = 0; j_ < LANES; j_++) {                                                       \
            const T x = x_[j_];                                                                    \
            y_[j_] = (expression);                                                                 \
        }                                                                                          \
        return y_;                                                                                 \
    }
LANEWISE(sqrt, F(sqrt)(x))
LANEWISE(sin, F(sin)(x))
LANEWISE(cos, F(cos)(x))
LANEWISE(tan, F(tan)(x))
LANEWISE(sinh, F(sinh)(x))
LANEWISE(cosh, F(cosh)(x))
LANEWISE(asin, F(asin)(x))
LANEWISE(acos, F(acos)(x))
LANEWISE(atan, F(atan)(x))
LANEWISE(asinh, F(asinh)(x))
LANEWISE(acosh, F(acosh)(x))
LANEWISE(atanh, F(atanh)(x))
LANEWISE(erf, F(erf)(x))
LANEWISE(erfc, F(erfc)(x))
LANEWISE(ndtr, (T)0.5 * F(erfc)(x * (T)-0.70710678118654752))

INLINE V v_pow(V x, T exponent) {
    V y;
    for (int j = 0; j < LANES; j++) y[j] = F(pow)(x[j], exponent);
    return y;
}

/* lanes below count are set */
INLINE Mask v_first(int count) {
    Mask j;
    for (int lane = 0; lane < LANES; lane++) j[lane] = lane;
    return j < (Int)count - (Mask){0};
}

/* numbers after the last sample of a tile become 0, so that sums over samples may read them */
INLINE void clear(T *x, int rows, size_t stride, int samples, int padded) {
    for (int p = 0; p < rows; p++)
        for (int i = samples; i < padded; i++) x[p * stride + i] = 0;
}

/* rows of samples into tiles in which the samples of each component are neighbours; what is after the
 * last sample of a tile repeats it, so that functions have a value there */
INLINE void pack(const T *rows, T *tiles, long samples, int components, int tile, size_t stride, int step) {
    for (long first = 0; first < samples; first += tile, tiles += components * stride) {
        const int here = samples - first < tile ? (int)(samples - first) : tile;
        const int padded = (here + step - 1) / step * step;
        for (int p = 0; p < components; p++)
            for (int i = 0; i < padded; i++)
                tiles[p * stride + i] = rows[(first + (i < here ? i : here - 1)) * components + p];
    }
}

/* column-major BLAS, as Fortran's xGEMM */
typedef void Gemm(char *, char *, int *, int *, int *, T *, T *, int *, T *, int *, T *, T *, int *);
static Gemm *blas_gemm;

INLINE void gemm(char ta, char tb, int m, int n, int k, T alpha, const T *a, int lda, const T *b, int ldb,
                 T beta, T *c, int ldc) {
    if (blas_gemm) {
        blas_gemm(&ta, &tb, &m, &n, &k, &alpha, (T *)a, &lda, (T *)b, &ldb, &beta, c, &ldc);
        return;
    }
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            T sum = 0;
            for (int l = 0; l < k; l++)
                sum += (ta == 'N' ? a[i + (size_t)l * lda] : a[l + (size_t)i * lda]) *
                       (tb == 'N' ? b[l + (size_t)j * ldb] : b[j + (size_t)l * ldb]);
            T *const at = c + i + (size_t)j * ldc;
            *at = alpha * sum + (beta == 0 ? 0 : beta * *at);
        }
}
