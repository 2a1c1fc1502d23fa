"""Plans, tasks and predictions from a shell or a batch scheduler.

    python -m sklearn_xmr.distributed plan ESTIMATOR X Y DIRECTORY
    python -m sklearn_xmr.distributed stages DIRECTORY
    python -m sklearn_xmr.distributed task DIRECTORY --stage 1 --index 0
    python -m sklearn_xmr.distributed assemble DIRECTORY MODEL
    python -m sklearn_xmr.distributed predict MODEL SOURCE TARGET --text title --id id

ESTIMATOR is a Python expression of an estimator of this package, as
"XRLinearClassifier(random_state=0)"; X and Y are folders of matrices. In a job array,
``task`` without ``--index`` takes the number that the scheduler gives the job, counted
from the first of the array; jobs beyond the last task do nothing.
"""

import argparse
import ast
import os
import sys

from sklearn.base import BaseEstimator

import sklearn_xmr
from sklearn_xmr.distributed import (
    FitPlan,
    PartitionPredictor,
    assemble_fit,
    plan_fit,
    predict_parquet,
    run_fit_task,
)
from sklearn_xmr.persistence import save_model

# Where schedulers tell a job of an array which one it is, and the number of the first.
ARRAY_VARIABLES = {
    "SLURM_ARRAY_TASK_ID": "SLURM_ARRAY_TASK_MIN",
    "PBS_ARRAY_INDEX": None,
    "SGE_TASK_ID": "SGE_TASK_FIRST",
    "LSB_JOBINDEX": None,
}
FROM_ONE = ("SGE_TASK_ID", "LSB_JOBINDEX")  # arrays that usually begin with 1


def estimator_of(text):
    """An estimator from its expression: constants and estimators as arguments."""
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"ESTIMATOR is no expression: {text} ({error})") from error
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ValueError(  # noqa: TRY004
            f"ESTIMATOR must be a call such as XRLinearClassifier(C=2), got {text}"
        )
    name = call.func.id
    kind = getattr(sklearn_xmr, name) if name in sklearn_xmr.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, BaseEstimator)):
        raise ValueError(f"sklearn_xmr has no estimator {name}")  # noqa: TRY004
    arguments = [_value_of(argument) for argument in call.args]
    keywords = {keyword.arg: _value_of(keyword.value) for keyword in call.keywords}
    return kind(*arguments, **keywords)


def _value_of(node):
    if isinstance(node, ast.Call):
        return estimator_of(ast.unparse(node))
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(
            f"ESTIMATOR may have constants and estimators as arguments, found "
            f"{ast.unparse(node)}"
        ) from error


def plan(args):
    """Write a plan, and say what its stages are."""
    estimator = estimator_of(args.estimator)
    plan_fit(estimator, args.X, args.Y, args.directory, n_tasks=args.n_tasks)
    stages(args)


def stages(args):
    """Say which stages a plan has, and what is left to do."""
    found = FitPlan(args.directory)
    for number, tasks in enumerate(found.stages, 1):
        left = sum(not found.is_done(task) for task in tasks)
        seconds = sum(task.training.seconds for task in tasks)
        print(
            f"stage {number}: {len(tasks)} tasks, {left} left, {seconds:.0f} s expected"
        )


def task(args):
    """Do one task of a stage, or several in turn."""
    found = FitPlan(args.directory)
    n_stages = len(found.stages)
    if not 1 <= args.stage <= n_stages:
        raise ValueError(f"--stage must be 1 to {n_stages}, got {args.stage}")
    tasks = found.stages[args.stage - 1]
    index = args.index if args.index is not None else _array_index()
    if index < 0:
        raise ValueError(f"--index must be 0 or more, got {index}")
    if index >= len(tasks):  # of an array that has more jobs than there are tasks
        print(f"stage {args.stage} has {len(tasks)} tasks: there is no task {index}")
    for one in tasks[index :: args.step or len(tasks)]:
        print(one, run_fit_task(args.directory, one.number), flush=True)


def _array_index():
    """Number of this job in its array, from 0."""
    for name, first in ARRAY_VARIABLES.items():
        if os.environ.get(name, "").isdigit():
            start = os.environ.get(first or "", "1" if name in FROM_ONE else "0")
            return int(os.environ[name]) - int(start)
    raise ValueError(f"--index is missing, and none of {list(ARRAY_VARIABLES)} is set")


def assemble(args):
    """Save the model of a plan that has been done."""
    trusted = args.trusted.split(",") if args.trusted else ()
    save_model(assemble_fit(args.directory, trusted=trusted), args.model)


def predict(args):
    """Predict Parquet files."""
    columns = args.columns.split(",") if args.columns else None
    predictor = PartitionPredictor(
        args.model, args.k, text=args.text, columns=columns, features=args.features,
        id=args.id, skip_empty=args.skip_empty,
    )  # fmt: skip
    n_rows = predict_parquet(
        predictor, args.source, args.target, batch_size=args.batch_size
    )
    print(f"{n_rows} rows")


def parser():
    """The parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m sklearn_xmr.distributed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(required=True)

    def command(do, *names):
        added = commands.add_parser(do.__name__, help=do.__doc__)
        added.set_defaults(do=do)
        for name in names:
            added.add_argument(name)
        return added

    command(plan, "estimator", "X", "Y", "directory").add_argument(
        "--n-tasks", type=int, default=64
    )
    command(stages, "directory")
    one = command(task, "directory")
    one.add_argument("--stage", type=int, required=True, help="from 1")
    one.add_argument("--index", type=int, help="from 0; default: of the job array")
    one.add_argument("--step", type=int, help="then also this many further on, ...")
    command(assemble, "directory", "model").add_argument(
        "--trusted", help="types of other packages, separated by commas"
    )
    many = command(predict, "model", "source", "target")
    for name in ("--text", "--columns", "--features", "--id"):
        many.add_argument(name)
    many.add_argument("-k", type=int, default=5)
    many.add_argument("--skip-empty", action="store_true")
    many.add_argument("--batch-size", type=int, default=8192)
    return made


def main(arguments=None):
    """Run a command; its exit status (int)."""
    args = parser().parse_args(arguments)
    try:
        args.do(args)
    except (ValueError, TypeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
