/* The models that callers of tvm-ffi hold, by number. A number is given once, so that one whose model was destroyed, or
 * that comes from elsewhere, is found to be none. Each library has models of its own. */
#ifndef TERCET_HANDLES_H
#define TERCET_HANDLES_H

#include "tercet_runtime.h"

/* A model that is held. places: room for the addresses of as many inputs and outputs as it was held with. */
struct tercet_held {
    struct tercet_model *model;
    void **places;
    void *handle;
    long user; /* the process in which a thread has it; 0 where none has */
    struct tercet_held *next;
};

/* Holds a model, and gives its number. NULL where there is no memory; the model is then still the caller's. */
void *tercet_hold(struct tercet_model *model, int places);

/* The model of a number, for this thread alone until `tercet_put_back`; waits while another thread has it. NULL where
 * there is none. */
struct tercet_held *tercet_take(const void *handle);
void tercet_put_back(struct tercet_held *held);

/* Destroys a model that this thread has. Threads that wait for it find that its number has none. */
void tercet_let_go(struct tercet_held *held);

#endif
