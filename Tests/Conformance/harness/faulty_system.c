// Preloaded into a member. Files in the folder FAULTS stand for what goes wrong while they exist:
//   hang     syncs of files whose path ends in its content (of all, if it is empty) do not return; `hung` then has the name of such a thread
//   delay    syncs take so many milliseconds longer
//   broken   syncs fail with EIO
//   full     nothing can be written, enlarged or made: ENOSPC
//   clock    the time of day is so many seconds off
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

// The content of a file, without its newline; 0 when there is none.
static int sign(const char *name, char *content, size_t size) {
    const char *folder = getenv("FAULTS");
    if (!folder) return 0;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int saved = errno, descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        errno = saved;
        return 0;
    }
    ssize_t length = read(descriptor, content, size - 1);
    close(descriptor);
    content[length > 0 ? length : 0] = 0;
    errno = saved;
    return 1;
}

static int concerns(int descriptor, const char *ending) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    size_t wanted = strlen(ending);
    return length >= (ssize_t)wanted && memcmp(path + length - wanted, ending, wanted) == 0;
}

static void note_hung_thread() {
    char path[512], name[17] = "";
    snprintf(path, sizeof path, "%s/hung", getenv("FAULTS"));
    prctl(PR_GET_NAME, name);
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0) return;
    if (write(descriptor, name, strlen(name)) < 0) abort();
    close(descriptor);
}

static int sync_with_faults(int descriptor, const char *name) {
    char content[128];
    for (int turns = 0; sign("hang", content, sizeof content) && concerns(descriptor, content); turns++) {
        if (turns == 0) note_hung_thread();
        usleep(10000);
    }
    if (sign("delay", content, sizeof content)) usleep(1000 * atoi(content));
    if (sign("broken", content, sizeof content)) return errno = EIO, -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(descriptor);
}

int fdatasync(int descriptor) { return sync_with_faults(descriptor, "fdatasync"); }
int fsync(int descriptor) { return sync_with_faults(descriptor, "fsync"); }

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    char content[8];
    if (sign("full", content, sizeof content)) return errno = ENOSPC, -1;
    return ((ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite"))(descriptor, bytes, count, offset);
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) { return pwrite(descriptor, bytes, count, offset); }

int posix_fallocate(int descriptor, off_t offset, off_t length) {
    char content[8];
    if (sign("full", content, sizeof content)) return ENOSPC;
    return ((int (*)(int, off_t, off_t))dlsym(RTLD_NEXT, "posix_fallocate"))(descriptor, offset, length);
}
int posix_fallocate64(int descriptor, off64_t offset, off64_t length) { return posix_fallocate(descriptor, offset, length); }

int clock_gettime(clockid_t clock, struct timespec *time) {
    int answer = ((int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"))(clock, time);
    char content[32];
    if (answer == 0 && clock == CLOCK_REALTIME && sign("clock", content, sizeof content)) time->tv_sec += atoll(content);
    return answer;
}
