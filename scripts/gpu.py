"""Says which GPUs there are; ends with an error where there is none that torch can use."""

from __future__ import annotations

import sys

import torch


def main() -> int:
    """Print the devices, or what is missing."""
    if not torch.cuda.is_available():
        build = f"torch {torch.__version__} is built for CUDA {torch.version.cuda or '(none: a CPU build)'}"
        sys.stderr.write(
            f"No GPU that torch can use: {build}. This needs an NVIDIA GPU with its driver and a torch with CUDA: "
            "on Linux `make install` brings one from PyPI, unless TORCH_BACKEND=cpu was set.\n"
        )
        return 1
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        capability = f"{properties.major}.{properties.minor}"
        print(f"GPU {number}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB, capability {capability}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
