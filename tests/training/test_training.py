"""The training loop: runs that were killed go on as if nothing had been, stages, distillation, two processes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'tercet[torch]')")

import torch
from torch import Tensor, nn

from tercet.frontend.torch.quantizers import SignedBinary, prepare, quantized_layers
from tercet.frontend.torch.training import Recipe, Stage, accuracy, density, predictions, settle, train
from tercet.frontend.torch.training.distillation import distilled
from tercet.frontend.torch.training.optimizer import optimizer_of, rate_at
from tercet.ir.errors import InputError

EXAMPLE = (torch.zeros(1, 2, 6, 6),)


class Stripes:
    """Images with horizontal or vertical stripes, in noise. fail_at: the batch of all that cannot be had."""

    steps = 10

    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at, self.given = fail_at, 0

    def batches(self, epoch: int, rank: int, processes: int) -> Iterator[tuple[Tensor, Tensor]]:
        random = torch.Generator().manual_seed(epoch)
        made = [self._batch(random) for _ in range(self.steps)]
        for batch in made[rank::processes][: self.steps // processes]:
            if self.given == self.fail_at:
                raise KeyboardInterrupt
            self.given += 1
            yield batch

    def test(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield self._batch(torch.Generator().manual_seed(1000))

    @staticmethod
    def _batch(random: torch.Generator) -> tuple[Tensor, Tensor]:
        kinds = torch.randint(0, 2, (32,), generator=random)
        wave = torch.sin(torch.arange(6) * 2.0)
        images = torch.where(kinds[:, None, None] == 0, wave[:, None], wave[None, :])[:, None].expand(-1, 2, -1, -1)
        return images + 0.3 * torch.randn(32, 2, 6, 6, generator=random), kinds


def net(scheme: str = "ternary", seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    blocks = list[nn.Module]()
    for inputs in (2, 8, 8):
        blocks += [nn.Conv2d(inputs, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    model = nn.Sequential(*blocks, nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    prepare(model, scheme, example_inputs=EXAMPLE)
    return model


def recipe(epochs: int = 4, **options: Any) -> Recipe:
    return Recipe.one_stage(epochs, 0.1, **{"warmup": 5, "compiled": False, **options})


def same(a: nn.Module, b: nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("scheme", ["float", "ttq", "ternary", "binary", "signed-binary", "lsq4", "ternary-n2uq2"])
def test_networks_learn(scheme: str) -> None:
    model, untrained = net(scheme), net(scheme)
    history = train(model, Stripes(), recipe(6), quiet=True)
    assert history[-1]["test_accuracy"] > 0.9 and not same(model, untrained)
    assert history[-1]["test_accuracy"] == accuracy(model, Stripes().test())
    assert history[-1]["density"] == density(model)
    assert (density(model) == 1) == (scheme in ("float", "binary"))


@pytest.mark.parametrize("fail_at", [25, 44])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, fail_at: int) -> None:
    """To the bit, with dropout, running statistics and momentum, though killed in the middle of an epoch, or while
    statistics are taken anew after the last one."""
    whole, killed, resumed = net(), net(), net(seed=1)
    want = train(whole, Stripes(), recipe(), quiet=True)
    with pytest.raises(KeyboardInterrupt):
        train(killed, Stripes(fail_at=fail_at), recipe(), tmp_path / "run", quiet=True)
    got = train(resumed, Stripes(), recipe(), tmp_path / "run", quiet=True)
    assert same(whole, resumed) and not same(whole, killed)
    for one, other in zip(want, got, strict=True):
        assert {k: v for k, v in one.items() if k != "cpu_seconds"} == {
            k: v for k, v in other.items() if k != "cpu_seconds"
        }
    assert sorted(p.name for p in (tmp_path / "run").iterdir() if p.suffix in (".pt", ".part")) == ["checkpoint.pt"]


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    model = net()
    history = train(model, Stripes(), recipe(2), tmp_path, quiet=True)
    again = net(seed=3)
    assert train(again, Stripes(fail_at=0), recipe(2), tmp_path, quiet=True) == history and same(model, again)


def test_statistics_are_taken_anew_after_the_last_epoch(tmp_path: Path) -> None:
    plain, settled = net(), net()
    (*_, before) = train(plain, Stripes(), recipe(2, settled=False), quiet=True)
    (*_, after) = train(settled, Stripes(), recipe(2), quiet=True)
    assert after["before_settling"] == before["test_accuracy"] and "before_settling" not in before
    assert not same(plain, settled)
    assert settle(plain, (x for x, _ in Stripes().batches(1, 0, 1))) and same_statistics(plain, settled)
    assert after["test_accuracy"] == accuracy(plain, Stripes().test())


def same_statistics(a: nn.Module, b: nn.Module) -> bool:
    names = ("running_mean", "running_var", "mean", "deviation")
    found = [{k: v for k, v in m.state_dict().items() if k.rpartition(".")[2] in names} for m in (a, b)]
    return all(torch.equal(found[0][name], found[1][name]) for name in found[0]) and len(found[0]) > 0


def test_a_run_of_before_statistics_were_taken_anew(tmp_path: Path) -> None:
    """Its checkpoint does not know of them; when it goes on, or is finished, it gets them."""
    train(net(), Stripes(), recipe(2), tmp_path, epochs=1, quiet=True)
    path = tmp_path / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    del state["settled"], state["recipe"]["settled"]
    torch.save(state, path)
    assert "before_settling" in train(net(), Stripes(), recipe(2), tmp_path, quiet=True)[-1]


def test_stop_for_now(tmp_path: Path) -> None:
    assert len(train(net(), Stripes(), recipe(), tmp_path, epochs=1, quiet=True)) == 1
    assert len(train(net(), Stripes(), recipe(), tmp_path, epochs=9, quiet=True)) == 4


def test_another_recipe_or_model_is_refused(tmp_path: Path) -> None:
    train(net(), Stripes(), recipe(), tmp_path, epochs=1, quiet=True)
    with pytest.raises(InputError, match="another recipe: seed"):
        train(net(), Stripes(), recipe(seed=1), tmp_path, quiet=True)
    with pytest.raises(InputError, match=r"cannot be resumed from.*checkpoint|cannot be resumed from"):
        train(net("float"), Stripes(), recipe(), tmp_path, quiet=True)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\x80\x04cos\nsystem\nq\x00."])
def test_a_broken_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match="cannot be resumed from"):
        train(net(), Stripes(), recipe(), tmp_path, quiet=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == content


def test_stages() -> None:
    """First the activations, then the weights, too; a stage begins its schedule again."""
    two = Recipe.two_stages((1, 2), 0.1, 0.5, compiled=False)
    assert two.epochs == 3 and two.stage_of(0) == (two.stages[0], 0) and two.stage_of(2) == (two.stages[1], 1)
    with pytest.raises(IndexError):
        two.stage_of(3)
    model = net()
    train(model, Stripes(), two, teacher=net("float"), epochs=1, quiet=True)
    (layer, *_) = (layer for _, layer in quantized_layers(model))
    assert layer.weight_quantizer is not None and layer.input_quantizer is not None
    assert not layer.weight_quantizer.enabled and layer.input_quantizer.enabled
    assert torch.equal(layer.quantized_weight(), layer.weight)


def test_rates() -> None:
    stage = Stage(10, 0.2)
    cosine, steps = Recipe((stage,), warmup=4), Recipe((stage,), decay="steps", warmup=0)
    assert [rate_at(i, 100, stage, cosine) for i in (0, 3)] == [0.05, 0.2]
    assert rate_at(52, 100, stage, cosine) == pytest.approx(0.1) and rate_at(100, 100, stage, cosine) == pytest.approx(
        0
    )
    assert [rate_at(i, 100, stage, steps) for i in (0, 49, 50, 75)] == pytest.approx([0.2, 0.2, 0.02, 0.002])


def test_latent_weights_move_faster_and_decay_less() -> None:
    model = net("ttq")
    groups = optimizer_of(model, recipe()).param_groups
    latent = next(g for g in groups if any(p is model[3].weight for p in g["params"]))
    assert latent["factor"] == 10 and latent["weight_decay"] == pytest.approx(1e-5)
    norm = next(g for g in groups if any(p is model[1].weight for p in g["params"]))
    assert norm["factor"] == 1 and norm["weight_decay"] == 0
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))


def test_signed_binary_is_told_how_far_the_training_is() -> None:
    model = net("signed-binary")
    train(model, Stripes(), recipe(), quiet=True)
    sharp = [float(m.sharpness) for m in model.modules() if isinstance(m, SignedBinary)]
    assert sharp == pytest.approx([10 ** (2 * 39 / 40 - 1)] * len(sharp)) and sharp


def test_distillation() -> None:
    """The loss is a cross entropy with the teacher's probabilities, smallest where the logits are the same."""
    taught, other = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[0.0, 1.0, 0.5]])
    probabilities = torch.softmax(taught / 2, 1)
    want = -(probabilities * torch.log_softmax(other / 2, 1)).sum() * 4
    torch.testing.assert_close(distilled(other, taught, 2.0), want)
    assert distilled(taught, taught, 2.0) < distilled(other, taught, 2.0)
    teacher, student = net("float"), net()
    train(teacher, Stripes(), recipe(), quiet=True)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    train(student, Stripes(), recipe(distillation=0.9), teacher=teacher, quiet=True)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_a_teacher_without_a_share_of_the_loss() -> None:
    cases: list[dict[str, Any]] = [{"distillation": 0.5}, {}]
    for options in cases:
        with pytest.raises(InputError, match="takes both"):
            train(net(), Stripes(), recipe(**options), teacher=None if options else net(), quiet=True)


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    model = net("float")
    next(model.parameters()).data.fill_(float("nan"))
    with pytest.raises(InputError, match="the loss is nan in step 1"):
        train(model, Stripes(), recipe(), quiet=True)


