"""What a method costs at Stable Diffusion 2's full size, from shapes alone: bytes and operations on the meta device.

Networks are built in the published configuration without weights, and the course's own functions run on them. A
dispatch mode adds up the bytes of the storages alive, torch's FlopCounterMode the work. It cannot see what a fused
kernel saves (attention counts as the whole N x N matrix), nor what an allocator wastes: memory is an upper bound but
for fragments, work counts matrix products and convolutions alone.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

GIB = 2**30
FEW = 64  # tensors this small and flat, noise levels and timesteps, stay on the CPU, where code may read them
FALSE, KEPT = ("aten::zeros", "aten::zeros_like"), ("aten::all", "aten::any", "aten::bitwise_or")


class Peak(TorchDispatchMode):
    """Bytes of the meta storages made inside it that are alive, and the most there were at one time.

    Where code reads a value that is not there, it is told yes (all are finite), but no where it asks of zeros.
    """

    def __init__(self):
        super().__init__()
        self.now, self.peak, self.live, self.no = 0, 0, set(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = func._schema.name
        if name in ("aten::_local_scalar_dense", "aten::is_nonzero") and args[0].is_meta:
            return args[0].untyped_storage()._cdata not in self.no
        if name == "aten::_to_copy" and args[0].ndim < 2 and args[0].numel() <= FEW and not args[0].is_meta:
            kwargs.pop("device", None)
        out = func(*args, **kwargs)
        if isinstance(out, Tensor) and out.is_meta and out.dtype == torch.bool and self._zeros(name, args):
            self.no.add(out.untyped_storage()._cdata)
        for made in pytree.tree_leaves(out):
            if isinstance(made, Tensor) and made.is_meta:
                self._count(made.untyped_storage())
        return out

    def _zeros(self, name: str, args: tuple) -> bool:
        """Whether an operator's result is known to be false everywhere."""
        asked = [one.untyped_storage()._cdata for one in args if isinstance(one, Tensor)]
        return name in FALSE or (name in KEPT and all(key in self.no for key in asked))

    def _count(self, storage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self.live:
            self.live.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self.live.discard(key)
        self.no.discard(key)
        self.now -= size


@dataclass(frozen=True)
class Cost:
    """Peak bytes beyond what was there before, and floating-point operations."""

    peak: int
    work: int


def cost(work: Callable[[], object]) -> Cost:
    """What one call costs; everything it needs must be on the meta device."""
    with Peak() as memory:
        work()
    with Peak(), FlopCounterMode(display=False) as count:  # apart: its hooks on modules keep tensors alive
        work()
    return Cost(memory.peak, count.get_total_flops())


def weights(*networks: nn.Module) -> int:
    """Bytes of the parameters and buffers of networks."""
    return sum(one.numel() * one.element_size() for net in networks for one in (*net.parameters(), *net.buffers()))


def unet(**changes) -> nn.Module:
    """Stable Diffusion 2's UNet on the meta device in half precision: 865.9 million parameters.

    Source of the configuration: unet/config.json of stable-diffusion-2-base.
    """
    with torch.device("meta"):
        net = UNet2DConditionModel(
            sample_size=64,
            cross_attention_dim=1024,
            attention_head_dim=[5, 10, 20, 20],
            block_out_channels=[320, 640, 1280, 1280],
            use_linear_projection=True,
            **changes,
        )
    return net.half().requires_grad_(False).eval()


def autoencoder() -> nn.Module:
    """Its autoencoder: 83.7 million parameters, factor 8."""
    with torch.device("meta"):
        net = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            norm_num_groups=32,
            sample_size=768,
            scaling_factor=0.18215,
        )
    return net.half().requires_grad_(False).eval()


def text_encoder() -> nn.Module:
    """Its text encoder, 23 layers of OpenCLIP's ViT-H/14: 340.4 million parameters."""
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}
    with torch.device("meta"):
        net = CLIPTextModel(CLIPTextConfig(vocab_size=49408, projection_dim=512, hidden_act="gelu", **sizes))
    return net.half().requires_grad_(False).eval()


def picture_encoder() -> nn.Module:
    """The judge of SeedSelect's pictures, the vision half of OpenCLIP's ViT-H/14: 632 million parameters."""
    sizes = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
    with torch.device("meta"):
        net = CLIPVisionModelWithProjection(
            CLIPVisionConfig(patch_size=14, image_size=224, projection_dim=1024, hidden_act="gelu", **sizes)
        )
    return net.half().requires_grad_(False).eval()


def scheduler(prediction_type: str = "epsilon") -> DDIMScheduler:
    """Its noise schedule, for a network that predicts the noise or, "v_prediction", the velocity."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def pipeline() -> SimpleNamespace:
    """What `StableDiffusion(pipe)` needs of a pipeline, on the meta device; prompts are embeddings (1, 77, 1024)."""
    return SimpleNamespace(unet=unet(), vae=autoencoder(), text_encoder=text_encoder(), scheduler=scheduler())
