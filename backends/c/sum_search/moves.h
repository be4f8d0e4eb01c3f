/* The state of sum merging and its moves. core.c searches with them; search_python.py is the same in Python.

   The state is a sparse matrix with entries +1 and -1 whose lines are shared sums. A row is a sum, a column an
   operand: an outside row is an output, an outside column an input, and inner node t is row `outside[ROWS] + t` (what
   it is the sum of) and column `outside[COLUMNS] + t` (who uses it). Its cost is the adds: over the rows, entries - 1.

   One move makes everything: `merge` takes what two lines have in common out of both into a new node. Two columns:
   a pair of operands that several sums contain is added once. Two rows: what two sums share is summed once. Either
   saves (common entries - 1) adds, and rows and columns are treated alike because the transpose of an adder graph is
   an adder graph (the transposition theorem; Buergisser, Clausen, Shokrollahi, Algebraic Complexity Theory, 13.1).

   An entry is other_line * 2 + negative. Randomness is xorshift64, so a seed and an iteration count fix the result. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS, COLUMNS };

typedef struct { int32_t *v; int64_t n, cap; } Ints;

typedef struct {
    Ints *line;
    int32_t *bound;   /* no partner of the line shares more entries with it than this */
    int32_t *key;     /* the bucket the line waits in */
    int32_t *saved;   /* the trial that saved the line */
    int32_t *shared;  /* scratch of find_partner: by line * 2 + sign, all 0 between calls */
    int32_t *mark;    /* scratch of merge, all 0 between calls */
    int64_t n, cap;
} Side;

typedef struct {
    Side side[2];
    int64_t outside[2];
    int64_t nodes, cost;
    Ints unused, taken, dropped;  /* node numbers: free; taken and freed by this trial */
    Ints *bucket;                 /* line * 2 + side, by key */
    int64_t buckets, top;
    int64_t lift, row_weight;     /* see core.c, merge_all */
    uint64_t random;
    int32_t trial;                /* 0 before the first: moves are final */
    Ints journal, journal_entries;  /* (side, line, length, bound) and entries of each line before the trial */
    Ints chosen;                  /* nodes that a trial expands */
} Search;

static void *resized(void *old, int64_t bytes) {
    void *new = realloc(old, (size_t)(bytes ? bytes : 1));
    if (!new) { fputs("tercet sum merging: out of memory\n", stderr); abort(); }
    return new;
}

static void push(Ints *a, int32_t x) {
    if (a->n == a->cap) { a->cap = a->cap ? 2 * a->cap : 4; a->v = resized(a->v, a->cap * 4); }
    a->v[a->n++] = x;
}

static uint32_t draw(Search *f, int64_t below) {
    uint64_t x = f->random;
    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
    f->random = x;
    return (uint32_t)(x >> 32) % (uint32_t)below;
}

static void *grown(void *old, int64_t n, int64_t m, int64_t bytes) {
    char *new = resized(old, m * bytes);
    memset(new + n * bytes, 0, (size_t)((m - n) * bytes));
    return new;
}

static void grow(Side *s, int64_t n) {
    if (n > s->cap) {
        int64_t cap = 2 * n;
        s->line = grown(s->line, s->cap, cap, sizeof(Ints));
        s->bound = grown(s->bound, s->cap, cap, 4);
        s->key = grown(s->key, s->cap, cap, 4);
        s->saved = grown(s->saved, s->cap, cap, 4);
        s->shared = grown(s->shared, s->cap, cap, 8);
        s->mark = grown(s->mark, s->cap, cap, 4);
        s->cap = cap;
    }
    if (n > s->n) s->n = n;
}

/* -- trials: remember a line before its first change, so that a trial can be taken back */

static void save(Search *f, int s, int64_t l) {
    Side *x = &f->side[s];
    if (!f->trial || x->saved[l] == f->trial) return;
    x->saved[l] = f->trial;
    push(&f->journal, s); push(&f->journal, (int32_t)l); push(&f->journal, (int32_t)x->line[l].n);
    for (int64_t i = 0; i < x->line[l].n; i++) push(&f->journal_entries, x->line[l].v[i]);
}

static void begin_trial(Search *f) {
    f->trial++;
    f->journal.n = f->journal_entries.n = f->taken.n = f->dropped.n = 0;
}

static void keep_trial(Search *f) {
    for (int64_t i = 0; i < f->dropped.n; i++) push(&f->unused, f->dropped.v[i]);
}

