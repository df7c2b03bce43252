from pathlib import Path

import pytest

from wm.core import processor
from wm.core.errors import UserError
from wm.core.params import SharedParams

AVX2 = "fma avx avx2"
AVX512 = f"{AVX2} avx512f avx512bw avx512vl avx512dq"


@pytest.fixture
def info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(processor, "INFO", file)
    return file


def describe(info: Path, flags: str) -> None:
    core = f"processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: {flags}\n\n"
    info.write_text(core * 2)


def shared(precision: str, device: str = "cpu") -> SharedParams:
    return SharedParams(
        vision="vae", scale="smoke", seed=0, precision=precision, device=device, threads=1
    )


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        (AVX2, "AVX2"),
        (AVX512, "AVX-512"),
        (f"{AVX512} avx512_bf16", "AVX-512 bf16"),
        (f"{AVX512} avx512_bf16 amx_bf16", "AMX bf16"),
    ],
)
def test_the_name_is_maker_and_instructions(info: Path, flags: str, level: str) -> None:
    describe(info, flags)
    assert processor.name() == f"GenuineIntel {level}"


def test_fp32_is_the_same_on_every_processor_with_avx2(info: Path) -> None:
    for flags in (AVX2, AVX512):
        describe(info, flags)
        assert processor.kind("fp32") == processor.PORTABLE
        assert processor.kind("bf16") == processor.name()
    describe(info, "sse2")
    assert processor.kind("fp32") == processor.name()
    with pytest.raises(UserError, match="no AVX2"):
        processor.demand(shared("fp32"))


def test_bf16_is_refused_where_no_instruction_does_it(info: Path) -> None:
    describe(info, AVX2)
    with pytest.raises(UserError, match=r"bf16, which this processor \(GenuineIntel AVX2\)"):
        processor.demand(shared("bf16"))
    processor.demand(shared("fp32"))
    processor.demand(shared("bf16", "cuda"))  # the GPU's to do
    describe(info, AVX512)
    processor.demand(shared("bf16"))


def test_a_system_that_does_not_tell_refuses_nothing(info: Path) -> None:
    processor.demand(shared("bf16"))
    assert processor.name()
    info.write_bytes(b"\xff: \n:::\n")
    processor.demand(shared("bf16"))
