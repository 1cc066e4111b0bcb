/* What mock.c and load.c share: time, growing buffers, descriptors, header lines. */
#ifndef WIRE_H
#define WIRE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A token's text is '@' and the time at which it was due, in microseconds of CLOCK_MONOTONIC. Both
 * ends of a run are on one machine, so the reader knows how late each token is. */
#define STAMP_MARK '@'
#define STAMP_DIGITS 16

static inline uint64_t now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000u;
}

/* As many descriptors as the system allows, timers without slack, and no death by SIGPIPE. */
static inline void prepare_process(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    prctl(PR_SET_TIMERSLACK, 1UL);
    signal(SIGPIPE, SIG_IGN);
}

static inline void *checked(void *memory) {
    if (memory == NULL) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

/* Bytes between start and end; what is before start has been consumed. */
struct buffer {
    char *data;
    size_t start, end, capacity;
};

static inline size_t held(const struct buffer *buffer) { return buffer->end - buffer->start; }

static inline char *room_for(struct buffer *buffer, size_t wanted) {
    if (buffer->start > 0) {
        memmove(buffer->data, buffer->data + buffer->start, held(buffer));
        buffer->end -= buffer->start;
        buffer->start = 0;
    }
    if (buffer->capacity - buffer->end < wanted) {
        buffer->capacity = (buffer->end + wanted) * 2;
        buffer->data = checked(realloc(buffer->data, buffer->capacity));
    }
    return buffer->data + buffer->end;
}

static inline void append(struct buffer *buffer, const char *bytes, size_t length) {
    memcpy(room_for(buffer, length), bytes, length);
    buffer->end += length;
}

static inline void append_text(struct buffer *buffer, const char *text) {
    append(buffer, text, strlen(text));
}

static inline void release(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}

static inline struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static inline void send_at_once(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* The value of a header line, NULL where there is none; `head` ends with an empty line. */
static inline const char *header(const char *head, size_t length, const char *name) {
    size_t name_length = strlen(name);
    const char *end = head + length;
    for (const char *line = head; line < end;) {
        if ((size_t)(end - line) > name_length && line[name_length] == ':' &&
            strncasecmp(line, name, name_length) == 0) {
            line += name_length + 1;
            while (*line == ' ') line++;
            return line;
        }
        const char *feed = memchr(line, '\n', (size_t)(end - line));
        if (feed == NULL) return NULL;
        line = feed + 1;
    }
    return NULL;
}

static inline struct timespec from_us(uint64_t us) {
    return (struct timespec){.tv_sec = (time_t)(us / 1000000u), .tv_nsec = (long)(us % 1000000u) * 1000};
}

#endif
