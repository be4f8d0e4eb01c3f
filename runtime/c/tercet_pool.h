/* A few threads that share many short jobs, one job at a time. Internal to the runtime. */
#ifndef TERCET_POOL_H
#define TERCET_POOL_H

struct tercet_pool;

/* Starts `threads` - 1 workers; the caller of tercet_pool_run is the remaining thread. Returns a tercet_status.
 * Compiled with -DTERCET_NO_THREADS, or for one thread, there are no workers and nothing of pthreads is used. */
int tercet_pool_create(int threads, struct tercet_pool **pool);
void tercet_pool_destroy(struct tercet_pool *pool);

/* How many parts a job is split into. */
int tercet_pool_parts(const struct tercet_pool *pool);

/* False in a child process after fork: its workers stayed in the parent. */
int tercet_pool_usable(const struct tercet_pool *pool);

/* Calls work(context, part) once for every part, side by side, and returns when all are done. */
void tercet_pool_run(struct tercet_pool *pool, void (*work)(void *context, int part), void *context);

#endif
