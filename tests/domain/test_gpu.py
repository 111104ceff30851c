from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_sdk.domain._gpu_table import table
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.errors import ResourcesError

# Every GPU of the table, with any of the fields unsaid.
ROWS = [(model, *shape[:3]) for model, shapes in table().shapes.items() for shape in shapes]


@st.composite
def gpus(draw: st.DrawFn) -> Gpu:
    model, architecture, form, size = draw(st.sampled_from(ROWS))
    keep = st.booleans()
    return Gpu(
        model,
        form if draw(keep) else None,
        size if draw(keep) else None,
        architecture if draw(keep) else None,
    )


@given(gpus())
def test_every_gpu_reads_back_from_its_own_text(gpu: Gpu) -> None:
    assert Gpu.parse(str(gpu)) == gpu
    assert Gpu.parse(str(gpu).upper().replace("-", " ")) == gpu
    assert Gpu.parse(str(gpu).lower().replace("-", "_")) == gpu


@given(gpus())
def test_every_gpu_reads_back_from_its_dict(gpu: Gpu) -> None:
    assert Gpu.from_dict(gpu.to_dict()) == gpu


@given(gpus())
def test_a_gpu_fits_itself_and_its_model_fits_it(gpu: Gpu) -> None:
    assert gpu.fits(gpu) is None
    assert Gpu(gpu.model).fits(gpu) is None


@given(gpus(), gpus())
def test_what_fits_has_every_field_that_was_asked(wanted: Gpu, offered: Gpu) -> None:
    stated = offered.completed()
    agrees = all(ask in (None, have) for ask, have in zip(wanted.to_dict().values(), stated.to_dict().values(), strict=True))
    assert (wanted.fits(offered) is None) == agrees


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("H100", ("H100", None, None, "Hopper")),
        ("NVIDIA H100 80GB HBM3", ("H100", "SXM", 80, "Hopper")),
        ("NVIDIA H100 PCIe", ("H100", "PCIe", None, "Hopper")),
        ("NVIDIA H100 NVL", ("H100", "NVL", None, "Hopper")),
        ("H100-SXM5-80GB", ("H100", "SXM", 80, "Hopper")),
        ("H100 SXM5", ("H100", "SXM", None, "Hopper")),
        ("H100_SXM", ("H100", "SXM", None, "Hopper")),
        ("H100 80GB HGX", ("H100", "SXM", 80, "Hopper")),
        ("h100-80gb-sxm-ib", ("H100", "SXM", 80, "Hopper")),
        # NVLink joins SXM modules, NVL cards and bridged PCIe cards: it names no form factor.
        ("H100-NVLINK", ("H100", None, None, "Hopper")),
        ("NVIDIA A100-SXM4-80GB", ("A100", "SXM", 80, "Ampere")),
        ("NVIDIA A100-PCIE-40GB", ("A100", "PCIe", 40, "Ampere")),
        ("A100-80GB", ("A100", None, 80, "Ampere")),
        ("A100-80", ("A100", None, 80, "Ampere")),
        ("A100-80GB-SXM", ("A100", "SXM", 80, "Ampere")),
        ("B200 180GB SXM6", ("B200", "SXM", 180, "Blackwell")),
        # One card under two sizes: sellers print the memory of the stacks or what software sees of it.
        ("B200 192GB", ("B200", None, 180, "Blackwell")),
        ("B300 270GB HGX", ("B300", "SXM", 288, "Blackwell Ultra")),
        ("GB200 186GB NVL72", ("GB200", "Superchip", 186, "Blackwell")),
        ("GB200", ("GB200", None, None, "Blackwell")),
        # 480 GB are the processor's.
        ("NVIDIA GH200 480GB", ("GH200", None, 96, "Hopper")),
        ("RTX6000-Ada", ("RTX6000", None, None, "Ada Lovelace")),
        ("RTX6000Ada", ("RTX6000", None, None, "Ada Lovelace")),
        ("RTX 6000 Ada", ("RTX6000", None, None, "Ada Lovelace")),
        ("NVIDIA RTX 6000 Ada Generation", ("RTX6000", None, None, "Ada Lovelace")),
        ("Quadro RTX 6000", ("RTX6000", None, None, "Turing")),
        ("RTX6000", ("RTX6000", None, None, None)),
        ("RTXA6000", ("A6000", None, None, "Ampere")),
        ("NVIDIA RTX A6000", ("A6000", None, None, "Ampere")),
        ("A6000", ("A6000", None, None, "Ampere")),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", ("RTXPRO6000", None, None, "Blackwell")),
        ("Tesla T4", ("T4", None, None, "Turing")),
        ("Tesla V100-SXM2-16GB", ("V100", "SXM", 16, "Volta")),
        ("NVIDIA GeForce RTX 4090", ("RTX4090", None, None, "Ada Lovelace")),
        ("RTX 3090 Ti", ("RTX3090Ti", None, None, "Ampere")),
        ("L40S", ("L40S", None, None, "Ada Lovelace")),
        ("A10G", ("A10G", None, None, "Ampere")),
        ("MI300X", ("MI300X", None, None, "CDNA 3")),
        ("AMD Instinct MI300X OAM", ("MI300X", "OAM", None, "CDNA 3")),
        ("Gaudi 3", ("Gaudi3", None, None, "Gaudi 3")),
    ],
)
def test_parse(text: str, fields: tuple[str, str | None, int | None, str | None]) -> None:
    assert tuple(Gpu.parse(text).to_dict().values()) == fields


