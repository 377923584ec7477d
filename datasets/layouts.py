"""Which mapping fits a directory: the bundled ones are tried by file names and columns."""

from pathlib import Path

from datasets.dataset import DatasetError, MappingError
from datasets.mapping import Mapping, read_mapping
from datasets.tables import check_columns, find_files, read_header

BUNDLED = Path(__file__).parent / "mappings"
OWN_MAPPING = "mapping.toml"


def bundled_mappings() -> list[Mapping]:
    return [read_mapping(path) for path in sorted(BUNDLED.glob("*.toml"))]


def choose_mapping(directory: Path) -> Mapping:
    """Take the directory's own mapping.toml, else the one bundled mapping that fits."""
    own = directory / OWN_MAPPING
    if own.is_file():
        return read_mapping(own)
    mappings = bundled_mappings()
    fitting = [mapping for mapping in mappings if fits(mapping, directory)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(mapping.name for mapping in fitting)
        raise DatasetError(f"{directory} fits several layouts ({names}): name a mapping file")
    known = ", ".join(mapping.name for mapping in mappings)
    present = ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"
    raise DatasetError(
        f"{directory} has none of the known layouts ({known}); it has: {present}. "
        f"Write a mapping, as docs/data-sets.md shows, and put it there as {OWN_MAPPING}"
    )


def fits(mapping: Mapping, directory: Path) -> bool:
    """True when all files are there and have the columns that the mapping names."""
    try:
        for rule in (mapping.events, mapping.products):
            for path in find_files(directory, rule.files):
                header = read_header(path, encoding=rule.encoding, delimiter=rule.delimiter)
                check_columns(path, header, rule.needed())
    except MappingError:
        return False
    return True
