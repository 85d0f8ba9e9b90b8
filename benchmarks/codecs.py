"""Bytes per stored parameter of each codec, on the weights of trained artifacts.

python benchmarks/codecs.py runs/quickstart/trials/*/artifact.frost
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from trainer.artifact.codecs import CODECS
from trainer.artifact.pack import pack
from trainer.artifact.read import read
from trainer.config.trial import TrialConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="artifact.frost files")
    paths = parser.parse_args().paths
    per_param: dict[tuple[int, str], list[float]] = defaultdict(list)
    seconds: dict[tuple[int, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            artifact = read(path)
            for bits in (8, 6):
                for codec in CODECS:
                    settings = {"matrix_bits": bits, "embedding_bits": bits, "codec": codec}
                    config = TrialConfig.model_validate({**artifact.config.model_dump(), "artifact": settings})
                    started = time.perf_counter()
                    report = pack(
                        config, artifact.weights, data_sha256=artifact.data_sha256, path=Path(folder) / "packed.frost"
                    )
                    seconds[bits, codec].append(time.perf_counter() - started)
                    per_param[bits, codec].append(report.bytes_per_param)
    print(f"{len(paths)} artifacts; whole files, header included; medians")
    for bits, codec in per_param:
        spent = statistics.median(seconds[bits, codec])
        print(
            f"int{bits}  {codec:<7}{statistics.median(per_param[bits, codec]):.4f} bytes/param  {spent:6.2f} s to pack"
        )


if __name__ == "__main__":
    main()
