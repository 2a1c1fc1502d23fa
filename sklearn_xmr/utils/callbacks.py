"""scikit-learn's callbacks (progress bars, monitors) where its version has them.

Their interface is young (scikit-learn 1.9) and may change: nothing else in the package
touches it. Without it, everything here does nothing.
"""

from contextlib import contextmanager

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:
        """No callbacks."""


class CallbackMixin(CallbackSupportMixin):
    """An estimator whose ``fit`` tells callbacks what it is at.

    ``fit`` has to be decorated with ``_fit_context``, which ends what is begun here
    also when it fails.
    """

    def _begin_tasks(self, n_tasks):
        """The tasks of ``fit``, the first thing that it asks for.

        Parameters
        ----------
        n_tasks : int
            At most so many.

        Returns
        -------
        FitTasks
        """
        context = None
        if hasattr(self, "_init_callback_context"):
            context = self._init_callback_context(max_subtasks=n_tasks)
            context.call_on_fit_task_begin(estimator=self)
        return FitTasks(self, context)


class FitTasks:
    """Tasks one after another, each with tasks of its own.

    Parameters
    ----------
    estimator : estimator
    context : sklearn.callback.CallbackContext or None
    """

    def __init__(self, estimator, context):
        self.estimator, self.context = estimator, context

    @contextmanager
    def task(self, name, n_tasks=0):
        """One task; gives the tasks inside.

        Parameters
        ----------
        name : str
        n_tasks : int or None, default=0
            Most tasks inside; None: not known.
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
        """The task of fitting another estimator, whose own tasks are inside.

        Parameters
        ----------
        name : str
        model : estimator
        """
        with self.task(name) as inside:
            if inside.context is None:
                yield
            else:
                with inside.context.propagate_callback_context(model):
                    yield

    def end(self, X, y):
        """All is done: monitors can score the fitted estimator.

        Parameters
        ----------
        X, y
            What ``fit`` was given.
        """
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, X=X, y=y, reconstruction_attributes={}
            )


NO_TASKS = FitTasks(None, None)
