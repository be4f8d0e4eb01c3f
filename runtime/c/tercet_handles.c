#include "tercet_handles.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below, and of who has which model */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct tercet_held *first;
static uint64_t given;

/* A number that no other library in the process gives, and this one has not given: the page where it lies, and a count
 * of 28 bits. */
static void *next_handle(void) {
    const uint64_t place = (uint64_t)(uintptr_t)&given / 4096;
    return (void *)(uintptr_t)(place << 28 | (++given & ((UINT64_C(1) << 28) - 1)));
}

void *tercet_hold(struct tercet_model *model, int places) {
    struct tercet_held *held = calloc(1, sizeof(*held));
    void **room = calloc((size_t)places + 1, sizeof(*room));
    if (!held || !room) {
        free(held);
        free(room);
        return NULL;
    }
    held->model = model;
    held->places = room;
    pthread_mutex_lock(&lock);
    void *handle = held->handle = next_handle();
    held->next = first;
    first = held;
    pthread_mutex_unlock(&lock);
    return handle;
}

/* Where the list names a held model; where it ends, if it does not. */
static struct tercet_held **find(const void *handle) {
    struct tercet_held **at = &first;
    while (*at && (*at)->handle != handle) {
        at = &(*at)->next;
    }
    return at;
}

/* A thread that had a model when the process was forked does not exist in the child, which must not wait for it. */
struct tercet_held *tercet_take(const void *handle) {
    const long process = (long)getpid();
    struct tercet_held *held;
    pthread_mutex_lock(&lock);
    while ((held = *find(handle)) && held->user == process) {
        pthread_cond_wait(&changed, &lock);
    }
    if (held) {
        held->user = process;
    }
    pthread_mutex_unlock(&lock);
    return held;
}

void tercet_put_back(struct tercet_held *held) {
    pthread_mutex_lock(&lock);
    held->user = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void tercet_let_go(struct tercet_held *held) {
    pthread_mutex_lock(&lock);
    *find(held->handle) = held->next;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    tercet_destroy(held->model);
    free(held->places);
    free(held);
}
