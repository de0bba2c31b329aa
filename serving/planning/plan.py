"""The plan: whether a stack fits this box, what each model takes of it, and how many sequences it carries at once."""

from openoutcry.core.errors import UsageError
from openoutcry.serving.planning import weights
from openoutcry.serving.planning.admission import admitted
from openoutcry.serving.planning.anatomy import anatomy
from openoutcry.serving.planning.box import Box, Gpu, box
from openoutcry.serving.planning.planned import Plan, Planned, gb
from openoutcry.serving.planning.remedies import fault, gpu_memory, need, sequence
from openoutcry.serving.stack import REGISTERED, Served, Stack

TYPICAL = 4096
"""Tokens of a typical request of the desk, prompt and answer."""


def plan(stack: Stack, box: Box) -> Plan:
    """What each model of *stack* takes of *box*, and how many replicas of each fit side by side. Raises nothing."""
    alone = [_alone(stack, model, box) for model in stack.models.values()]
    return Plan(box=box, models=tuple(admitted(alone, box)))


def refuse(planned: Plan) -> None:
    """Raise UsageError, a line for each fault, where the plan does not fit."""
    if lines := [f"{model.name} {said}" for model in planned.models for said in model.faults]:
        raise UsageError("\n".join(["this stack does not fit this box", *lines]))


def fits(planned: Plan, model: str, replicas: int) -> bool:
    """Whether *replicas* of a model fit, whatever number the others run of those that the plan admits.

    Raises UsageError for a model that is not in the plan.
    """
    return replicas <= planned.of(model).most


def place(stack: Stack, model: Served, index: int) -> tuple[int, ...]:
    """The GPUs of this box, by number, that a replica of *model* has; none where the plan knows no place for it."""
    found = plan(stack, box()).of(model.name).gpus
    return found[index] if index < len(found) else ()


def _alone(stack: Stack, model: Served, box: Box) -> Planned:
    """What one replica takes, and why it does not fit by itself."""
    if model.engine != "vllm":
        note = f"stands at {model.url}; what it takes is not counted"
        return Planned(
            name=model.name, place="elsewhere", replicas=model.replicas, most=model.replicas.max, notes=(note,)
        )
    if model.device == "cuda" and not box.gpus:
        return _without_gpu(stack, model)
    on_gpu = bool(gpu_memory(model, box))
    seated = Planned(
        name=model.name,
        place="gpu" if on_gpu else "cpu",
        ram=weights.engine(model) if on_gpu else int(model.memory or 0),
        cores=0 if REGISTERED.fullmatch(model.name) else model.cores,  # one of the registry shares its base's work
        share=model.gpu_memory_utilization if on_gpu else 0.0,
        split=model.tensor_parallel_size if on_gpu else 0,
        context=model.max_model_len,
        replicas=model.replicas,
    )
    return seated.model_copy(update=_measures(stack, model, box))


def _without_gpu(stack: Stack, model: Served) -> Planned:
    """What a model would take of GPUs that this box does not have, with one sequence of its whole context."""
    bare = Planned(name=model.name, place="gpu", split=model.tensor_parallel_size, replicas=model.replicas)
    a = anatomy(stack, model)
    if a is None:
        return bare.model_copy(update={"faults": ("is to run on a GPU, and this box shows none",)})
    large = Box(ram=0, ram_free=0, cores=0, gpus=(Gpu(name="any", memory=weights.LARGE),) * model.tensor_parallel_size)
    taken = need(stack, model, a, large)
    taken = taken.model_copy(update={"kv": sequence(model, a, large, model.max_model_len)})
    said = f"needs {gb(taken.total)} of GPU memory (weights {gb(taken.weights)}), and this box shows no GPU"
    change = 'set device = "cpu" if its cores and memory are to do'
    return bare.model_copy(update={"need": taken, "context": model.max_model_len, "faults": (f"{said}: {change}",)})


def _measures(stack: Stack, model: Served, box: Box) -> dict[str, object]:
    """The parts of a plan that follow from a model's dimensions; a note where nobody says those."""
    a = anatomy(stack, model)
    if a is None:
        return {"notes": ("what it takes is not known: its weights are not here, so give a `shape`",)}
    taken, said = need(stack, model, a, box), fault(stack, model, a, box)

    def at_once(tokens: int) -> float:
        held = sequence(model, a, box, tokens)
        return taken.kv / held if held else 0.0

    full = at_once(model.max_model_len)
    return {
        "need": taken,
        "ram": weights.engine(model) if gpu_memory(model, box) else taken.total,
        "per_token": weights.kv_token(a, model),
        "tokens": int(full * model.max_model_len),
        "full": full,
        "typical": at_once(TYPICAL),
        "faults": (said,) if said else (),
    }
