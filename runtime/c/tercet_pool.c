/* Threads claim parts of the current job, each its own first and then whatever nobody has begun. So a job waits only for
 * the parts at hand on threads that the system has stopped, and never for a thread that it has not yet woken. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "tercet_pool.h"
#include "tercet_runtime.h"

#include <stdlib.h>

#if defined(TERCET_NO_THREADS) || defined(_OPENMP)

#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#else
static inline int omp_get_num_procs(void) { return 1; }
static inline int omp_get_thread_num(void) { return 0; }
#endif

#ifndef TERCET_PROCESSORS
#define TERCET_PROCESSORS omp_get_num_procs()
#endif

struct tercet_pool {
    int threads, parts;
    pid_t process;
};

int tercet_pool_create(int threads, int splits, struct tercet_pool **pool) {
    if (!(*pool = malloc(sizeof(struct tercet_pool)))) {
        return TERCET_NO_MEMORY;
    }
    (*pool)->threads = threads < TERCET_PROCESSORS ? threads : TERCET_PROCESSORS;
    (*pool)->parts = (*pool)->threads > 1 ? (*pool)->threads * splits : 1;
    (*pool)->process = getpid();
    return TERCET_OK;
}

void tercet_pool_destroy(struct tercet_pool *pool) { free(pool); }

void tercet_pool_run(struct tercet_pool *pool, tercet_work *work, void *context) {
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(pool->threads) if (pool->threads > 1)
#endif
    for (int part = 0; part < pool->parts; part++) {
        work(context, part, omp_get_thread_num());
    }
}

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#ifndef TERCET_PROCESSORS
#define TERCET_PROCESSORS available_processors() /* tests set a number, for more threads than there are processors */
#endif

enum { YIELD_AFTER_NANOSECONDS = 20 * 1000, SPIN_NANOSECONDS = 500 * 1000, SPINS_PER_CLOCK_READ = 32 };

