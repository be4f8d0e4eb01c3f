/* A few threads that share many short jobs, one job at a time. Internal to the runtime. */
#ifndef TERCET_POOL_H
#define TERCET_POOL_H

struct tercet_pool;

/* One part of a job. thread: below tercet_pool_threads, never the same for two calls at a time. */
typedef void tercet_work(void *context, int part, int thread);

/* Starts `threads` - 1 workers, or fewer: no more than leave each a processor of those the caller may run on. The caller
 * of tercet_pool_run is the remaining thread. Every job has `splits` parts for each thread. Returns a tercet_status.
 * Compiled with -fopenmp the threads are those of OpenMP, which a program that uses it shares with the model. Compiled
 * with -DTERCET_NO_THREADS, or for one thread, there are no workers and nothing of pthreads is used. */
int tercet_pool_create(int threads, int splits, struct tercet_pool **pool);
void tercet_pool_destroy(struct tercet_pool *pool);

int tercet_pool_threads(const struct tercet_pool *pool);

/* How many parts a job has: 1 for one thread. */
int tercet_pool_parts(const struct tercet_pool *pool);

/* False in a child process after fork: its workers stayed in the parent. */
int tercet_pool_usable(const struct tercet_pool *pool);

/* Calls work once for every part, side by side, and returns when all are done. */
void tercet_pool_run(struct tercet_pool *pool, tercet_work *work, void *context);

#endif
