/* A fast stand-in for Ollama, to put load on what is in front of it.
 *
 *     mock PORT          listens on 127.0.0.1
 *
 * One thread, epoll. It answers /api/version, /api/tags, /api/show, /api/chat and /api/generate as
 * Ollama does, and /v1/chat/completions for relays that translate nothing. A prompt may hold
 *
 *     [[n=200 delay_us=20000 wait_us=0 size=0 id=7]]
 *
 *   n         tokens of the answer (1)
 *   delay_us  time between two tokens; 0 sends them as fast as the socket takes them
 *   wait_us   time before the first byte of the answer, also of one that is not streamed
 *   size      further bytes of text in each token
 *   id        a number under which /control/asked and /control/gone know the request
 *
 * GET /control/stats counts, GET /control/asked lists the requests with a number, GET /control/gone
 * the answers whose client went before they ended, and when; POST /control/reset forgets all of it,
 * and hangs up on answers under way.
 */
#include "wire.h"

enum dialect { CHAT, GENERATE, COMPLETION };

enum state { READING, WAITING, STREAMING };

struct connection {
    int fd;
    enum state state;
    struct buffer in, out;
    bool close_after, blocked, usage, streamed;
    enum dialect dialect;
    long tokens, sent, delay_us, size, id;
    uint64_t due;
    int timer; /* place in the heap of timers, or -1 */
    struct buffer frame;
    size_t stamp; /* where the frame's stamp is */
    bool dead;
    struct connection *next_dead, *previous, *next;
};

static int epoll;
static uint64_t now;
static struct connection *connections, *dead;
static struct buffer asked, gone;
static struct { unsigned long connections, open, requests, active, peak, ended, gone, tokens; } count;

/* Timers: a binary heap of connections by the time at which they are due. */

static struct connection **timers;
static int timer_count, timer_capacity;

static void place(int at, struct connection *connection) {
    timers[at] = connection;
    connection->timer = at;
}

