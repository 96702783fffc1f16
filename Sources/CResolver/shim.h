#pragma once
#include <netdb.h>
#include <resolv.h>
#include <string.h>

// Names that the resolver's header gives as macros, and fields of its state that are bits. One state a call: the calls of several threads have
// nothing in common. Returns the length of the answer, or -1 and the resolver's own error (h_errno) in *problem.
static inline int cresolver_search(const char *name, int type, unsigned char *answer, int capacity, int *problem) {
    struct __res_state state;
    memset(&state, 0, sizeof state);
    *problem = NO_RECOVERY;
    if (res_ninit(&state) != 0) return -1;
    int length = res_nsearch(&state, name, 1 /* internet */, type, answer, capacity);
    if (length < 0) *problem = state.res_h_errno;
    res_nclose(&state);
    return length;
}
