/* A call in THREADS shares, each done by whoever is free: by helpers, or by the caller, who takes what no
 * helper has begun. A helper that gets no core costs nothing, and what a share computes does not depend on
 * who does it. Helpers belong to one call at a time; others, and forked children, work alone. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#define SPINS 4000 /* looks for work before a helper sleeps: tens of microseconds */

typedef void Share(void *call, int me);
static int model_process; /* a forked child has none of its parent's threads */
static struct {
    int busy, started;
    int next; /* the next share that nobody has taken; THREADS if there is none */
    int done; /* shares that helpers have done */
    int asleep;
    Share *share;
    void *call;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} pool = {.next = THREADS, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* a share for the one who asks, or THREADS; the call it belongs to does not return before it is done */
static int take(void)
{
    int me = __atomic_load_n(&pool.next, __ATOMIC_SEQ_CST);
    while (me < THREADS &&
           !__atomic_compare_exchange_n(&pool.next, &me, me + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
    return me;
}

static void *helper(void *unused)
{
    (void)unused;
    for (;;) {
        int me = take();
        for (int spins = 0; me == THREADS && spins < SPINS; spins++) relax(), me = take();
        if (me == THREADS) {
            pthread_mutex_lock(&pool.lock);
            __atomic_add_fetch(&pool.asleep, 1, __ATOMIC_SEQ_CST);
            while ((me = take()) == THREADS) pthread_cond_wait(&pool.wake, &pool.lock);
            __atomic_sub_fetch(&pool.asleep, 1, __ATOMIC_SEQ_CST);
            pthread_mutex_unlock(&pool.lock);
        }
        pool.share(pool.call, me);
        __atomic_add_fetch(&pool.done, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* helpers get no signals; if there are fewer than wanted, the caller does more */
static void start_helpers(void)
{
    sigset_t all, before;
    pthread_t thread;
    pool.started = 1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int j = 1; j < THREADS; j++)
        if (!pthread_create(&thread, NULL, helper, NULL)) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void in_shares(Share *share, void *call)
{
    int mine = 1;
    if (!model_process) model_process = getpid();
    if (getpid() != model_process || __atomic_exchange_n(&pool.busy, 1, __ATOMIC_ACQUIRE)) {
        for (int me = 0; me < THREADS; me++) share(call, me);
        return;
    }
    if (!pool.started) start_helpers();
    pool.share = share, pool.call = call, pool.done = 0;
    __atomic_store_n(&pool.next, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool.asleep, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
    share(call, 0);
    for (int me; (me = take()) < THREADS; mine++) share(call, me);
    for (int spins = 0; __atomic_load_n(&pool.done, __ATOMIC_ACQUIRE) < THREADS - mine; spins++)
        spins < SPINS ? relax() : (void)sched_yield();
    __atomic_store_n(&pool.busy, 0, __ATOMIC_RELEASE);
}
