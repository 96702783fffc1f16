// Preloaded into a member: while the directories FULL_DISK/full and FULL_DISK/member/wal exist, nothing under FULL_DISK can be written, as on a
// file system that the log has filled.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_full(int descriptor) {
    const char *disk = getenv("FULL_DISK");
    char path[PATH_MAX], link[64];
    if (!disk) return 0;
    snprintf(path, sizeof path, "%s/full", disk);
    if (access(path, F_OK) != 0) return 0;
    snprintf(path, sizeof path, "%s/member/wal", disk);
    if (access(path, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, disk, strlen(disk)) == 0;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    if (is_full(descriptor)) { errno = ENOSPC; return -1; }
    return real(descriptor, bytes, count, offset);
}

int posix_fallocate(int descriptor, off_t offset, off_t length) {
    static int (*real)(int, off_t, off_t);
    if (!real) real = (int (*)(int, off_t, off_t))dlsym(RTLD_NEXT, "posix_fallocate");
    return is_full(descriptor) ? ENOSPC : real(descriptor, offset, length);
}
