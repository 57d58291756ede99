"""The colours of numfuse's pictures.

A perceptually even map that runs from light to dark, so that it reads in grey too; single things
have the colours of Okabe and Ito, told apart with any colour vision, and a marker each.
"""

MAP = "magma_r"
INK, FAINT, BLANK = "#1f2933", "#7b8794", "#d9dee3"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
