/* Asking the CPU what it can do. Like the rest of the runtime that `create` goes through, this is compiled for any CPU of
 * the machine, so that one that lacks what the kernels need is told so before it meets an instruction it does not have. */
#include "tercet_cpu.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum cpuid_register { EAX, EBX, ECX, EDX };

/* The registers that the system saves, as XCR0 names them: xmm and ymm; these, the masks and zmm; none. */
enum saved { ANY = 0, YMM = 0x06, ZMM = 0xe6 };

static const struct {
    const char *name;
    uint32_t leaf, subleaf;
    enum cpuid_register from;
    int bit;
    enum saved saved;
} FEATURES[] = {
    {"fma", 1, 0, ECX, 12, YMM},
    {"movbe", 1, 0, ECX, 22, ANY},
    {"avx", 1, 0, ECX, 28, YMM},
    {"f16c", 1, 0, ECX, 29, YMM},
    {"abm", 0x80000001, 0, ECX, 5, ANY},
    {"bmi1", 7, 0, EBX, 3, ANY},
    {"avx2", 7, 0, EBX, 5, YMM},
    {"bmi2", 7, 0, EBX, 8, ANY},
    {"avx512f", 7, 0, EBX, 16, ZMM},
    {"avx512dq", 7, 0, EBX, 17, ZMM},
    {"avx512cd", 7, 0, EBX, 28, ZMM},
    {"avx512bw", 7, 0, EBX, 30, ZMM},
    {"avx512vl", 7, 0, EBX, 31, ZMM},
    {"avx512vbmi", 7, 0, ECX, 1, ZMM},
    {"avx512_vbmi2", 7, 0, ECX, 6, ZMM},
    {"avx512_vnni", 7, 0, ECX, 11, ZMM},
    {"avx512_bitalg", 7, 0, ECX, 12, ZMM},
    {"avx512_vpopcntdq", 7, 0, ECX, 14, ZMM},
    {"avx512_vp2intersect", 7, 0, EDX, 8, ZMM},
    {"avx_vnni", 7, 1, EAX, 4, YMM},
};

/* XCR0; 0 where the system does not let programs read it, and so saves nothing beyond xmm. */
static uint64_t saved_registers(void) {
    uint32_t a, b, c, d, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) { /* OSXSAVE */
        return 0;
    }
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | a;
}

static int has(const char *name) {
    for (size_t i = 0; i < sizeof(FEATURES) / sizeof(FEATURES[0]); i++) {
        if (strcmp(FEATURES[i].name, name) == 0) {
            uint32_t found[4];
            return __get_cpuid_count(FEATURES[i].leaf, FEATURES[i].subleaf, &found[EAX], &found[EBX], &found[ECX],
                                     &found[EDX]) &&
                   found[FEATURES[i].from] >> FEATURES[i].bit & 1 &&
                   (saved_registers() & FEATURES[i].saved) == (uint64_t)FEATURES[i].saved;
        }
    }
    return 0;
}

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static const struct {
    const char *name;
    unsigned long capability; /* HWCAP_* of the system's headers, which may be older than the CPU */
} FEATURES[] = {
    {"asimd", 1UL << 1},
    {"asimddp", 1UL << 20},
};

static int has(const char *name) {
    for (size_t i = 0; i < sizeof(FEATURES) / sizeof(FEATURES[0]); i++) {
        if (strcmp(FEATURES[i].name, name) == 0) {
            return (getauxval(AT_HWCAP) & FEATURES[i].capability) != 0;
        }
    }
    return 0;
}

#else

static int has(const char *name) {
    (void)name;
    return 0;
}

#endif

int tercet_cpu_has(const char *const *features) {
    for (; features && *features; features++) {
        if (!has(*features)) {
            return 0;
        }
    }
    return 1;
}
