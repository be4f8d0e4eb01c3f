/* The search of sum merging: fold, merge, improve. tests/sum_merge/search_python.py is the same algorithm, number for number, in
   Python: change both. */

#include "moves.h"
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT Search *search_new(int64_t rows, int64_t columns, const int8_t *weights, uint64_t seed) {
    Search *f = grown(NULL, 0, 1, sizeof(Search));
    f->outside[ROWS] = rows; f->outside[COLUMNS] = columns;
    f->random = seed * 2 + 88172645463325252u;
    f->row_weight = 16;
    f->buckets = 16 * ((rows > columns ? rows : columns) + 1);
    f->bucket = grown(NULL, 0, f->buckets, sizeof(Ints));
    for (int s = 0; s < 2; s++) grow(&f->side[s], f->outside[s]);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < columns; c++) {
            int8_t w = weights[r * columns + c];
            if (!w) continue;
            push(&f->side[ROWS].line[r], (int32_t)(c << 1 | (w < 0)));
            push(&f->side[COLUMNS].line[c], (int32_t)(r << 1 | (w < 0)));
        }
        int64_t n = f->side[ROWS].line[r].n;
        f->cost += n ? n - 1 : 0;
    }
    return f;
}

EXPORT void search_free(Search *f) {
    for (int s = 0; s < 2; s++) {
        Side *x = &f->side[s];
        for (int64_t i = 0; i < x->cap; i++) free(x->line[i].v);
        free(x->line); free(x->bound); free(x->key); free(x->saved); free(x->shared); free(x->mark);
    }
    for (int64_t i = 0; i < f->buckets; i++) free(f->bucket[i].v);
    free(f->bucket);
    Ints *all[] = {&f->unused, &f->taken, &f->dropped, &f->journal, &f->journal_entries, &f->chosen};
    for (int i = 0; i < 6; i++) free(all[i]->v);
    free(f);
}

static int64_t common(Search *f, int64_t a, int64_t b, int sign) {
    Ints *A = &f->side[ROWS].line[a], *B = &f->side[ROWS].line[b];
    int32_t *mark = f->side[COLUMNS].mark;
    int64_t n = 0;
    for (int64_t i = 0; i < A->n; i++) mark[A->v[i] >> 1] = 1 + (A->v[i] & 1);
    for (int64_t i = 0; i < B->n; i++) n += mark[B->v[i] >> 1] && ((mark[B->v[i] >> 1] - 1) ^ (B->v[i] & 1)) == sign;
    for (int64_t i = 0; i < A->n; i++) mark[A->v[i] >> 1] = 0;
    return n;
}

static void fold_range(Search *f, int64_t low, int64_t high, Ints *out) {
    if (high - low == 1) { push(out, (int32_t)low); return; }
    Ints half[2] = {{0}, {0}};
    fold_range(f, low, (low + high + 1) / 2, &half[0]);
    fold_range(f, (low + high + 1) / 2, high, &half[1]);
    for (int64_t i = 0; i < half[0].n; i++)
        for (int64_t j = 0; j < half[1].n; j++)
            for (int sign = 0; sign < 2; sign++)
                if (common(f, half[0].v[i], half[1].v[j], sign) > 1)
                    push(out, (int32_t)merge(f, ROWS, half[0].v[i], half[1].v[j], sign));
    for (int h = 0; h < 2; h++) {
        for (int64_t i = 0; i < half[h].n; i++) if (f->side[ROWS].line[half[h].v[i]].n) push(out, half[h].v[i]);
        free(half[h].v);
    }
}

/* The method of four Russians on the transpose: of each `size` rows, the columns with the same pattern are summed once
   (Arlazarov, Dinic, Kronrod, Faradzhev 1970). */
EXPORT void search_fold(Search *f, int64_t size) {
    int64_t rows = f->outside[ROWS], groups = (rows + size - 1) / size;
    Ints out = {0};
    for (int64_t g = 0; g < groups; g++) { out.n = 0; fold_range(f, rows * g / groups, rows * (g + 1) / groups, &out); }
    free(out.v);
}

/* Merges pairs, highest score first, until no pair shares two entries. The score is the common entries less lift / 64
   of those that two lines of these lengths share by chance; row pairs count row_weight / 16 (0: columns first). */
