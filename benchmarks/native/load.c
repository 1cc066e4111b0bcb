/* Load on something that speaks Ollama's or OpenAI's surface, and what it was like to be its client.
 *
 *     load MODE --port P [options]
 *
 *   requests   answers in one piece over kept connections, one after the other (or --rate a second)
 *   streams    one stream for each connection, or one after the other for --seconds
 *   leave      every client goes --leave-ms after it has asked (--leave-tokens: after so many tokens)
 *   slow       every client reads --read-rate bytes a second of a stream without an end
 *
 * One thread, epoll. The upstream must be mock.c on the same machine: its tokens carry the time at
 * which they were due. One JSON object goes to standard output; times are in microseconds.
 */
#include "response.h"

enum mode { REQUESTS, STREAMS, LEAVE, SLOW };

static struct {
    enum mode mode;
    int port;
    const char *path, *model;
    char headers[2048];
    long connections, tokens, delay_us, wait_us, ramp_ms, rate, leave_ms, leave_tokens, read_rate, first_id;
    double seconds, timeout_s;
    bool folded;
} options = {
    .path = "/v1/chat/completions", .model = "mock", .connections = 1, .tokens = 1,
    .leave_ms = 200, .read_rate = 1000, .timeout_s = 60,
};

/* Samples of one quantity, in microseconds. */
struct samples {
    uint32_t *values;
    size_t count, capacity;
};

static void add(struct samples *samples, uint64_t value) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 4096;
        samples->values = checked(realloc(samples->values, samples->capacity * sizeof *samples->values));
    }
    samples->values[samples->count++] = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int by_size(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static uint32_t percentile(const struct samples *samples, double part) {
    if (samples->count == 0) return 0;
    return samples->values[(size_t)(part * (double)(samples->count - 1) + 0.5)];
}

static void print_samples(const char *name, struct samples *samples) {
    if (samples->count > 0) qsort(samples->values, samples->count, sizeof *samples->values, by_size);
    printf("\"%s\":{\"count\":%zu,\"p50\":%u,\"p90\":%u,\"p99\":%u,\"max\":%u},", name, samples->count,
           percentile(samples, 0.5), percentile(samples, 0.9), percentile(samples, 0.99),
           percentile(samples, 1.0));
}

/* Clients. `response` is first, so that a token finds its client. */

struct client {
    struct response response;
    int fd;
    long id;
    bool asking, connecting, left;
    struct buffer unsent;
    uint64_t asked, left_at, timer;
};

static int epoll;
static struct client *clients;
static long asking, complete, failed, started, statuses[600];
static unsigned long long tokens, bytes_read;
static struct samples whole_us, first_us, late_us;
static char failure[400];
static uint64_t begun, last_end;

static void fail(struct client *client, const char *why) {
    failed++;
    if (failure[0] == 0)
        snprintf(failure, sizeof failure, "%s: status %d, %ld tokens, %.*s", why, client->response.status,
                 client->response.tokens, 200, client->response.tail_length ? client->response.tail : "");
}

static void drop(struct client *client) {
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
    client->connecting = false;
    client->unsent.start = client->unsent.end = 0;
}

static void ended(struct client *client) {
    client->asking = false;
    asking--;
    last_end = now_us();
}

static void on_token(struct response *response, uint64_t stamp) {
    uint64_t now = now_us();
    tokens++;
    (void)response;
    if (options.mode == STREAMS) add(&late_us, now > stamp ? now - stamp : 0);
}

static void compose(struct client *client) {
    char body[1024], head[4096];
    int length = snprintf(
        body, sizeof body,
        "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"Why is the sky blue? "
        "[[n=%ld delay_us=%ld wait_us=%ld id=%ld]]\"}],\"stream\":%s}",
        options.model, options.tokens, options.delay_us, options.wait_us, client->id,
        options.folded ? "false" : "true");
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
             "%sContent-Length: %d\r\n\r\n",
             options.path, options.port, options.headers, length);
    append_text(&client->unsent, head);
    append(&client->unsent, body, (size_t)length);
}

static void watch(struct client *client, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    epoll_ctl(epoll, operation, client->fd, &event);
}

static void send_unsent(struct client *client) {
    const char *bytes = client->unsent.data + client->unsent.start;
    ssize_t sent = send(client->fd, bytes, held(&client->unsent), MSG_NOSIGNAL);
    if (sent > 0) client->unsent.start += (size_t)sent;
    bool waits = held(&client->unsent) > 0;
    if (client->connecting || waits) watch(client, EPOLL_CTL_MOD, EPOLLIN | (waits ? EPOLLOUT : 0));
    client->connecting = false;
}

