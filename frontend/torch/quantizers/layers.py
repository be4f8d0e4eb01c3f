"""Drop-in layers whose weights and inputs are quantized."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .base import Quantizer, WeightQuantizer


class QuantizedLayer(nn.Module):
    """What the layers here share. weight: the latent one, float. weight_quantizer, input_quantizer: or None."""

    weight: Tensor
    weight_quantizer: WeightQuantizer | None
    input_quantizer: Quantizer | None

    def __init__(
        self, *args: Any, weights: WeightQuantizer | None = None, inputs: Quantizer | None = None, **options: Any
    ) -> None:
        """args, options: of the layer of torch."""
        super().__init__(*args, **options)
        self.add_quantizers(weights, inputs)

    def add_quantizers(self, weights: WeightQuantizer | None, inputs: Quantizer | None) -> None:
        """Takes quantizers and fits the one of the weights to them as they are."""
        self.weight_quantizer = None if weights is None else weights.fit(self.weight).to(self.weight.device)
        self.input_quantizer = inputs if inputs is None else inputs.to(self.weight.device)

    def quantized_weight(self) -> Tensor:
        """The weights that the layer computes with."""
        return self.weight if self.weight_quantizer is None else self.weight_quantizer(self.weight)

    def quantized_input(self, x: Tensor) -> Tensor:
        return x if self.input_quantizer is None else self.input_quantizer(x)


class Conv2d(QuantizedLayer, nn.Conv2d):
    """torch.nn.Conv2d with quantizers: `Conv2d(16, 32, 3, weights=TTQ(), inputs=AsymmetricActivations())`."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(self.quantized_input(input), self.quantized_weight(), self.bias)


class Conv1d(QuantizedLayer, nn.Conv1d):
    """torch.nn.Conv1d with quantizers."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(self.quantized_input(input), self.quantized_weight(), self.bias)


class Linear(QuantizedLayer, nn.Linear):
    """torch.nn.Linear with quantizers."""

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(self.quantized_input(input), self.quantized_weight(), self.bias)


LAYERS: dict[type[nn.Module], type[QuantizedLayer]] = {nn.Conv1d: Conv1d, nn.Conv2d: Conv2d, nn.Linear: Linear}
"""What a layer of torch becomes."""
