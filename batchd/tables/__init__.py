"""Dropped tables: CSV, TSV, JSON, JSON Lines, plain text, Parquet, Excel; read, and written back.

Knows nothing of tasks but how they say a file is to be read. Memory is that of a record or two
(Parquet: a row group; Excel: some thousand rows), however large a table is.
"""

from batchd.core.records import BadTable, Layout, Record, is_table_name, result_name, retry_name
from batchd.tables.reading import find_layout, records_of
from batchd.tables.writing import ResultTable

__all__ = [
    "BadTable",
    "Layout",
    "Record",
    "ResultTable",
    "find_layout",
    "is_table_name",
    "records_of",
    "result_name",
    "retry_name",
]
