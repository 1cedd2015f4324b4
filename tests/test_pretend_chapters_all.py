"""Every chapter from the eighth on is run on the pretend accelerator, by exactly one of the files beside this one."""

import pretend
import pretend_chapters
import safetensors.torch
import torch


def test_every_chapter_from_the_eighth_on_runs_here(root):
    """Each in exactly one of the test files, whichever chapters there are."""
    files = sorted((root / "tests").glob("test_pretend_chapters_[0-9].py"))
    assert len(files) == pretend_chapters.FILES
    assert all(f"share({k})" in path.read_text() for k, path in enumerate(files, 1))
    shared = [path.name for k in range(1, len(files) + 1) for path in pretend_chapters.share(k)]
    assert len(shared) >= 5
    numbers = sorted(int(path.name[:2]) for path in (root / "solutions").glob("*.ipynb"))
    assert sorted(int(name[:2]) for name in shared) == [n for n in numbers if n >= 8 and n != 17]


def test_a_tensors_data_is_replaced_and_saved_there_as_on_a_gpu(tmp_path):
    with pretend.accelerator() as device:
        x = torch.nn.Parameter(torch.zeros(2, device=device))
        x.data = torch.tensor([1.0, 2.0]).to(device)
        assert x.sum().item() == 3
        safetensors.torch.save_file({"x": x}, tmp_path / "x.safetensors")
    assert safetensors.torch.load_file(tmp_path / "x.safetensors")["x"].tolist() == [1, 2]
