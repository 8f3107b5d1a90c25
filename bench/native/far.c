/* The far ends' sound: N sockets, each sends a packet every 20 ms and counts what comes back.
 *
 * bench/far.py loads it; SIP stays in Python. Sending goes by a wheel of 40 slots of 0.5 ms, so
 * that far ends are not in step with each other. Arrivals carry the kernel's own time (it is taken
 * as the sender delivers), so that it does not matter when they are read.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 40
#define SLOT_NS 500000LL
#define PTIME_NS 20000000LL
#define LATE_NS 5000000LL
#define GAP_NS 60000000LL
#define FRAMES 50  /* a second of sound, again and again */
#define OCTETS 160
#define MARK_EVERY 25
#define MARK_AT 12
#define VOICES 4
#define BUCKETS 5000 /* of 0.1 ms */
#define BUCKET_NS 100000LL
#define SAMPLED 16
#define KEY_PACKETS 8

struct lane {
    int fd, next, slot, talking, echoed;
    int voice, payload_type, pair, keys_left, key;
    uint16_t sequence;
    uint32_t stamp, key_stamp, ssrc;
    int64_t sent, received, last_at, marked_at, sent_at[32];
};

struct counts {
    int64_t sent, received, late, gaps, sampled, sounding, stray, refused;
    int64_t late_windows, last_window, gap_ns;
    int64_t round_trip[BUCKETS], mouth[BUCKETS];
};

struct far {
    int epoll, sip, lanes, room, paced;
    int64_t start, slot;
    int heads[SLOTS];
    struct lane *lane;
    uint8_t voice[VOICES][FRAMES][OCTETS];
    uint8_t loud[VOICES][256];
    struct counts counts;
};

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

struct far *far_new(int sip, int room)
{
    struct far *f = calloc(1, sizeof *f);
    f->epoll = epoll_create1(0);
    f->sip = sip;
    f->room = room;
    f->lane = calloc(room, sizeof *f->lane);
    for (int i = 0; i < SLOTS; i++)
        f->heads[i] = -1;
    f->start = now_ns(CLOCK_MONOTONIC);
    return f;
}

/* A second of sound, and which of its codes are loud: such a code is in a marked frame only. */
void far_voice(struct far *f, int voice, const uint8_t *sound, const uint8_t *loud)
{
    memcpy(f->voice[voice], sound, FRAMES * OCTETS);
    memcpy(f->loud[voice], loud, 256);
}

/* A lane with a socket on loopback; its number, or -1. */
int far_open(struct far *f)
{
    if (f->lanes == f->room)
        return -1;
    int i = f->lanes, on = 1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct lane *l = &f->lane[i];
    l->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&here, sizeof here) < 0)
        return -1;
    setsockopt(l->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    struct epoll_event want = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(f->epoll, EPOLL_CTL_ADD, l->fd, &want);
    l->slot = i * 17 % SLOTS;
    l->ssrc = i + 1;
    l->pair = -1;
    l->next = f->heads[l->slot];
    f->heads[l->slot] = i;
    return f->lanes++;
}

int far_port(struct far *f, int i)
{
    struct sockaddr_in here;
    socklen_t size = sizeof here;
    getsockname(f->lane[i].fd, (struct sockaddr *)&here, &size);
    return ntohs(here.sin_port);
}

/* Talk to a port from now on. ``pair``: the lane whose marks are heard here (itself: an echo). */
void far_talk(struct far *f, int i, int port, int voice, int payload_type, int pair, int echoed)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons(port)};
    struct lane *l = &f->lane[i];
    connect(l->fd, (struct sockaddr *)&there, sizeof there);
    l->voice = voice;
    l->payload_type = payload_type;
    l->pair = pair;
    l->echoed = echoed;
    l->keys_left = 0;
    l->last_at = l->marked_at = 0;
    l->talking = 1;
}

void far_pair(struct far *f, int i, int pair)
{
    f->lane[i].pair = pair;
}

void far_hush(struct far *f, int i)
{
    f->lane[i].talking = 0;
}

void far_key(struct far *f, int i, int key)
{
    f->lane[i].key = key;
    f->lane[i].key_stamp = f->lane[i].stamp;
    f->lane[i].keys_left = KEY_PACKETS;
}

/* Begin to count anew; gaps are measured from here on. */
void far_reset(struct far *f)
{
    memset(&f->counts, 0, sizeof f->counts);
    for (int i = 0; i < f->lanes; i++)
        f->lane[i].last_at = 0;
}

const struct counts *far_counts(struct far *f)
{
    return &f->counts;
}

