"""Past one machine: training in tasks over sub-trees, prediction over partitions.

``_plan`` cuts a fit into tasks that share nothing but a folder, ``_drivers`` has them
done by Dask, Ray, Spark, joblib or an executor, ``_fitting`` puts both together in one
call. ``_partitions`` predicts table after table with a saved model. ``python -m
sklearn_xmr.distributed`` offers the same to batch schedulers and shells.
"""

from sklearn_xmr.distributed._fitting import fit_distributed
from sklearn_xmr.distributed._partitions import PartitionPredictor, predict_parquet
from sklearn_xmr.distributed._plan import (
    FitPlan,
    FitTask,
    assemble_fit,
    plan_fit,
    run_fit_task,
)

__all__ = [
    "FitPlan",
    "FitTask",
    "PartitionPredictor",
    "assemble_fit",
    "fit_distributed",
    "plan_fit",
    "predict_parquet",
    "run_fit_task",
]
