"""The output of ``run --dry-run``: the resolved spec and its cost, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genbench.cli.output import print_json
from genbench.cli.session import answer
from genbench.contracts import TEST
from genbench.errors import UsageError
from genbench.formatting import counted, spans

if TYPE_CHECKING:
    from genbench.contracts import DataSpec
    from genbench.planning.resolve import ResolvedCell
    from genbench.spec import RunSpec

_LATER = (
    "known once the model is built: number of parameters, epochs of earlier stages (with as many "
    "images each), steps (an optimizer that steps k times per iteration uses k batches), seconds"
)


def print_plan(
    spec: RunSpec,
    data: DataSpec,
    *,
    as_json: bool,
    as_toml: bool = False,
    seeds: Sequence[int] = (),
) -> None:
    """The spec, the data and the cost of a run on stdout, or the spec as a settings file.

    With ``seeds`` there is a run for each of them, and the cost is that of one of them.
    """
    from dataclasses import asdict

    if as_toml:
        if seeds:
            raise UsageError("a settings file describes one run; leave out --seeds")
        from genbench.planning.toml_plan import as_toml as written

        print(written(spec), end="")
        return
    cost = cost_of(spec, data)
    if as_json:
        many = {"seeds": list(seeds)} if seeds else {}
        print_json({"spec": asdict(spec), "experiment": spec.experiment, "cost": cost, **many})
        return
    print(f"{spec.model} on {spec.dataset}  (experiment {spec.experiment})")
    for key, value in asdict(spec).items():
        if key == "seed" and seeds:
            print(f"  seeds = {spans(seeds)}")
        elif key not in ("model", "dataset"):
            for line in _lines(key, value):
                print(f"  {line}")
    print(f"cost of each of {counted(len(seeds), 'seed')}" if seeds else "cost")
    use = "to test" if spec.scored_on == TEST else "to validate"
    about = "" if spec.scored_on == TEST else "about "
    sizes = f"{_count(data.train)} to train, {about}{_count(data.test)} {use}"
    told = {"data": f"{_shape(data)}, {sizes}"}
    told |= {key.replace("_", " "): _count(value) for key, value in cost.items()}
    for label, text in told.items():
        print(f"  {label:{max(map(len, told))}}  {text}")
    answer(f"  {_LATER}")


def print_grid(
    cells: Sequence[ResolvedCell],
    *,
    seeds: Sequence[int],
    as_json: bool,
    as_toml: bool = False,
) -> None:
    """The runs of a sweep on stdout, one line for each combination, and what all of them cost."""
    from dataclasses import asdict

    if as_toml:
        raise UsageError("a settings file describes one run; give each setting a single value")
    specs = [cell.resolved.spec for cell in cells]
    costs = [cost_of(cell.resolved.spec, cell.resolved.data_spec) for cell in cells]
    images = [cost["images"] for cost in costs]
    of_each = len(seeds) or 1
    total = None if None in images else of_each * sum(filter(None, images))
    if as_json:
        own = [
            {
                "set": list(cell.sets),
                "spec": asdict(spec),
                "experiment": spec.experiment,
                "cost": cost,
            }
            for cell, spec, cost in zip(cells, specs, costs, strict=True)
        ]
        every = list(seeds or dict.fromkeys(spec.seed for spec in specs))
        runs = {"runs": of_each * len(cells), "images": total}
        print_json({"grid": own, "seeds": every, "cost": runs})
        return
    print(f"{specs[0].model} on {specs[0].dataset}: {counted(of_each * len(cells), 'run')}")
    for cell, cost in zip(cells, costs, strict=True):
        print(f"  {', '.join(cell.sets)}: {cost['epochs']} epochs, {_count(cost['images'])} images")
    if seeds:
        print(f"  seeds = {spans(seeds)} for each of them")
    print(f"total cost: {_count(total)} training images in the last stages")
    answer(f"  {_LATER}")


def cost_of(spec: RunSpec, data: DataSpec) -> dict[str, int | None]:
    """Epochs, minibatches and training images of the last stage.

    None where the data is not read yet.
    """
    images = min(data.train, spec.epoch_images or data.train)
    batches = images // spec.batch_size if images else None
    return {
        "epochs": spec.epochs,
        "batches_an_epoch": batches,
        "batches": batches and batches * spec.epochs,
        "images": batches and batches * spec.epochs * spec.batch_size,
    }


def _lines(key: str, value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [f"{key}.{name} = {json.dumps(item)}" for name, item in value.items()]
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
        return [f"{key}: {part['name']} {json.dumps(part['settings'])}" for part in value]
    return [f"{key} = {json.dumps(value)}"]


def _count(value: int | None) -> str:
    return f"{value:,}" if value else "not known before the data is read"


def _shape(data: DataSpec) -> str:
    return " x ".join(str(side) for side in data.shape)