def test_the_constructor_knows_the_architecture_too() -> None:
    assert Gpu("H100") == Gpu.parse("h100")
    assert Gpu("H100").architecture == "Hopper"
    assert Gpu("RTX6000").architecture is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("H1000", "did you mean H100"),
        ("h10 sxm", "H100"),
        ("RTX9090", "RTX4090"),
        ("whatever", "write a model such as"),
        ("", "not a known GPU"),
        ("SXM 80GB", "not a known GPU"),
        ("H100-SXN", "did you mean SXM"),
        ("H100 SXM PCIe", "the form factor is both SXM and PCIe"),
        ("H100-40GB-80GB", "the memory is both 40 and 80"),
        ("H100 Blackwell", "the architecture is both"),
        ("H100 A100", "the model is both H100 and A100"),
        ("H100-81", "'81' is no form factor"),
    ],
)
def test_a_text_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(ResourcesError) as caught:
        Gpu.parse(text)
    assert message in str(caught.value)
    assert repr(text) in caught.value.message


@given(st.text(max_size=40))
def test_any_text_gives_a_gpu_or_a_resources_error(text: str) -> None:
    try:
        gpu = Gpu.parse(text)
    except ResourcesError:
        return
    assert gpu.model in table().shapes


MIB = 2**20


# Names and measured MiB as drivers report them.
@pytest.mark.parametrize(
    ("name", "mebibytes", "text"),
    [
        ("NVIDIA H100 80GB HBM3", 81559, "H100-SXM-80GB"),
        ("NVIDIA H100 NVL", 95830, "H100-NVL-94GB"),
        ("NVIDIA H200", 143771, "H200-SXM-141GB"),
        ("NVIDIA B200", 183359, "B200-SXM-180GB"),
        ("NVIDIA B300 SXM6 AC", 275040, "B300-SXM-288GB"),
        ("NVIDIA A100-SXM4-40GB", 40536, "A100-SXM-40GB"),
        ("NVIDIA L4", 23034, "L4-PCIe-24GB"),
        ("Tesla T4", 15360, "T4-PCIe-16GB"),
        ("NVIDIA GH200 480GB", 97871, "GH200-Superchip-96GB"),
        # A slice of a GPU has no nominal size: it is rounded and kept.
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", 9984, "A100-SXM-10GB"),
        # A card that is newer than the table.
        ("NVIDIA Zeus 9000", 262144, "Zeus9000-256GB"),
    ],
)
def test_nominal(name: str, mebibytes: int, text: str) -> None:
    assert str(Gpu.nominal(name, mebibytes * MIB)) == text


@given(st.sampled_from(ROWS), st.floats(0.935, 1.0))
def test_nominal_finds_the_size_that_a_driver_measures_less_of(row: tuple[str, str, str, int], share: float) -> None:
    model, architecture, form, size = row
    gpu = Gpu(model, form, size, architecture)
    found = Gpu.nominal(str(gpu), int(size * share * 2**30))
    sizes = Gpu(model, form, None, architecture).memory_sizes()
    assert found.memory_gib == min(sizes, key=lambda known: abs(known - size * share))


def test_memory_sizes() -> None:
    assert Gpu("H100").memory_sizes() == (64, 80, 94, 96)
    assert Gpu("H100", "NVL").memory_sizes() == (94,)
    assert Gpu("H100", None, 80).memory_sizes() == (80,)
    assert Gpu("RTX6000", None, None, "Turing").memory_sizes() == (24,)
    assert Gpu("Zeus9000").memory_sizes() == ()


def test_what_an_offer_leaves_open_does_not_satisfy() -> None:
    assert Gpu("H100", "SXM").fits(Gpu("H100")) == "H100 does not state its form factor, SXM is wanted"
    assert Gpu("H100", None, 94).fits(Gpu("H100", "SXM", 80)) == "H100-SXM-80GB has 80 GB, not 94 GB"
    # Every B200 of the table is an SXM module: nothing is left open.
    assert Gpu("B200", "SXM", 180).fits(Gpu("B200")) is None


def test_the_import_reads_no_table_and_nothing_heavy() -> None:
    code = (
        "import sys, lepton_sdk.domain.gpu as g; from lepton_sdk.domain import _gpu_table as t;"
        "assert t.table.cache_info().currsize == 0; heavy = {'json', 'asyncio', 'httpx', 'difflib'} & set(sys.modules);"
        "assert not heavy, heavy; g.Gpu.parse('H100'); assert t.table.cache_info().currsize == 1;"
        "assert 'json' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