static void undo_trial(Search *f, int64_t cost) {
    int64_t at = 0;
    for (int64_t i = 0; i < f->journal.n; i += 3) {
        Side *x = &f->side[f->journal.v[i]];
        Ints *l = &x->line[f->journal.v[i + 1]];
        l->n = 0;
        for (int32_t j = 0; j < f->journal.v[i + 2]; j++) push(l, f->journal_entries.v[at++]);
        x->bound[f->journal.v[i + 1]] = 0;
    }
    while (f->taken.n) push(&f->unused, f->taken.v[--f->taken.n]);
    f->cost = cost;
}

/* -- nodes */

static int64_t new_node(Search *f) {
    /* numbers come back in trials only: search_fold holds on to its lines */
    int64_t t = f->trial && f->unused.n ? f->unused.v[--f->unused.n] : f->nodes++;
    if (f->trial) push(&f->taken, (int32_t)t);
    for (int s = 0; s < 2; s++) { grow(&f->side[s], f->outside[s] + t + 1); save(f, s, f->outside[s] + t); }
    return t;
}

static void drop_node(Search *f, int64_t t) { push(f->trial ? &f->dropped : &f->unused, (int32_t)t); }

static int64_t find(const Ints *l, int64_t other) {
    int64_t i = 0;
    while (l->v[i] >> 1 != other) i++;
    return i;
}

static void erase(Ints *l, int64_t other) { l->v[find(l, other)] = l->v[l->n - 1]; l->n--; }

static void redirect(Ints *l, int64_t from, int64_t to, int sign) {
    int64_t i = find(l, from);
    l->v[i] = (int32_t)(to << 1 | ((l->v[i] & 1) ^ sign));
}

/* -- the queue: lines by the best score that a merge of theirs can have */

static int64_t score(const Search *f, int s, int64_t common, int64_t a, int64_t b) {
    int64_t dim = f->outside[!s], x = 64 * common * dim - f->lift * a * b;
    if (x <= 0) return 0;
    x = x * (s == ROWS ? f->row_weight : 16) / (64 * dim);
    return x < f->buckets ? x : f->buckets - 1;
}

static void wait_in(Search *f, int s, int64_t l, int64_t bound, int64_t key) {
    f->side[s].bound[l] = (int32_t)bound;
    if (bound < 2) return;
    f->side[s].key[l] = (int32_t)key;
    push(&f->bucket[key], (int32_t)(l << 1 | s));
    if (key > f->top) f->top = key;
}

static void enqueue(Search *f, int s, int64_t l, int64_t bound) {
    wait_in(f, s, l, bound, score(f, s, bound, f->side[s].line[l].n, bound));
}

typedef struct { int64_t line, common, score; int sign; } Partner;

static Partner find_partner(Search *f, int s, int64_t a) {
    Side *x = &f->side[s], *y = &f->side[!s];
    const Ints *l = &x->line[a];
    int32_t *shared = x->shared;
    for (int64_t i = 0; i < l->n; i++) {
        const Ints *m = &y->line[l->v[i] >> 1];
        int32_t sign = l->v[i] & 1;
        for (int64_t j = 0; j < m->n; j++) shared[m->v[j] ^ sign]++;
    }
    shared[2 * a] = shared[2 * a + 1] = 0;
    Partner best = {-1, 0, -1, 0};
    for (int64_t i = 0; i < l->n; i++) {
        const Ints *m = &y->line[l->v[i] >> 1];
        int32_t sign = l->v[i] & 1;
        for (int64_t j = 0; j < m->n; j++) {
            int32_t k = m->v[j] ^ sign, c = shared[k];
            shared[k] = 0;
            if (c < 2) continue;
            int64_t v = score(f, s, c, l->n, x->line[k >> 1].n);
            if (v > best.score) best = (Partner){k >> 1, c, v, k & 1};
        }
    }
    return best;
}

/* -- moves */

