"""scikit-learn's callbacks (progress bars, monitors) where its version has them.

Their interface is new (scikit-learn 1.9) and may change: no other module of the package
uses it. Without it, everything here does nothing.
"""

from contextlib import contextmanager

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:
        """No callbacks."""


class CallbackMixin(CallbackSupportMixin):
    """An estimator whose ``fit`` reports its progress to callbacks.

    ``fit`` has to be decorated with ``fit_context``, which also ends the tasks of a fit
    that fails.
    """

    def _begin_tasks(self, n_tasks):
        """Begin the tasks of ``fit``, which calls this before any of them.

        Parameters
        ----------
        n_tasks : int
            Maximum number of tasks.

        Returns
        -------
        FitTasks
            The tasks of ``fit``.
        """
        context = None
        if hasattr(self, "_init_callback_context"):
            context = self._init_callback_context(max_subtasks=n_tasks)
            context.call_on_fit_task_begin(estimator=self)
        return FitTasks(self, context)


class FitTasks:
    """Consecutive tasks of a fit, each of which may have tasks inside.

    Parameters
    ----------
    estimator : estimator
        The estimator whose ``fit`` runs.
    context : sklearn.callback.CallbackContext or None
        Context of the outer task; None for no callbacks.
    """

    def __init__(self, estimator, context):
        self.estimator, self.context = estimator, context

    @contextmanager
    def task(self, name, n_tasks=0):
        """Run one task, and yield the tasks inside.

        Parameters
        ----------
        name : str
            Name of the task.
        n_tasks : int or None, default=0
            Maximum number of tasks inside; None if not known.

        Yields
        ------
        FitTasks
            The tasks inside.
        """
        if self.context is None:
            yield self
            return
        inside = self.context.subcontext(name, max_subtasks=n_tasks)
        inside.call_on_fit_task_begin(estimator=self.estimator)
        yield FitTasks(self.estimator, inside)
        inside.call_on_fit_task_end(estimator=self.estimator)

    @contextmanager
    def of_model(self, name, model):
        """Run the task of fitting another estimator, whose tasks are inside.

        Parameters
        ----------
        name : str
            Name of the task.
        model : estimator
            The estimator that is fitted.
        """
        with self.task(name) as inside:
            if inside.context is None:
                yield
            else:
                with inside.context.propagate_callback_context(model):
                    yield

    def end(self, X, y):
        """End the tasks of ``fit``: monitors can score the fitted estimator.

        Parameters
        ----------
        X : array-like, sparse matrix, HybridFeatures or list of str
            The instances given to ``fit``.
        y : {array-like, sparse matrix}
            The targets given to ``fit``.
        """
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, X=X, y=y, reconstruction_attributes={}
            )


NO_TASKS = FitTasks(None, None)