static void ask(struct client *client, uint64_t now) {
    client->asking = true;
    client->left = false;
    client->asked = now;
    client->id = options.first_id + started++;
    asking++;
    expect_response(&client->response, on_token);
    compose(client);
    if (client->fd >= 0) {
        send_unsent(client);
        return;
    }
    struct sockaddr_in address = loopback(options.port);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    client->connecting = true;
    send_at_once(client->fd);
    connect(client->fd, (struct sockaddr *)&address, sizeof address);
    watch(client, EPOLL_CTL_ADD, EPOLLOUT);
}

/* Whether a client that is done asks again. */
static bool goes_on(void) {
    bool repeats = options.mode == REQUESTS || (options.mode == STREAMS && options.seconds > 0);
    return repeats && options.rate == 0 && now_us() < begun + (uint64_t)(options.seconds * 1e6);
}

static void answered(struct client *client) {
    struct response *response = &client->response;
    uint64_t now = now_us();
    bool all = options.folded || response->tokens == options.tokens;
    ended(client);
    if (response->status >= 0 && response->status < 600) statuses[response->status]++;
    if (response->status == 200 && all && ended_well(response)) {
        complete++;
        add(&whole_us, now - client->asked);
    } else {
        fail(client, "not a whole answer");
    }
    bool again = goes_on();
    if (response->close || !(again || options.rate > 0)) drop(client);
    if (again) ask(client, now);
}

static void lost(struct client *client, const char *why) {
    bool was_asking = client->asking;
    drop(client);
    if (!was_asking) return;
    ended(client);
    fail(client, why);
    if (goes_on()) ask(client, now_us());
}

static void leave(struct client *client) {
    client->left = true;
    client->left_at = now_us();
    drop(client);
    ended(client);
}

static void receive(struct client *client) {
    static char bytes[262144];
    size_t wanted = sizeof bytes;
    if (options.mode == SLOW) {
        wanted = (size_t)(options.read_rate / 4);
        watch(client, EPOLL_CTL_MOD, 0);
        client->timer = now_us() + 250000;
    }
    ssize_t length = recv(client->fd, bytes, wanted, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        if (client->asking && client->response.phase == BODY && client->response.left == UINT64_MAX)
            answered(client);
        else
            lost(client, "connection lost");
        return;
    }
    bytes_read += (unsigned long long)length;
    if (!client->asking) return;
    if (client->response.head_length == 0) add(&first_us, now_us() - client->asked);
    read_response(&client->response, bytes, (size_t)length);
    if (client->response.phase == WHOLE)
        answered(client);
    else if (options.mode == LEAVE && options.leave_tokens > 0 &&
             client->response.tokens >= options.leave_tokens)
        leave(client);
}

static void on_event(struct client *client, uint32_t events) {
    if (client->fd < 0) return;
    if (client->connecting && (events & (EPOLLERR | EPOLLHUP)))
        lost(client, "cannot connect");
    else if (events & EPOLLOUT)
        send_unsent(client);
    else
        receive(client);
}

/* What is to happen at a time: clients that begin, go, or read again. Gives the next time. */

static uint64_t start_due(uint64_t now) {
    static long next = 0;
    if (options.rate > 0) {
        uint64_t stop = begun + (uint64_t)(options.seconds * 1e6);
        for (;;) {
            uint64_t due = begun + (uint64_t)next * 1000000u / (uint64_t)options.rate;
            if (due >= stop) return UINT64_MAX;
            if (due > now) return due;
            struct client *free_one = clients;
            while (free_one < clients + options.connections - 1 && free_one->asking) free_one++;
            if (free_one->asking) return now + 1000;
            ask(free_one, now);
            next++;
        }
    }
    for (; next < options.connections; next++) {
        uint64_t ramp_us = (uint64_t)options.ramp_ms * 1000u;
        uint64_t due = begun + ramp_us * (uint64_t)next / (uint64_t)options.connections;
        if (due > now) return due;
        ask(&clients[next], now);
    }
    return UINT64_MAX;
}

static uint64_t act_due(uint64_t now) {
    uint64_t soonest = UINT64_MAX;
    if (options.mode != LEAVE && options.mode != SLOW) return soonest;
    for (struct client *client = clients; client < clients + options.connections; client++) {
        if (!client->asking) continue;
        if (options.mode == LEAVE && options.leave_tokens == 0)
            client->timer = client->asked + (uint64_t)options.leave_ms * 1000u;
        if (client->timer == 0) continue;
        if (client->timer > now) {
            if (client->timer < soonest) soonest = client->timer;
        } else if (options.mode == LEAVE) {
            leave(client);
        } else {
            client->timer = 0;
            watch(client, EPOLL_CTL_MOD, EPOLLIN);
        }
    }
    return soonest;
}

