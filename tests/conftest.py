"""Fixtures that several test files share."""

import contextlib
import json
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="module")
def address():
    """The built site, served on this machine."""
    from browsing import built, serve

    server = serve(built())
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window."""
    from playwright.sync_api import sync_playwright

    from course_lib.tools.environment import find_browser

    path = find_browser()
    if path is None:
        pytest.fail("No Chromium was found: install it, or run make test, which says how.", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def tab(browser, address):
    """A tab on the built site."""
    from browsing import Tab

    tab = Tab(browser, address)
    yield tab
    tab.page.context.close()


@pytest.fixture
def g() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def under_both_dtypes():
    """Runs a function with default dtype float32 and then float64, and gives both answers."""

    @contextlib.contextmanager
    def default(dtype):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)

    def run(fn):
        answers = []
        for dtype in (torch.float32, torch.float64):
            with default(dtype):
                answers.append(fn())
        return answers

    return run


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory):
    """CLIP's tokenizer over a vocabulary of single letters, made from two files written here."""
    from transformers import CLIPTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters), "ed</w>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\ne d</w>\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    return CLIPTokenizer.from_pretrained(folder, model_max_length=12)


def _text_encoder(tokens: int):
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=tokens,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=12,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return CLIPTextModel(config).eval()


def _unet():
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
    ).eval()


def _vae():
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=64,
    ).eval()


@pytest.fixture(scope="session", params=["epsilon", "v_prediction"])
def tiny_pipe(request, tiny_tokenizer):
    """A pipeline of Stable Diffusion 2's shape with random weights, for either prediction type."""
    from diffusers import StableDiffusionPipeline

    from course_lib.tools import budget

    before = torch.random.get_rng_state()
    torch.manual_seed(0)
    pipe = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(len(tiny_tokenizer)),
        tokenizer=tiny_tokenizer,
        unet=_unet(),
        scheduler=budget.scheduler(request.param),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    torch.random.set_rng_state(before)
    pipe.set_progress_bar_config(disable=True)
    return pipe
