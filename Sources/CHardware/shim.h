// CRC-32C by the processor's own instruction (SSE 4.2), where it has one.
#ifndef CHARDWARE_SHIM_H
#define CHARDWARE_SHIM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

// Whether the processor has the crc32 instruction: CPUID leaf 1, ECX bit 20.
static inline int chardware_has_crc32c(void) {
    unsigned int eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 20)) != 0;
}

// The raw (not inverted) register after `count` bytes; eight a step, the rest one by one.
__attribute__((target("sse4.2")))
static inline uint32_t chardware_crc32c(uint32_t state, const void *bytes, size_t count) {
    const unsigned char *at = (const unsigned char *)bytes;
    uint64_t wide = state;
    for (; count >= 8; at += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    state = (uint32_t)wide;
    for (; count > 0; at += 1, count -= 1) state = __builtin_ia32_crc32qi(state, *at);
    return state;
}
#else
static inline int chardware_has_crc32c(void) { return 0; }
static inline uint32_t chardware_crc32c(uint32_t state, const void *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return state;
}
#endif

#endif
