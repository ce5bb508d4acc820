"""`ray.data`, for libraries that import it although most of what they do needs it not.

Owns its names: they can be imported, asked for by `isinstance` and subclassed. Using one raises and
names the way to Ray Data.
"""

from __future__ import annotations

from typing import Any, NoReturn

from nbray.as_ray import absent

_CLASSES = (
    "ActorPoolStrategy", "BlockBasedFileDatasink", "DataContext", "DataIterator", "Dataset",
    "DatasetContext", "DatasetIterator", "Datasink", "Datasource", "ExecutionOptions",
    "ExecutionResources", "Preprocessor", "RandomSeedConfig", "ReadTask", "RowBasedFileDatasink",
    "Schema", "TaskPoolStrategy",
)  # fmt: skip
_MAKERS = (
    "from_arrow", "from_arrow_refs", "from_blocks", "from_daft", "from_dask", "from_huggingface",
    "from_items", "from_mars", "from_modin", "from_numpy", "from_numpy_refs", "from_pandas",
    "from_pandas_refs", "from_spark", "from_tf", "from_torch", "range", "range_tensor",
    "read_audio", "read_avro", "read_binary_files", "read_csv", "read_datasource", "read_delta",
    "read_iceberg", "read_images", "read_json", "read_mongo", "read_numpy", "read_orc",
    "read_parquet", "read_sql", "read_text", "read_tfrecords", "read_videos", "read_webdataset",
)  # fmt: skip
__all__ = [*_CLASSES, *_MAKERS]  # noqa: PLE0604 - names, in two tables


class _Absent:
    """What every class here comes of."""

    def __init__(self, *_: Any, **__: Any) -> None:
        _refuse(type(self).__name__)


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(absent(f"ray.data.{name}"))


def _maker(name: str) -> Any:
    def make(*_: Any, **__: Any) -> NoReturn:
        _refuse(name)

    make.__name__ = make.__qualname__ = name
    return make


globals().update(
    {name: type(name, (_Absent,), {"__module__": __name__}) for name in _CLASSES}
    | {name: _maker(name) for name in _MAKERS}
)


def __getattr__(name: str) -> Any:
    raise AttributeError(absent(f"ray.data.{name}"))
