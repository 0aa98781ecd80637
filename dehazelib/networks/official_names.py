"""What turns the names of our tensors into those in published files: lists of (regular expression, replacement).

The rules of a list are applied to a name one after the other. What becomes empty is not in the file.
"""

import re
from collections.abc import Callable

Rules = list[tuple[str, str | Callable[[re.Match], str]]]


def theirs(ours: str, rules: Rules) -> str:
    """Returns their name of our tensor, empty if their file does not hold it.

    >>> theirs("conv1.weight", [("^conv", "e_conv")])
    'e_conv1.weight'
    """
    for pattern, replacement in rules:
        ours = re.sub(pattern, replacement, ours)
    return ours


def from_one(name: str) -> Callable[[re.Match], str]:
    """Returns a replacement with the pattern's numbers, which they count from 1 where we count from 0."""
    return lambda match: name.format(*(int(number) + 1 for number in match.groups()))


CONSTANTS = (r"^(mean|std)$", "")  # of the normalisation, which no file holds

AOD_NET = [(r"^conv", "e_conv")]
LD_NET = [(r"^conv", "e_conv_layer")]
DEHAZENET_PORT = [
    CONSTANTS,
    (r"^features", "conv1"),
    (r"^scales\.0", "conv2"), (r"^scales\.1", "conv3"), (r"^scales\.2", "conv4"),
    (r"^regression", "conv5"),
]
DEHAZENET_MAT = [
    CONSTANTS,
    (r"^features", "conv1"),
    (r"^scales\.0", "conv3x3"), (r"^scales\.1", "conv5x5"), (r"^scales\.2", "conv7x7"),
    (r"^regression", "ip"),
]
MSCNN = [
    (r"^fine\.9", "fine.14"),
    (r"^fine\.5", "fine.10"),
    (r"^fine\.0", "fine.5"),
    (r"^fine_first", "fine.0"),
]
FAMED_NET = [
    (r".*num_batches_tracked$", ""),
    (r"^fusion", "conv5-fusion-all"),
    (r"^encoders\.0\.(conv\d)", r"\1"),
    (r"^encoders\.1\.(conv\d)", r"\1-ds2"),
    (r"^encoders\.2\.(conv\d)", r"\1-ds4"),
    (r"^(.*)\.0\.", r"\1."),
    (r"^(.*)\.1\.(weight|bias)", r"scale_\1.\2"),
    (r"^(.*)\.1\.(running_)", r"bn_\1.\2"),
]
GFN = [
    (r"^enlarge\.0\.0", "s2_up1"), (r"^enlarge\.1\.0", "s3_up2"),
    (r"^coarse\.", "s1_"), (r"^middle\.", "s2_"), (r"^fine\.", "s3_"),
    (r"stages\.([012])", from_one("e{}")),
    (r"stages\.3", "d1"), (r"stages\.4", "d2"), (r"stages\.5", "d3"),
    (r"(_[ed]\d)\.0", r"\1conv1"), (r"(_[ed]\d)\.2", r"\1conv2"), (r"(_[ed]\d)\.4", r"\1conv3"),
    (r"gates\.0", "d3conv3"),
]
GCANET = [
    (r"^encoder\.0", "conv1"), (r"^encoder\.1", "norm1"),
    (r"^encoder\.3", "conv2"), (r"^encoder\.4", "norm2"),
    (r"^encoder\.6", "conv3"), (r"^encoder\.7", "norm3"),
    (r"^blocks\.(\d)", from_one("res{}")),
    # the last block is not dilated
    (r"^res7\.body\.0", "res7.conv1"), (r"^res7\.body\.1", "res7.norm1"),
    (r"^res7\.body\.3", "res7.conv2"), (r"^res7\.body\.4", "res7.norm2"),
    (r"body\.0\.kernel", "pre_conv1.weight"),
    (r"body\.1", "conv1"), (r"body\.2", "norm1"),
    (r"body\.4\.kernel", "pre_conv2.weight"),
    (r"body\.5", "conv2"), (r"body\.6", "norm2"),
    (r"^decoder\.0", "deconv3"), (r"^decoder\.1", "norm4"),
    (r"^decoder\.3", "deconv2"), (r"^decoder\.4", "norm5"),
    (r"^decoder\.6", "deconv1"),
]
FFA_NET = [
    CONSTANTS,
    (r"^head", "pre.0"), (r"^tail", "post"),
    (r"^fusion\.mlp\.0", "ca.1"), (r"^fusion\.mlp\.2", "ca.3"),
    (r"^groups\.(\d)\.body", from_one("g{}.gp")),
    (r"channel_attention\.mlp", "calayer.ca"),
    (r"pixel_attention\.mlp", "palayer.pa"),
]
GRIDDEHAZENET = [
    (r"^coefficients", "coefficient"),
    (r"^head", "conv_in"), (r"^tail", "conv_out"),
    (r"^first", "rdb_in"), (r"^last", "rdb_out"),
    (r"^across\.(\d)\.(\d)", r"rdb_module.\1_\2"),
    (r"\.mix", ".conv_1x1"),
    (r"\.dense\.(\d)", r".residual_dense_layers.\1.conv"),
    (r"^down\.(\d)\.(\d)\.0", r"downsample_module.\1_\2.conv1"),
    (r"^down\.(\d)\.(\d)\.2", r"downsample_module.\1_\2.conv2"),
    (r"^up\.(\d)\.(\d)", lambda match: f"upsample_module.{match[1]}_{int(match[2]) + 3}"),
    (r"\.deconvolution", ".deconv"),
]
GUNET_T = [
    (r"^first", "inconv.proj"), (r"^last", "outconv.proj.0"),
    (r"^encoder\.(\d)", r"layers.\1.blocks"),
    (r"^middle", "layers.3.blocks"),
    (r"^decoder\.(\d)", lambda match: f"layers.{6 - int(match[1])}.blocks"),
    (r"\.value", ".conv.Wv"),
    (r"\.gate", ".conv.Wg.0"),
    (r"\.projection", ".conv.proj"),
    (r"^down\.(\d)", r"downs.\1.proj"),
    (r"^up\.(\d)\.0", r"ups.\1.proj.0"),
    (r"^skip", "skips"),
    (r"^fusion\.(\d)\.mlp\.0", r"fusions.\1.mlp.1"),
    (r"^fusion\.(\d)\.mlp\.2", r"fusions.\1.mlp.3"),
]
DEHAZEFORMER_T = [
    (r"^first", "patch_embed.proj"), (r"^last", "patch_unembed.proj.0"),
    (r"^down(\d)", r"patch_merge\1.proj"),
    (r"^up2\.0", "patch_split1.proj.0"), (r"^up1\.0", "patch_split2.proj.0"),
    (r"^fusion(\d)", lambda match: f"fusion{3 - int(match[1])}"),
    (r"^(stages.*)\.mlp", r"\1.mlp.mlp"),
    (r"^stages\.(\d)", from_one("layer{}.blocks")),
    (r"\.norm\.scale", ".norm1.meta1"),
    (r"\.norm\.shift", ".norm1.meta2"),
    (r"\.norm\.", ".norm1."),
    (r"\.values", ".attn.V"),
    (r"\.projection", ".attn.proj"),
    (r"\.conv", ".attn.conv"),
    (r"\.queries_keys", ".attn.QK"),
    (r"\.attention\.position_bias", ".attn.attn.meta"),
    (r"\.attention\.positions", ".attn.attn.relative_positions"),
]
