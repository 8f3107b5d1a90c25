/* Sockets that send back what comes, one thread, and nothing else: what the kernel alone costs.
 *
 * usage: echo COUNT      prints its ports on one line, then echoes until it is killed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int epoll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof here;
        int one = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (one < 0 || bind(one, (struct sockaddr *)&here, sizeof here) < 0) {
            perror("echo");
            return 1;
        }
        getsockname(one, (struct sockaddr *)&here, &size);
        printf("%d ", ntohs(here.sin_port));
        struct epoll_event want = {.events = EPOLLIN, .data.fd = one};
        epoll_ctl(epoll, EPOLL_CTL_ADD, one, &want);
    }
    printf("\n");
    fflush(stdout);
    static struct epoll_event ready[512];
    static char buffer[2048];
    for (;;) {
        int found = epoll_wait(epoll, ready, 512, -1);
        for (int i = 0; i < found; i++) {
            struct sockaddr_in from;
            socklen_t size = sizeof from;
            ssize_t got = recvfrom(ready[i].data.fd, buffer, sizeof buffer, 0,
                                   (struct sockaddr *)&from, &size);
            if (got >= 0)
                sendto(ready[i].data.fd, buffer, got, 0, (struct sockaddr *)&from, size);
        }
    }
}