static void speak(struct far *f, struct lane *l, int64_t due, int64_t now)
{
    uint8_t p[12 + OCTETS];
    uint32_t stamp = l->keys_left ? l->key_stamp : l->stamp;
    size_t size = sizeof p;
    p[0] = 0x80;
    p[1] = l->payload_type;
    p[2] = l->sequence >> 8, p[3] = l->sequence & 255;
    p[4] = stamp >> 24, p[5] = stamp >> 16, p[6] = stamp >> 8, p[7] = stamp;
    p[8] = l->ssrc >> 24, p[9] = l->ssrc >> 16, p[10] = l->ssrc >> 8, p[11] = l->ssrc;
    int64_t at = now_ns(CLOCK_REALTIME);
    if (l->keys_left) { /* RFC 4733: marked at its first, its end said three times */
        int left = l->keys_left--, longest = left > 3 ? left : 3;
        int duration = (KEY_PACKETS - longest + 1) * OCTETS;
        p[1] = 101 | (left == KEY_PACKETS ? 0x80 : 0);
        p[12] = l->key;
        p[13] = 10 | (left <= 3 ? 0x80 : 0);
        p[14] = duration >> 8, p[15] = duration & 255;
        size = 16;
    } else {
        int frame = (l->sent + l->ssrc) % FRAMES;
        memcpy(p + 12, f->voice[l->voice][frame], OCTETS);
        if (frame % MARK_EVERY == MARK_AT)
            l->marked_at = at;
    }
    l->sent_at[l->sequence & 31] = at;
    f->counts.late += now - due > LATE_NS;
    if (send(l->fd, p, size, 0) >= 0) {
        l->sent++;
        f->counts.sent++;
    } else {
        f->counts.refused++;
    }
    l->sequence++;
    l->stamp += OCTETS;
}

static void count(int64_t *histogram, int64_t ns)
{
    int64_t bucket = ns / BUCKET_NS;
    histogram[bucket < 0 ? 0 : bucket >= BUCKETS ? BUCKETS - 1 : bucket]++;
}

static void hear(struct far *f, struct lane *l, const uint8_t *p, ssize_t size, int64_t at)
{
    struct counts *c = &f->counts;
    if (size < 12 || (p[1] & 0x7f) != l->payload_type) {
        c->stray++;
        return;
    }
    c->received++;
    l->received++;
    if (l->last_at && at - l->last_at > GAP_NS) {
        c->gaps++;
        c->gap_ns += at - l->last_at;
    }
    l->last_at = at;
    if (l->echoed) {
        int64_t trip = at - l->sent_at[p[3] & 31], window = at / PTIME_NS;
        count(c->round_trip, trip);
        if (trip > LATE_NS && window != c->last_window) {
            c->last_window = window;
            c->late_windows++;
        }
    }
    if (size == 12 + OCTETS) {
        if (l->received % SAMPLED == 0) {
            static const uint8_t silence[16] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                255, 255, 255, 255, 255, 255, 255, 255};
            c->sampled++;
            c->sounding += memcmp(p + 12, silence, 16) != 0;
        }
        if (l->pair >= 0 && f->lane[l->pair].marked_at) {
            const uint8_t *loud = f->loud[l->voice];
            int found = 0;
            for (int i = 0; i < OCTETS; i++)
                found |= loud[p[12 + i]];
            if (found) {
                count(c->mouth, at - f->lane[l->pair].marked_at);
                f->lane[l->pair].marked_at = 0;
            }
        }
    }
}

static void listen_all(struct far *f)
{
    static struct epoll_event ready[512];
    static uint8_t buffer[2048];
    char control[64];
    int found;
    do {
        found = epoll_wait(f->epoll, ready, 512, 0);
        for (int i = 0; i < found; i++) {
            struct lane *l = &f->lane[ready[i].data.u32];
            struct iovec part = {buffer, sizeof buffer};
            struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                                     .msg_controllen = sizeof control};
            ssize_t size = recvmsg(l->fd, &message, 0);
            if (size < 0 || !l->talking)
                continue;
            struct cmsghdr *head = CMSG_FIRSTHDR(&message);
            struct timespec at = {0};
            if (head && head->cmsg_type == SO_TIMESTAMPNS)
                memcpy(&at, CMSG_DATA(head), sizeof at);
            hear(f, l, buffer, size, at.tv_sec * 1000000000LL + at.tv_nsec);
        }
    } while (found == 512);
}

/* Send and hear until a time of CLOCK_MONOTONIC; 1 as soon as there is something for SIP. */
int far_run(struct far *f, int64_t until)
{
    for (;;) {
        int64_t now = now_ns(CLOCK_MONOTONIC), due;
        while ((due = f->start + f->slot * SLOT_NS) <= now && now < until) {
            for (int i = f->heads[f->slot % SLOTS]; i >= 0; i = f->lane[i].next)
                if (f->lane[i].talking)
                    speak(f, &f->lane[i], due, now);
            f->slot++;
            now = now_ns(CLOCK_MONOTONIC);
        }
        listen_all(f);
        now = now_ns(CLOCK_MONOTONIC);
        int64_t wait = (due < until ? due : until) - now;
        struct pollfd sip = {.fd = f->sip, .events = POLLIN};
        struct timespec time = {0, wait > 0 ? wait % 1000000000LL : 0};
        if (ppoll(&sip, 1, &time, NULL) > 0)
            return 1;
        if (now >= until)
            return 0;
    }
}