/* A number that some threads wait on until another thread changes it. */
struct gate {
    _Alignas(64) atomic_uint value;
    atomic_int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

struct worker {
    struct tercet_pool *pool;
    pthread_t thread;
    int index;
};

struct tercet_pool {
    struct gate start, end; /* the job to work on; the last job that is done. Jobs are numbered from 1. */
    int threads, running;   /* workers + 1; workers that were started */
    int splits, parts;      /* parts of a job for each thread; of all threads */
    int spin;               /* whether spinning pays: every thread has a processor */
    pid_t process;
    atomic_int stop;
    tercet_work *work; /* the current job; written only while no part is claimed */
    void *context;
    _Alignas(64) atomic_int unfinished;
    _Alignas(64) atomic_uint *claims; /* for each part the last job in which somebody took it */
    struct worker *workers;
};

static void gate_init(struct gate *gate) {
    atomic_init(&gate->value, 0);
    atomic_init(&gate->sleepers, 0);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
}

static void gate_free(struct gate *gate) {
    pthread_mutex_destroy(&gate->lock);
    pthread_cond_destroy(&gate->changed);
}

/* The store and the load are sequentially consistent, as are the sleeper's increment and its check of the value: so
 * either the sleeper sees the new value or this sees the sleeper. */
static void gate_set(struct gate *gate, unsigned value) {
    atomic_store(&gate->value, value);
    if (atomic_load(&gate->sleepers) > 0) {
        pthread_mutex_lock(&gate->lock);
        pthread_cond_broadcast(&gate->changed);
        pthread_mutex_unlock(&gate->lock);
    }
}

static inline void pause_processor(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits until the value is no longer `old`: first spinning, for a step's end and the next one's beginning are near and
 * waking up takes as long as a step; soon offering the processor to others, for the system may have put two of the
 * threads on one; at last asleep. Returns the new value. */
static unsigned gate_wait(struct gate *gate, unsigned old, int spin) {
    unsigned value = atomic_load(&gate->value);
    const int64_t start = spin && value == old ? nanoseconds() : 0;
    int64_t waited = 0;
    for (int spins = 1; spin && value == old && waited < SPIN_NANOSECONDS; spins++) {
        pause_processor();
        if (spins % SPINS_PER_CLOCK_READ == 0) {
            waited = nanoseconds() - start;
            if (waited > YIELD_AFTER_NANOSECONDS) {
                sched_yield();
            }
        }
        value = atomic_load(&gate->value);
    }
    if (value == old) {
        pthread_mutex_lock(&gate->lock);
        atomic_fetch_add(&gate->sleepers, 1);
        while ((value = atomic_load(&gate->value)) == old) {
            pthread_cond_wait(&gate->changed, &gate->lock);
        }
        atomic_fetch_sub(&gate->sleepers, 1);
        pthread_mutex_unlock(&gate->lock);
    }
    return value;
}

/* Takes a part of a job, unless somebody has. */
static int claim(atomic_uint *last, unsigned job) {
    unsigned before = job - 1;
    return atomic_load_explicit(last, memory_order_relaxed) == before &&
           atomic_compare_exchange_strong(last, &before, job);
}

/* Does the parts of a job that nobody has begun: the thread's own in order, then those of the other threads, from the
 * end of each thread's. A thread that comes late, when the next job is already running, finds every claim newer than its
 * own and touches nothing. */
static void work_on(struct tercet_pool *pool, unsigned job, int thread) {
    const int parts = pool->parts, own = thread * pool->splits;
    int done = 0;
    for (int i = 0; i < parts; i++) {
        const int part = i < pool->splits ? own + i : (own - 1 - (i - pool->splits) + parts) % parts;
        if (claim(&pool->claims[part], job)) {
            pool->work(pool->context, part, thread);
            done++;
        }
    }
    if (done > 0 && atomic_fetch_sub(&pool->unfinished, done) == done) {
        gate_set(&pool->end, job);
    }
}

static void *worker_main(void *argument) {
    struct worker *worker = argument;
    struct tercet_pool *pool = worker->pool;
    unsigned job = 0;
    for (;;) {
        job = gate_wait(&pool->start, job, pool->spin);
        if (atomic_load(&pool->stop)) {
            return NULL;
        }
        work_on(pool, job, worker->index);
    }
}

/* Processors that a container's limit on CPU time is worth, rounded up; `most` where there is no limit. */
static int processors_granted(int most) {
    long long quota, period;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    const int limited = file && fscanf(file, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0;
    if (file) {
        fclose(file);
    }
    return limited && quota < period * most ? (int)((quota + period - 1) / period) : most;
}

/* Processors that this thread and those it starts may use. */
static int available_processors(void) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        processors = CPU_COUNT(&set);
    }
#endif
    return processors_granted(processors > 0 ? (int)processors : 1);
}

/* Signals stay with the program's own threads: workers block them all. */
static int start_workers(struct tercet_pool *pool) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    while (!failed && pool->running < pool->threads - 1) {
        struct worker *worker = &pool->workers[pool->running];
        worker->pool = pool;
        worker->index = pool->running + 1;
        failed = pthread_create(&worker->thread, NULL, worker_main, worker);
        pool->running += !failed;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? TERCET_NO_THREAD : TERCET_OK;
}

int tercet_pool_create(int threads, int splits, struct tercet_pool **result) {
    struct tercet_pool *pool = aligned_alloc(_Alignof(struct tercet_pool), sizeof(struct tercet_pool));
    if (!pool) {
        return TERCET_NO_MEMORY;
    }
    memset(pool, 0, sizeof(*pool));
    gate_init(&pool->start);
    gate_init(&pool->end);
    pool->threads = threads < TERCET_PROCESSORS ? threads : TERCET_PROCESSORS;
    pool->splits = pool->threads > 1 ? splits : 1;
    pool->parts = pool->threads * pool->splits;
    pool->spin = pool->threads <= available_processors();
    pool->process = getpid();
    pool->claims = calloc((size_t)pool->parts, sizeof(*pool->claims));
    pool->workers = calloc((size_t)pool->threads, sizeof(*pool->workers));
    int status = pool->claims && pool->workers ? start_workers(pool) : TERCET_NO_MEMORY;
    if (status != TERCET_OK) {
        tercet_pool_destroy(pool);
        return status;
    }
    *result = pool;
    return TERCET_OK;
}

void tercet_pool_destroy(struct tercet_pool *pool) {
    if (!pool) {
        return;
    }
    if (tercet_pool_usable(pool)) {
        atomic_store(&pool->stop, 1);
        gate_set(&pool->start, atomic_load(&pool->start.value) + 1);
        for (int i = 0; i < pool->running; i++) {
            pthread_join(pool->workers[i].thread, NULL);
        }
        gate_free(&pool->start);
        gate_free(&pool->end);
    } /* else a forked child: locks may be held by threads that do not exist here, so leave them alone */
    free(pool->claims);
    free(pool->workers);
    free(pool);
}

void tercet_pool_run(struct tercet_pool *pool, tercet_work *work, void *context) {
    if (pool->threads == 1) {
        work(context, 0, 0);
        return;
    }
    unsigned last = atomic_load(&pool->end.value), job = last + 1;
    pool->work = work;
    pool->context = context;
    atomic_store(&pool->unfinished, pool->parts);
    gate_set(&pool->start, job);
    work_on(pool, job, 0);
    gate_wait(&pool->end, last, pool->spin);
}

#endif

int tercet_pool_threads(const struct tercet_pool *pool) { return pool->threads; }

int tercet_pool_parts(const struct tercet_pool *pool) { return pool->parts; }

int tercet_pool_usable(const struct tercet_pool *pool) { return pool->threads == 1 || pool->process == getpid(); }
