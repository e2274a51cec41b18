"""The Dry Bean data set: its columns and how to recognise it.

Koklu, M. and Ozkan, I.A. (2020), "Multiclass Classification of Dry Beans Using Computer Vision and
Machine Learning Techniques", Computers and Electronics in Agriculture 174, 105507,
doi:10.1016/j.compag.2020.105507. UCI Machine Learning Repository, id 602, CC BY 4.0.
"""

from typing import Final

from worker.training.source import Source
from worker.training.table import Column

NAME: Final = "drybeans"
LABEL: Final = "Class"
CITATION: Final = (
    "Koklu, M. and Ozkan, I.A. (2020), Dry Bean, UCI Machine Learning Repository 602, CC BY 4.0, "
    "doi:10.1016/j.compag.2020.105507"
)

COLUMNS: Final = (
    Column(
        name="Area",
        unit="pixels",
        description="Number of pixels inside the bean's outline.",
    ),
    Column(
        name="Perimeter",
        unit="pixels",
        description="Length of the bean's outline.",
    ),
    Column(
        name="MajorAxisLength",
        unit="pixels",
        description="Length L of the longest line that can be drawn in the bean.",
        aliases=("major_axis_length",),
    ),
    Column(
        name="MinorAxisLength",
        unit="pixels",
        description="Length l of the longest line perpendicular to the major axis.",
        aliases=("minor_axis_length",),
    ),
    Column(
        name="AspectRation",
        unit="1",
        description="L / l. The original file spells it so; newer files say AspectRatio.",
        aliases=("AspectRatio", "aspect_ratio"),
    ),
    Column(
        name="Eccentricity",
        unit="1",
        description="Eccentricity of the ellipse with the axes L and l: sqrt(1 - (l / L)^2).",
    ),
    Column(
        name="ConvexArea",
        unit="pixels",
        description="Number of pixels in the smallest convex polygon around the bean.",
        aliases=("convex_area",),
    ),
    Column(
        name="EquivDiameter",
        unit="pixels",
        description="Diameter of a circle of the bean's area: sqrt(4 Area / pi).",
        aliases=("equiv_diameter", "EquivalentDiameter"),
    ),
    Column(
        name="Extent",
        unit="1",
        description="Area / area of the bounding box.",
    ),
    Column(
        name="Solidity",
        unit="1",
        description="Area / ConvexArea.",
    ),
    Column(
        name="roundness",
        unit="1",
        description="4 pi Area / Perimeter^2.",
    ),
    Column(
        name="Compactness",
        unit="1",
        description="EquivDiameter / L.",
    ),
    Column(
        name="ShapeFactor1",
        unit="1/pixels",
        description="L / Area.",
        aliases=("shape_factor_1",),
    ),
    Column(
        name="ShapeFactor2",
        unit="1/pixels",
        description="Area / L^3.",
        aliases=("shape_factor_2",),
    ),
    Column(
        name="ShapeFactor3",
        unit="1",
        description="Area / (pi (L / 2)^2).",
        aliases=("shape_factor_3",),
    ),
    Column(
        name="ShapeFactor4",
        unit="1",
        description="Area / (pi (L / 2) (l / 2)).",
        aliases=("shape_factor_4",),
    ),
)

SOURCE: Final = Source(
    url="https://archive.ics.uci.edu/static/public/602/data.csv",
    citation=CITATION,
    columns=COLUMNS,
    label=LABEL,
    exact=(("Area", 0), ("Perimeter", 3), ("ConvexArea", 0)),
    contents="4fc4fdfde04988dccc2f142e3aed19eefb1a569c1c72526c1d3a414d106ab941",
)

_INDEPENDENT_NAMES: Final = (
    "Perimeter",
    "MajorAxisLength",
    "MinorAxisLength",
    "AspectRation",
    "Extent",
    "Solidity",
    "roundness",
    "ShapeFactor4",
)
INDEPENDENT: Final = tuple(
    index for index, column in enumerate(COLUMNS) if column.name in _INDEPENDENT_NAMES
)
"""Positions of columns from which the formulas above give all the others.

Counting a length several times over, as area, diameter and so on, gives it more weight in the
distances between beans than the shape that tells the kinds apart.
"""
