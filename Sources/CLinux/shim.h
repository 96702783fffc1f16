// Linux calls that Swift's Glibc module leaves out.
#pragma once
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

static inline int clinux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout, const __sigset_t *mask);

// Starts to write a part of a file to the disk, and with `waits` waits until it is there.
static inline int clinux_write_back(int descriptor, off64_t offset, off64_t count, int waits) {
  unsigned flags = SYNC_FILE_RANGE_WRITE | (waits ? SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER : 0);
  return sync_file_range(descriptor, offset, count, flags);
}

static inline int clinux_wait_readable(int descriptor, const struct timespec *timeout) {
  struct pollfd watched = {.fd = descriptor, .events = POLLIN};
  return ppoll(&watched, 1, timeout, 0);
}

// <sys/socket.h> here would take its constants away from Swift's Glibc.
int clinux_accept4(int descriptor, void *address, unsigned int *length, int flags) __asm__("accept4");

int pthread_setname_np(pthread_t thread, const char *name);
static inline void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
