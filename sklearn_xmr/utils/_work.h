/* Tasks that threads take from a queue, and how long until signals are looked at. */
#ifndef XMR_WORK_H
#define XMR_WORK_H

#include <stdint.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#define xmr_team_size() omp_get_num_threads()
#define xmr_read(from, order) __atomic_load_n(from, __ATOMIC_##order)
#define xmr_write(to, value, order) __atomic_store_n(to, value, __ATOMIC_##order)
#define xmr_add(to, value, order) __atomic_fetch_add(to, value, __ATOMIC_##order)
#else /* one thread, with any compiler */
#define xmr_team_size() 1
#define xmr_read(from, order) (*(from))
#define xmr_write(to, value, order) (*(to) = (value))
#define xmr_add(to, value, order) ((*(to) += (value)) - (value))
#endif

typedef struct {
    int64_t n_tasks, next;
    int n_done;      /* threads that have left */
    int stop;        /* set when all shall end */
    int failed;      /* set when a task found no memory */
    double look_at;  /* when signals are looked at again, in seconds */
    void *owner;     /* the Python object that looks */
} xmr_work;

static inline double xmr_now(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static inline void xmr_sleep(double seconds)
{
#ifdef _OPENMP
    struct timespec pause = {0, (long)(1e9 * seconds)};
    nanosleep(&pause, NULL);
#else
    (void)seconds; /* one thread waits for none */
#endif
}

/* The next task, or -1. */
static inline int64_t xmr_take(xmr_work *work)
{
    int64_t task;
    if (xmr_read(&work->stop, RELAXED))
        return -1;
    task = xmr_add(&work->next, 1, RELAXED);
    return task < work->n_tasks ? task : -1;
}

static inline int xmr_is_stopped(const xmr_work *work)
{
    return xmr_read(&work->stop, RELAXED);
}

static inline void xmr_stop(xmr_work *work)
{
    xmr_write(&work->stop, 1, RELAXED);
}

static inline void xmr_leave(xmr_work *work)
{
    (void)xmr_add(&work->n_done, 1, RELEASE);
}

static inline int xmr_all_have_left(const xmr_work *work, int n_others)
{
    return xmr_read(&work->n_done, ACQUIRE) >= n_others;
}

#endif
