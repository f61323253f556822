"""Opening tables: packed and plain, with and without a mark."""

from __future__ import annotations

import gzip
import io

import pytest

from batchd.core.records import BadTable, Layout
from batchd.tables.opening import BOMS, folder_of, letters, opened


def go_on() -> None:
    pass


def test_a_packed_table_is_inflated(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n"))
    with opened(path, pause=go_on) as file:
        assert file.read() == b"a,b\n"


@pytest.mark.parametrize("most", [3, 1 << 40])
def test_what_is_wrong_with_gzip_data_is_the_senders(tmp_path, most):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n")[: None if most == 3 else -1])
    with pytest.raises(BadTable) as bad, opened(path, pause=go_on, most=most) as file:
        file.read()
    assert bad.value.problem.code == ("inflates_too_far" if most == 3 else "gzip_cut")


def test_whoever_waits_can_stop_the_reading(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(bytes(5 << 20))
    looks = list[int]()

    def stop() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError), opened(path, pause=stop) as file:
        file.read()


@pytest.mark.parametrize("encoding", BOMS)
def test_a_mark_is_no_letter(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes(BOMS[encoding] + "ä\r\n".encode(encoding))
    layout = Layout(format="csv", encoding=encoding, bom=True)
    with opened(path, pause=go_on) as file:
        assert letters(file, layout).read() == "ä\r\n"


def test_what_is_kept_on_the_way_to_a_result_lies_beside_it(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        assert folder_of(file) == tmp_path
    assert folder_of(io.BytesIO()) is None
