"""Training data as a file: what training reads, for those who train by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO, Any

from flask import Response

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.clock import now
from app.database import db
from app.schemas.training_data import TrainingData, TrainingDataQuery
from models.training_data import write_training_data

blueprint = ApiBlueprint(
    "training_data", __name__, url_prefix="/api/products", description="Training and model"
)
_MEDIA_TYPES = {"json": "application/json", "csv": "text/csv", "ndjson": "application/x-ndjson"}
_PIECE_BYTES = 256 * 1024


@blueprint.route("/training_data/")
@blueprint.doc(
    summary="Products and interactions as training reads them",
    responses={
        "200": {
            "description": "Interactions are in the order of time, products in that of their ids. "
            "In NDJSON a line's kind is product, interaction or metadata, which comes last.",
            "content": {
                "application/json": {"schema": TrainingData},
                "text/csv": {},
                "application/x-ndjson": {},
            },
        }
    },
)
@require_scope("train", "admin")
@blueprint.arguments(TrainingDataQuery, location="query")
def training_data(query: dict[str, Any]) -> Response:
    """Give the products, and the interactions of the last days.

    Nothing that figures leave out is in them. Products that are not active are left out; what
    people did with them is not. Content-Length tells whether all of the answer came.
    """
    # A slow reader has a file: the database is done with before the first byte is sent.
    with ExitStack() as stack:
        file = stack.enter_context(TemporaryFile())
        write_training_data(
            db.engine,
            file,
            days=query["days"],
            format_=query["format"],
            parts=query["parts"],
            now=now(),
        )
        size = file.tell()
        file.seek(0)
        stack.pop_all()
    response = Response(
        _read_pieces(file),
        mimetype=_MEDIA_TYPES[query["format"]],
        headers={
            "Content-Disposition": f'attachment; filename="{_file_name(query)}"',
            "Content-Length": str(size),
        },
    )
    response.call_on_close(file.close)
    return response


def _read_pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _file_name(query: dict[str, Any]) -> str:
    part = f"-{query['parts'][0]}" if len(query["parts"]) == 1 else ""
    return f"training-data{part}.{query['format']}"
