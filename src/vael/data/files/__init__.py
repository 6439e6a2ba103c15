"""Files of arrays and of images: what they hold, and nothing believed of them."""

from vael.data.files.arrays import array_in, labelled, read_amat, read_npy, read_npz
from vael.data.files.idx import is_idx, read_idx
from vael.data.files.images import (
    ENDINGS,
    FOREIGN,
    Images,
    Resample,
    image_files,
    read_folder,
    read_image,
    read_images,
    sizes,
)
from vael.data.files.material import Material, MaterialPart

__all__ = [
    "ENDINGS",
    "FOREIGN",
    "Images",
    "Material",
    "MaterialPart",
    "Resample",
    "array_in",
    "image_files",
    "is_idx",
    "labelled",
    "read_amat",
    "read_folder",
    "read_idx",
    "read_image",
    "read_images",
    "read_npy",
    "read_npz",
    "sizes",
]
