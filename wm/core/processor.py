"""What processor this is, without torch: a process that only steps environments is spared it."""

from __future__ import annotations

import platform
from pathlib import Path

from wm.core.errors import UserError
from wm.core.params import SharedParams

INFO = Path("/proc/cpuinfo")
"""Where Linux describes the processor."""
LEVELS = {
    "amx_bf16": "AMX bf16",
    "avx512_bf16": "AVX-512 bf16",
    "avx512bw": "AVX-512",
    "avx2": "AVX2",
}
"""Instructions by which libraries choose how they sum in bf16, the strongest first."""
PORTABLE = "x86-64 with AVX2"
"""The processors whose results in fp32 are the same, byte for byte."""
BF16 = ({"avx512bw", "avx512vl", "avx512dq"}, {"avx_ne_convert"})
"""The instructions that oneDNN computes bf16 with: all of one of the sets."""


def kind(precision: str) -> str:
    """Returns the processors that compute the same bytes as this one in a precision: in fp32 all
    that have AVX2; in bf16 those of this maker with these instructions."""
    _, flags = _read()
    if precision == "fp32" and "avx2" in flags:
        return PORTABLE
    return name()


def name() -> str:
    """Returns the maker and the instructions, "AuthenticAMD AVX2", say; the architecture where the
    system does not tell."""
    maker, flags = _read()
    level = next((level for flag, level in LEVELS.items() if flag in flags), "")
    return f"{maker or platform.machine()} {level}".strip()


def demand(shared: SharedParams) -> None:
    """Raises UserError where this processor cannot compute as `shared` asks: a first stage can say
    it before anything has been paid for."""
    _, flags = _read()
    if flags and "avx2" not in flags:  # its kernels are fixed (wm.core.kernels)
        raise UserError("this processor has no AVX2 instructions, which the pipeline needs")
    if shared.precision != "bf16" or shared.device != "cpu":
        return
    if flags and not any(instructions <= flags for instructions in BF16):
        raise UserError(
            f"params.yaml: precision: bf16, which this processor ({name()}) cannot compute in; "
            "set fp32"
        )


def _read() -> tuple[str, set[str]]:
    """Returns the maker and the instructions; neither where the system does not tell."""
    try:
        lines = INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", set()
    fields = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    return fields.get("vendor_id", ""), set(fields.get("flags", "").split())
