// Linux calls that Swift's Glibc module leaves out. What GNU's headers show only to _GNU_SOURCE is declared here by hand: with that
// defined, types such as fd_set would differ from those of the Glibc module, and whoever imports both could not be compiled.
#pragma once
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

static inline int clinux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout, const __sigset_t *mask);

int clinux_sync_file_range(int descriptor, long offset, long count, unsigned flags) __asm__("sync_file_range");

// Starts to write a part of a file to the disk (SYNC_FILE_RANGE_WRITE), and with `waits` waits until it is there
// (SYNC_FILE_RANGE_WAIT_BEFORE and _AFTER).
static inline int clinux_write_back(int descriptor, long offset, long count, int waits) {
  return clinux_sync_file_range(descriptor, offset, count, waits ? 1 | 2 | 4 : 2);
}

static inline int clinux_wait_readable(int descriptor, const struct timespec *timeout) {
  struct pollfd watched = {.fd = descriptor, .events = POLLIN};
  return ppoll(&watched, 1, timeout, 0);
}

// <sys/socket.h> here would take its constants away from Swift's Glibc.
int clinux_accept4(int descriptor, void *address, unsigned int *length, int flags) __asm__("accept4");

int pthread_setname_np(pthread_t thread, const char *name);
static inline void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
