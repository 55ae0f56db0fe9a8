"""Writes a GGUF model's weights again in other types: `gguf_files.py MODEL.gguf FOLDER` makes F32.gguf and Q8_0.gguf.

What a type does to speed differs between builds of llama.cpp, so each is tried.
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, Keys, LlamaFileType, quants

TYPES = {
    "F32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "Q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    source, folder = GGUFReader(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name in TYPES:
        file = folder / f"{name}.gguf"
        if not file.exists():
            partial = file.with_suffix(".partial")
            write(source, partial, *TYPES[name])
            partial.rename(file)
            print(f"wrote {file}")


def write(source, file, kind, file_type):
    writer = GGUFWriter(str(file), source.get_field(Keys.General.ARCHITECTURE).contents())
    for field in source.fields.values():
        if field.name.startswith("GGUF.") or field.name in (Keys.General.ARCHITECTURE, Keys.General.FILE_TYPE):
            continue  # the writer's own
        element = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=element)
    writer.add_file_type(file_type)
    for tensor in source.tensors:
        weights = quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        # Vectors stay as they are, as llama.cpp's own converter leaves them.
        own = kind if weights.ndim > 1 else GGMLQuantizationType.F32
        writer.add_tensor(tensor.name, quants.quantize(weights, own), raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
