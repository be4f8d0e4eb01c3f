/* What digits of weights become at load: words of bits, or lists of inputs that are added and subtracted. */
#ifndef TERCET_FORMS_H
#define TERCET_FORMS_H

#include "tercet_runtime.h"

enum { TERCET_MOST_SPLIT = 64 };

/* From trits side by side to words of bits, in place: see `split` of tercet_section. */
void tercet_split_trits(unsigned char *expanded, int64_t words, int split);

/* Whether `count` digits make lists that a section may have. */
int tercet_lists_fit(const struct tercet_lists *lists, int64_t count);

/* Writes the lists of `count` digits, which fit, to `out`. 0 where they take other than lists->bytes bytes. */
int tercet_make_lists(const struct tercet_lists *lists, const unsigned char *digits, int64_t count, unsigned char *out);

#endif