/* A node with one user (s = COLUMNS) or operand (s = ROWS) shares nothing: what it is made of moves to its neighbour. */
static void dissolve(Search *f, int s, int64_t t) {
    Side *x = &f->side[s], *y = &f->side[!s];
    int64_t mine = f->outside[s] + t, theirs = f->outside[!s] + t;
    save(f, s, mine); save(f, !s, theirs);
    int32_t e = x->line[mine].v[0];
    int64_t u = e >> 1;
    int sign = e & 1;
    save(f, !s, u);
    erase(&y->line[u], mine);
    Ints *rest = &y->line[theirs];
    for (int64_t i = 0; i < rest->n; i++) {
        int64_t l = rest->v[i] >> 1;
        save(f, s, l);
        push(&y->line[u], rest->v[i] ^ sign);
        redirect(&x->line[l], theirs, u, sign);
    }
    enqueue(f, !s, u, y->line[u].n);
    for (int64_t i = 0; i < rest->n; i++) {
        int64_t l = rest->v[i] >> 1, more = x->bound[l] + 1;
        enqueue(f, s, l, more < x->line[l].n ? more : x->line[l].n);
    }
    x->line[mine].n = rest->n = 0;
    drop_node(f, t);
    if (u >= f->outside[!s] && y->line[u].n == 1) dissolve(f, !s, u - f->outside[!s]);
}

/* Moves the entries that lines a and b have in common (b's times -1 when sign is 1) to a new line; its number. */
static int64_t merge(Search *f, int s, int64_t a, int64_t b, int sign) {
    int64_t node = new_node(f), mine = f->outside[s] + node, theirs = f->outside[!s] + node;
    Side *x = &f->side[s], *y = &f->side[!s];
    Ints *A = &x->line[a], *B = &x->line[b], *C = &x->line[mine];
    int32_t *mark = y->mark;
    save(f, s, a); save(f, s, b);
    for (int64_t i = 0; i < A->n; i++) mark[A->v[i] >> 1] = 1 + (A->v[i] & 1);
    int64_t n = 0;
    for (int64_t i = 0; i < B->n; i++) {
        int32_t e = B->v[i], m = mark[e >> 1];
        if (m && ((m - 1) ^ (e & 1)) == sign) mark[e >> 1] = 3; else B->v[n++] = e;
    }
    B->n = n;
    n = 0;
    for (int64_t i = 0; i < A->n; i++) {
        int32_t e = A->v[i];
        if (mark[e >> 1] == 3) push(C, e); else A->v[n++] = e;
        mark[e >> 1] = 0;
    }
    A->n = n;
    f->cost -= C->n - 1;
    for (int64_t i = 0; i < C->n; i++) {
        int64_t l = C->v[i] >> 1;
        save(f, !s, l);
        redirect(&y->line[l], a, mine, 0);
        erase(&y->line[l], b);
    }
    push(A, (int32_t)(theirs << 1)); push(B, (int32_t)(theirs << 1 | sign));
    push(&y->line[theirs], (int32_t)(a << 1)); push(&y->line[theirs], (int32_t)(b << 1 | sign));
    enqueue(f, s, mine, C->n);
    enqueue(f, s, a, x->bound[a] < A->n ? x->bound[a] : A->n);
    enqueue(f, s, b, x->bound[b] < B->n ? x->bound[b] : B->n);
    int64_t old[2] = {a, b};
    for (int k = 0; k < 2; k++)
        if (old[k] >= f->outside[s] && f->side[s].line[old[k]].n == 1) dissolve(f, s, old[k] - f->outside[s]);
    return mine;
}

/* Puts what a node is the sum of in its place wherever it is used: the inverse of merge. */
static void expand(Search *f, int64_t t) {
    int64_t row = f->outside[ROWS] + t, column = f->outside[COLUMNS] + t;
    Side *r = &f->side[ROWS], *c = &f->side[COLUMNS];
    Ints *of = &r->line[row], *by = &c->line[column];
    save(f, ROWS, row); save(f, COLUMNS, column);
    f->cost += (of->n - 1) * (by->n - 1);
    for (int64_t i = 0; i < by->n; i++) {
        int64_t u = by->v[i] >> 1;
        save(f, ROWS, u);
        erase(&r->line[u], column);
        for (int64_t j = 0; j < of->n; j++) push(&r->line[u], of->v[j] ^ (by->v[i] & 1));
    }
    for (int64_t j = 0; j < of->n; j++) {
        int64_t u = of->v[j] >> 1;
        save(f, COLUMNS, u);
        erase(&c->line[u], row);
        for (int64_t i = 0; i < by->n; i++) push(&c->line[u], by->v[i] ^ (of->v[j] & 1));
    }
    for (int64_t i = 0; i < by->n; i++) enqueue(f, ROWS, by->v[i] >> 1, r->line[by->v[i] >> 1].n);
    for (int64_t j = 0; j < of->n; j++) enqueue(f, COLUMNS, of->v[j] >> 1, c->line[of->v[j] >> 1].n);
    of->n = by->n = 0;
    drop_node(f, t);
}
