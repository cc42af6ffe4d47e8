"""Reads and writes masks with the libraries of other programs, in their environment; it knows nothing of the farm.

python convert.py datumaro FORMAT FOLDER [OUT]: prints each frame's boxes as JSON, and writes them again to a folder.
python convert.py studio FILE [OUT]: checks a file with Label Studio's SDK; writes it with its key frames interpolated.
"""

import json
import sys
from pathlib import Path
from typing import Any

CONFIG = (
    '<View><Video name="video" value="$video"/><VideoRectangle name="box" toName="video"/>'
    '<Labels name="labels" toName="video"><Label value="face"/><Label value="plate"/></Labels></View>'
)


def datumaro(form: str, folder: str, out: str | None = None) -> None:
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    dataset = Dataset.import_from(folder, form)
    labels = [label.name for label in dataset.categories()[AnnotationType.label].items]
    rows = {
        item.id: [[labels[a.label], *a.get_bbox(), a.attributes] for a in item.annotations if a.type.name == "bbox"]
        for item in dataset
    }
    print(json.dumps(rows))
    if out is not None:
        dataset.export(out, "mot_seq_gt" if form == "mot_seq" else form, save_media=False)


def studio(file: str, out: str | None = None) -> None:
    from label_studio_sdk._extensions.label_studio_tools.postprocessing.video import extract_key_frames
    from label_studio_sdk.label_interface import LabelInterface

    tasks: list[Any] = json.loads(Path(file).read_text())
    annotation = tasks[0]["annotations"][0]
    print(json.dumps(LabelInterface(CONFIG).validate_annotation({"result": annotation["result"]})))
    if out is not None:
        annotation["result"] = extract_key_frames(annotation["result"])
        Path(out).write_text(json.dumps(tasks))


if __name__ == "__main__":
    command = datumaro if sys.argv[1] == "datumaro" else studio
    command(*sys.argv[2:])
