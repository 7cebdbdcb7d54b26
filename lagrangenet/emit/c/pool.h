/* A call in THREADS shares, each done by whoever is free: by helpers, or by the caller, who takes what no
 * helper has begun. A helper that gets no core costs nothing, and what a share computes does not depend on
 * who does it. Helpers belong to one call at a time; others, and forked children, work alone. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#define MOST_HELPERS 255
#define LOOKS 4000 /* of a caller who waits for a share, before it lends its core to others */
#define PATIENCE 2000000 /* nanoseconds until a helper sleeps: what an optimizer does between two calls */

typedef void Share(void *call, int me);
typedef struct {
    int busy;
    int left; /* shares that nobody has taken */
    int done; /* shares that helpers have done */
    int asleep;
    Share *share;
    void *call;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int helpers;
    pthread_t threads[MOST_HELPERS];
#ifdef CPU_COUNT /* Linux, where nothing was included before that hides its names */
    int core; /* of the caller when the helpers were sent to others */
    cpu_set_t others;
#endif
} Pool;
static Pool own_pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
static Pool *pool = &own_pool; /* or that of another file in the same process, so that no two compete */
static int model_process; /* a forked child has none of its parent's threads */

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* a share for the one who asks, or 0; the call it belongs to does not return before it is done */
static int take(void)
{
    int me = __atomic_load_n(&pool->left, __ATOMIC_SEQ_CST);
    while (me &&
           !__atomic_compare_exchange_n(&pool->left, &me, me - 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
    return me;
}

static long long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* the same, if one comes soon */
static int look(void)
{
    int me = take();
    const long long end = nanoseconds() + PATIENCE;
    for (int looks = 1; !me && (looks % 64 || nanoseconds() < end); looks++) relax(), me = take();
    return me;
}

static void *helper(void *unused)
{
    (void)unused;
    for (;;) {
        int me = look();
        if (!me) {
            pthread_mutex_lock(&pool->lock);
            __atomic_add_fetch(&pool->asleep, 1, __ATOMIC_SEQ_CST);
            while (!(me = take())) pthread_cond_wait(&pool->wake, &pool->lock);
            __atomic_sub_fetch(&pool->asleep, 1, __ATOMIC_SEQ_CST);
            pthread_mutex_unlock(&pool->lock);
        }
        pool->share(pool->call, me);
        __atomic_add_fetch(&pool->done, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* one for each further core; they get no signals, and if there are fewer than wanted, the caller does more */
static void start_helpers(int cores)
{
    const int limit = cores < THREADS ? cores - 1 : THREADS - 1;
    sigset_t all, before;
    if (pool->helpers >= limit) return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pthread_t *next = pool->threads + pool->helpers; pool->helpers < limit; pool->helpers++, next++)
        if (pool->helpers == MOST_HELPERS || pthread_create(next, NULL, helper, NULL) || pthread_detach(*next))
            break;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Whether there are helpers, and on other cores than the caller: one that Linux wakes may stay for
 * milliseconds on the core of the one who wakes it. They go wherever else the caller may go. */
static int ready(void)
{
#ifdef CPU_COUNT
    const int mine = sched_getcpu(), asleep = __atomic_load_n(&pool->asleep, __ATOMIC_SEQ_CST);
    const int before = pool->helpers;
    cpu_set_t others;
    if (before >= THREADS - 1 && !asleep && mine == pool->core) return 1;
    if (mine < 0 || sched_getaffinity(0, sizeof others, &others)) return pool->helpers;
    start_helpers(CPU_COUNT(&others));
    CPU_CLR(mine, &others);
    if (!CPU_COUNT(&others)) return 0;
    if (pool->helpers > before || !CPU_EQUAL(&others, &pool->others))
        for (int j = 0; j < pool->helpers; j++)
            pthread_setaffinity_np(pool->threads[j], sizeof others, &others);
    pool->core = mine, pool->others = others;
#else
    start_helpers(THREADS);
#endif
    return pool->helpers;
}

/* whether this call has the helpers for itself */
static int hold(void)
{
    if (!model_process) model_process = getpid();
    if (getpid() != model_process || __atomic_exchange_n(&pool->busy, 1, __ATOMIC_ACQUIRE)) return 0;
    if (ready()) return 1;
    __atomic_store_n(&pool->busy, 0, __ATOMIC_RELEASE);
    return 0;
}

static void in_shares(Share *share, void *call)
{
    int mine = 1;
    if (!hold()) {
        for (int me = 0; me < THREADS; me++) share(call, me);
        return;
    }
    pool->share = share, pool->call = call, pool->done = 0;
    __atomic_store_n(&pool->left, THREADS - 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool->asleep, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
    share(call, 0);
    for (int me; (me = take()); mine++) share(call, me);
    for (int looks = 0; __atomic_load_n(&pool->done, __ATOMIC_ACQUIRE) < THREADS - mine; looks++)
        looks < LOOKS ? relax() : (void)sched_yield();
    __atomic_store_n(&pool->busy, 0, __ATOMIC_RELEASE);
}
