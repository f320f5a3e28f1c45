"""Which recording a video was cut from, as far as its name reveals it."""

import re


def of_ucf101(label: str, name: str) -> str:
    """UCF101 numbers its recordings: 25 groups in every class.

    >>> of_ucf101("HandstandPushups", "v_HandStandPushups_g07_c02")
    'g07'
    """
    match = re.search(r"_(g\d+)_c\d+$", name)
    return match[1] if match else name


def of_hmdb51(label: str, name: str) -> str:
    """HMDB51 begins a name with that of the film, up to the class.

    >>> of_hmdb51("brush_hair", "April_09_brush_hair_u_nm_np1_ba_goo_0")
    'April_09'
    """
    film, found, _ = name.rpartition(f"_{label}_")
    return film if found else name


def none(label: str, name: str) -> str:
    """Nothing is known: each video is its own."""
    return name
