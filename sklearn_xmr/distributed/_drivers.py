"""Those who do the tasks: Dask, Ray, Spark, executors, joblib. Each in a few lines.

A driver is given a function and the arguments of calls, the longest call first, and
yields what they return as they return. Only arguments and small results travel: the
function reads and writes files.
"""

import sys
from concurrent.futures import Executor, as_completed
from contextlib import suppress

from joblib import Parallel, delayed


def driver_of(client):
    """The driver for what users call their cluster.

    Parameters
    ----------
    client : dask.distributed.Client, ray, SparkSession, Executor or None
        None means joblib, with the backend of ``joblib.parallel_config``.

    Returns
    -------
    callable
        ``driver(function, arguments)``, which yields results.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    if client is None:
        parallel = _parallel()
        return lambda function, arguments: parallel(
            delayed(function)(*args) for args in arguments
        )
    if client is sys.modules.get("ray"):
        return lambda function, arguments: _by_ray(client, function, arguments)
    if hasattr(client, "scheduler_info"):
        return lambda function, arguments: _by_dask(client, function, arguments)
    if hasattr(client, "sparkContext"):
        return lambda function, arguments: _by_spark(client, function, arguments)
    if isinstance(client, Executor):
        return lambda function, arguments: _by_executor(client, function, arguments)
    raise TypeError(
        "client must be a dask.distributed.Client, the module ray, a SparkSession, a "
        f"concurrent.futures.Executor or None (joblib), got {type(client).__name__}"
    )


def _parallel():
    """joblib with the backend that is configured now, as results come if it can."""
    for how in ("generator_unordered", "generator"):
        with suppress(ValueError, TypeError):  # not each backend and version
            return Parallel(return_as=how)
    return Parallel()


def _by_executor(executor, function, arguments):
    futures = [executor.submit(function, *args) for args in arguments]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def _by_dask(client, function, arguments):
    from distributed import as_completed as completed

    futures = [
        client.submit(function, *args, pure=False, priority=-number)
        for number, args in enumerate(arguments)
    ]
    try:
        for future in completed(futures):
            yield future.result()
    finally:
        client.cancel(futures)


def _by_ray(ray, function, arguments):
    remote = ray.remote(max_retries=3)(function)  # of a worker that has died
    waiting = [remote.remote(*args) for args in arguments]
    try:
        while waiting:
            done, waiting = ray.wait(waiting)
            yield from ray.get(done)
    finally:
        for one in waiting:
            ray.cancel(one, force=False)


def _by_spark(spark, function, arguments):
    arguments = list(arguments)
    calls = spark.sparkContext.parallelize(arguments, max(len(arguments), 1))
    yield from calls.map(lambda args: function(*args)).collect()
