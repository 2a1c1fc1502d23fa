/* Tasks that threads take from a queue, and how long until signals are looked at. */
#ifndef XMR_WORK_H
#define XMR_WORK_H

#include <stdint.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#define xmr_team_size() omp_get_num_threads()
#else
#define xmr_team_size() 1
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
    struct timespec pause = {0, (long)(1e9 * seconds)};
    nanosleep(&pause, NULL);
}

/* The next task, or -1. */
static inline int64_t xmr_take(xmr_work *work)
{
    int64_t task;
    if (__atomic_load_n(&work->stop, __ATOMIC_RELAXED))
        return -1;
    task = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED);
    return task < work->n_tasks ? task : -1;
}

static inline int xmr_is_stopped(const xmr_work *work)
{
    return __atomic_load_n(&work->stop, __ATOMIC_RELAXED);
}

static inline void xmr_stop(xmr_work *work)
{
    __atomic_store_n(&work->stop, 1, __ATOMIC_RELAXED);
}

static inline void xmr_leave(xmr_work *work)
{
    __atomic_fetch_add(&work->n_done, 1, __ATOMIC_RELEASE);
}

static inline int xmr_all_have_left(const xmr_work *work, int n_others)
{
    return __atomic_load_n(&work->n_done, __ATOMIC_ACQUIRE) >= n_others;
}

#endif
