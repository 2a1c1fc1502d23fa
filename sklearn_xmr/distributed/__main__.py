"""Plans, tasks and predictions from a shell or a batch scheduler.

    python -m sklearn_xmr.distributed plan ESTIMATOR X Y DIRECTORY
    python -m sklearn_xmr.distributed stages DIRECTORY
    python -m sklearn_xmr.distributed task DIRECTORY --stage 1 --index 0
    python -m sklearn_xmr.distributed assemble DIRECTORY MODEL
    python -m sklearn_xmr.distributed predict MODEL SOURCE TARGET --text title --id id

ESTIMATOR is a Python expression of an estimator of this package, as
"XRLinearClassifier(random_state=0)"; X and Y are folders of matrices. In a job array,
``task`` without ``--index`` takes the number that the scheduler gives the job.
"""

import argparse
import ast
import os
import sys

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

# Where schedulers tell a job of an array which one it is.
ARRAY_VARIABLES = (
    "SLURM_ARRAY_TASK_ID",
    "PBS_ARRAY_INDEX",
    "SGE_TASK_ID",
    "LSB_JOBINDEX",
)


def estimator_of(text):
    """An estimator from its expression: constants as arguments, nothing else."""
    call = ast.parse(text, mode="eval").body
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ValueError(  # noqa: TRY004
            f"ESTIMATOR must be a call such as XRLinearClassifier(C=2), got {text}"
        )
    if call.func.id not in sklearn_xmr.__all__:
        raise ValueError(f"sklearn_xmr has no {call.func.id}")
    arguments = [_value_of(argument) for argument in call.args]
    keywords = {keyword.arg: _value_of(keyword.value) for keyword in call.keywords}
    return getattr(sklearn_xmr, call.func.id)(*arguments, **keywords)


def _value_of(node):
    if isinstance(node, ast.Call):
        return estimator_of(ast.unparse(node))
    return ast.literal_eval(node)


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
    tasks = found.stages[args.stage - 1]
    index = args.index if args.index is not None else _array_index()
    for one in tasks[index :: args.step or len(tasks)]:
        print(one, run_fit_task(args.directory, one.number), flush=True)


def _array_index():
    for name in ARRAY_VARIABLES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    raise ValueError(f"--index is missing, and none of {ARRAY_VARIABLES} is set")


def assemble(args):
    """Save the model of a plan that has been done."""
    save_model(assemble_fit(args.directory), args.model)


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
    command(assemble, "directory", "model")
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