def test_an_own_loss() -> None:
    """For what is no classification: targets of any kind."""

    class Sums(Stripes):
        def batches(self, epoch: int, rank: int, processes: int) -> Iterator[tuple[Tensor, Tensor]]:
            return ((x, x.mean((1, 2, 3))[:, None].expand(-1, 2)) for x, _ in super().batches(epoch, rank, processes))

        def test(self) -> Iterator[tuple[Tensor, Tensor]]:
            return self.batches(1000, 0, 1)

    model = net("ttq")
    history = train(model, Sums(), recipe(), loss=nn.functional.mse_loss, quiet=True)
    assert history[-1]["loss"] < history[0]["loss"] and not any("accuracy" in name for name in history[-1])
    losses = [float(nn.functional.mse_loss(*pair)) for pair in predictions(model, Sums().test())]
    assert len(losses) == Sums.steps and history[-1]["test_loss"] == sum(losses) / len(losses)


class TwoHeads(nn.Module):
    """Outputs that are no tensor: as of a detector."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.body(x)
        return {"kind": logits, "brightness": logits.sum(1)}


class TwoTargets(Stripes):
    def batches(self, epoch: int, rank: int, processes: int) -> Iterator[tuple[Tensor, Any]]:
        return ((x, (kinds, x.mean((1, 2, 3)))) for x, kinds in super().batches(epoch, rank, processes))

    def test(self) -> Iterator[tuple[Tensor, Any]]:
        return self.batches(1000, 0, 1)


def two_losses(outputs: dict[str, Tensor], targets: tuple[Tensor, Tensor]) -> Tensor:
    kinds, brightness = targets
    return nn.functional.cross_entropy(outputs["kind"], kinds) + (outputs["brightness"] - brightness).square().mean()


def kinds_right(found: Iterable[tuple[dict[str, Tensor], tuple[Tensor, Tensor]]]) -> float:
    right = [float((outputs["kind"].argmax(1) == kinds).float().mean()) for outputs, (kinds, _) in found]
    return np.float64(np.mean(right))  # a number of numpy's, as metrics may well return


def test_an_own_metric(tmp_path: Path) -> None:
    """It sees all test data, in evaluation mode, of outputs and targets of any structure; the run can be resumed."""
    seen = []

    def share_right(found: Iterable[Any]) -> float:
        seen.append([(pair, model.training) for pair in found])
        return kinds_right(pair for pair, _ in seen[-1])

    model, whole = TwoHeads(), TwoHeads()
    want = train(whole, TwoTargets(), recipe(), loss=two_losses, metric=kinds_right, quiet=True)
    train(model, TwoTargets(), recipe(), tmp_path, loss=two_losses, metric=share_right, epochs=2, quiet=True)
    assert [len(pairs) for pairs in seen] == [TwoTargets.steps] * 2 and model.training
    assert not any(training or outputs["kind"].requires_grad for pairs in seen for (outputs, _), training in pairs)
    resumed = TwoHeads()
    got = train(resumed, TwoTargets(), recipe(), tmp_path, loss=two_losses, metric=kinds_right, quiet=True)
    assert same(whole, resumed) and want[-1]["test_kinds_right"] == got[-1]["test_kinds_right"] > 0.9
    assert [name for name in got[0] if name.startswith("test_")] == ["test_share_right"]


def test_a_metric_of_a_classifier() -> None:
    def errors(found: Iterable[tuple[Tensor, Tensor]]) -> float:
        ((logits, kinds),) = found
        return float((logits.argmax(1) != kinds).float().mean())

    model = net("ttq")
    (record, *_) = train(model, Stripes(), recipe(1), metric=errors, quiet=True)
    assert "train_accuracy" in record and record["test_errors"] == pytest.approx(1 - accuracy(model, Stripes().test()))


def test_what_is_shown_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    train(net(), Stripes(), recipe(1), quiet=False)
    train(TwoHeads(), TwoTargets(), recipe(1), loss=two_losses, metric=kinds_right, quiet=False)
    first, settled, second, again = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"epoch 1/1, loss \d+\.\d{3}, train [\d.]+ %, test [\d.]+ %, density 0\.\d{3}, \d+ s of CPU", first
    )
    assert re.fullmatch(r"running statistics taken anew: test [\d.]+ %", settled)
    assert re.fullmatch(r"running statistics taken anew: test kinds right \d\.\d{3}", again)
    assert re.fullmatch(r"epoch 1/1, loss \d+\.\d{3}, test kinds right \d\.\d{3}, density .*", second)


def test_distillation_of_what_are_no_logits() -> None:
    with pytest.raises(InputError, match=r"distillation compares logits.*got a dict"):
        train(TwoHeads(), TwoTargets(), recipe(distillation=0.5), teacher=TwoHeads(), loss=two_losses, quiet=True)


@pytest.mark.check
def test_compiled_training() -> None:
    history = train(net(), Stripes(), recipe(6, compiled=True), quiet=True)
    assert history[-1]["test_accuracy"] > 0.9


def test_bfloat16() -> None:
    history = train(net("ttq"), Stripes(), recipe(6, precision="bfloat16"), quiet=True)
    assert history[-1]["test_accuracy"] > 0.9


TWO = """
import sys
sys.path[:0] = [{tests!r}]
import torch
from test_training import Stripes, net, recipe
from tercet.frontend.torch.training import processes, train
torch.set_num_threads(1)
with processes("cpu") as process:
    model = net("ttq")
    history = train(model, Stripes(), recipe(), {folder!r}, process=process, quiet=True)
    sums = torch.stack([p.detach().double().sum() for p in model.parameters()])
    both = [torch.empty_like(sums) for _ in range(process.count)]
    torch.distributed.all_gather(both, sums)
    assert torch.equal(*both)
    norm = model[1].running_mean
    means = [torch.empty_like(norm) for _ in range(process.count)]
    torch.distributed.all_gather(means, norm)
    assert torch.equal(*means)
    if process.first:
        print("accuracy", history[-1]["test_accuracy"], "of", process.count)
