"""The layers that several networks share."""

import pytest
import torch
from torch import nn

from dehazelib.networks.layers import conv, pad_to, padded


@pytest.mark.parametrize("height, width, taller, wider", [(32, 48, 32, 48), (35, 53, 40, 56), (33, 41, 40, 48)])
def test_padding_reflects_the_right_and_lower_edges_to_the_next_multiple(height, width, taller, wider):
    image = torch.rand(2, 3, height, width)
    larger = pad_to(image, 8)
    assert larger.shape == (2, 3, taller, wider) and torch.equal(larger[..., :height, :width], image)
    if taller > height:
        assert torch.equal(larger[..., height, :width], image[..., -2, :])
    if wider > width:
        assert torch.equal(larger[..., :height, width], image[..., -2])


def test_a_padded_method_sees_multiples_and_returns_the_size_of_its_input_under_the_same_names():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = conv(3, 3)

        @padded(8)
        def forward(self, image):
            sizes.append(image.shape[-2:])
            return self.layer(image)

    sizes, network = [], Network()
    assert network(torch.rand(1, 3, 35, 53)).shape == (1, 3, 35, 53)
    assert sizes == [(40, 56)] and list(network.state_dict()) == ["layer.weight", "layer.bias"]
