/* How many threads can be made: libgomp ends the process where it finds fewer. */
#ifndef XMR_THREADS_H
#define XMR_THREADS_H

#include <stddef.h>

#if !defined(_OPENMP) || defined(_WIN32)

static size_t xmr_stack_size;

static int xmr_team(int wanted) { return wanted; }

#else

#include <pthread.h>
#include <sys/types.h>
#include <unistd.h>

enum { XMR_MOST_TRIED = 1024 };

static size_t xmr_stack_size; /* of OpenMP's threads; 0 for the system's */

static void *xmr_wait_for_turn(void *lock)
{
    pthread_mutex_lock((pthread_mutex_t *)lock);
    pthread_mutex_unlock((pthread_mutex_t *)lock);
    return NULL;
}

/* Make so many threads, which all exist at once, and end them; how many there were. */
static int xmr_try_threads(int n)
{
    pthread_t threads[XMR_MOST_TRIED];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_attr_t attributes;
    int made = 0;
    if (pthread_attr_init(&attributes))
        return 0;
    if (xmr_stack_size)
        pthread_attr_setstacksize(&attributes, xmr_stack_size);
    pthread_mutex_lock(&lock);
    while (made < n && pthread_create(&threads[made], &attributes, xmr_wait_for_turn,
                                      &lock) == 0)
        made++;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
    return made;
}

/* The number of threads, the caller among them, for the parallel region that follows:
 * as many as wanted, or as can be made. libgomp keeps a team's threads for the next
 * region of the same thread, ends those that a smaller team does not need, and has none
 * in a forked child: only what it must make is tried before, in some 20 microseconds a
 * thread. */
static int xmr_team(int wanted)
{
    static __thread int kept = 1;
    static __thread pid_t process = 0;
    if (wanted <= 1)
        return 1; /* which keeps the others */
    if (process != getpid()) {
        process = getpid();
        kept = 1;
    }
    if (wanted > kept && wanted <= XMR_MOST_TRIED)
        wanted = kept + xmr_try_threads(wanted - kept);
    kept = wanted;
    return wanted;
}

#endif
#endif