"""


def test_two_processes(tmp_path: Path) -> None:
    """Under torchrun, with gloo: both end with the same parameters, and one writes the checkpoint."""
    script = tmp_path / "two.py"
    script.write_text(TWO.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "run")))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert float(words[1]) > 0.9 and words[3] == "2"
    assert (tmp_path / "run" / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Recipe.one_stage(0, 0.1), "epochs: expected a whole number from 1 on, got 0"),
        (lambda: Recipe.one_stage("3", 0.1), "epochs: expected a whole number from 1 on, got '3'"),  # type: ignore[arg-type]
        (lambda: Recipe.one_stage(3, -0.1), "rate: expected a number above 0, got -0.1"),
        (lambda: Stage(3, 0.1, ("bias",)), "quantized: expected 'weights' or 'inputs', got 'bias'"),  # type: ignore[arg-type]
        (lambda: Recipe(()), "stages: expected at least one"),
        (lambda: Recipe.one_stage(3, 0.1, precision="fp8"), "precision: expected 'float32' or 'bfloat16', got 'fp8'"),
        (lambda: Recipe.one_stage(3, 0.1, warmup=-1), "warmup: expected a number from 0 on, got -1"),
        (lambda: Recipe.one_stage(3, 0.1, distillation=1.5), "distillation: expected a number from 0 to 1, got 1.5"),
    ],
)
def test_recipes_that_are_none(make: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        make()