static void run(void) {
    struct epoll_event events[256];
    uint64_t limit = begun + (uint64_t)((options.mode == SLOW ? options.seconds : options.timeout_s) * 1e6);
    for (;;) {
        uint64_t now = now_us();
        uint64_t next_start = start_due(now), next_act = act_due(now);
        if (now >= limit || (next_start == UINT64_MAX && asking == 0)) return;
        uint64_t wake = next_start < next_act ? next_start : next_act;
        if (limit < wake) wake = limit;
        struct timespec pause = from_us(wake > now ? wake - now : 0);
        int found = epoll_pwait2(epoll, events, 256, &pause, NULL);
        for (int each = 0; each < found; each++) on_event(events[each].data.ptr, events[each].events);
    }
}

/* The report. */

static void print_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            putchar('\'');
        else
            putchar(byte < 32 || byte > 126 ? ' ' : byte);
    }
    putchar('"');
}

static void report(void) {
    double wall = (double)((last_end > begun ? last_end : now_us()) - begun) / 1e6;
    printf("{\"started\":%ld,\"complete\":%ld,\"failed\":%ld,\"unfinished\":%ld,\"tokens\":%llu,\"bytes\":%llu,"
           "\"wall_s\":%.4f,",
           started, complete, failed, asking, tokens, bytes_read, wall);
    print_samples("whole_us", &whole_us);
    print_samples("first_us", &first_us);
    print_samples("late_us", &late_us);
    printf("\"left\":[");
    const char *separator = "";
    for (struct client *client = clients; client < clients + options.connections; client++)
        if (client->left) {
            printf("%s{\"id\":%ld,\"at_us\":%llu}", separator, client->id, (unsigned long long)client->left_at);
            separator = ",";
        }
    printf("],\"statuses\":{");
    separator = "";
    for (int status = 0; status < 600; status++)
        if (statuses[status] > 0) {
            printf("%s\"%d\":%ld", separator, status, statuses[status]);
            separator = ",";
        }
    printf("},\"failure\":");
    print_text(failure);
    printf("}\n");
}

/* The command line. */

static void usage(void) {
    fputs("usage: load requests|streams|leave|slow --port P [--path PATH] [--model NAME] [--header LINE]...\n"
          "            [--connections N] [--seconds S] [--rate N] [--tokens N] [--delay-us N] [--wait-us N]\n"
          "            [--ramp-ms N] [--folded 0|1] [--leave-ms N] [--leave-tokens N] [--read-rate N]\n"
          "            [--first-id N] [--timeout S]\n",
          stderr);
    exit(2);
}

static void add_header(const char *line) {
    size_t used = strlen(options.headers);
    if (used + strlen(line) + 3 > sizeof options.headers) usage();
    sprintf(options.headers + used, "%s\r\n", line);
}

static void set_option(const char *name, const char *value) {
    const struct { const char *name; long *number; } numbers[] = {
        {"--connections", &options.connections}, {"--rate", &options.rate},
        {"--tokens", &options.tokens},           {"--delay-us", &options.delay_us},
        {"--wait-us", &options.wait_us},         {"--ramp-ms", &options.ramp_ms},
        {"--leave-ms", &options.leave_ms},       {"--leave-tokens", &options.leave_tokens},
        {"--read-rate", &options.read_rate},     {"--first-id", &options.first_id},
    };
    for (size_t each = 0; each < sizeof numbers / sizeof *numbers; each++)
        if (strcmp(name, numbers[each].name) == 0) {
            *numbers[each].number = atol(value);
            return;
        }
    if (strcmp(name, "--port") == 0) options.port = atoi(value);
    else if (strcmp(name, "--path") == 0) options.path = value;
    else if (strcmp(name, "--model") == 0) options.model = value;
    else if (strcmp(name, "--header") == 0) add_header(value);
    else if (strcmp(name, "--folded") == 0) options.folded = atoi(value) != 0;
    else if (strcmp(name, "--seconds") == 0) options.seconds = atof(value);
    else if (strcmp(name, "--timeout") == 0) options.timeout_s = atof(value);
    else usage();
}

static void read_options(int argument_count, char **arguments) {
    static const char *const MODES[] = {
        [REQUESTS] = "requests", [STREAMS] = "streams", [LEAVE] = "leave", [SLOW] = "slow",
    };
    if (argument_count < 2 || argument_count % 2 != 0) usage();
    int mode = REQUESTS;
    while (mode <= SLOW && strcmp(arguments[1], MODES[mode]) != 0) mode++;
    if (mode > SLOW) usage();
    options.mode = (enum mode)mode;
    options.folded = mode == REQUESTS;
    for (int at = 2; at < argument_count; at += 2) set_option(arguments[at], arguments[at + 1]);
    if (options.port == 0 || options.connections < 1) usage();
}

int main(int argument_count, char **arguments) {
    read_options(argument_count, arguments);
    prepare_process();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    clients = checked(calloc((size_t)options.connections, sizeof *clients));
    for (long each = 0; each < options.connections; each++) clients[each].fd = -1;
    begun = now_us();
    run();
    report();
    return 0;
}
