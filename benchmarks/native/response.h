/* An HTTP/1.1 response that is read piece by piece, with the stamps of the tokens in its body. */
#ifndef RESPONSE_H
#define RESPONSE_H

#include "wire.h"

#define HEAD_BYTES 4096
#define TAIL_BYTES 2048

enum phase { HEAD, BODY, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, WHOLE };

struct response {
    enum phase phase;
    int status;
    bool close;
    char head[HEAD_BYTES];
    size_t head_length;
    uint64_t left; /* bytes of the body or of this chunk; UINT64_MAX: until the connection closes */
    bool line_has_bytes;
    int digits; /* of a stamp under way, or -1 outside of one */
    uint64_t stamp;
    long tokens;
    void (*on_token)(struct response *, uint64_t stamp);
    char tail[TAIL_BYTES]; /* the last bytes of the body, to see how it ended */
    size_t tail_length;
};

static inline void expect_response(struct response *response, void (*on_token)(struct response *, uint64_t)) {
    response->phase = HEAD;
    response->status = 0;
    response->close = false;
    response->head_length = response->tail_length = 0;
    response->left = 0;
    response->digits = -1;
    response->tokens = 0;
    response->on_token = on_token;
}

static inline void keep_tail(struct response *response, const char *bytes, size_t length) {
    if (length > TAIL_BYTES) {
        bytes += length - TAIL_BYTES;
        length = TAIL_BYTES;
    }
    if (response->tail_length + length > TAIL_BYTES) {
        size_t kept = TAIL_BYTES - length;
        memmove(response->tail, response->tail + response->tail_length - kept, kept);
        response->tail_length = kept;
    }
    memcpy(response->tail + response->tail_length, bytes, length);
    response->tail_length += length;
}

/* The body of a whole answer ends as an Ollama stream, an OpenAI stream, or one JSON object. */
static inline bool ended_well(const struct response *response) {
    const char *tail = response->tail;
    size_t length = response->tail_length;
    return memmem(tail, length, "\"done\":true", 11) != NULL || memmem(tail, length, "[DONE]", 6) != NULL ||
           (memmem(tail, length, "finish_reason", 13) != NULL && memmem(tail, length, "data:", 5) == NULL);
}

static inline void read_body(struct response *response, const char *bytes, size_t length) {
    const char *end = bytes + length;
    keep_tail(response, bytes, length);
    while (bytes < end) {
        if (response->digits < 0) {
            const char *mark = memchr(bytes, STAMP_MARK, (size_t)(end - bytes));
            if (mark == NULL) return;
            bytes = mark + 1;
            response->digits = 0;
            response->stamp = 0;
            continue;
        }
        char digit = *bytes;
        if (digit < '0' || digit > '9') {
            response->digits = -1;
            continue;
        }
        bytes++;
        response->stamp = response->stamp * 10 + (uint64_t)(digit - '0');
        if (++response->digits == STAMP_DIGITS) {
            response->digits = -1;
            response->tokens++;
            response->on_token(response, response->stamp);
        }
    }
}

static inline size_t read_head(struct response *response, const char *bytes, size_t length) {
    size_t before = response->head_length, room = HEAD_BYTES - 1 - before;
    size_t taken = length < room ? length : room;
    memcpy(response->head + before, bytes, taken);
    response->head_length += taken;
    response->head[response->head_length] = 0;
    const char *end = strstr(response->head, "\r\n\r\n");
    if (end == NULL) return taken;
    size_t head_length = (size_t)(end - response->head) + 4;
    response->status = atoi(response->head + 9);
    const char *coding = header(response->head, head_length, "transfer-encoding");
    const char *announced = header(response->head, head_length, "content-length");
    const char *keep = header(response->head, head_length, "connection");
    response->close = keep != NULL && strncasecmp(keep, "close", 5) == 0;
    response->left = announced != NULL ? strtoull(announced, NULL, 10) : UINT64_MAX;
    response->phase = response->left == 0 ? WHOLE : BODY;
    if (coding != NULL) {
        response->phase = CHUNK_SIZE;
        response->left = 0;
    }
    response->head_length = head_length;
    return head_length - before;
}

static inline void read_framing(struct response *response, char byte) {
    if (response->phase == CHUNK_END) {
        if (byte == '\n') response->phase = CHUNK_SIZE;
    } else if (response->phase == TRAILER) {
        if (byte == '\n') response->phase = response->line_has_bytes ? TRAILER : WHOLE;
        response->line_has_bytes = byte != '\n' && byte != '\r';
    } else if (byte == '\n') {
        response->phase = response->left > 0 ? CHUNK : TRAILER;
        response->line_has_bytes = false;
    } else if (byte != '\r') {
        int digit = byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10;
        response->left = response->left * 16 + (uint64_t)digit;
    }
}

/* Read what came; gives how much of it belongs to this response. */
static inline size_t read_response(struct response *response, const char *bytes, size_t length) {
    size_t at = 0;
    while (at < length && response->phase != WHOLE) {
        if (response->phase == HEAD) {
            size_t taken = read_head(response, bytes + at, length - at);
            if (taken == 0) return at;
            at += taken;
        } else if (response->phase == BODY || response->phase == CHUNK) {
            size_t taken = length - at;
            if (taken > response->left) taken = response->left;
            read_body(response, bytes + at, taken);
            at += taken;
            if (response->left != UINT64_MAX) response->left -= taken;
            if (response->left == 0) response->phase = response->phase == BODY ? WHOLE : CHUNK_END;
        } else {
            read_framing(response, bytes[at++]);
        }
    }
    return at;
}

#endif
