"""Write the model files that later versions must read:

    python tests/helpers/make_model_fixtures.py tests/persistence/fixtures/FORMAT

Run once for each format of model files, and never over an existing folder.
"""

import json
import sys
from pathlib import Path

from fuzzing.model_files import TEXTS, models

from sklearn_xmr import predict_topk, save_model

K = 3


def main():
    """Write the models of the fuzzer, and what they answer."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    answers = {}
    for number, model in enumerate(models()):
        save_model(model, folder / f"{number}.xmr")
        labels, scores = predict_topk(model, TEXTS, K)
        rows = [scores_of_row.tolist() for scores_of_row in scores]
        answers[f"{number}.xmr"] = {"labels": labels.tolist(), "scores": rows}
    (folder / "answers.json").write_text(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main()
