"""Ray's `ray.util.accelerators`: what `accelerator_type=` calls the kinds of accelerators.

Owns the names, which are Ray's. A node has the resource `accelerator_type:NAME` where it was
started with it (`resources={"accelerator_type:A100": 1}`).
"""

from __future__ import annotations

import sys

_NAMES = {
    "NVIDIA": {
        "TESLA_V100": "V100", "TESLA_P100": "P100", "TESLA_T4": "T4", "TESLA_P4": "P4",
        "TESLA_K80": "K80", "TESLA_A10G": "A10G", "L4": "L4", "L40S": "L40S", "A100": "A100",
        "TESLA_A100": "A100", "H100": "H100", "H200": "H200", "H20": "H20", "B200": "B200",
        "B300": "B300", "GB200": "GB200", "GB300": "GB300", "RTX_PRO_6000": "RTX-PRO-6000",
        "A100_40G": "A100-40G", "A100_80G": "A100-80G",
    },
    "INTEL": {
        "MAX_1550": "Intel-GPU-Max-1550", "MAX_1100": "Intel-GPU-Max-1100", "GAUDI": "Intel-GAUDI",
    },
    "AMD": {
        "INSTINCT_MI100": "AMD-Instinct-MI100", "INSTINCT_MI210": "AMD-Instinct-MI210",
        "INSTINCT_MI250": "AMD-Instinct-MI250X-MI250", "INSTINCT_MI250x": "AMD-Instinct-MI250X",
        "INSTINCT_MI300A": "AMD-Instinct-MI300A", "INSTINCT_MI300x": "AMD-Instinct-MI300X-OAM",
        "INSTINCT_MI300x_HF": "AMD-Instinct-MI300X-HF", "INSTINCT_MI308x": "AMD-Instinct-MI308X",
        "INSTINCT_MI325x": "AMD-Instinct-MI325X-OAM", "INSTINCT_MI350x": "AMD-Instinct-MI350X-OAM",
        "INSTINCT_MI355x": "AMD-Instinct-MI355X-OAM",
        "RADEON_R9_200_HD_7900": "AMD-Radeon-R9-200-HD-7900",
        "RADEON_HD_7900": "AMD-Radeon-HD-7900",
    },
    "AWS": {"NEURON_CORE": "aws-neuron-core"},
    "GOOGLE": {
        "TPU_V2": "TPU-V2", "TPU_V3": "TPU-V3", "TPU_V4": "TPU-V4", "TPU_V5P": "TPU-V5P",
        "TPU_V5LITEPOD": "TPU-V5LITEPOD", "TPU_V6E": "TPU-V6E", "TPU_V7X": "TPU-V7X",
    },
    "HUAWEI": {"NPU_910B": "Ascend910B", "NPU_910B4": "Ascend910B4"},
    "METAX": {"C500": "MXC500", "C550": "MXC550"},
    "FURIOSA": {"RNGD": "FURIOSA_RNGD"},
    "MOBILINT": {"ARIES": "MOBILINT_ARIES", "REGULUS": "MOBILINT_REGULUS"},
    "APPLE": {
        "M1": "M1", "M1_PRO": "M1-Pro", "M1_MAX": "M1-Max", "M1_ULTRA": "M1-Ultra", "M2": "M2",
        "M2_PRO": "M2-Pro", "M2_MAX": "M2-Max", "M2_ULTRA": "M2-Ultra", "M3": "M3",
        "M3_PRO": "M3-Pro", "M3_MAX": "M3-Max", "SILICON": "Apple-Silicon",
    },
}  # fmt: skip
"""By maker, the names in programs and the names of the resources."""

__all__ = [f"{maker}_{kind}" for maker, kinds in _NAMES.items() for kind in kinds]
for _maker, _kinds in _NAMES.items():
    for _kind, _name in _kinds.items():
        setattr(sys.modules[__name__], f"{_maker}_{_kind}", _name)