static void merge_all(Search *f) {
    while (f->top >= 0) {
        Ints *waiting = &f->bucket[f->top];
        if (!waiting->n) { f->top--; continue; }
        int64_t i = draw(f, waiting->n);
        int s = waiting->v[i] & 1;
        int64_t l = waiting->v[i] >> 1;
        waiting->v[i] = waiting->v[--waiting->n];
        Side *x = &f->side[s];
        if (x->bound[l] < 2 || x->key[l] != f->top) continue; /* an old entry */
        Partner p = find_partner(f, s, l);
        if (p.common < 2) x->bound[l] = 0;
        else if (p.score < f->top) wait_in(f, s, l, p.common, p.score);
        else { x->bound[l] = (int32_t)p.common; merge(f, s, l, p.line, p.sign); }
    }
    f->top = 0;
}

EXPORT int64_t search_merge(Search *f, int64_t lift, int64_t row_weight) {
    f->lift = lift; f->row_weight = row_weight;
    for (int s = 0; s < 2; s++) for (int64_t i = 0; i < f->side[s].n; i++) enqueue(f, s, i, f->side[s].line[i].n);
    merge_all(f);
    return f->cost;
}

static void choose(Search *f, int64_t node) {
    if (node < 0 || !f->side[ROWS].line[f->outside[ROWS] + node].n) return;
    for (int64_t i = 0; i < f->chosen.n; i++) if (f->chosen.v[i] == node) return;
    push(&f->chosen, (int32_t)node);
}

/* Some nodes near each other: operands, users, operands of users, from a random node on. 0 when there is no node. */
static int64_t choose_nodes(Search *f, int64_t most) {
    f->chosen.n = 0;
    if (!f->nodes) return 0;
    int64_t first = draw(f, f->nodes);
    for (int64_t i = 0; i < f->nodes && !f->chosen.n; i++) choose(f, (first + i) % f->nodes);
    int64_t want = 1 + draw(f, 1 + draw(f, most));
    for (int64_t i = 0; f->chosen.n && f->chosen.n < want && i < 4 * want; i++) {
        int64_t node = f->chosen.v[draw(f, f->chosen.n)];
        const Ints *of = &f->side[ROWS].line[f->outside[ROWS] + node];
        const Ints *by = &f->side[COLUMNS].line[f->outside[COLUMNS] + node];
        uint32_t way = draw(f, 4);
        if (way < 2) { choose(f, (of->v[draw(f, of->n)] >> 1) - f->outside[COLUMNS]); continue; }
        int64_t user = by->v[draw(f, by->n)] >> 1;
        if (way == 2) { choose(f, user - f->outside[ROWS]); continue; }
        const Ints *beside = &f->side[ROWS].line[user];
        choose(f, (beside->v[draw(f, beside->n)] >> 1) - f->outside[COLUMNS]);
    }
    return f->chosen.n;
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Ruin and recreate (Schrimpf et al. 2000): expands up to `most` nodes, merges again, keeps the result unless it costs
   more. Stops after `trials`, or `seconds` of CPU time if that is >= 0. Returns the trials made. */
EXPORT int64_t search_improve(Search *f, int64_t lift, int64_t row_weight, int64_t most, int64_t trials,
                              double seconds) {
    double end = cpu_seconds() + seconds;
    int64_t done = 0;
    f->lift = lift; f->row_weight = row_weight;
    for (; done < trials; done++) {
        if (seconds >= 0 && done % 16 == 0 && cpu_seconds() >= end) break;
        int64_t cost = f->cost;
        begin_trial(f);
        if (!choose_nodes(f, most)) break;
        for (int64_t i = 0; i < f->chosen.n; i++) expand(f, f->chosen.v[i]);
        merge_all(f);
        if (f->cost <= cost) keep_trial(f); else undo_trial(f, cost);
    }
    return done;
}

EXPORT int64_t search_lines(const Search *f, int side) { return f->side[side].n; }

EXPORT int64_t search_entries(const Search *f, int side) {
    int64_t n = 0;
    for (int64_t i = 0; i < f->side[side].n; i++) n += f->side[side].line[i].n;
    return n;
}

/* start: search_lines + 1 values. entry: search_entries values. */
EXPORT void search_read(const Search *f, int side, int64_t *start, int32_t *entry) {
    start[0] = 0;
    for (int64_t i = 0; i < f->side[side].n; i++) {
        const Ints *l = &f->side[side].line[i];
        if (l->n) memcpy(entry + start[i], l->v, (size_t)l->n * 4);
        start[i + 1] = start[i] + l->n;
    }
}
