/* Reads what a collector reads, and does next to nothing with it: what that takes is the kernel's part.
 *
 *     cc -O2 -o read read.c; ./read ROUNDS RUNS <PLAN
 *
 * A line of the plan is a letter, a number N and a path, to be looked at in every Nth round. Of what it names, `h` is
 * held open and read whole, `o` is opened, read and closed, and may be missing, and `s` is a file system to ask for its
 * space. All digits are taken for numbers and added up. Printed is the CPU time of a round in µs: of the means of so
 * many runs the least. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16384, CHUNK = 32768 };

static struct { char how; int every, fd; char *path; } plan[MOST];
static int planned;
static volatile unsigned long long sum;

static void take(int fd)
{
    static char text[CHUNK];
    unsigned long long number = 0, found = 0;
    off_t at = 0;
    ssize_t size;
    while ((size = pread(fd, text, CHUNK, at)) > 0) {
        for (ssize_t i = 0; i < size; i++) {
            unsigned digit = (unsigned)text[i] - '0';
            if (digit < 10)
                number = number * 10 + digit;
            else
                found += number, number = 0;
        }
        at += size;
    }
    sum += found + number;
}

static void look(int which)
{
    struct statvfs space;
    int fd;
    switch (plan[which].how) {
    case 'h':
        take(plan[which].fd);
        break;
    case 'o':
        if ((fd = open(plan[which].path, O_RDONLY | O_CLOEXEC)) >= 0) {
            take(fd);
            close(fd);
        }
        break;
    case 's':
        if (statvfs(plan[which].path, &space) == 0)
            sum += space.f_bfree;
    }
}

static double spent(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

int main(int count, char **words)
{
    char how, path[4096];
    int every, rounds = count > 2 ? atoi(words[1]) : 0, runs = count > 2 ? atoi(words[2]) : 0;
    double least = 0;
    while (scanf(" %c %d %4095[^\n]", &how, &every, path) == 3) {
        if (planned == MOST || every < 1 || (plan[planned].path = strdup(path)) == NULL)
            return 2;
        plan[planned].how = how, plan[planned].every = every;
        if (how == 'h' && (plan[planned].fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
            return perror(path), 1;
        planned++;
    }
    if (rounds < 1 || runs < 1 || planned < 1)
        return fputs("usage: read ROUNDS RUNS <PLAN\n", stderr), 2;
    for (int i = 0; i < planned; i++)
        look(i);
    for (int run = 0; run < runs; run++) {
        double began = spent(), mean;
        for (int round = 0; round < rounds; round++)
            for (int i = 0; i < planned; i++)
                if (round % plan[i].every == 0)
                    look(i);
        mean = (spent() - began) / rounds;
        if (run == 0 || mean < least)
            least = mean;
    }
    printf("%.3f\n", least);
    return 0;
}
