/* What the CPU can do. */
#ifndef TERCET_CPU_H
#define TERCET_CPU_H

/* Whether the CPU has all of these features and the system keeps their registers. features: named as in /proc/cpuinfo,
 * up to a NULL; NULL itself asks for nothing. A name that is not known counts as missing. */
int tercet_cpu_has(const char *const *features);

#endif