static void sift_up(int at) {
    struct connection *moved = timers[at];
    while (at > 0 && timers[(at - 1) / 2]->due > moved->due) {
        place(at, timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(at, moved);
}

static void sift_down(int at) {
    struct connection *moved = timers[at];
    for (int child; (child = 2 * at + 1) < timer_count; at = child) {
        if (child + 1 < timer_count && timers[child + 1]->due < timers[child]->due) child++;
        if (timers[child]->due >= moved->due) break;
        place(at, timers[child]);
    }
    place(at, moved);
}

static void wake_when_due(struct connection *connection) {
    if (timer_count == timer_capacity) {
        timer_capacity = timer_capacity ? timer_capacity * 2 : 1024;
        timers = checked(realloc(timers, (size_t)timer_capacity * sizeof *timers));
    }
    place(timer_count++, connection);
    sift_up(timer_count - 1);
}

static void cancel_timer(struct connection *connection) {
    int at = connection->timer;
    if (at < 0) return;
    connection->timer = -1;
    struct connection *last = timers[--timer_count];
    if (last == connection) return;
    place(at, last);
    sift_up(at);
    sift_down(last->timer);
}

/* Connections. */

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    epoll_ctl(epoll, operation, connection->fd, &event);
}

static void hang_up(struct connection *connection) {
    if (connection->dead) return;
    connection->dead = true;
    if (connection->state != READING) {
        char entry[96];
        snprintf(entry, sizeof entry, "%s{\"id\":%ld,\"at_us\":%llu}", held(&gone) ? "," : "",
                 connection->id, (unsigned long long)now_us());
        append_text(&gone, entry);
        count.gone++;
        count.active--;
    }
    cancel_timer(connection);
    if (connection->previous != NULL) connection->previous->next = connection->next;
    if (connection->next != NULL) connection->next->previous = connection->previous;
    if (connections == connection) connections = connection->next;
    close(connection->fd);
    count.open--;
    connection->next_dead = dead;
    dead = connection;
}

/* Send what the socket takes and keep the rest; false where the connection is lost. */
static bool put(struct connection *connection, const char *bytes, size_t length) {
    while (length > 0 && !connection->blocked) {
        ssize_t taken = send(connection->fd, bytes, length, MSG_NOSIGNAL);
        if (taken >= 0) {
            bytes += taken;
            length -= (size_t)taken;
        } else if (errno == EAGAIN) {
            connection->blocked = true;
            watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
        } else if (errno != EINTR) {
            hang_up(connection);
            return false;
        }
    }
    if (length > 0) append(&connection->out, bytes, length);
    return true;
}

static void reply(struct connection *connection, const char *status, const char *type,
                  const char *body, size_t length) {
    char head[256];
    int head_length = snprintf(head, sizeof head,
                               "HTTP/1.1 %s\r\nContent-Type: %s\r\n"
                               "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: %zu\r\n\r\n",
                               status, type, length);
    struct buffer whole = {0};
    append(&whole, head, (size_t)head_length);
    append(&whole, body, length);
    put(connection, whole.data, held(&whole));
    release(&whole);
}

static void reply_json(struct connection *connection, const char *body) {
    reply(connection, "200 OK", "application/json; charset=utf-8", body, strlen(body));
}

/* Answers. Field order and spelling are those of Ollama's server. */

#define CREATED_AT "\"created_at\":\"2026-01-01T00:00:00.000000001Z\""
#define COUNTS                                                                               \
    "\"total_duration\":4883583458,\"load_duration\":1334875,\"prompt_eval_count\":26,"      \
    "\"prompt_eval_duration\":342546000,\"eval_count\":%ld,\"eval_duration\":4535599000"
#define CHUNK_HEAD                                                                           \
    "{\"id\":\"chatcmpl-77\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,"   \
    "\"model\":\"mock\",\"system_fingerprint\":\"fp_ollama\","

static const char ANSWER[] = "The sky is blue because of Rayleigh scattering of sunlight.";

static void append_chunk(struct buffer *buffer, const char *text) {
    char size[24];
    snprintf(size, sizeof size, "%zx\r\n", strlen(text));
    append_text(buffer, size);
    append_text(buffer, text);
    append_text(buffer, "\r\n");
}

/* One token as the bytes of one HTTP chunk, made once for an answer; the stamp is filled in later. */
static void prepare_frame(struct connection *connection) {
    static const char *const BEFORE[] = {
        [CHAT] = "{\"model\":\"mock\"," CREATED_AT ",\"message\":{\"role\":\"assistant\",\"content\":\"",
        [GENERATE] = "{\"model\":\"mock\"," CREATED_AT ",\"response\":\"",
        [COMPLETION] = "data: " CHUNK_HEAD
                       "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"",
    };
    static const char *const AFTER[] = {
        [CHAT] = "\"},\"done\":false}\n",
        [GENERATE] = "\",\"done\":false}\n",
        [COMPLETION] = "\"},\"finish_reason\":null}]}\n\n",
    };
    struct buffer text = {0};
    append_text(&text, BEFORE[connection->dialect]);
    append(&text, "@0000000000000000 ", STAMP_DIGITS + 2);
    memset(room_for(&text, (size_t)connection->size), 'x', (size_t)connection->size);
    text.end += (size_t)connection->size;
    append(&text, AFTER[connection->dialect], strlen(AFTER[connection->dialect]) + 1);
    connection->frame.start = connection->frame.end = 0;
    append_chunk(&connection->frame, text.data);
    char *mark = memchr(connection->frame.data, STAMP_MARK, held(&connection->frame));
    connection->stamp = (size_t)(mark + 1 - connection->frame.data);
    release(&text);
}

static bool put_token(struct connection *connection, uint64_t stamp) {
    char *digits = connection->frame.data + connection->stamp;
    for (int at = STAMP_DIGITS - 1; at >= 0; at--, stamp /= 10) digits[at] = (char)('0' + stamp % 10);
    connection->sent++;
    count.tokens++;
    return put(connection, connection->frame.data, held(&connection->frame));
}

static bool put_head(struct connection *connection) {
    static const char CHUNKED[] =
        "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    char head[256];
    int length = snprintf(head, sizeof head, CHUNKED,
                          connection->dialect == COMPLETION ? "text/event-stream" : "application/x-ndjson");
    return put(connection, head, (size_t)length);
}

static bool put_ending(struct connection *connection) {
    struct buffer ending = {0};
    char text[640];
    if (connection->dialect == COMPLETION) {
        append_chunk(&ending, "data: " CHUNK_HEAD "\"choices\":[{\"index\":0,\"delta\":{\"role\":"
                              "\"assistant\",\"content\":\"\"},\"finish_reason\":\"stop\"}]}\n\n");
        if (connection->usage) {
            snprintf(text, sizeof text,
                     "data: " CHUNK_HEAD "\"choices\":[],\"usage\":{\"prompt_tokens\":26,"
                     "\"completion_tokens\":%ld,\"total_tokens\":%ld}}\n\n",
                     connection->tokens, connection->tokens + 26);
            append_chunk(&ending, text);
        }
        append_chunk(&ending, "data: [DONE]\n\n");
    } else {
        snprintf(text, sizeof text,
                 "{\"model\":\"mock\"," CREATED_AT ",%s,\"done\":true,\"done_reason\":\"stop\"," COUNTS "}\n",
                 connection->dialect == CHAT ? "\"message\":{\"role\":\"assistant\",\"content\":\"\"}"
                                             : "\"response\":\"\"",
                 connection->tokens);
        append_chunk(&ending, text);
    }
    append_text(&ending, "0\r\n\r\n");
    bool there = put(connection, ending.data, held(&ending));
    release(&ending);
    return there;
}

static void reply_whole(struct connection *connection) {
    char body[1024];
    if (connection->dialect == COMPLETION) {
        snprintf(body, sizeof body,
                 "{\"id\":\"chatcmpl-77\",\"object\":\"chat.completion\",\"created\":1767225600,"
                 "\"model\":\"mock\",\"system_fingerprint\":\"fp_ollama\",\"choices\":[{\"index\":0,"
                 "\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}],"
                 "\"usage\":{\"prompt_tokens\":26,\"completion_tokens\":%ld,\"total_tokens\":%ld}}\n",
                 ANSWER, connection->tokens, connection->tokens + 26);
    } else {
        bool chat = connection->dialect == CHAT;
        snprintf(body, sizeof body,
                 "{\"model\":\"mock\"," CREATED_AT ",%s%s%s,\"done\":true,\"done_reason\":\"stop\"," COUNTS "}",
                 chat ? "\"message\":{\"role\":\"assistant\",\"content\":\"" : "\"response\":\"", ANSWER,
                 chat ? "\"}" : "\"", connection->tokens);
    }
    reply_json(connection, body);
}

static void read_requests(struct connection *connection);

static void answer_ended(struct connection *connection) {
    connection->state = READING;
    count.active--;
    count.ended++;
    if (connection->close_after && !connection->blocked)
        hang_up(connection);
    else
        read_requests(connection);
}

/* The timer of an answer is due: its first byte after a wait, or its next token. */
static void go_on(struct connection *connection) {
    if (connection->state == WAITING) {
        if (!connection->streamed) {
            reply_whole(connection);
            if (!connection->dead) answer_ended(connection);
            return;
        }
        connection->state = STREAMING;
        if (!put_head(connection)) return;
    }
    uint64_t stamp = connection->delay_us ? connection->due : now_us();
    if (connection->sent < connection->tokens && !put_token(connection, stamp)) return;
    if (connection->sent >= connection->tokens) {
        if (put_ending(connection)) answer_ended(connection);
        return;
    }
    /* At least one microsecond, so that answers without a delay take turns. */
    connection->due = connection->delay_us ? connection->due + (uint64_t)connection->delay_us : now + 1;
    if (!connection->blocked) wake_when_due(connection);
}

/* Requests. */

static long directive(const char *from, const char *end, const char *name, long otherwise) {
    size_t length = strlen(name);
    for (const char *at = from; at + length < end; at++)
        if ((at[-1] == '[' || at[-1] == ' ') && memcmp(at, name, length) == 0 && at[length] == '=')
            return atol(at + length + 1);
    return otherwise;
}

static bool is_true(const char *body, size_t length, const char *name, bool otherwise) {
    const char *at = memmem(body, length, name, strlen(name));
    if (at == NULL) return otherwise;
    at += strlen(name);
    while (at < body + length && (*at == ' ' || *at == ':')) at++;
    return at < body + length && *at == 't';
}

static void generate(struct connection *connection, enum dialect dialect, const char *body, size_t length) {
    const char *from = memmem(body, length, "[[", 2);
    const char *end = from ? memmem(from, (size_t)(body + length - from), "]]", 2) : NULL;
    from = end ? from + 2 : body;
    if (end == NULL) end = body;
    connection->dialect = dialect;
    connection->streamed = is_true(body, length, "\"stream\"", dialect != COMPLETION);
    connection->usage = is_true(body, length, "\"include_usage\"", false);
    connection->sent = 0;
    connection->tokens = directive(from, end, "n", 1);
    connection->delay_us = directive(from, end, "delay_us", 0);
    connection->size = directive(from, end, "size", 0);
    connection->id = directive(from, end, "id", 0);
    connection->due = now + (uint64_t)directive(from, end, "wait_us", 0);
    connection->state = WAITING;
    if (connection->id != 0) {
        char entry[32];
        snprintf(entry, sizeof entry, "%s%ld", held(&asked) ? "," : "", connection->id);
        append_text(&asked, entry);
    }
    if (++count.active > count.peak) count.peak = count.active;
    if (connection->streamed) prepare_frame(connection);
    if (connection->due > now)
        wake_when_due(connection);
    else
        go_on(connection);
}

static void show_stats(struct connection *connection) {
    char body[320];
    snprintf(body, sizeof body,
             "{\"connections\":%lu,\"open\":%lu,\"requests\":%lu,\"active\":%lu,\"peak\":%lu,"
             "\"ended\":%lu,\"gone\":%lu,\"tokens\":%lu}",
             count.connections, count.open, count.requests, count.active, count.peak, count.ended,
             count.gone, count.tokens);
    reply_json(connection, body);
}

static void show(struct connection *connection, const struct buffer *entries) {
    struct buffer list = {0};
    append_text(&list, "[");
    append(&list, entries->data ? entries->data : "", held(entries));
    append(&list, "]", 2);
    reply_json(connection, list.data);
    release(&list);
}

/* Nothing of an earlier round goes on: a relay that keeps the answers of clients that have gone
 * would read them to their end. */
static void reset(struct connection *connection) {
    for (struct connection *each = connections, *next; each != NULL; each = next) {
        next = each->next;
        if (each->state != READING) hang_up(each);
    }
    asked.start = asked.end = gone.start = gone.end = 0;
    count.connections = count.requests = count.ended = count.gone = count.tokens = 0;
    count.peak = count.active;
    reply_json(connection, "{}");
}

static const char MODEL[] =
    "{\"models\":[{\"name\":\"mock:latest\",\"model\":\"mock:latest\",\"modified_at\":"
    "\"2026-01-01T00:00:00Z\",\"size\":4661224676,\"digest\":"
    "\"365c0bd3c000a25d28ddbf732fe1c6add414de7275464c4e4d1c3b5fcb5d8ad1\",\"details\":{"
    "\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"llama\",\"families\":[\"llama\"],"
    "\"parameter_size\":\"8.0B\",\"quantization_level\":\"Q4_0\"}}]}";
static const char DETAILS[] =
    "{\"details\":{\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"llama\"},\"model_info\":{},"
    "\"capabilities\":[\"completion\"],\"modified_at\":\"2026-01-01T00:00:00Z\"}";

static bool starts(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

static void serve(struct connection *connection, const char *head, size_t head_length, const char *body,
                  size_t body_length) {
    count.requests++;
    const char *keep = header(head, head_length, "connection");
    connection->close_after = keep != NULL && strncasecmp(keep, "close", 5) == 0;
    if (starts(head, "POST /api/chat "))
        generate(connection, CHAT, body, body_length);
    else if (starts(head, "POST /api/generate "))
        generate(connection, GENERATE, body, body_length);
    else if (starts(head, "POST /v1/chat/completions "))
        generate(connection, COMPLETION, body, body_length);
    else if (starts(head, "GET /api/version "))
        reply_json(connection, "{\"version\":\"0.30.0\"}");
    else if (starts(head, "GET /api/tags "))
        reply_json(connection, MODEL);
    else if (starts(head, "POST /api/show "))
        reply_json(connection, DETAILS);
    else if (starts(head, "GET /v1/models "))
        reply_json(connection, "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\","
                               "\"created\":1767225600,\"owned_by\":\"library\"}]}");
    else if (starts(head, "GET /control/stats "))
        show_stats(connection);
    else if (starts(head, "GET /control/asked "))
        show(connection, &asked);
    else if (starts(head, "GET /control/gone "))
        show(connection, &gone);
    else if (starts(head, "POST /control/reset "))
        reset(connection);
    else
        reply(connection, "404 Not Found", "text/plain", "404 page not found", 18);
}

/* The body of a chunked request into `body`; gives the bytes used, 0 where it is not complete. */
static size_t read_chunks(const char *from, size_t length, struct buffer *body) {
    const char *at = from, *end = from + length;
    for (;;) {
        const char *line = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (line == NULL) return 0;
        size_t size = strtoul(at, NULL, 16);
        at = line + 2;
        if ((size_t)(end - at) < size + 2) return 0;
        append(body, at, size);
        at += size + 2;
        if (size == 0) return (size_t)(at - from);
    }
}

/* Serve one request of those that have come; false where none is complete. */
static bool serve_next(struct connection *connection) {
    const char *head = connection->in.data + connection->in.start;
    const char *end = memmem(head, held(&connection->in), "\r\n\r\n", 4);
    if (end == NULL) return false;
    size_t head_length = (size_t)(end - head) + 4, rest = held(&connection->in) - head_length;
    const char *coding = header(head, head_length, "transfer-encoding");
    const char *announced = header(head, head_length, "content-length");
    struct buffer chunks = {0};
    size_t used = announced ? strtoul(announced, NULL, 10) : 0;
    if (coding != NULL) used = read_chunks(head + head_length, rest, &chunks);
    bool complete = used <= rest && (coding == NULL || used > 0);
    if (complete) {
        /* Consumed before it is served, since its answer may lead to the next request. */
        connection->in.start += head_length + used;
        serve(connection, head, head_length, coding ? chunks.data : head + head_length,
              coding ? held(&chunks) : used);
        bool answered = connection->state == READING && !connection->blocked;
        if (answered && connection->close_after) hang_up(connection);
    }
    release(&chunks);
    return complete;
}

static void read_requests(struct connection *connection) {
    while (!connection->dead && connection->state == READING && held(&connection->in) > 0)
        if (!serve_next(connection)) return;
}

static void receive(struct connection *connection) {
    ssize_t length = recv(connection->fd, room_for(&connection->in, 65536), 65536, 0);
    if (length > 0) {
        connection->in.end += (size_t)length;
        read_requests(connection);
    } else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
        hang_up(connection);
    }
}

/* The socket takes bytes again. */
static void unblock(struct connection *connection) {
    connection->blocked = false;
    struct buffer waiting = connection->out;
    connection->out = (struct buffer){0};
    watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
    bool there = put(connection, waiting.data + waiting.start, held(&waiting));
    release(&waiting);
    if (!there || connection->blocked) return;
    if (connection->state == STREAMING && connection->timer < 0) wake_when_due(connection);
    if (connection->state == READING && connection->close_after) hang_up(connection);
}

static void welcome(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = checked(calloc(1, sizeof *connection));
        connection->fd = fd;
        connection->timer = -1;
        connection->next = connections;
        if (connections != NULL) connections->previous = connection;
        connections = connection;
        send_at_once(fd);
        watch(connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
        count.connections++;
        count.open++;
    }
}

static void bury(void) {
    while (dead != NULL) {
        struct connection *connection = dead;
        dead = connection->next_dead;
        release(&connection->in);
        release(&connection->out);
        release(&connection->frame);
        free(connection);
    }
}

static void run(int listener) {
    struct epoll_event events[256];
    for (;;) {
        now = now_us();
        struct timespec pause = {0};
        if (timer_count > 0 && timers[0]->due > now) pause = from_us(timers[0]->due - now);
        int found = epoll_pwait2(epoll, events, 256, timer_count > 0 ? &pause : NULL, NULL);
        now = now_us();
        for (int each = 0; each < found; each++) {
            struct connection *connection = events[each].data.ptr;
            uint32_t what = events[each].events;
            if (connection == NULL)
                welcome(listener);
            else if (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                hang_up(connection);
            else if (what & EPOLLOUT)
                unblock(connection);
            else
                receive(connection);
        }
        while (timer_count > 0 && timers[0]->due <= now) {
            struct connection *connection = timers[0];
            cancel_timer(connection);
            go_on(connection);
        }
        bury();
    }
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) {
        fputs("usage: mock PORT\n", stderr);
        return 2;
    }
    prepare_process();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = loopback(atoi(arguments[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 8192) != 0) {
        perror("mock: cannot listen");
        return 1;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    run(listener);
}
