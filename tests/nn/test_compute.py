from pathlib import Path

import pytest
import torch

from wm.core import processor
from wm.core.errors import UserError
from wm.core.params import SharedParams
from wm.nn import compute


@pytest.fixture(autouse=True)
def restored() -> object:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def shared(precision: str) -> SharedParams:
    return SharedParams(vision="vae", scale="smoke", seed=0, precision=precision, threads=1)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16")])
def test_precision_is_what_autocast_computes_in(
    precision: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "demand", lambda shared: None)  # the product below runs anywhere
    prepared = compute.prepare(shared(precision), threads=1)
    assert prepared.dtype == getattr(torch, dtype)
    x = torch.ones(2, 2, device=prepared.device)
    with prepared.autocast():
        assert (x @ x).dtype == prepared.dtype
    assert (x @ x).dtype == torch.float32


def test_threads_are_those_asked_for_and_operations_deterministic() -> None:
    compute.prepare(shared("fp32"), threads=2)
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled()


def test_arithmetic_that_the_processor_has_not_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "INFO", tmp_path / "cpuinfo")
    processor.INFO.write_text("vendor_id\t: AuthenticAMD\nflags\t\t: fma avx avx2\n")
    compute.prepare(shared("fp32"), threads=1)
    with pytest.raises(UserError, match="precision: bf16, which this processor"):
        compute.prepare(shared("bf16"), threads=1)


def test_a_gpu_that_is_not_there_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    wanted = shared("fp32").model_copy(update={"device": "cuda"})
    for built_for, complaint in (("13.0", "torch sees no GPU"), (None, "built for CPUs alone")):
        monkeypatch.setattr(torch.version, "cuda", built_for)
        with pytest.raises(UserError, match=f"device: cuda, but .*{complaint}"):
            compute.prepare(wanted, threads=1)


def test_the_cpu_is_taken_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    wanted = shared("fp32").model_copy(update={"device": "cpu"})
    prepared = compute.prepare(wanted, threads=1)
    assert (prepared.device.type, prepared.dtype) == ("cpu", torch.float32)


def test_fp32_allows_no_tf32() -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    compute.prepare(shared(precision="fp32"), threads=1)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
