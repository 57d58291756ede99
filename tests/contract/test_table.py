"""Every public name has a row, every row a cell for each contract, and every cell holds."""

import pytest

import numfuse

from .examples import FUNCTIONS, example
from .names import public_names
from .table import CONTRACTS, TABLE

KERNELS_ONLY = {"interrupts", "same bits", "backend", "layout"}  # no promise of the NumPy backend


def test_every_public_name_has_a_row_and_every_row_a_public_name():
    assert sorted(TABLE) == sorted(public_names())


@pytest.mark.parametrize("name", TABLE)
def test_every_row_has_a_cell_for_each_contract_and_no_empty_one(name):
    assert set(TABLE[name]) == set(CONTRACTS)
    for cell in TABLE[name].values():
        if isinstance(cell, str):
            assert len(cell.split()) >= 3, "a reason is a sentence"
        else:
            assert cell
            assert all(callable(check) for check in cell)


def test_every_function_that_is_computed_by_kernels_has_an_example():
    assert set(FUNCTIONS) == {
        name for name, row in TABLE.items() if not isinstance(row["same bits"], str)
    }


def cells():
    for name, row in TABLE.items():
        for contract in CONTRACTS:
            if not isinstance(row[contract], str):
                for check in row[contract]:
                    label = f"{name.removeprefix('numfuse.')}-{contract}-{check.__name__}"
                    yield pytest.param(name, contract, check, id=label)


@pytest.mark.parametrize(("name", "contract", "check"), list(cells()))
def test_cell(name, contract, check):
    if numfuse.get_config()["backend"] == "numpy" and contract in KERNELS_ONLY:
        pytest.skip("a promise of the kernels alone")
    check(name, example(name))
